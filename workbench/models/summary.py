"""torchinfo's view of a model: the cross-check beside our own layer table."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torchinfo

from workbench.models.build import build
from workbench.specs.base import AnyShape, Duel, Pair, Tokens
from workbench.specs.model import ModelSpec

COLUMNS = ("input_size", "output_size", "num_params", "mult_adds")


@dataclass(frozen=True)
class Summary:
    """text: torchinfo's table; parameters and mult_adds (per sample): its totals."""

    text: str
    parameters: int
    mult_adds: int


def summary(model: ModelSpec, shape: AnyShape) -> Summary:
    """What torchinfo says of the built model, for one sample of `shape`.

    Check: its parameters equal `model.n_params(shape)`; of images its mult-adds equal the sum of the layer
    table's. Of texts torchinfo counts one step of most layers and a whole table for a look-up; our table
    counts every step, the products of attention, and look-ups not at all.
    Raises: SpecError for a stack that cannot work.
    """
    module = build(model, shape, seed=0)
    found = torchinfo.summary(
        module,
        input_data=[one_of(shape)],
        verbose=0,
        device="cpu",
        mode="eval",  # batch norm has no statistics of a single vector
        col_names=COLUMNS,
    )
    parameters = sum(p.numel() for p in module.parameters())  # torchinfo counts what is shared twice
    text, mult_adds = str(found), int(found.total_mult_adds)
    if isinstance(shape, Duel):  # asked as a whole it is the discriminator alone
        made = torchinfo.summary(
            module.generator, input_data=[torch.zeros(1, *shape.noise)], verbose=0, device="cpu", mode="eval",
            col_names=COLUMNS,
        )  # fmt: skip
        text, mult_adds = f"{made}\n{text}", mult_adds + int(made.total_mult_adds)
    return Summary(text, int(parameters), mult_adds)


def one_of(shape: AnyShape) -> torch.Tensor:
    """One sample of `shape`: zeros, or a text of equal tokens."""
    if isinstance(shape, Pair):
        return torch.ones(1, 2, min(part.length for part in shape), dtype=torch.int64)
    if isinstance(shape, Tokens):
        return torch.ones(1, shape.length, dtype=torch.int64)
    return torch.zeros(1, *shape)

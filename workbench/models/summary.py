"""torchinfo's view of a model: the cross-check beside our own layer table."""

from __future__ import annotations

from dataclasses import dataclass

import torchinfo

from workbench.models.build import build
from workbench.specs.base import Shape
from workbench.specs.model import ModelSpec


@dataclass(frozen=True)
class Summary:
    """text: torchinfo's table; parameters and mult_adds (per sample): its totals."""

    text: str
    parameters: int
    mult_adds: int


def summary(model: ModelSpec, shape: Shape) -> Summary:
    """What torchinfo says of the built model, for one sample of `shape`.

    Check: its numbers equal `model.n_params(shape)` and the sum of the layer table's mult-adds.
    Raises: SpecError for a stack that cannot work.
    """
    module = build(model, shape, seed=0)
    found = torchinfo.summary(
        module,
        input_size=(1, *shape),
        verbose=0,
        device="cpu",
        mode="eval",  # batch norm has no statistics of a single vector
        col_names=("input_size", "output_size", "num_params", "mult_adds"),
    )
    return Summary(str(found), int(found.total_params), int(found.total_mult_adds))

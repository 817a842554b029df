"""What a forked run takes of the weights it starts from: all, the strongest channels, or those that match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from workbench.models.slim import slimmed
from workbench.specs.base import AnyShape
from workbench.specs.errors import RunError
from workbench.specs.run import RunSpec


class Start(NamedTuple):
    """The whole state to begin with, and a sentence's beginning that says what was taken."""

    tensors: Mapping[str, Tensor]
    words: str


def starting(model: nn.Module, spec: RunSpec, shape: AnyShape, saved: Mapping[str, Tensor]) -> Start:
    """The state that `model` begins with, out of a checkpoint's tensors.

    Raises: RunError where nothing of it fits.
    """
    wanted = model.state_dict()
    prune = spec.training.prune
    head = getattr(model, "product", "") if prune is not None else ""
    if head:
        # A discriminator that has learned tells all that a cut generator makes, which then learns nothing.
        others = {name: t for name, t in wanted.items() if not name.startswith(f"{head}.")}
        saved = {**saved, **others}
    if prune is not None and prune.what == "channels":
        cut = slimmed(saved, spec.model, shape, wanted)
        before, after = (
            sum(t.numel() for name, t in part.items() if name.startswith(head)) for part in (saved, cut)
        )
        of = f" of the {head}" if head else ""
        return Start(cut, f"The strongest channels{of} ({after:,} of {before:,} numbers)")
    fits = {name: t for name, t in saved.items() if name in wanted and wanted[name].shape == t.shape}
    if len(fits) == len(wanted):
        return Start(fits, f"Weights of the {head}" if head else "Weights")
    if not any(t.ndim for t in fits.values()):
        raise RunError.of(
            "the starting weights", "some must fit the model, by name and shape", "none does",
            "Fork without a checkpoint.",
        )  # fmt: skip
    fresh = [name for name in wanted if name not in fits]
    told = ", ".join(fresh[:4]) + (f" and {len(fresh) - 4} more" if len(fresh) > 4 else "")
    words = f"{len(fits)} of {len(wanted)} tensors that match (drawn anew: {told})"
    return Start({**wanted, **fits}, words)

"""What every task says of itself: what its model must make of what comes in."""

from __future__ import annotations

from workbench.specs.base import AnyShape, Spec


class TaskSpec(Spec):
    """What the model's scores mean, and the loss that follows."""

    kind: str = "classification"

    def input(self, shape: AnyShape, n_scores: int) -> AnyShape:
        """The shape of the model's input on data of `shape`, which also tells what must come out where that
        is not one row of `n_scores` scores."""
        return shape

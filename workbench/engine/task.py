"""What the loop needs of a task. `tasks.classification.Classification` is one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Task(Protocol):
    """B samples, K classes; scores (B, K) float; y (B,) int64, or (B, K) float shares of each class."""

    @property
    def n_classes(self) -> int: ...

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean over the batch, a scalar."""
        ...

    def mass(self, y: Tensor) -> int | Tensor:
        """What a batch counts in a mean over batches: losses times masses sum to the whole's."""
        ...

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How many are right: scores (..., B, K), y (..., B) int64 or (..., B, K) float -> (...) int64."""
        ...

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K) float32."""
        ...

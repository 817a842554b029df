"""What the loop needs of a task. The room `tasks` has them; `tasks.choose.task_for` makes that of a spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn


class Task(Protocol):
    """B samples, K columns of scores; scores (B, K) float with y (B,) int64, or (B, K) float shares of each
    class; where every token is told, scores (B, L, K) and y (B, L), padding 0; where every pixel is, scores
    (B, K, H, W) and y (B, H, W)."""

    kind: str
    per_token: bool  # scores per token: they are counted as they come and not kept
    counted: str  # the name of hits over count: "accuracy", or of numbers that are told their mean error

    @property
    def n_classes(self) -> int: ...

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean over the batch, a scalar."""
        ...

    def mass(self, y: Tensor) -> int | Tensor:
        """What a batch counts in a mean over batches: losses times masses sum to the whole's."""
        ...

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How many are right, or how far numbers are off in sum: scores (..., B, K) with y (..., B) int64,
        (..., B, K) float, or numbers of any shape -> (...)."""
        ...

    def count(self, y: Tensor) -> Tensor | None:
        """How many there were to be right, y (..., B, L) -> (...) int64; None: one per sample."""
        ...

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K) float32."""
        ...

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        """Further marks of a whole split by name, such as f1 or perplexity; loss: its mean, in nats."""
        ...

    def report(self, scores: Tensor, y: Tensor, classes: Sequence[str]) -> Mapping[str, Any] | None:
        """Marks class by class, JSON-ready; None where there are no classes."""
        ...

    def sums(self, scores: Tensor, y: Tensor) -> Tensor | None:
        """What the marks of a whole split are made of, as sums over the batch (S,): scores and labels are
        then not kept. None: they are, and `marks` and `report` look at them."""
        ...

    def marks_of(self, sums: np.ndarray) -> dict[str, float]:
        """Marks of a whole split from the sums over all its batches, (S,) float64."""
        ...

    def report_of(self, sums: np.ndarray) -> Mapping[str, Any] | None:
        """What more there is to tell of them, JSON-ready."""
        ...

    def scored(self, written: Sequence[str], meant: Sequence[str]) -> dict[str, float]:
        """Marks of whole texts by name, such as bleu."""
        ...


@runtime_checkable
class Parted(Protocol):
    """A task whose loss has parts, each worth a curve: train/<name> and val/<name>."""

    parts: tuple[str, ...]  # empty: none

    def whole(self, model: nn.Module, loss: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss with what the model's own modules add to it after a forward pass, and its parts (P,)."""
        ...


@runtime_checkable
class Carrying(Protocol):
    """A task that learns something from a validation without which the model cannot be used."""

    def carried(self, sums: np.ndarray | None) -> dict[str, list[float]]:
        """It by name, JSON-ready, from the sums of the validation; kept with each checkpoint."""
        ...


@runtime_checkable
class Tabled(Protocol):
    """A task that tells a confusion matrix from its sums."""

    def matrix_of(self, sums: np.ndarray) -> np.ndarray:
        """(K, K) int64: rows are true classes, columns answers."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A task whose marks come of more than scores and answers: it judges a split itself."""

    def judged(
        self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]],
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> tuple[float, dict[str, float]]:  # fmt: skip
        """(val/loss, marks by name); called in eval mode, without gradients."""
        ...

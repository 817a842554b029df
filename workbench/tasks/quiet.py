"""What a task does not tell, unless it has something to tell: the rest of `engine.task.Task`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor


class Quiet:
    """Keeps scores and labels of a split, and makes nothing of them; no whole texts are written."""

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        return {}

    def report(self, scores: Tensor, y: Tensor, classes: Sequence[str]) -> Mapping[str, Any] | None:
        return None

    def sums(self, scores: Tensor, y: Tensor) -> Tensor | None:
        return None

    def marks_of(self, sums: np.ndarray) -> dict[str, float]:
        return {}

    def report_of(self, sums: np.ndarray) -> Mapping[str, Any] | None:
        return None

    def scored(self, written: Sequence[str], meant: Sequence[str]) -> dict[str, float]:
        return {}

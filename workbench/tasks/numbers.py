"""One number per sample: loss as the model learns it, marks in the target's own unit.

Notation: B samples; scores and y (B, 1) float, both with the target's mean taken away and divided by its
spread where the target is standardised: target = y · scale + mean.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.tasks.quiet import Quiet


class Regression(Quiet):
    """Mean squared, absolute or Huber error."""

    kind = "regression"
    per_token = False
    counted = "mae"
    n_classes = 1

    def __init__(
        self, loss: Literal["mse", "mae", "huber"] = "mse", delta: float = 1.0, mean: float = 0.0,
        scale: float = 1.0, unit: str = "",
    ) -> None:  # fmt: skip
        self.loss_kind, self.delta, self.mean, self.scale, self.unit = loss, delta, mean, scale, unit

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean over the batch, a scalar, of the target as the model learns it."""
        if self.loss_kind == "mae":
            return F.l1_loss(scores, y)
        if self.loss_kind == "huber":
            return F.huber_loss(scores, y, delta=self.delta)
        return F.mse_loss(scores, y)

    def mass(self, y: Tensor) -> int | Tensor:
        return len(y)

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How far off in sum, in the target's unit: (..., B, 1) -> (...)."""
        return (scores.float() - y).abs().sum(dim=(-2, -1)) * self.scale

    def count(self, y: Tensor) -> Tensor | None:
        """One answer per sample."""
        return None

    def predict(self, scores: Tensor) -> Tensor:
        """The target in its own unit, (..., 1) float32."""
        return scores.float() * self.scale + self.mean

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        """mae, rmse and r2; the first two in the target's unit. r2 needs targets that differ.

        Check: equal to scikit-learn's mean_absolute_error, root_mean_squared_error and r2_score.
        """
        if scores is None or y is None or not len(y):
            return {}
        exact = torch.float32 if scores.device.type == "mps" else torch.float64  # Metal knows no double
        off = (scores.to(exact) - y.to(exact)) * self.scale
        spread = (y.to(exact) - y.to(exact).mean()) * self.scale
        squares, total = float((off**2).sum()), float((spread**2).sum())
        found = {"mae": float(off.abs().mean()), "rmse": math.sqrt(squares / off.numel())}
        return found | ({"r2": 1 - squares / total} if total > 0 else {})

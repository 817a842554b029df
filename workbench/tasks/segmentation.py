"""A class for every pixel: cross-entropy and Dice loss, and how far answer and mask overlap.

Notation: B images, K classes; scores (B, K, H, W) float are unnormalised, y (B, H, W) int64 are classes.
Pixels of class 255 count nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.tasks.quiet import Quiet

VOID = 255


class Segmentation(Quiet):
    """Cross-entropy over the pixels, and `dice` times the Dice loss."""

    kind = "segmentation"
    per_token = False
    counted = "accuracy"

    def __init__(self, n_classes: int, dice: float = 0.0, classes: Sequence[str] = ()) -> None:
        self.n_classes = n_classes
        self.dice = dice
        self.classes = tuple(classes) or tuple(str(k) for k in range(n_classes))

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy in nats per pixel, plus dice * (1 - overlap), a scalar.

        Check: log K for equal scores and no Dice loss, whatever the masks; 0 where no pixel counts.
        """
        total = F.cross_entropy(scores, y, ignore_index=VOID, reduction="sum")
        loss = total / self.mass(y).clamp(min=1)
        return loss + self.dice * (1.0 - overlap(scores, y)) if self.dice else loss

    def mass(self, y: Tensor) -> Tensor:
        """Pixels that count."""
        return y.ne(VOID).sum()

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """Pixels told right: scores (..., B, K, H, W), y (..., B, H, W) -> (...) int64."""
        return ((scores.argmax(dim=-3) == y) & y.ne(VOID)).sum(dim=(-3, -2, -1))

    def count(self, y: Tensor) -> Tensor | None:
        """Pixels that count: (..., B, H, W) -> (...)."""
        return y.ne(VOID).sum(dim=(-3, -2, -1))

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K, H, W) float32, summing to 1 at every pixel."""
        return torch.softmax(scores.float(), dim=-3)

    def sums(self, scores: Tensor, y: Tensor) -> Tensor | None:
        """How many pixels of each class were taken for which: (K * K,) int64, true classes in turn."""
        there = y.ne(VOID)
        pairs = y[there] * self.n_classes + scores.argmax(dim=-3)[there]
        return torch.bincount(pairs, minlength=self.n_classes**2)

    def marks_of(self, sums: np.ndarray) -> dict[str, float]:
        """accuracy: of the pixels; iou, dice: each the mean over the classes that occur or were answered."""
        matrix = self.matrix_of(sums)
        iou, dice = overlaps(matrix)
        accuracy = float(np.trace(matrix) / max(1, matrix.sum()))
        return {"accuracy": accuracy, "iou": _mean(iou), "dice": _mean(dice)}

    def matrix_of(self, sums: np.ndarray) -> np.ndarray:
        """Pixels (K, K) int64: rows are true classes, columns answers."""
        return sums.astype(np.int64).reshape(self.n_classes, self.n_classes)

    def report_of(self, sums: np.ndarray) -> Mapping[str, Any] | None:
        """{"per_class": [{"class", "iou", "dice", "precision", "recall", "pixels"}]}; None where a class
        neither occurs nor was answered."""
        matrix = self.matrix_of(sums)
        right, told, there = np.diag(matrix).astype(float), matrix.sum(axis=0), matrix.sum(axis=1)
        iou, dice = overlaps(matrix)
        return {
            "per_class": [
                {
                    "class": name, "iou": _or_none(iou[k]), "dice": _or_none(dice[k]),
                    "precision": _or_none(right[k] / told[k] if told[k] else np.nan),
                    "recall": _or_none(right[k] / there[k] if there[k] else np.nan),
                    "pixels": int(there[k]),
                }
                for k, name in enumerate(self.classes)
            ]
        }  # fmt: skip


def overlap(scores: Tensor, y: Tensor) -> Tensor:
    """The soft Dice overlap of probabilities and masks, mean over the classes that occur: 0 to 1.

    Shapes: scores (B, K, H, W), y (B, H, W) -> (). Source: Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797, with sums in place of their sums of squares.
    """
    there = y.ne(VOID)
    shares = torch.softmax(scores, dim=1) * there.unsqueeze(1)
    truth = F.one_hot(y.masked_fill(~there, 0), scores.shape[1]).movedim(-1, 1) * there.unsqueeze(1)
    both = (shares * truth).sum(dim=(0, 2, 3))
    size = shares.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    occurs = truth.sum(dim=(0, 2, 3)) > 0
    each = torch.where(occurs, 2.0 * both / size.clamp(min=1e-6), torch.zeros_like(both))
    return each.sum() / occurs.sum().clamp(min=1)


def overlaps(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection over union, and Dice, of each class; NaN where it neither occurs nor was answered.

    Shapes: (K, K) -> (K,), (K,). Check: Dice is 2 IoU / (1 + IoU), and scikit-learn's F1.
    """
    right = np.diag(matrix).astype(np.float64)
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    union = both - right
    nothing = np.full(len(right), np.nan)
    iou = np.divide(right, union, out=nothing.copy(), where=union > 0)
    return iou, np.divide(2 * right, both, out=nothing, where=both > 0)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

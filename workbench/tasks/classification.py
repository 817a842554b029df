"""One label per sample: loss, hits and probabilities from raw scores.

Notation: B samples, K classes; scores (B, K) float are unnormalised; y (B,) int64 are class numbers, or
(B, K) float shares of each class where images were blended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.tasks import metrics
from workbench.tasks.quiet import Quiet

TOP = 5


class Classification(Quiet):
    """Softmax and cross-entropy, with label smoothing and weights of classes if asked for."""

    kind = "classification"
    per_token = False
    counted = "accuracy"

    def __init__(
        self, n_classes: int, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None
    ) -> None:
        self.n_classes = n_classes
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self._weights: dict[torch.device, Tensor] = {}  # (K,) float32, where they were needed

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy in nats, a scalar. Check: log K for equal scores, whatever the labels, with
        smoothing or weights of classes; with both, as torch has it, the smoothed share weighs as all classes
        do and not as the labels.

        With weights of classes the mean is over weights, not over images: a batch of one class costs what
        it would without. Blended labels weigh as their classes do, and their mean is over images, as torch
        has it.
        Source: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7, for the smoothing; King
        and Zeng 2001, https://doi.org/10.1093/oxfordjournals.pan.a004868, for the weights.
        """
        weight = self._weight(scores.device)
        scores = self._both(scores)
        return F.cross_entropy(scores, y, weight=weight, label_smoothing=self.label_smoothing)

    def mass(self, y: Tensor) -> int | Tensor:
        """What the mean in `loss` is divided by: the samples, or the weights of their classes, a scalar.

        Check: parts of a batch, each part's loss times its mass, sum to the batch's loss times its mass.
        """
        weight = self._weight(y.device)
        return len(y) if weight is None or y.is_floating_point() else weight[y].sum()

    def _weight(self, device: torch.device) -> Tensor | None:
        if self.class_weights is None:
            return None
        if device not in self._weights:
            self._weights[device] = torch.tensor(self.class_weights, dtype=torch.float32, device=device)
        return self._weights[device]

    def _both(self, scores: Tensor) -> Tensor:
        """A model of two classes may give one score, of the second class against the first: softmax over 0
        and it is its sigmoid, and cross-entropy is BCE-with-logits."""
        if self.n_classes == 2 and scores.shape[-1] == 1:
            return torch.cat([torch.zeros_like(scores), scores], dim=-1)
        return scores

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How many samples have their label on top; of a blend, the label with the largest share.

        scores (..., B, K), y (..., B) int64 or (..., B, K) float -> (...) int64.
        """
        label = y.argmax(dim=-1) if y.is_floating_point() else y
        return (self._both(scores).argmax(dim=-1) == label).sum(dim=-1)

    def count(self, y: Tensor) -> Tensor | None:
        """One answer per sample."""
        return None

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K) float32, each row summing to 1."""
        return torch.softmax(self._both(scores).float(), dim=-1)

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        """Precision, recall and F1 (means over classes), areas under curves, the expected calibration error,
        top 5 of more than five."""
        if scores is None or y is None or not len(y):
            return {}
        scores, shares = self._both(scores), self.predict(scores)
        found = metrics.macro(metrics.counts(scores, y)) | metrics.areas(shares, y)
        found["ece"] = metrics.calibration_error(shares, y)
        return found | ({"top5": metrics.top_k(scores, y, 5)} if scores.shape[1] > TOP else {})

    def report(self, scores: Tensor, y: Tensor, classes: Sequence[str]) -> Mapping[str, Any] | None:
        """{"per_class": [{"class", "precision", "recall", "f1", "support"}]}."""
        counted = metrics.counts(self._both(scores), y)
        columns = (*metrics.per_class(counted), counted[2].numpy())
        rows = [
            {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
            for name, p, r, f, n in zip(classes, *columns, strict=True)
        ]
        return {"per_class": rows}


def balanced(labels: np.ndarray, n_classes: int) -> list[float]:
    """Weights of classes, inverse to their counts and of mean 1. labels (n,) int64 -> K numbers.

    Check: every class that has images weighs the same in sum; a class without images counts as with one.
    """
    counts = np.maximum(1, np.bincount(labels, minlength=n_classes))
    inverse = 1.0 / counts
    return [float(weight) for weight in inverse * (n_classes / inverse.sum())]

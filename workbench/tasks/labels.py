"""Several labels per sample, each yes or no: sigmoid and binary cross-entropy.

Notation: B samples, K labels; scores (B, K) float are unnormalised; y (B, K) float of 0 and 1.
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


class MultiLabel(Quiet):
    """Each label by itself; a score above 0 says yes."""

    kind = "multi_label"
    per_token = False
    counted = "accuracy"

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean binary cross-entropy in nats, a scalar. Check: log 2 for scores of 0."""
        return F.binary_cross_entropy_with_logits(scores, y)

    def mass(self, y: Tensor) -> int | Tensor:
        return len(y)

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """Share of the labels that are right, summed over samples: (..., B, K) -> (...)."""
        return ((scores > 0) == (y > 0.5)).float().mean(dim=-1).sum(dim=-1)

    def count(self, y: Tensor) -> Tensor | None:
        return None

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K) float32, of each label by itself."""
        return torch.sigmoid(scores.float())

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        """f1 over all labels of all samples (micro) and the mean over labels (macro_f1), exact: share of the
        samples whose labels are all right; auroc and pr_auc, means over labels that occur on both sides.

        Check: equal to scikit-learn's f1_score, roc_auc_score and average_precision_score.
        """
        if scores is None or y is None or not len(y):
            return {}
        told, there = scores > 0, y > 0.5
        counted = self._counts(told, there)
        both = counted.sum(dim=1)
        total = float(both[1] + both[2])
        found = {
            "f1": 2 * float(both[0]) / total if total else 0.0,
            "macro_f1": float(metrics.per_class(counted)[2].mean()),
            "exact": float((told == there).all(dim=1).float().mean()),
        }
        if y.numel() > metrics.MOST_RANKED:
            return found
        areas = [metrics.area_pair(scores[:, k].float(), there[:, k]) for k in range(self.n_classes)]
        known = [pair for pair in areas if pair is not None]
        if known:
            found["auroc"], found["pr_auc"] = (float(np.mean(part)) for part in zip(*known, strict=True))
        return found

    def report(self, scores: Tensor, y: Tensor, classes: Sequence[str]) -> Mapping[str, Any] | None:
        """{"per_class": [{"class", "precision", "recall", "f1", "support"}]}, a row per label."""
        counted = self._counts(scores > 0, y > 0.5)
        columns = (*metrics.per_class(counted), counted[2].numpy())
        return {
            "per_class": [
                {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
                for name, p, r, f, n in zip(classes, *columns, strict=True)
            ]
        }

    def _counts(self, told: Tensor, there: Tensor) -> Tensor:
        """(3, K) float64: right yeses, yeses told, and yeses there were."""
        parts = (told & there).sum(dim=0), told.sum(dim=0), there.sum(dim=0)
        return torch.stack(parts).to(torch.float32).cpu().to(torch.float64)

"""Marks of classifiers from their scores, and of written texts; equal to scikit-learn's and sacrebleu's.

Notation: N samples, K classes; scores (N, K) float, y (N,) int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_RANKED = 4_000_000  # scores that are sorted for the areas under curves; beyond, these are left out


def counts(scores: Tensor, y: Tensor) -> Tensor:
    """(3, K) float64: right answers, answers, and samples of each class."""
    k = scores.shape[1]
    told = scores.argmax(dim=1)
    right = torch.bincount(y[told == y], minlength=k)
    parts = right, torch.bincount(told, minlength=k), torch.bincount(y, minlength=k)
    return torch.stack(parts).to(torch.float32).cpu().to(torch.float64)


def per_class(counted: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class, 0 where undefined. Shapes: (3, K) -> three of (K,)."""
    right, told, there = counted.numpy()
    precision = np.divide(right, told, out=np.zeros_like(right), where=told > 0)
    recall = np.divide(right, there, out=np.zeros_like(right), where=there > 0)
    both = told + there
    return precision, recall, np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)


def macro(counted: Tensor) -> dict[str, float]:
    """Precision, recall and F1, each the mean over the classes that occur or were answered."""
    seen = (counted[1] + counted[2]).numpy() > 0
    names = ("precision", "recall", "f1")
    return {name: float(part[seen].mean()) for name, part in zip(names, per_class(counted), strict=True)}


def top_k(scores: Tensor, y: Tensor, k: int) -> float:
    """Share of samples whose class is among the k highest scores."""
    return float((scores.topk(k, dim=1).indices == y.unsqueeze(1)).any(dim=1).float().mean())


def areas(probabilities: Tensor, y: Tensor) -> dict[str, float]:
    """Area under the ROC curve and average precision, one class against the rest, mean over the classes that
    have samples on both sides; of two classes, those of the second one.

    Source: Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747, for the ROC area as a
    sum of ranks. Ties share their mean rank.
    """
    n, k = probabilities.shape
    if not n or n * k > MOST_RANKED:
        return {}
    classes = [1] if k == 2 else range(k)
    roc, precision = [], []
    for c in classes:
        is_class = (y == c).to(torch.float64)
        positives = float(is_class.sum())
        if 0 < positives < n:
            found = _areas(probabilities[:, c], is_class, positives)
            roc.append(found[0])
            precision.append(found[1])
    if not roc:
        return {}
    return {"auroc": float(np.mean(roc)), "pr_auc": float(np.mean(precision))}


def area_pair(score: Tensor, is_class: Tensor) -> tuple[float, float] | None:
    """Area under the ROC curve and average precision of one score (N,) for yes or no (N,) bool; None where
    all samples are of one side."""
    positives = float(is_class.sum())
    if not 0 < positives < len(score):
        return None
    return _areas(score, is_class.to(torch.float64), positives)


def calibration_error(probabilities: Tensor, y: Tensor, bins: int = 15) -> float:
    """Expected calibration error: over bins of confidence, how far accuracy is from it, weighed by samples.

    Shapes: (N, K), (N,) int64. Check: 0 where each is right as often as it says.
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.
    """
    confidence, told = probabilities.max(dim=1)
    right = (told == y).to(torch.float64)
    place = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    n = torch.zeros(bins, dtype=torch.float64, device=y.device).scatter_add_(0, place, torch.ones_like(right))
    hits = torch.zeros_like(n).scatter_add_(0, place, right)
    sure = torch.zeros_like(n).scatter_add_(0, place, confidence.double())
    return float((hits - sure).abs().sum() / max(1, len(y)))


def _areas(score: Tensor, is_class: Tensor, positives: float) -> tuple[float, float]:
    order = score.argsort(descending=True)
    ranked = is_class[order]
    _, group = torch.unique_consecutive(score[order], return_inverse=True)
    groups = int(group[-1]) + 1
    hits = torch.zeros(groups, dtype=torch.float64, device=score.device).scatter_add_(0, group, ranked)
    size = torch.zeros_like(hits).scatter_add_(0, group, torch.ones_like(ranked))
    tp, seen = hits.cumsum(0), size.cumsum(0)
    fp = seen - tp
    before_tp, before_fp = tp - hits, fp - (size - hits)
    negatives = len(score) - positives
    area = ((fp - before_fp) * (tp + before_tp) / 2).sum() / (positives * negatives)
    average = (hits / positives * (tp / seen)).sum()
    return float(area), float(average)


def text_marks(written: Sequence[str], meant: Sequence[str]) -> dict[str, float]:
    """BLEU and chrF of sacrebleu (0 to 100), and the share of texts that are exactly as meant."""
    if not written:
        return {}
    # Half a second that other runs need not wait.
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

    bleu: Any = BLEU().corpus_score(list(written), [list(meant)])
    chrf: Any = CHRF().corpus_score(list(written), [list(meant)])
    exact = sum(a.strip() == b.strip() for a, b in zip(written, meant, strict=True)) / len(written)
    return {"bleu": float(bleu.score), "chrf": float(chrf.score), "exact_match": exact}

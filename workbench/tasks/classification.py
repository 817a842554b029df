"""One label per sample: loss, hits and probabilities from raw scores.

Notation: B samples, K classes; scores (B, K) float are unnormalised, y (B,) int64 are class numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.specs.errors import SpecError
from workbench.specs.training import TaskSpec


class Classification:
    """Softmax and cross-entropy, with label smoothing if asked for."""

    def __init__(self, n_classes: int, label_smoothing: float = 0.0) -> None:
        self.n_classes = n_classes
        self.label_smoothing = label_smoothing

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy in nats, a scalar. Check: log K for equal scores, whatever the labels.

        Source: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7, for the smoothing.
        """
        return F.cross_entropy(scores, y, label_smoothing=self.label_smoothing)

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How many samples have their label on top. scores (..., B, K), y (..., B) -> (...) int64."""
        return (scores.argmax(dim=-1) == y).sum(dim=-1)

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K) float32, each row summing to 1."""
        return torch.softmax(scores.float(), dim=-1)


def task_for(spec: TaskSpec, n_classes: int) -> Classification:
    """The task of a spec. Raises SpecError when there are fewer than two classes to tell apart."""
    if n_classes < 2:
        rule, fact = "classification needs at least two classes", f"the data has {n_classes}"
        raise SpecError.of("task", rule, fact, "Use other data.")
    return Classification(n_classes, spec.label_smoothing)

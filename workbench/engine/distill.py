"""A second model that teaches: its softened scores are part of the loss.

Notation: B samples, L tokens, K classes; scores (B, K), of tokens (B, L, K).
Source: Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.engine.device import place
from workbench.engine.task import Task
from workbench.specs.smaller import Distill

CLASSED = (
    "classification",
    "multi_label",
    "segmentation",
    "language_model",
    "translation",
)  # the rest tells numbers
PAD, VOID = 0, 255  # tokens and pixels that count nowhere


class Teacher:
    """A trained model that is asked and never trained. Its scores are worked out for each batch as the
    student sees it, random changes included; dropout is off, batch norms keep what they have."""

    def __init__(self, model: nn.Module, spec: Distill, task: Task, device: torch.device) -> None:
        self.model = place(model, device).eval().requires_grad_(False)
        self.spec = spec
        self.task = task

    def scores(self, x: Tensor, autocast: Callable[[], AbstractContextManager[object]]) -> Tensor:
        """What it says to a batch: like the student's scores, float32."""
        with torch.no_grad(), autocast():
            return self.model(x).float()

    def loss(self, scores: Tensor, theirs: Tensor, y: Tensor) -> Tensor:
        """T² · KL(teacher ‖ student) at temperature T, a mean over samples, or over the tokens that are
        there; where scores are values and no classes, the mean squared difference. A scalar.

        T² keeps the gradient's size whatever the temperature. Check: 0 for equal scores; torch's kl_div.
        """
        if self.task.kind not in CLASSED:
            return F.mse_loss(scores, theirs)
        t = self.spec.temperature
        log_ours, log_theirs = (
            F.log_softmax(_classes(part, self.task) / t, dim=-1) for part in (scores, theirs)
        )
        apart = (log_theirs.exp() * (log_theirs - log_ours)).sum(dim=-1)  # (B,), (B, L) or (B, H, W)
        there = self._there(y)
        if there is not None:
            return t * t * (apart * there).sum() / there.sum().clamp(min=1)
        return t * t * apart.mean()

    def mass(self, y: Tensor) -> int | Tensor:
        """What the mean in `loss` is divided by, as `Task.mass`: parts of a batch sum to the whole by it."""
        there = self._there(y)
        return len(y) if there is None else there.sum()

    def _there(self, y: Tensor) -> Tensor | None:
        """Which tokens or pixels count; None where all do."""
        if self.task.kind == "translation":
            return y.ne(PAD)
        return y.ne(VOID) if self.task.kind == "segmentation" else None


def _classes(scores: Tensor, task: Task) -> Tensor:
    """Scores (..., K) that a softmax makes shares. One score for two classes, and each label that may hold by
    itself, is one of a pair: no against yes, 0 against it."""
    if task.kind == "segmentation":
        return scores.movedim(-3, -1)  # (B, H, W, K)
    if task.kind == "multi_label":
        return torch.stack([torch.zeros_like(scores), scores], dim=-1)  # (B, K, 2)
    if task.kind == "classification" and scores.shape[-1] == 1:
        return torch.cat([torch.zeros_like(scores), scores], dim=-1)
    return scores

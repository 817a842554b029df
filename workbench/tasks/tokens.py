"""A label for every token: language models and translators.

Notation: B texts of L tokens, K entries of the vocabulary; scores (B, L, K) float, y (B, L) int64. Label 0 is
padding and counts nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.tasks.metrics import text_marks
from workbench.tasks.quiet import Quiet

PAD = 0


class TokenTask(Quiet):
    """Cross-entropy over the tokens that are there."""

    kind = "translation"
    per_token = True
    counted = "accuracy"

    def __init__(self, n_classes: int, label_smoothing: float = 0.0) -> None:
        self.n_classes = n_classes
        self.label_smoothing = label_smoothing

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token, a scalar. Check: log K for equal scores."""
        return F.cross_entropy(
            scores.flatten(0, -2), y.flatten(), ignore_index=PAD, label_smoothing=self.label_smoothing
        )

    def mass(self, y: Tensor) -> int | Tensor:
        """Tokens that are no padding."""
        return y.ne(PAD).sum()

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """Tokens on top of their place: scores (..., B, L, K), y (..., B, L) -> (...) int64."""
        return ((scores.argmax(dim=-1) == y) & y.ne(PAD)).sum(dim=(-2, -1))

    def count(self, y: Tensor) -> Tensor | None:
        """Tokens there were: (..., B, L) -> (...)."""
        return y.ne(PAD).sum(dim=(-2, -1))

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities (..., K) float32."""
        return torch.softmax(scores.float(), dim=-1)

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        """Perplexity: how many equally likely tokens would be as hard to tell."""
        return {"perplexity": math.exp(min(loss, 700.0))}

    def scored(self, written: Sequence[str], meant: Sequence[str]) -> dict[str, float]:
        """bleu, chrf and exact_match."""
        return text_marks(written, meant)


class LanguageModel(TokenTask):
    """The next token at every place. characters: per token, on the mean, for bits per character."""

    kind = "language_model"

    def __init__(self, n_classes: int, characters: float | None = None) -> None:
        super().__init__(n_classes)
        self.characters = characters

    def mass(self, y: Tensor) -> int | Tensor:
        """All of them: one long text needs no padding."""
        return y.numel()

    def count(self, y: Tensor) -> Tensor | None:
        return torch.full(y.shape[:-2], y.shape[-1] * y.shape[-2], device=y.device)

    def marks(self, loss: float, scores: Tensor | None, y: Tensor | None) -> dict[str, float]:
        """Perplexity per token, and bits per character, which do not depend on the tokenizer."""
        found = super().marks(loss, scores, y)
        if self.characters:
            found["bits_per_character"] = loss / math.log(2) / self.characters
        return found

"""How long a model of tokens will take to write at each validation, told from a few tokens."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from torch import nn

from workbench.engine.decode import continued, translated
from workbench.engine.evaluate import evaluating
from workbench.engine.texts import EOS
from workbench.engine.writing import BATCH
from workbench.specs.run import RunSpec
from workbench.specs.tasks import LanguageModelTask, TranslationTask

TOKENS = 6  # written on trial


def writing_s(model: nn.Module, data: Any, spec: RunSpec) -> float:
    """Seconds of one look at what the model writes; 0 where the spec asks for none.

    A translation counts as long as the longest meant one: what is not trained yet finds no end.
    """
    asked = spec.task
    with evaluating(model):
        if isinstance(asked, LanguageModelTask) and asked.sample_tokens:
            return _continuing(model, data, asked.sample_tokens)
        if isinstance(asked, TranslationTask) and asked.scored and len(data.validation):
            return _translating(model, data, min(asked.scored, len(data.validation)))
    return 0.0


def _continuing(model: nn.Module, data: Any, tokens: int) -> float:
    first, few = [int(data.train.ids.values[0])], min(TOKENS, tokens)

    def write() -> None:
        for _ in continued(model, first, few, data.shape[0], lambda scores: scores.argmax(dim=1)):
            pass

    return _quicker(write) / few * tokens


def _translating(model: nn.Module, data: Any, texts: int) -> float:
    device = next(model.parameters()).device
    ids, n = data.validation.ids, min(texts, BATCH)
    rows = [[*ids.values[ids.offsets[row] : ids.offsets[row + 1]].tolist(), EOS] for row in range(n)]
    width = max(len(row) for row in rows)
    padded = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    ends = data.validation.target.offsets
    most = min(data.shape[1].length - 1, int((ends[1:] - ends[:-1]).max(initial=1)) + 1)
    few = min(TOKENS, most)
    return float(_quicker(lambda: translated(model, padded, few)) / few * most * (texts / n))


def _quicker(work: Any) -> float:
    """Seconds of the second time: the first one warms up."""
    took = 0.0
    for _ in range(2):
        began = perf_counter()
        work()
        took = perf_counter() - began
    return took

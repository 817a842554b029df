"""What a model of tokens writes at a validation: a text of its own, or translations beside those meant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from workbench.engine.decode import continued, draw, translated
from workbench.engine.evaluate import evaluating
from workbench.engine.series import forecasts
from workbench.engine.task import Task
from workbench.engine.texts import EOS
from workbench.specs.run import RunSpec
from workbench.specs.tasks import ForecastingTask, LanguageModelTask, TranslationTask

BATCH = 64  # texts translated at a time


class Written(NamedTuple):
    """marks by name; topic, data and arrays of the panel that shows it."""

    marks: Mapping[str, float]
    topic: str
    data: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = MappingProxyType({})


def write(
    model: nn.Module, data: Any, task: Task, spec: RunSpec, sums: np.ndarray | None = None
) -> Written | None:
    """A look at what the model writes now, or what it forecasts; None where the spec asks for none. sums: of
    the validation just done, where its marks are made of some. The same weights give the same
    text: the draw begins anew each time. Random states and modes are left as they were."""
    asked = spec.task
    with evaluating(model):
        if isinstance(asked, ForecastingTask) and spec.watch.samples and len(data.validation):
            facts, arrays = forecasts(model, data, task, spec.watch.samples, sums)
            return Written({}, "forecast", facts, arrays)
        if isinstance(asked, LanguageModelTask) and asked.sample_tokens:
            prompt = asked.prompt or beginning(data)
            text = continuation(model, data, asked, prompt, seed=spec.seed)
            return Written({}, "generated", {"items": [{"prompt": prompt, "text": text}]})
        if isinstance(asked, TranslationTask) and asked.scored and len(data.validation):
            return _translations(model, data, task, asked, spec.watch.samples)
    return None


def beginning(data: Any) -> str:
    """The first token of the training text: where nothing is asked for, a text begins as the data does."""
    return str(data.tokenizer.decode([int(data.train.ids.values[0])]))


def continuation(model: nn.Module, data: Any, asked: LanguageModelTask, prompt: str, seed: int) -> str:
    """What the model adds to `prompt`, drawn as the task says. The model must be in eval mode."""
    ids = data.tokenizer.encode(prompt) or [int(data.train.ids.values[0])]
    generator = torch.Generator().manual_seed(seed)

    def choose(scores: Tensor) -> Tensor:
        return draw(scores, generator, asked.temperature, asked.top_k, asked.top_p)

    new = list(continued(model, ids, asked.sample_tokens, data.shape[0], choose))
    whole, before = data.tokenizer.decode([*ids, *new]), data.tokenizer.decode(ids)
    return str(whole[len(before) :] if whole.startswith(before) else data.tokenizer.decode(new))


def translations(model: nn.Module, data: Any, sources: list[list[int]], beam: int) -> list[str]:
    """Texts for texts as ids, cut to what the model can read. The model must be in eval mode."""
    device = next(model.parameters()).device
    source_shape, target_shape = data.shape
    found: list[str] = []
    for start in range(0, len(sources), BATCH):
        rows = [[*ids[: source_shape.length - 1], EOS] for ids in sources[start : start + BATCH]]
        width = max(len(row) for row in rows)
        padded = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        ids = translated(model, padded, target_shape.length - 1, beam)
        found += [str(data.target_tokenizer.decode(text)) for text in ids]
    return found


def scored(model: nn.Module, split: Any, data: Any, task: Task, most: int, beam: int) -> dict[str, float]:
    """Marks of the translations of a split's first `most` texts, such as bleu."""
    with evaluating(model):
        texts, meant = _both(model, split, data, most, beam)
    return task.scored(texts, meant)


def _both(model: nn.Module, split: Any, data: Any, most: int, beam: int) -> tuple[list[str], list[str]]:
    n = min(most, len(split))
    texts = translations(model, data, [_ids(split.ids, row) for row in range(n)], beam)
    return texts, [split.target_text(row) for row in range(n)]


def _translations(
    model: nn.Module, data: Any, task: Task, asked: TranslationTask, shown: int
) -> Written | None:
    split = data.validation
    texts, meant = _both(model, split, data, asked.scored, beam=1)
    n = len(texts)
    items = [
        {"source": split.text(row), "reference": meant[row], "hypothesis": texts[row],
         "exact": texts[row].strip() == meant[row].strip()}
        for row in range(min(n, shown))
    ]  # fmt: skip
    return Written(task.scored(texts, meant), "translations", {"items": items})


def _ids(ragged: Any, row: int) -> list[int]:
    start, stop = ragged.offsets[row], ragged.offsets[row + 1]
    return [int(token) for token in ragged.values[start:stop]]

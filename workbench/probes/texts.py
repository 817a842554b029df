"""The probe texts of a run on texts, and what is looked at in them."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.probes.attention import attention_layers, attention_tiles, recurrent_layers, state_tiles
from workbench.probes.budget import Budget
from workbench.probes.chosen import one_per_class
from workbench.records import Panel, Record
from workbench.specs.training import WatchSpec

DRAWN = 48  # tokens of a text that are shown
PAD, BOS, EOS = 0, 2, 3
BEGIN, END = "⏵", "⏎"  # how begin and end of a text are shown


class TextWatcher:
    """Attention of every head, and states of recurrent layers, on the same few texts, within a budget.

    Topics: "attention/<layer>", "states/<layer>", and once the panel "probe" with the tokens themselves.
    """

    def __init__(self, watch: WatchSpec, inputs: Tensor, items: Sequence[dict[str, Any]]) -> None:
        """inputs: as the engine feeds them, (P, L) or (P, 2, L); items: of the panel."""
        self._watch = watch
        self._inputs = inputs
        self._items: list[dict[str, Any]] | None = list(items)
        self._budget = Budget(watch.budget, watch.interval)
        self._asked_s: float | None = None
        self._blind = not watch.attention

    @classmethod
    def over(cls, watch: WatchSpec, data: Any, least: int = 1) -> TextWatcher:
        """On the first validation text of each class, or the first ones; language models on the beginning of
        the validation text, window after window. least: tokens of the shortest text the model takes."""
        split = data.validation if len(data.validation) else data.train
        if data.schema.task == "language_model":
            width = min(DRAWN, data.shape[0], max(1, len(split.ids.values)))
            n = max(1, min(watch.probe_images, len(split.ids.values) // width))
            texts = [split.ids.values[i * width : (i + 1) * width] for i in range(n)]
            items = [
                {"tokens": data.tokenizer.tokens(ids), "target_tokens": None, "label": ""} for ids in texts
            ]
            return cls(watch, _padded(texts, least), items)
        rows = _rows(split, data, watch.probe_images)
        texts = [split.ids.row(row)[:DRAWN] for row in rows]
        if data.schema.task == "translation":
            return cls(watch, *_pairs(split, data, rows, texts))
        items = [
            {"tokens": data.tokenizer.tokens(ids), "target_tokens": None,
             "label": data.classes[int(split.y[row])]}
            for row, ids in zip(rows, texts, strict=True)
        ]  # fmt: skip
        return cls(watch, _padded(texts, least), items)

    def due(self, active_s: float, spent_s: float) -> bool:
        """Whether the budget allows a look now, and there is something to look at."""
        if self._blind or not self._budget.due(active_s, spent_s):
            return False
        self._asked_s = active_s
        return True

    def look(self, model: nn.Module, step: int, epoch: float, time: float) -> list[Record]:
        """One snapshot. Leaves the model and torch's random state as they were."""
        began = perf_counter()
        found: list[Record] = []
        if self._items is not None:
            found.append(Panel("probe", step, epoch, time, {"kind": "text", "items": self._items}))
            self._items = None
            inside = attention_layers(model) or recurrent_layers(model) or hasattr(model, "output_attentions")
            self._blind = self._blind or not inside
        if not self._blind:
            self._inputs = self._inputs.to(next(model.parameters()).device)
            with torch.random.fork_rng(devices=[]):
                found += attention_tiles(model, self._inputs, step=step, epoch=epoch, time=time)
                if self._inputs.ndim == 2:
                    found += state_tiles(model, self._inputs, step=step, epoch=epoch, time=time)
        if self._asked_s is not None:  # the first look warms caches up and says little about the next
            self._budget.looked(self._asked_s, perf_counter() - began)
        return found


def _rows(split: Any, data: Any, n: int) -> list[int]:
    n = min(n, len(split))
    if data.schema.task == "classification":
        return [int(row) for row in one_per_class(np.asarray(split.y), n)]
    return list(range(n))


def _pairs(
    split: Any, data: Any, rows: Sequence[int], texts: Sequence[np.ndarray]
) -> tuple[Tensor, list[dict[str, Any]]]:
    """(P, 2, L): sources with their end, targets behind their beginning; and the panel's items."""
    targets = [split.target.row(row)[: DRAWN - 1] for row in rows]
    sources = [[*ids[: DRAWN - 1], EOS] for ids in texts]
    written = [[BOS, *ids] for ids in targets]
    width = max(len(ids) for ids in (*sources, *written))
    items = [
        {"tokens": [*data.tokenizer.tokens(ids[: DRAWN - 1]), END],
         "target_tokens": [BEGIN, *data.target_tokenizer.tokens(target)], "label": ""}
        for ids, target in zip(texts, targets, strict=True)
    ]  # fmt: skip
    return torch.stack([_padded(sources, width), _padded(written, width)], dim=1), items


def _padded(texts: Sequence[Any], least: int) -> Tensor:
    width = max(least, 2, *(len(ids) for ids in texts))
    return torch.tensor([[*map(int, ids), *[PAD] * (width - len(ids))] for ids in texts])

"""The texts whose inside is followed: chosen once, tokenized as the model is trained on them, and cut short
enough to be read on the axes of a picture.

Notation: P texts, L tokens of the longest one; ids are padded with 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.specs.base import Pair
from workbench.specs.model import ModelSpec

DRAWN = 48  # tokens of a text in a picture
SHOWN = 400  # characters of a text that is told beside its tokens
BOS, EOS = 2, 3
BEGIN_SIGN, END_SIGN = "⏵", "⏎"  # what people see of them


class ProbeTexts(NamedTuple):
    """inputs (P, L) int64, or (P, 2, L) for translators; items: {"tokens", "target_tokens", "label", "text"};
    lengths and target_lengths: tokens of each text."""

    inputs: Tensor
    items: list[dict[str, Any]]
    lengths: list[int]
    target_lengths: list[int] | None = None

    @property
    def width(self) -> int:
        return int(self.inputs.shape[-1])


def probe_texts(data: Any, model: ModelSpec, n: int) -> ProbeTexts:
    """At most n texts of the validation split: one per class, then second ones; of other tasks the first."""
    split = data.validation if len(data.validation) else data.train
    if isinstance(data.shape, Pair):
        return _pairs(data, split, n)
    if not data.classes:
        return _windows(data, split, n)
    rows = one_per_class(np.asarray(split.y), n)
    texts = [_row(split.ids, row, DRAWN) for row in rows]
    items = [
        {"tokens": data.tokenizer.tokens(ids), "target_tokens": None,
         "label": data.classes[int(split.y[row])], "text": split.text(int(row))[:SHOWN]}
        for ids, row in zip(texts, rows, strict=True)
    ]  # fmt: skip
    return ProbeTexts(_padded(texts, model.least_length(data.shape)), items, [len(ids) for ids in texts])


def _windows(data: Any, split: Any, n: int) -> ProbeTexts:
    """The first stretches of the text, as long as the context or the picture allows."""
    values, size = split.ids.values, min(DRAWN, data.shape.length)
    texts = [[int(i) for i in values[k * size : (k + 1) * size]] for k in range(n)]
    texts = [ids for ids in texts if ids] or [[1]]
    items = [
        {"tokens": data.tokenizer.tokens(ids), "target_tokens": None, "label": "",
         "text": str(data.tokenizer.decode(ids))[:SHOWN]}
        for ids in texts
    ]  # fmt: skip
    return ProbeTexts(_padded(texts, 1), items, [len(ids) for ids in texts])


def _pairs(data: Any, split: Any, n: int) -> ProbeTexts:
    """Sources with their end, and what their translations begin with: as a translator is taught."""
    shape: Pair = data.shape
    most, most_too = (min(DRAWN, part.length) - 1 for part in (shape.source, shape.target))
    rows = range(min(n, len(split)))
    sources = [_row(split.ids, row, most) for row in rows]
    targets = [_row(split.target, row, most_too) for row in rows]
    items = [
        {"tokens": [*data.tokenizer.tokens(source), END_SIGN],
         "target_tokens": [BEGIN_SIGN, *data.target_tokenizer.tokens(target)], "label": "",
         "text": split.text(row)[:SHOWN], "target_text": split.target_text(row)[:SHOWN]}
        for row, source, target in zip(rows, sources, targets, strict=True)
    ]  # fmt: skip
    read, written = [[*ids, EOS] for ids in sources], [[BOS, *ids] for ids in targets]
    width = max(len(ids) for ids in (*read, *written))
    inputs = torch.stack([_padded(read, width), _padded(written, width)], dim=1)
    return ProbeTexts(inputs, items, [len(ids) for ids in read], [len(ids) for ids in written])


def one_per_class(y: np.ndarray, n: int) -> np.ndarray:
    """Rows (m,) int64 of the first n classes' first samples, then second ones, ...; m = min(n, N)."""
    order = np.argsort(y, kind="stable")
    ranked = y[order]
    starts = np.searchsorted(ranked, ranked, side="left")  # where each one's class begins
    turn = np.arange(len(y)) - starts  # how many of its class came before
    return order[np.lexsort((ranked, turn))[:n]]


def _row(ragged: Any, row: int, most: int) -> list[int]:
    start, stop = int(ragged.offsets[row]), int(ragged.offsets[row + 1])
    return [int(token) for token in ragged.values[start : min(stop, start + most)]]


def _padded(texts: Sequence[Sequence[int]], least: int) -> Tensor:
    """(P, L) int64, L the longest of them and at least `least`."""
    width = max([least, *map(len, texts)])
    return torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in texts])

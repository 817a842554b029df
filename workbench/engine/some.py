"""A part of a set of texts: enough of it to try a few steps on, and its longest, which need most memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from workbench.records import Data
from workbench.specs.run import RunSpec
from workbench.specs.sizes import TextSizes, text_sizes


class Ends(NamedTuple):
    """Texts end to end: values (T,), offsets (N + 1,) int64."""

    values: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Part:
    """Some texts of a split, as far as a feed must know them."""

    ids: Ends
    y: np.ndarray | None = None
    target: Ends | None = None

    def __len__(self) -> int:
        return len(self.ids.offsets) - 1

    @property
    def nbytes(self) -> int:
        return int(self.ids.offsets.nbytes + (self.y.nbytes if self.y is not None else 0))


def sizes_of(data: Any, spec: RunSpec) -> TextSizes:
    """How many texts there are, and how long they are."""
    names = ("train", "validation", "test")
    splits = {name: getattr(data, name) for name in names if getattr(data, name, None) is not None}
    found = text_sizes(splits, spec.task.kind, _context(data))
    return replace(found, counts={**dict.fromkeys(names, 0), **found.counts})


def some_of(data: Any, spec: RunSpec, most: Mapping[str, int]) -> Data:
    """The set with at most so many samples of each split, evenly drawn; as it is where it has no more."""
    changed = {}
    for name, n in most.items():
        split = getattr(data, name)
        if spec.task.kind == "language_model":
            changed[name] = _beginning(split, n * _context(data) + 1)
        elif len(split) > n:
            changed[name] = _drawn(split, np.arange(n) * len(split) // n)
    return replace(data, **changed)  # type: ignore[no-any-return]


def longest(data: Any, spec: RunSpec, name: str, n: int) -> Any:
    """The n longest texts of a split; the first windows of a language model's."""
    split = getattr(data, name)
    if spec.task.kind == "language_model":
        return _beginning(split, n * _context(data) + 1)
    lengths = np.diff(split.ids.offsets)
    if split.target is not None:
        lengths = np.maximum(lengths, np.diff(split.target.offsets))
    return _drawn(split, np.argsort(lengths, kind="stable")[len(lengths) - min(n, len(lengths)) :])


def _beginning(split: Any, tokens: int) -> Any:
    values = split.ids.values
    if len(values) <= tokens:
        return split
    return Part(Ends(values[:tokens], np.array([0, tokens], np.int64)))


def _drawn(split: Any, rows: np.ndarray) -> Part:
    y = None if split.y is None else np.asarray(split.y)[rows]
    return Part(_picked(split.ids, rows), y, None if split.target is None else _picked(split.target, rows))


def _picked(ragged: Any, rows: np.ndarray) -> Ends:
    starts, stops = ragged.offsets[rows], ragged.offsets[rows + 1]
    parts = [ragged.values[a:b] for a, b in zip(starts, stops, strict=True)]
    values = np.concatenate(parts) if parts else np.empty(0, np.int32)
    return Ends(values, np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64))


def _context(data: Any) -> int:
    return int(data.shape[0]) if isinstance(data.shape[0], int) else int(data.shape[0][0])

"""A prepared set of texts as a run sees it: split, tokenized, and with the tokenizer it was tokenized by.

The tokenizer is trained on the training split alone. It and the ids are kept beside the set, by the way it
was cut and the settings, and read by memory map: a set of any size takes little memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.data.prepared import read_fingerprint
from workbench.data.splits import SPLITS
from workbench.data.text import kept
from workbench.data.text.kept import TextRows, split_rows
from workbench.data.text.ragged import Ragged, joined
from workbench.data.text.stored import Stored
from workbench.data.text.tokenizer import UNK, Tokenizer
from workbench.specs.base import Pair, Tokens
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import DataError

__all__ = [
    "Ragged",
    "TextData",
    "TextRows",
    "Texts",
    "load",
    "rows_of",
    "shape",
    "split_rows",
    "tokenizers",
    "whole",
]


@dataclass(frozen=True)
class Texts:
    """One split. ids: cut to the length; y (N,) int64, zeros without classes; target: of translations;
    index (N,) int64: rows in the set; lengths (N,) int32: tokens before the cut. A language model's ids are
    one text after the other."""

    ids: Ragged
    y: np.ndarray
    index: np.ndarray
    stored: Stored
    target: Ragged | None = None
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    target_lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: memory-mapped ids take none of their own."""
        return int(self.y.nbytes + self.index.nbytes + self.ids.offsets.nbytes)

    def text(self, i: int) -> str:
        """The i-th text of the split as it was read."""
        return self.stored.text(int(self.index[i]))

    def target_text(self, i: int) -> str:
        """Its translation."""
        return self.stored.text(int(self.index[i]), "target")


@dataclass(frozen=True)
class TextData:
    """What a run on texts trains on. shape: Tokens, of translations a Pair."""

    name: str
    schema: DataSchema
    shape: Tokens | Pair
    classes: tuple[str, ...]
    train: Texts
    validation: Texts
    test: Texts
    tokenizer: Tokenizer
    target_tokenizer: Tokenizer | None
    fingerprint: str
    kind: Literal["text"] = field(default="text", init=False)

    @property
    def columns(self) -> int:
        """Columns of the scores: classes, or entries of the vocabulary that is written in."""
        if isinstance(self.shape, Pair):
            return self.shape.target.vocabulary
        return self.shape.vocabulary if self.schema.task == "language_model" else len(self.classes)

    @property
    def most(self) -> int | None:
        """Tokens of a text that are kept; None for a language model, which keeps all."""
        length = self.shape.source.length if isinstance(self.shape, Pair) else self.shape.length
        return kept.most_of(self.schema.task, length)


def load(
    folder: Path, spec: DataSpec, progress: Callable[[str, float], None] = lambda words, share: None
) -> TextData:
    """The set in `folder`, cut and tokenized as `spec` says. The same spec gives the same ids.

    Raises DataError for a broken folder, or a set too small to be split.
    """
    stored = Stored(folder)
    rows = split_rows(stored, spec)
    ids = kept.ids_of(stored, spec, rows, progress)
    source, target = kept.tokenizers(stored, spec)
    train, validation, test = (
        Texts(
            ids[name].ids, stored.labels[part], part, stored, ids[name].target, ids[name].lengths,
            ids[name].target_lengths,
        )
        for name, part in zip(SPLITS, rows, strict=True)
    )  # fmt: skip
    return TextData(
        name=spec.name, schema=stored.schema, shape=_shape(source, target, spec),
        classes=stored.schema.classes, train=train, validation=validation, test=test, tokenizer=source,
        target_tokenizer=target, fingerprint=read_fingerprint(folder),
    )  # fmt: skip


def rows_of(folder: Path, spec: DataSpec) -> TextRows:
    """The rows of each split as `load` cuts the set; of a language model its windows. Raises DataError."""
    stored = Stored(folder)
    rows = split_rows(stored, spec)
    if stored.schema.task != "language_model":
        return rows
    ids, length = kept.ids_of(stored, spec, rows), spec.text.length
    counts = [max(0, (len(ids[name].ids.values) - 1) // length) for name in SPLITS]
    ends = np.cumsum([0, *counts])
    return TextRows(*(np.arange(start, stop) for start, stop in pairwise(ends)))


def shape(folder: Path, spec: DataSpec) -> tuple[Tokens | Pair, int]:
    """What a model sees of the set, and the columns of its scores. Trains the tokenizer at the first time,
    and tokenizes nothing. Raises DataError."""
    stored = Stored(folder)
    source, target = kept.tokenizers(stored, spec)
    found = _shape(source, target, spec)
    if stored.schema.task == "classification":
        return found, len(stored.schema.classes)
    return found, found.target.vocabulary if isinstance(found, Pair) else found.vocabulary


def tokenizers(folder: Path, spec: DataSpec) -> tuple[Tokenizer, Tokenizer | None, int | None]:
    """Of the texts and of their translations; and how many tokens of a text are kept. Raises DataError."""
    stored = Stored(folder)
    return *kept.tokenizers(stored, spec), kept.most_of(stored.schema.task, spec.text.length)


def whole(folder: Path, like: TextData, where: str) -> Texts:
    """All texts of another set, read with the tokenizers of `like` and its classes. where: its name, for
    people. Raises DataError."""
    stored = Stored(folder)
    if stored.schema.task != like.schema.task:
        raise DataError.of(
            where, f"the set must be one for {like.schema.task}",
            f"it is for {stored.schema.task}", "Choose another set.",
        )  # fmt: skip
    missing = [name for name in stored.schema.classes if name not in like.classes]
    if missing:
        raise DataError.of(
            where, "every class must be one the model knows", f"`{missing[0]}` is not",
            "Choose another set.",
        )  # fmt: skip
    numbers = np.array([like.classes.index(name) for name in stored.schema.classes] or [0], np.int64)
    rows, most = np.arange(len(stored)), like.most
    ids = joined(kept.tokens(stored, rows, "text", like.tokenizer), most, UNK)
    target = None
    if like.target_tokenizer is not None:
        target = joined(kept.tokens(stored, rows, "target", like.target_tokenizer), most, UNK)
    return Texts(ids, numbers[stored.labels], rows, stored, target)


def _shape(source: Tokenizer, target: Tokenizer | None, spec: DataSpec) -> Tokens | Pair:
    found = Tokens(spec.text.length, source.size)
    return found if target is None else Pair(found, Tokens(spec.text.length, target.size))

"""What is kept beside a set of texts: its tokenizers and ids, for each way of cutting and tokenizing it.

A folder `tokens-<key>` holds the tokenizers, trained on the training split alone, and below it one folder per
length the ids of all splits. Each appears whole or not at all; the oldest go when there are many.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.data import cutting
from workbench.data.kept import made, tidy, used
from workbench.data.prepared import read_fingerprint
from workbench.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from workbench.data.text import pretrained, ragged
from workbench.data.text.ragged import Ragged
from workbench.data.text.stored import Stored
from workbench.data.text.tokenizer import BEGIN, END, PAD, UNK, UNKNOWN, Tokenizer, trained
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

VERSION = 3  # of what is kept; another one is made anew
BATCH, PIECE = 1_000, 100_000  # texts and characters tokenized at once; a token takes 100 bytes meanwhile
LEARNED = 64 << 20  # characters that a tokenizer is trained on at most, drawn evenly from the training split
WHAT = "the tokens of a set"
CUT = ("validation", "test", "split_seed", "groups", "folds", "fold")
Progress = Callable[[str, float], None]


class TextRows(NamedTuple):
    """Rows of each split, ascending, each (n,) int64; of a language model, its windows or passages."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class Ids(NamedTuple):
    """The tokens of a split, cut to the length, of translations of both sides; lengths before the cut."""

    ids: Ragged
    lengths: np.ndarray
    target: Ragged | None = None
    target_lengths: np.ndarray | None = None


def split_rows(stored: Stored, spec: DataSpec) -> TextRows:
    """Rows of train, validation and test: the set's own where it brings them, else drawn as images are; a
    language model's text is cut where it is, train first, test last. Raises DataError."""
    if stored.schema.task == "language_model":
        return _by_position(stored, spec)
    groups = cutting.groups_of(stored.folder, spec)
    found = cutting.split_rows(stored.labels, stored.splits, spec, groups)
    return TextRows(found.train, found.validation, found.test)


def tokenizers(
    stored: Stored, spec: DataSpec, progress: Progress = lambda words, share: None
) -> tuple[Tokenizer, Tokenizer | None]:
    """Of the texts, and of translations of their targets. Trained at the first time. Raises DataError."""
    place = _place(stored, spec)
    if not place.exists():
        made(place, spec.name, WHAT, lambda draft: _train(stored, spec, draft, progress))
        tidy(stored.folder, "tokens-", place)
    used(place)
    paired = stored.schema.task == "translation"
    return _tokenizer_at(place / "source.json"), _tokenizer_at(place / "target.json") if paired else None


def ids_of(
    stored: Stored, spec: DataSpec, rows: TextRows, progress: Progress = lambda words, share: None
) -> dict[str, Ids]:
    """The tokens of each split, read by memory map; made at the first time. Raises DataError."""
    source, target = tokenizers(stored, spec, progress)
    is_model = stored.schema.task == "language_model"
    name = f"limit-{spec.limit}-{spec.text.length}" if is_model and spec.limit else str(spec.text.length)
    place = _place(stored, spec) / ("all" if is_model and not spec.limit else name)
    if not place.exists():

        def make(draft: Path) -> None:
            for split in SPLITS:
                part = getattr(rows, split)
                progress(f"Tokenizing {split}", 0.4)
                total = (
                    spec.limit * spec.text.length + 1
                    if is_model and spec.limit and split == "train"
                    else None
                )
                most = most_of(stored.schema.task, spec.text.length)
                ragged.write(draft, split, tokens(stored, part, "text", source), most, UNK, total)
                if target is not None:
                    ragged.write(draft, f"{split}.target", tokens(stored, part, "target", target), most, UNK)

        made(place, spec.name, WHAT, make)
    return {split: _read(place, split, target is not None) for split in SPLITS}


def most_of(task: str, length: int) -> int | None:
    """Tokens of a text that are kept: a translation needs room for its end; a language model keeps all."""
    return None if task == "language_model" else length - 1 if task == "translation" else length


def tokens(stored: Stored, rows: np.ndarray, column: str, tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Ids of each text, uncut."""
    for part in _batches(stored, rows, column):
        yield from tokenizer.encode_many(stored.texts(part, column))


def _batches(stored: Stored, rows: np.ndarray, column: str) -> list[np.ndarray]:
    """Rows that are worked on together: few where texts are long."""
    if not len(rows):
        return []
    ends = np.cumsum(stored.sizes_of(column)[rows])
    group = np.maximum(ends // PIECE, np.arange(len(rows)) // BATCH)
    group = np.cumsum(np.diff(group, prepend=group[0]) > 0)
    return np.split(rows, np.flatnonzero(np.diff(group)) + 1)


def _by_position(stored: Stored, spec: DataSpec) -> TextRows:
    """The last `test` of all characters, the `validation` before it, the rest to learn from; of folds the
    characters before the test are cut into equal parts, one after the other."""
    if spec.groups != "none":
        raise DataError.of(
            f"data set `{spec.name}`", "a text to continue is cut by position", f"groups is {spec.groups}",
            "Set data.groups to none.",
        )  # fmt: skip
    rows = np.arange(len(stored))
    train, validation, test = (rows[stored.splits == code] for code in (TRAIN, VALIDATION, TEST))
    size = stored.sizes
    if not len(test) and spec.test > 0:
        train, test = _last(train, size, spec.test)
    if spec.fold is not None:
        pool = np.sort(np.concatenate([train, validation]))
        middle = np.cumsum(size[pool]) - size[pool] / 2
        part = np.minimum(middle * spec.folds // max(1, size[pool].sum()), spec.folds - 1)
        train, validation = pool[part != spec.fold - 1], pool[part == spec.fold - 1]
    elif not len(validation):
        train, validation = _last(train, size, spec.validation)
    for name, part in (("training", train), ("validation", validation)):
        if not len(part):
            raise DataError.of(
                spec.name, f"a set must leave text for {name}", f"none is left of {len(stored)} passages",
                "Add text.",
            )  # fmt: skip
    return TextRows(train, validation, test)


def _last(rows: np.ndarray, size: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows without the last `share` of their characters, and those; one row at least of each."""
    ends = np.cumsum(size[rows])
    keep = int(np.searchsorted(ends, (1 - share) * ends[-1])) + 1 if len(ends) else 0
    keep = min(max(1, keep), len(rows) - 1) if len(rows) > 1 else len(rows)
    return rows[:keep], rows[keep:]


# ---------------------------------------------------------------- folders


def _place(stored: Stored, spec: DataSpec) -> Path:
    fields = {*CUT, "limit"} if stored.schema.task != "language_model" else {*CUT}
    tree = spec.model_dump(mode="json", include=fields)
    own = spec.text.tokenizer == "pretrained"
    text = spec.text.model_dump(mode="json", exclude=set() if own else {"length", "source"})
    mark = [pretrained.mark(spec.text)] if own else []
    key = json.dumps([VERSION, tree, text, read_fingerprint(stored.folder), *mark], sort_keys=True)
    return stored.folder / f"tokens-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _train(stored: Stored, spec: DataSpec, draft: Path, progress: Progress) -> None:
    rows, task = split_rows(stored, spec), stored.schema.task
    special = [PAD, UNKNOWN, BEGIN, END] if task == "translation" else [PAD, UNKNOWN]
    columns = {"text": "source", "target": "target"} if task == "translation" else {"text": "source"}
    for column, name in columns.items():
        progress("Learning the vocabulary", 0.1)
        if spec.text.tokenizer == "pretrained":
            tokenizer = _of_model(stored, spec)
        else:
            keep_lines = task == "language_model"
            tokenizer = trained(_Learned(stored, rows.train, column), spec.text, special, keep_lines)
        (draft / f"{name}.json").write_text(tokenizer.to_json(), encoding="utf-8")


class _Learned:
    """The training texts in batches, of a large set some batches evenly drawn; they may be read twice."""

    def __init__(self, stored: Stored, rows: np.ndarray, column: str) -> None:
        self._stored, self._column = stored, column
        parts = _batches(stored, rows, column)
        characters = int(stored.sizes_of(column)[rows].sum())
        wanted = len(parts) if characters <= LEARNED else max(1, len(parts) * LEARNED // characters)
        self._parts = [parts[i * len(parts) // wanted] for i in range(wanted)]

    def __iter__(self) -> Iterator[list[str]]:
        for part in self._parts:
            yield self._stored.texts(part, self._column)


def _of_model(stored: Stored, spec: DataSpec) -> Tokenizer:
    if stored.schema.task != "classification":
        raise DataError.of(
            "data.text.tokenizer", "a pretrained model's tokenizer is for classes of texts",
            f"{spec.name} is for {stored.schema.task}", "Choose bpe or wordpiece.",
        )  # fmt: skip
    return pretrained.of_model(spec.text)


@lru_cache(maxsize=16)  # a tokenizer is asked for at every keystroke of a form
def _tokenizer_at(path: Path) -> Tokenizer:
    return Tokenizer.from_file(path)


def _read(place: Path, split: str, paired: bool) -> Ids:
    found = ragged.read(place, split), ragged.read_lengths(place, split)
    if not paired:
        return Ids(*found)
    name = f"{split}.target"
    return Ids(*found, ragged.read(place, name), ragged.read_lengths(place, name))

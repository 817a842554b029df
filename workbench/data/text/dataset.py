"""A prepared set of texts as a run sees it: split, tokenized, and with the tokenizer it was tokenized by.

The tokenizer is trained on the training split alone. It and the ids are kept beside the set, by the way it
was cut and the settings, and read by memory map: a set of any size takes little memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from workbench.data import cutting
from workbench.data.prepared import read_fingerprint
from workbench.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from workbench.data.text import pretrained
from workbench.data.text.stored import Stored
from workbench.data.text.tokenizer import BEGIN, END, PAD, UNK, UNKNOWN, Tokenizer, trained
from workbench.specs.base import Pair, Tokens
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import DataError

VERSION = 1  # of what is kept beside a set; another one is made anew
BATCH = 2_000  # texts tokenized at once
OPTIONS = ("validation", "test", "split_seed", "folds", "fold", "limit", "text", "groups")


class Ragged(NamedTuple):
    """Texts of different lengths end to end: values (T,) int32, offsets (N + 1,) int64."""

    values: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, (N,) int64."""
        return np.diff(self.offsets)

    def row(self, i: int) -> np.ndarray:
        """The ids of one text."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]


@dataclass(frozen=True)
class Texts:
    """One split. ids: cut to the length; y (N,) int64, zeros without classes; target: of translations;
    index (N,) int64: rows in the set. A language model's ids are one text after the other."""

    ids: Ragged
    y: np.ndarray
    index: np.ndarray
    stored: Stored
    target: Ragged | None = None

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


class TextRows(NamedTuple):
    """Rows of each split, ascending, each (n,) int64; of a language model, its windows."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class _Kept(NamedTuple):
    """What lies beside a set for one way of cutting and tokenizing it."""

    rows: TextRows
    ids: dict[str, Ragged]
    targets: dict[str, Ragged]
    tokenizer: Tokenizer
    target_tokenizer: Tokenizer | None


def load(
    folder: Path, spec: DataSpec, progress: Callable[[str, float], None] = lambda words, share: None
) -> TextData:
    """The set in `folder`, cut and tokenized as `spec` says. The same spec gives the same ids.

    Raises DataError for a broken folder, or a set too small to be split.
    """
    stored = Stored(folder)
    kept = _kept(stored, spec, progress)
    splits = {}
    for name in SPLITS:
        rows = getattr(kept.rows, name)
        splits[name] = Texts(kept.ids[name], stored.labels[rows], rows, stored, kept.targets.get(name))
    length = spec.text.length
    source = Tokens(length, kept.tokenizer.size)
    shape: Tokens | Pair = source
    if kept.target_tokenizer is not None:
        shape = Pair(source, Tokens(length, kept.target_tokenizer.size))
    schema = stored.schema
    return TextData(
        spec.name, schema, shape, schema.classes, **splits, tokenizer=kept.tokenizer,
        target_tokenizer=kept.target_tokenizer, fingerprint=read_fingerprint(folder),
    )  # fmt: skip


def rows_of(folder: Path, spec: DataSpec) -> TextRows:
    """The rows of each split as `load` cuts the set; of a language model its windows. Raises DataError."""
    stored = Stored(folder)
    if stored.schema.task != "language_model":
        return split_rows(stored, spec)
    ids = _kept(stored, spec).ids
    length = spec.text.length
    windows = (np.arange(max(0, (len(ids[name].values) - 1) // length)) for name in SPLITS)
    return TextRows(*windows)


def shape(folder: Path, spec: DataSpec) -> tuple[Tokens | Pair, int]:
    """What a model sees of the set, and the columns of its scores. Raises DataError."""
    found = load(folder, spec)
    return found.shape, found.columns


def whole(folder: Path, like: TextData) -> Texts:
    """All texts of another set, read with the tokenizers of `like` and its classes. Raises DataError."""
    stored = Stored(folder)
    if stored.schema.task != like.schema.task:
        raise DataError.of(
            str(folder.name), f"the set must be one for {like.schema.task}",
            f"it is for {stored.schema.task}", "Choose another set.",
        )  # fmt: skip
    missing = [name for name in stored.schema.classes if name not in like.classes]
    if missing:
        raise DataError.of(
            str(folder.name), "every class must be one the model knows", f"`{missing[0]}` is not",
            "Choose another set.",
        )  # fmt: skip
    numbers = np.array([like.classes.index(name) for name in stored.schema.classes] or [0], np.int64)
    rows = np.arange(len(stored))
    most = _most(like)
    ids = _joined(list(_tokenized(stored, rows, "text", like.tokenizer, most)))
    target = None
    if like.target_tokenizer is not None:
        target = _joined(list(_tokenized(stored, rows, "target", like.target_tokenizer, most)))
    return Texts(ids, numbers[stored.labels], rows, stored, target)


def split_rows(stored: Stored, spec: DataSpec) -> TextRows:
    """Rows of train, validation and test: the set's own where it brings them, else drawn as images are; a
    language model's text is cut where it is, train first, test last. Raises DataError."""
    if stored.schema.task == "language_model":
        return _cut(stored, spec)
    found = cutting.split_rows(stored.labels, stored.splits, spec, None)
    return TextRows(found.train, found.validation, found.test)


def _cut(stored: Stored, spec: DataSpec) -> TextRows:
    """By position: the last `test` of all characters, the `validation` before it, the rest to learn from."""
    rows = np.arange(len(stored))
    train, validation, test = (rows[stored.splits == code] for code in (TRAIN, VALIDATION, TEST))
    size = stored.sizes
    for name, share in (("test", spec.test), ("validation", spec.validation)):
        if share <= 0 or len(test if name == "test" else validation):
            continue
        ends = np.cumsum(size[train])
        keep = int(np.searchsorted(ends, ends[-1] - share * size.sum(), side="right")) if len(ends) else 0
        keep = min(max(1, keep), len(train) - 1) if len(train) > 1 else len(train)
        train, held = train[:keep], train[keep:]
        if name == "test":
            test = held
        else:
            validation = held
    return TextRows(train, validation, test)


# ---------------------------------------------------------------- kept beside the set


def _kept(
    stored: Stored, spec: DataSpec, progress: Callable[[str, float], None] = lambda words, share: None
) -> _Kept:
    tree = spec.model_dump(mode="json", include=set(OPTIONS))
    own = [pretrained.mark(spec.text)] if spec.text.tokenizer == "pretrained" else []
    text = json.dumps([VERSION, tree, read_fingerprint(stored.folder), *own], sort_keys=True)
    place = stored.folder / f"tokens-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not (place / "done").exists():
        place = _made(stored, spec, place, progress)
    rows = TextRows(*(_array(place, f"{name}.rows") for name in SPLITS))
    ids = {name: Ragged(_array(place, f"{name}.ids"), _array(place, f"{name}.offsets")) for name in SPLITS}
    targets, target_tokenizer = {}, None
    if stored.schema.task == "translation":
        target_tokenizer = Tokenizer.from_file(place / "target.json")
        targets = {
            name: Ragged(_array(place, f"{name}.target"), _array(place, f"{name}.target-offsets"))
            for name in SPLITS
        }
    return _Kept(rows, ids, targets, Tokenizer.from_file(place / "source.json"), target_tokenizer)


def _array(place: Path, name: str) -> np.ndarray:
    path = place / f"{name}.npy"
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.asarray(found) if found.dtype == np.int64 else found


def _made(stored: Stored, spec: DataSpec, place: Path, progress: Callable[[str, float], None]) -> Path:
    """Tokenizes the set into `place`, or beside it where the set's own folder cannot be written."""
    rows = split_rows(stored, spec)
    task = stored.schema.task
    special = [PAD, UNKNOWN, BEGIN, END] if task == "translation" else [PAD, UNKNOWN]
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
    except OSError as error:
        raise DataError.of(
            spec.name, "the tokens of a set are kept beside it", error.strerror or str(error),
            "Free some space, or make the home writable.",
        ) from None  # fmt: skip
    most = None if task == "language_model" else spec.text.length - (1 if task == "translation" else 0)
    columns = {"text": ("source", "ids", "offsets")}
    if task == "translation":
        columns["target"] = ("target", "target", "target-offsets")
    try:
        for column, (name, ids, offsets) in columns.items():
            progress("Learning the vocabulary", 0.1)
            tokenizer = _tokenizer(stored, rows, column, spec, special)
            (draft / f"{name}.json").write_text(tokenizer.to_json(), encoding="utf-8")
            for split in SPLITS:
                progress(f"Tokenizing {split}", 0.4)
                part = getattr(rows, split)
                limit = None
                if task == "language_model" and split == "train" and spec.limit is not None:
                    limit = spec.limit * spec.text.length + 1
                _write(
                    draft, f"{split}.{ids}", f"{split}.{offsets}",
                    _tokenized(stored, part, column, tokenizer, most), limit,
                )  # fmt: skip
        for split in SPLITS:
            np.save(draft / f"{split}.rows.npy", np.asarray(getattr(rows, split), np.int64))
        (draft / "done").touch()
        os.replace(draft, place)
    except OSError:
        if not (place / "done").exists():  # another process may have been quicker
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place


def _tokenizer(
    stored: Stored, rows: TextRows, column: str, spec: DataSpec, special: Sequence[str]
) -> Tokenizer:
    if spec.text.tokenizer != "pretrained":
        return trained(_stream(stored, rows.train, column), spec.text, special)
    if stored.schema.task != "classification":
        raise DataError.of(
            "data.text.tokenizer", "a pretrained model's tokenizer is for classes of texts",
            f"{spec.name} is for {stored.schema.task}", "Choose bpe or wordpiece.",
        )  # fmt: skip
    return pretrained.of_model(spec.text)


def _stream(stored: Stored, rows: np.ndarray, column: str) -> Iterator[str]:
    for start in range(0, len(rows), BATCH):
        yield from stored.texts(rows[start : start + BATCH], column)


def _tokenized(
    stored: Stored, rows: np.ndarray, column: str, tokenizer: Tokenizer, most: int | None
) -> Iterator[list[int]]:
    """Ids of each text, its first `most`; a text without any token is one unknown one."""
    for start in range(0, len(rows), BATCH):
        for ids in tokenizer.encode_many(stored.texts(rows[start : start + BATCH], column)):
            yield ids[:most] or ([UNK] if most is not None else [])


def _write(
    folder: Path, ids: str, offsets: str, texts: Iterator[list[int]], limit: int | None = None
) -> None:
    """Ids end to end into a file, never all in memory. limit: tokens at most."""
    ends, total = [0], 0
    raw = folder / f"{ids}.raw"
    with open(raw, "wb") as file:
        for text in texts:
            if limit is not None and total + len(text) > limit:
                text = text[: limit - total]
            file.write(np.asarray(text, np.int32).tobytes())
            total += len(text)
            ends.append(total)
            if limit is not None and total >= limit:
                break
    np.save(folder / f"{offsets}.npy", np.array(ends, np.int64))
    with open(folder / f"{ids}.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<i4", "fortran_order": False, "shape": (total,)}
        )
        with open(raw, "rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
    raw.unlink()


def _joined(texts: Sequence[Sequence[int]]) -> Ragged:
    ends = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    flat = np.fromiter((i for text in texts for i in text), np.int32, int(ends[-1]))
    return Ragged(flat, ends)


def _most(data: TextData) -> int | None:
    if data.schema.task == "language_model":
        return None
    return data.shape.source.length - 1 if isinstance(data.shape, Pair) else data.shape.length

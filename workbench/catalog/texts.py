"""A set of texts for the eye: pages of texts, their lengths in tokens, and what a tokenizer makes of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench import data
from workbench.catalog.looking import in_turn, split_code
from workbench.catalog.sets import with_shipped
from workbench.data.splits import SPLITS
from workbench.data.text.dataset import Ragged, TextData
from workbench.data.text.stored import Stored
from workbench.data.text.tokenizer import UNK, Tokenizer
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.store import Store

LONGEST = 20_000  # characters of a text that is shown or tried
BINS = 40
_PIECE = 1 << 20  # tokens looked at at once


@dataclass(frozen=True)
class TextPage:
    """One page of texts; targets of translations, else none; labels, rows (n,) int64; total: of all pages."""

    texts: list[str]
    targets: list[str]
    labels: np.ndarray
    rows: np.ndarray
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class Lengths:
    """Tokens of the texts of all splits together, before they are cut: counts[k] texts have edges[k] to
    edges[k + 1] - 1 of them. cut: share of the texts that are longer than the length; tokens: by split, after
    the cut. A language model's text is one: it has tokens alone, and counts its passages."""

    edges: tuple[int, ...]
    counts: tuple[int, ...]
    cut: float
    mean: float
    longest: int
    length: int
    tokens: dict[str, int]


@dataclass(frozen=True)
class Tokenized:
    """A text as a model would read it: its tokens as people read them, their ids, which are unknown, and
    whether the text is longer than the length."""

    tokens: list[str]
    ids: list[int]
    unknown: list[bool]
    is_cut: bool


def texts(
    store: Store,
    name: str,
    class_index: int | None = None,
    split: str | None = None,
    page: int = 0,
    per_page: int = 20,
) -> TextPage:
    """Page `page` (from 0) of the texts of one class or all, of one split or all; reads only these.

    All classes together are shown one of each in turn. A page beyond the last gives the last.
    Raises DataError for an unknown set, class or split, and for a set of images.
    """
    stored = _stored(store, name)
    classes = stored.schema.classes
    chosen = np.ones(len(stored), dtype=bool)
    if split is not None:
        chosen &= stored.splits == split_code(split)
    if class_index is not None:
        if not 0 <= class_index < len(classes):
            raise DataError.of(
                f"data set `{name}`", f"classes are numbered 0 to {len(classes) - 1}", f"{class_index=}"
            )
        chosen &= stored.labels == class_index
    rows = np.flatnonzero(chosen)
    if class_index is None and classes:
        rows = rows[in_turn(stored.labels[rows])]
    per_page = min(max(1, per_page), 500)
    pages = max(1, -(-len(rows) // per_page))
    page = min(max(0, page), pages - 1)
    here = rows[page * per_page : (page + 1) * per_page]
    found = [text[:LONGEST] for text in stored.texts(here)]
    is_paired = stored.schema.task == "translation"
    targets = [text[:LONGEST] for text in stored.texts(here, "target")] if is_paired else []
    return TextPage(found, targets, stored.labels[here], here, len(rows), page, pages)


def lengths(store: Store, spec: DataSpec, *, target: bool = False) -> Lengths:
    """How long the texts of a set are under `spec`. target: of translations, the other side.

    Trains the tokenizer and tokenizes the set at the first time. Raises DataError.
    """
    found = _loaded(store, spec)
    if target and found.target_tokenizer is None:
        raise _no_target(spec.name)
    parts = [getattr(found, split) for split in SPLITS]
    sizes = np.concatenate([part.target_lengths if target else part.lengths for part in parts])
    most = int(sizes.max(initial=1))
    step = max(1, -(-(most + 1) // BINS))
    edges = np.arange(0, most + step + 1, step)
    length = found.most or most
    return Lengths(
        edges=tuple(edges.tolist()),
        counts=tuple(np.histogram(sizes, edges)[0].tolist()),
        cut=float((sizes > length).mean()),
        mean=float(sizes.mean()),
        longest=most,
        length=spec.text.length,
        tokens={
            split: int((part.target if target else part.ids).offsets[-1])
            for split, part in zip(SPLITS, parts, strict=True)
        },
    )


def tokenized(store: Store, spec: DataSpec, text: str, *, target: bool = False) -> Tokenized:
    """A text as the tokenizer of `spec` cuts it. target: by the tokenizer of the translations.

    Raises DataError.
    """
    tokenizer, most = _tokenizer(store, spec, target)
    ids = tokenizer.encode(text[:LONGEST])
    is_cut = most is not None and len(ids) > most
    ids = ids[:most]
    return Tokenized(tokenizer.tokens(ids), ids, [i == UNK for i in ids], is_cut)


def unknown_rate(store: Store, spec: DataSpec) -> dict[str, float]:
    """Share of the tokens that the vocabulary lacks, by split; of translations also `target train` and so on.
    Of the training split it is what the bound of the vocabulary leaves out. Raises DataError."""
    found = _loaded(store, spec)
    rates = {}
    for split in SPLITS:
        part = getattr(found, split)
        if len(part):
            rates[split] = _share(part.ids)
            if part.target is not None:
                rates[f"target {split}"] = _share(part.target)
    return rates


def vocabulary(store: Store, spec: DataSpec, *, target: bool = False) -> list[str]:
    """All entries of the tokenizer by id, as it keeps them. Raises DataError."""
    return _tokenizer(store, spec, target)[0].vocabulary


def _share(ids: Ragged) -> float:
    n = len(ids.values)
    unknown = sum(int((ids.values[at : at + _PIECE] == UNK).sum()) for at in range(0, n, _PIECE))
    return unknown / n if n else 0.0


def _tokenizer(store: Store, spec: DataSpec, target: bool) -> tuple[Tokenizer, int | None]:
    row = with_shipped(store, spec.name)
    _need_texts(row.name, row.schema.kind)
    source, other, most = data.tokenizers(row.path, spec)
    if not target:
        return source, most
    if other is None:
        raise _no_target(spec.name)
    return other, most


def _loaded(store: Store, spec: DataSpec) -> TextData:
    row = with_shipped(store, spec.name)
    _need_texts(row.name, row.schema.kind)
    found = data.load(row.path, spec)
    assert isinstance(found, TextData)
    return found


def _stored(store: Store, name: str) -> Stored:
    row = with_shipped(store, name)
    _need_texts(name, row.schema.kind)
    return Stored(row.path)


def _need_texts(name: str, kind: str) -> None:
    if kind != "text":
        raise DataError.of(f"data set `{name}`", "it must be one of texts", f"it is one of {kind}")


def _no_target(name: str) -> DataError:
    return DataError.of(f"data set `{name}`", "only translations have a target", "it has none")

"""What the columns of a table of texts mean: text, label, translation, split, group. Guessed, and changeable.

Names are believed before contents. What cannot be told is asked back, with the columns there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.data.layout import split_of
from workbench.data.pictures import SUFFIXES
from workbench.data.report import shown
from workbench.data.tables import GROUP, SPLIT
from workbench.data.text.languages import is_language
from workbench.data.text.records import SAMPLE_ROWS as SAMPLE
from workbench.specs.base import did_you_mean
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError

_TEXT = (
    r"(clean_?|full_?|review_?|tweet_?|news_?)?(texts?|sentences?\d?|reviews?|comments?|messages?|content|tweets?|body|"
    r"documents?|docs?|sms|utterances?|posts?|abstracts?|headlines?|titles?|descriptions?|phrases?|questions?\d?|"
    r"premise|hypothesis|v2)(_?text)?"
)
_LABEL = (
    r"(class_?)?labels?|class(es)?|class_?(name|id|index)|categor(y|ies)|targets?|y|sentiments?|polarity|topics?|"
    r"intents?|emotions?|stars|ratings?|(is_)?(spam|toxic)|v1"
)
_SOURCES, _TARGETS = r"(source|src|input)(_?text)?", r"(target|tgt|trg|output|translation|reference)(_?text)?"
_OTHER = r"(row_?)?(id|idx|index|number|no|url|link|date|time(stamp)?|user(name)?|author|unnamed(_\d+)?)"
FEWEST = 3  # rows from which columns without names are guessed
MOST_ODD = 0.95
_LETTER = re.compile(r"[^\W\d_]")  # dates, prices and telephone numbers have none


@dataclass(frozen=True)
class Columns:
    """Column numbers by what they mean, and their names. text: joined by a blank where there are several."""

    task: str
    names: tuple[str, ...]
    text: tuple[int, ...]
    label: int | None = None
    target: int | None = None
    split: int | None = None
    group: int | None = None
    header: bool = False

    @property
    def meaning(self) -> dict[str, str]:
        """`{"text": "title + body", "label": "class"}`, for the schema."""
        found = {"text": " + ".join(self.names[c] for c in self.text)}
        for role in ("label", "target", "split", "group"):
            c = getattr(self, role)
            if c is not None:
                found[role] = self.names[c]
        return found

    @property
    def left(self) -> list[str]:
        """Names of the columns that are not used."""
        used = {*self.text, self.label, self.target, self.split, self.group}
        return [name for c, name in enumerate(self.names) if c not in used]


@dataclass(frozen=True)
class _Seen:
    """What the cells of a column look like: shares, and means over those that hold anything."""

    filled: float
    distinct: int
    repeated: float  # share of the cells whose value occurred before
    words: float
    length: float
    numeric: float  # without a letter
    images: float

    @property
    def is_textual(self) -> bool:
        return self.filled >= 0.5 and self.numeric < 0.5 and (self.words >= 2.5 or self.repeated < 0.6)

    def may_label(self, other: _Seen) -> bool:
        """Whether these single words, some of them more than once, may be labels of those texts."""
        return self.words <= 1.3 and self.repeated > 0 and other.words >= 2

    @property
    def is_label(self) -> bool:
        return self.distinct >= 2 and self.length <= 60 and (self.repeated >= 0.4 or self.words <= 1.5)


def guess(
    rows: Sequence[Sequence[str]], names: Sequence[str] | None, asked: TextImport, where: str
) -> Columns:
    """The columns of a table. rows: its first records, all as wide as it; names: where the format has them,
    else the first row may be a header.

    Raises DataError for a column asked for that is not there, and where the meaning cannot be told.
    """
    has_header = names is None and is_header(rows, asked)
    if has_header:
        names, rows = rows[0], rows[1:]
    named = tuple(shown(" ".join(n.split()), 60) or f"column {c + 1}" for c, n in enumerate(names or ()))
    width = len(rows[0]) if rows else len(named)
    named = named or tuple(f"column {c + 1}" for c in range(width))
    words = [_word(name) for name in named] if names is not None else [""] * width
    if not rows:
        raise DataError.of(where, "a table has rows", "it has none below its header", "Check the file.")
    is_told = bool(names is not None or asked.text_columns or asked.label_column or asked.target_column)
    if not is_told and len(rows) < FEWEST:
        raise DataError.of(
            where, f"columns without names are guessed from {FEWEST} rows or more", f"it has {len(rows)}",
            "Choose text_columns (--text-column), or add rows.",
        )  # fmt: skip
    seen = [_look([row[c] for row in rows[:SAMPLE]]) for c in range(width)]
    text = tuple(_asked(name, named, "text_columns", where) for name in asked.text_columns)
    label = _asked(asked.label_column, named, "label_column", where) if asked.label_column else None
    target = _asked(asked.target_column, named, "target_column", where) if asked.target_column else None
    _refuse_twice(named, text, label, target, where)
    split = _by_name(words, SPLIT, {*text, label, target})
    if split is not None and all(split_of(row[split]) is None for row in rows[:SAMPLE]):
        split = None
    group = _by_name(words, GROUP, {*text, label, target, split})
    taken = {*text, label, target, split, group}
    free = [c for c in range(width) if c not in taken]
    task = asked.task or (
        "translation" if target is not None else "classification" if label is not None else None
    )
    if task is None or (task == "translation" and target is None):
        pair = _pair(words, seen, free, text, asked)
        if pair and (task or not _has_label(words, seen, free, pair)):
            task, text, target = "translation", text or (pair[0],), pair[1]
            free = [c for c in free if c not in (*text, target)]
    if task in (None, "classification") and label is None:
        label = _label(words, seen, free, given=bool(text))
        task = task or ("language_model" if label is None else "classification")
    if not text:
        text = _texts(words, seen, [c for c in free if c not in (label, target)], one=task == "translation")
    _complete(task, named, seen, text, label, target, where)
    if task == "language_model":
        label = target = None
    if task == "classification":
        target = None
    return Columns(str(task), named, text, label, target, split, group, has_header)


def _complete(
    task: str | None, names: tuple[str, ...], seen: list[_Seen], text: tuple[int, ...], label: int | None,
    target: int | None, where: str,
) -> None:  # fmt: skip
    """Raises DataError where a column that the task needs was neither named nor found."""
    columns = ", ".join(f"`{shown(name, 20)}`" for name in names[:12])
    if not text:
        pictured = any(s.images > 0.9 for s in seen)
        raise DataError.of(
            where, "a table of texts has a column of texts",
            "it holds neither texts nor the images it names" if pictured else f"which of {columns} is it?",
            "Add the images with their table." if pictured else "Choose text_columns (--text-column).",
        )  # fmt: skip
    if task == "classification" and label is None:
        raise DataError.of(
            where, "a table to classify has a column of labels", f"which of {columns} is it?",
            "Choose label_column (--label-column), or another task.",
        )  # fmt: skip
    if task == "translation" and target is None:
        raise DataError.of(
            where, "a table to translate has a column of translations", f"which of {columns} is it?",
            "Choose target_column (--target-column), or another task.",
        )  # fmt: skip


def _asked(name: str, names: Sequence[str], field: str, where: str) -> int:
    """A column by its name, or by its number from 1."""
    for c, own in enumerate(names):
        if own == name:
            return c
    for c, own in enumerate(names):
        if own.casefold() == name.strip().casefold():
            return c
    digits = re.fullmatch(r"(?:column )?(\d{1,4})", name.strip())
    if digits and 1 <= int(digits[1]) <= len(names):
        return int(digits[1]) - 1
    raise DataError.of(
        where, f"{field} names a column of the table", f"`{shown(name, 40)}` is none",
        did_you_mean(name, [shown(own, 40) for own in names[:40]]),
    )  # fmt: skip


def _refuse_twice(
    names: Sequence[str], text: tuple[int, ...], label: int | None, target: int | None, where: str
) -> None:
    chosen = [*text, *(c for c in (label, target) if c is not None)]
    for c in chosen:
        if chosen.count(c) > 1:
            raise DataError.of(
                where, "a column means one thing", f"`{names[c]}` is named twice", "Name another column."
            )


def _pair(
    words: list[str], seen: list[_Seen], free: list[int], text: tuple[int, ...], asked: TextImport
) -> tuple[int, int] | None:
    """Source and target, by names, languages or contents."""
    source, target = _by_name(words, _SOURCES, set()), _by_name(words, _TARGETS, set())
    if text and len(text) == 1:
        others = [c for c in free if c == target or seen[c].is_textual]
        return (text[0], target if target in others else others[0]) if others and asked.task else None
    if source is not None and target is not None and source in free and target in free:
        return source, target
    spoken = [c for c in free if is_language(words[c])]
    if len(spoken) >= 2:
        return spoken[0], spoken[1]
    textual = [c for c in free if seen[c].is_textual]
    plain = not any(re.fullmatch(_TEXT, words[c]) for c in textual)
    if len(textual) >= 2 and (asked.task == "translation" or (plain and not any(words))):
        one, other = (seen[c] for c in textual[:2])
        if asked.task is None and (one.may_label(other) or other.may_label(one)):
            return None
        return textual[0], textual[1]
    return None


def _has_label(words: list[str], seen: list[_Seen], free: list[int], pair: tuple[int, int]) -> bool:
    """Whether a pair of texts comes with a column of labels, such as of entailment."""
    if any(re.fullmatch(_SOURCES, words[c]) or is_language(words[c]) for c in pair):
        return False
    rest = [c for c in free if c not in pair]
    return any(seen[c].is_label and seen[c].repeated > 0.9 and seen[c].filled > 0.9 for c in rest)


def _label(words: list[str], seen: list[_Seen], free: list[int], given: bool) -> int | None:
    for c in free:
        if words[c] and re.fullmatch(_LABEL, words[c]) and seen[c].distinct >= 1:
            return c
    fits = [
        c
        for c in free
        if seen[c].is_label and seen[c].filled >= 0.5 and not re.fullmatch(_OTHER, words[c])
        and not re.fullmatch(_TEXT, words[c]) and seen[c].images < 0.5
    ]  # fmt: skip
    # The texts themselves must be left over, where they were not named.
    if not given and not any(c not in fits or len(fits) > 1 for c in free):
        return None
    if not given and len(fits) == len(free) > 1:
        wordy = max(fits, key=lambda c: (seen[c].words, seen[c].length))
        fits = [c for c in fits if c != wordy]
    return min(fits, key=lambda c: (-round(seen[c].repeated, 2), seen[c].distinct), default=None)


def _texts(words: list[str], seen: list[_Seen], free: list[int], one: bool) -> tuple[int, ...]:
    by_name = [c for c in free if words[c] and re.fullmatch(_TEXT, words[c]) and seen[c].filled >= 0.05]
    exact = [
        c for c in by_name if words[c] in ("text", "sentence", "review", "comment", "message", "content")
    ]
    wordy = [
        c for c in free
        if seen[c].filled >= 0.5 and seen[c].numeric < 0.5 and seen[c].images < 0.5
        and not re.fullmatch(_OTHER, words[c])
    ]  # fmt: skip
    if exact or by_name:
        return tuple(exact[:1] or by_name[: 1 if one else None])
    many = [c for c in wordy if seen[c].words >= 3 and seen[c].repeated < 0.5]
    if many:
        return (max(many, key=lambda c: seen[c].words),) if one or any(words) else tuple(many)
    texts = [c for c in wordy if seen[c].words >= 1.5 or seen[c].length >= 12 or len(free) == 1]
    best = max((c for c in texts if seen[c].repeated < 0.7), key=lambda c: seen[c].words, default=None)
    return () if best is None else (best,)


def _by_name(words: Sequence[str], pattern: str, taken: set[int | None]) -> int | None:
    return next((c for c, w in enumerate(words) if w and c not in taken and re.fullmatch(pattern, w)), None)


def _look(cells: Sequence[str]) -> _Seen:
    values = [cell.strip() for cell in cells]
    values = [value for value in values if value]
    n = max(1, len(values))
    distinct = len(set(values))
    return _Seen(
        filled=len(values) / max(1, len(cells)),
        distinct=distinct,
        repeated=1 - distinct / n,
        words=sum(len(v.split()) for v in values) / n,
        length=sum(map(len, values)) / n,
        numeric=sum(not _LETTER.search(v) for v in values) / n,
        images=sum(v.lower().endswith(tuple(SUFFIXES)) and " " not in v for v in values) / n,
    )


def is_header(rows: Sequence[Sequence[str]], asked: TextImport) -> bool:
    """Whether the first row names the columns: by what it says, or because it differs from all below."""
    if asked.header is not None:
        return asked.header
    if not rows:
        return False
    first = [cell.strip() for cell in rows[0]]
    named = [cell for cell in first if cell]
    if not named or any(_is_number(cell) or len(cell) > 60 for cell in named) or len(set(named)) < len(named):
        return False
    words = [_word(cell) for cell in named]
    wanted = {_word(name) for name in (*asked.text_columns, asked.label_column, asked.target_column) if name}
    known = sum(
        any(re.fullmatch(p, w) for p in (_TEXT, _LABEL, SPLIT, GROUP, _SOURCES, _TARGETS, _OTHER))
        for w in words
    )
    body = [[row[c].strip() for row in rows[1:SAMPLE]] for c in range(len(first))]
    seen_below = any(cell and cell in column for cell, column in zip(first, body, strict=True))
    if wanted & set(words):
        return True
    if known and not seen_below:
        return True
    if len(words) > 1 and all(is_language(w) for w in words) and not seen_below:
        return True
    for cell, column in zip(first, body, strict=True):
        numbers = sum(_is_number(value) for value in column if value)
        if cell and column and numbers >= max(2, MOST_ODD * len(column)):
            return True
    few = [len({*column} - {""}) <= max(2, 0.05 * len(column)) for column in body]
    short = all(len(cell) <= 30 and len(cell.split()) <= 3 for cell in named)
    return short and not seen_below and len(rows) > 20 and any(few) and not all(few)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?(\d+([.,]\d+)?|\.\d+)([eE][-+]?\d+)?", text.strip()))


def _word(cell: str) -> str:
    return re.sub(r"[^\w]+", "_", cell.strip().lower()).strip("_")

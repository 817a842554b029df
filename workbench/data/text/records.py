"""Tables of text as records: which sign parts the cells, what a quote means, and where a record ends.

Quotes are believed only where they are used as CSV does: opened where a cell begins, closed where it ends,
doubled or escaped inside. A line that breaks this is read as it stands, and so are lines that a quote would
swallow though each is a whole record by itself: in messages and reviews a quote is often just a quote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

MARKS = (",", "\t", ";", "|")
LOOKED_AT = 2_000  # lines by which a table is understood
SAMPLE_ROWS = 4_000  # rows by which its columns are: some of the first, some of the last
MOST_LINES = 5_000  # of one quoted cell
FASTTEXT = "__label__"


class Dialect(NamedTuple):
    """How a table is written: the sign between cells, whether quotes hold cells together, cells a record.

    spill: `first` or `last` where the sign also occurs inside of that cell, without quotes; else "".
    """

    mark: str
    quoted: bool
    width: int
    spill: str = ""

    def fitted(self, cells: list[str]) -> list[str]:
        """The cells of a record, with those of a spilled one joined again."""
        extra = len(cells) - self.width
        if not self.spill or extra <= 0:
            return cells
        if self.spill == "last":
            return [*cells[: self.width - 1], self.mark.join(cells[self.width - 1 :])]
        return [self.mark.join(cells[: extra + 1]), *cells[extra + 1 :]]


class Record(NamedTuple):
    """Cells and the number of the line they begin in, from 1."""

    line: int
    cells: list[str]


class NoQuoting(Exception):
    """A quote that is no quoting: opened in a cell and closed in the middle of it."""


def understood(sample: Sequence[str], marks: Sequence[str] = MARKS) -> Dialect | None:
    """The dialect of a table by its first lines; None where no sign parts them all alike.

    Check: of a well-formed table in any of the signs, all records have `width` cells.
    """
    sample = [line for line in sample if line.strip()][:LOOKED_AT]
    if not sample:
        return None
    if all(line.startswith(FASTTEXT) for line in sample):
        return Dialect(" ", False, 2)
    best: Dialect | None = None
    score = 0.0
    for mark in marks:
        plain, width = _fit([line.count(mark) + 1 for line in sample])
        if mark == "\t" and width > 1 and plain >= 0.98:  # tabs hardly occur inside of cells
            found, fit = Dialect(mark, _closed(sample, mark), width), plain
        else:
            counts = [len(record.cells) for record in records(sample, Dialect(mark, True, 0))]
            quoted, wide = _fit(counts)
            found, fit = Dialect(mark, True, wide), quoted * min(1.0, 2 * len(counts) / len(sample))
            if plain > fit + 0.05:
                found, fit = Dialect(mark, False, width), plain
        if found.width > 1 and fit > score + 0.05:
            best, score = found, fit
    if score < 0.9 and (spilled := _spilled(sample, marks)):
        return spilled
    return best if score >= 0.6 else None


def _spilled(sample: Sequence[str], marks: Sequence[str]) -> Dialect | None:
    """A table whose first or last column holds the sign as well: `ham,Well, yes, I know`."""
    for mark in marks:
        rows = [line.split(mark) for line in sample]
        width = min(map(len, rows))
        if width < 2 or len(rows) < 3 or len(rows[0]) != width:
            continue
        first, last = ({row[k].strip() for row in rows[1:]} for k in (0, -1))
        few = max(2, len(rows) // 4)
        if len(last) <= few or len(first) <= few:
            return Dialect(mark, True, width, "first" if len(last) < len(first) else "last")
    return None


def records(
    lines: Iterable[str], dialect: Dialect, odd: Callable[[int], None] = lambda line: None
) -> Iterator[Record]:
    """The records of a table, empty lines left out. odd(line) is called for lines whose quotes quote nothing.

    dialect.width: 0 where it is not known; then lines are never told from records by their width.
    """
    mark = dialect.mark
    if mark == " ":
        yield from _fasttext(lines)
        return
    source = _Pushed(lines)
    for line in source:
        at = source.n
        if not line.strip():
            continue
        if not dialect.quoted or '"' not in line:
            yield Record(at, line.split(mark))
            continue
        held = [line]
        cells: list[str] | None = None
        try:
            cells = split(line, mark)
            size = len(line)
            while cells is None and len(held) < MOST_LINES and size < 10_000_000:
                more = next(source, None)
                if more is None:
                    break
                held.append(more)
                size += len(more)
                if '"' in more:
                    cells = split("\n".join(held), mark)
        except NoQuoting:
            cells = None
        swallowed = len(held) > 1 and dialect.width > 1
        if cells is None or (swallowed and all(text.count(mark) + 1 == dialect.width for text in held)):
            source.push(held[1:])
            odd(at)
            cells = line.split(mark)
        yield Record(at, cells)


def split(text: str, mark: str) -> list[str] | None:
    """The cells of a record that may span lines; None where a quote is still open.

    Raises NoQuoting where a closing quote is not followed by the end of a cell.
    """
    cells: list[str] = []
    at, n = 0, len(text)
    while True:
        start = at
        while start < n and text[start] == " " and mark != " ":
            start += 1
        if start < n and text[start] == '"':
            stop = _closing(text, start + 1, mark)
            if stop is None:
                return None
            cells.append(text[start + 1 : stop].replace('""', '"'))
            at = stop + 1
            while at < n and text[at] in " \r" and text[at] != mark:
                at += 1
        else:
            stop = text.find(mark, at)
            stop = n if stop < 0 else stop
            cells.append(text[at:stop])
            at = stop
        if at >= n:
            return cells
        at += 1  # the mark


def _closing(text: str, at: int, mark: str) -> int | None:
    while True:
        stop = text.find('"', at)
        if stop < 0:
            return None
        after = text[stop + 1 : stop + 2]
        if after == '"':
            at = stop + 2
            continue
        rest = text[stop + 1 :].lstrip(" ") if after == " " else after
        if rest[:1] in ("", mark, "\r"):
            return stop
        if text[stop - 1] == "\\":
            at = stop + 1
            continue
        raise NoQuoting


def _closed(sample: Sequence[str], mark: str) -> bool:
    """Whether there are cells that begin with a quote, and all of them end with one."""
    seen = 0
    for line in sample:
        for cell in line.split(mark):
            text = cell.strip(" \r")
            if text.startswith('"'):
                seen += 1
                if len(text) < 2 or not text.endswith('"') or '"' in text[1:-1].replace('""', ""):
                    return False
    return seen > 0


def _fit(widths: Sequence[int]) -> tuple[float, int]:
    """Share of the records that have the commonest number of cells, and that number."""
    if not widths:
        return 0.0, 0
    width, n = max(Counter(widths).items(), key=lambda item: (item[1], item[0]))
    return n / len(widths), width


def _fasttext(lines: Iterable[str]) -> Iterator[Record]:
    for n, line in enumerate(lines, 1):
        label, _, text = line.partition(" ")
        if line.strip():
            yield Record(n, [label.removeprefix(FASTTEXT), text])


class _Pushed:
    """Lines, some of which may be given back. n: the number of the last one, from 1."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: list[str] = []
        self.n = 0

    def __iter__(self) -> _Pushed:
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else next(self._lines)
        self.n += 1
        return line

    def push(self, lines: Sequence[str]) -> None:
        self._back += reversed(lines)
        self.n -= len(lines)

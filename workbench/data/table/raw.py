"""Files of a table as pieces of raw columns: which files belong together, their names, and their cells.

Text, JSON and workbooks give cells of text; Parquet gives what it holds. What a cell means is not known here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.sources import Source
from workbench.data.splits import TRAIN
from workbench.data.table.names import is_header, unique
from workbench.data.table.numbers import parts
from workbench.data.text.arranged import split_told
from workbench.data.text.records import LOOKED_AT, MARKS, Dialect, Record, records, understood
from workbench.data.text.sheets import Sheet
from workbench.data.text.sniffed import Sniffed, is_beside
from workbench.data.text.structured import Parquet, as_record, json_lines, names_of
from workbench.data.text.surveyed import (
    DAMAGE,
    Surveyed,
    Tick,
    Ticking,
    damaged,
    objects_of,
    spooled,
    surveyed,
    text_lines,
)
from workbench.specs.errors import DataError, WorkbenchError
from workbench.specs.tables import SEPARATORS, TableReading

ROWS = 10_000  # of a piece
_BLANKS = re.compile(r'"((?:[^"]|"")*)"|(\S+)')


class File(NamedTuple):
    """A file of the table. names: of its columns; split: what its name speaks of, train where of none."""

    path: str
    names: tuple[str, ...]
    split: int


class Piece(NamedTuple):
    """Some rows of a file: a column each (n,), of text or as Parquet has it, None where there is none; the
    lines they begin in (n,), from 1."""

    file: int
    columns: list[pa.Array]
    lines: list[int]


@dataclass
class _Opened:
    """A file whose form is known. names: of its columns; head: whether its first row names them."""

    file: Sniffed
    names: tuple[str, ...]
    surveyed: Surveyed | None = None
    dialect: Dialect | None = None
    head: bool = False


class Raw:
    """The files of a source that are one table. Raises DataError where none is."""

    def __init__(
        self, source: Source, files: Sequence[Sniffed], asked: TableReading, limits: Limits, report: Report,
        tick: Tick = lambda n: None, known: Collection[str] | None = None,
    ) -> None:  # fmt: skip
        self.source, self.asked, self.limits, self.report, self.tick = source, asked, limits, report, tick
        self._known = frozenset(known or ())
        self.mark = ""  # between the cells, where the largest file is text
        self._files = self._opened([f for f in files if not is_beside(f)] or list(files))
        for file in files:
            if is_beside(file) and not any(own.file is file for own in self._files):
                report.refused(shown(file.member.path), "it tells of the data")

    @property
    def files(self) -> list[File]:
        """In the order in which their rows come: by split, then as the source has them."""
        return [File(f.file.member.path, f.names, split_told(f.file)) for f in self._files]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of all files, in the order of the largest."""
        return self._names

    def pieces(self) -> Iterator[Piece]:
        """The rows of all files; of a column that a file lacks, nothing. Raises DataError."""
        for k, own in enumerate(self._files):
            place = {name: c for c, name in enumerate(own.names)}
            order = [place.get(name) for name in self._names]
            for columns, lines in self._pieces(own):
                n = len(lines)
                yield Piece(k, [pa.nulls(n, pa.string()) if c is None else columns[c] for c in order], lines)

    def _opened(self, files: Sequence[Sniffed]) -> list[_Opened]:
        textual = [f for f in files if f.kind in ("table", "lines", "jsonl")]
        seen = surveyed(
            self.source, textual, self.limits, self.report, self.tick, self.asked.encoding, samples=True
        )
        found: list[_Opened] = []
        first: DataError | None = None
        for file in sorted(files, key=lambda f: -f.member.size):
            path = shown(file.member.path)
            try:
                one = self._one(file, seen.get(file.member.path), found[0] if found else None)
            except DataError as error:
                first = first or error
                self.report.refused(path, error.problems[0].fact)
                continue
            if one is not None:
                found.append(one)
        if not found:
            raise first or DataError.of(
                self.source.where,
                "a table has rows and columns",
                "no file of it could be read",
                "Check the files.",
            )
        self._names = tuple(dict.fromkeys(name for one in found for name in one.names))
        if len(self._names) > self.limits.columns:
            raise DataError.of(
                self.source.where, f"a table may have {self.limits.columns:,} columns",
                f"it has {len(self._names):,}", "Take fewer, or raise WORKBENCH_LIMIT_COLUMNS.",
            )  # fmt: skip
        self.mark = found[0].dialect.mark if found[0].dialect else ""
        place = {f.member.path: n for n, f in enumerate(files)}
        found.sort(key=lambda one: (split_told(one.file), place[one.file.member.path]))
        if not any(split_told(one.file) == TRAIN for one in found) and len(found) > 1:
            self.report.kept("files", "no file is named for training")
        return found

    def _one(self, file: Sniffed, seen: Surveyed | None, largest: _Opened | None) -> _Opened | None:
        """The form of a file; None where it was reported already. Raises DataError."""
        path = shown(file.member.path)
        names: Sequence[str]
        if file.kind in ("parquet", "json", "xlsx"):
            one = _Opened(file, unique(self._own_names(file), self.report, path))
        elif seen is None:
            return None
        elif file.kind == "jsonl":
            trees = [cells for _, cells in json_lines([*seen.first, *seen.last], lambda line, why: None)]
            one = _Opened(file, unique(names_of(trees), self.report, path), seen)
        else:
            dialect = dialect_of(seen.first, self.asked)
            rows = [r.cells for r in read(seen.first, dialect) if len(r.cells) == dialect.width]
            if not rows:
                raise DataError.of(path, "a table has rows", "it has none", "Check the file.")
            known = largest.names if largest else None
            if known is not None and [c.strip() for c in rows[0]] == list(known):
                head = True
            elif (
                known is not None and largest is not None and not largest.head and len(rows[0]) == len(known)
            ):
                head = False
            else:
                head = is_header(rows, self.asked, self._known)
            names = rows[0] if head else [f"column {c + 1}" for c in range(dialect.width)]
            one = _Opened(file, unique(names, self.report, path), seen, dialect, head)
        if largest is not None:
            common = len(set(one.names) & set(largest.names))
            if 2 * common < min(len(largest.names), len(one.names)) + 1:
                raise DataError.of(
                    path, f"all files of a table have the columns of `{shown(largest.file.member.path)}`",
                    f"{common} of its {len(one.names)} columns are among them",
                )  # fmt: skip
            lacks = [n for n in largest.names if n not in one.names]
            if lacks:
                self.report.kept(path, f"it has no column {_named(lacks)}")
        return one

    def _own_names(self, file: Sniffed) -> list[str]:
        if file.kind == "json":
            return names_of(objects_of(self.source, file, self.limits, self.asked.encoding))
        with spooled(self.source, file, self.limits, lambda n: None) as copy:
            try:
                if file.kind == "parquet":
                    return Parquet(copy).names
                sheet = Sheet(copy, self.limits, self.asked.sheet, shown(file.member.path))
                self._told_sheets(file, sheet)
                names = sheet.header(lambda rows: is_header(rows, self.asked, self._known))
                sheet.close()
                return names
            except WorkbenchError:
                raise
            except (*DAMAGE, TypeError, KeyError) as error:
                raise damaged(file, error) from None

    def _told_sheets(self, file: Sniffed, sheet: Sheet) -> None:
        if sheet.others:
            rest = ", ".join(f"`{shown(name, 30)}`" for name in sheet.others[:5])
            self.report.kept(
                shown(file.member.path), f"sheet `{shown(sheet.name, 30)}` is read; left out: {rest}"
            )

    def _pieces(self, own: _Opened) -> Iterator[tuple[list[pa.Array], list[int]]]:
        if own.file.kind == "parquet":
            with spooled(self.source, own.file, self.limits, self.tick) as copy:
                at = 1
                try:
                    for batch in Parquet(copy).batches(ROWS):
                        yield batch, list(range(at, at + len(batch[0]) if batch else at))
                        at += len(batch[0]) if batch else 0
                except (*DAMAGE, TypeError) as error:
                    raise error if isinstance(error, WorkbenchError) else damaged(own.file, error) from None
            return
        waiting: list[list[str | None]] = []
        lines: list[int] = []
        width = len(own.names)
        for record in self._records(own):
            if len(record.cells) != width:
                self.report.refused(
                    f"{shown(own.file.member.path)}, line {record.line}",
                    f"it has {len(record.cells)} cells and the others {width}",
                )
                continue
            waiting.append(record.cells)  # type: ignore[arg-type]
            lines.append(record.line)
            if len(waiting) >= ROWS:
                yield _columns(waiting, width), lines
                waiting, lines = [], []
        if waiting:
            yield _columns(waiting, width), lines

    def _records(self, own: _Opened) -> Iterator[Record]:
        file, path = own.file, shown(own.file.member.path)
        if file.kind == "json":
            for n, tree in enumerate(objects_of(self.source, file, self.limits, self.asked.encoding), 1):
                yield as_record(n, tree, own.names)
            return
        if file.kind == "xlsx":
            with spooled(self.source, file, self.limits, self.tick) as copy:
                try:
                    sheet = Sheet(copy, self.limits, self.asked.sheet, path)
                    sheet.header(lambda rows: is_header(rows, self.asked, self._known))
                    yield from sheet.records()
                    sheet.close()
                except WorkbenchError:
                    raise
                except (*DAMAGE, TypeError, KeyError) as error:
                    raise damaged(file, error) from None
            return
        assert own.surveyed is not None
        if own.surveyed.found.repairs:
            self.report.repaired(path, own.surveyed.found.repairs)
        for _, stream in self.source.read([file.member]):
            text = text_lines(cast(BinaryIO, Ticking(stream, self.tick)), own.surveyed, self.limits)
            if file.kind == "jsonl":
                for n, tree in json_lines(text, lambda n, why: self.report.refused(f"{path}, line {n}", why)):
                    yield as_record(n, tree, own.names)
                return
            assert own.dialect is not None
            skip = own.head
            for record in read(text, own.dialect, lambda n: self._odd(path, n)):
                if skip and len(record.cells) == own.dialect.width:
                    skip = False
                    continue
                yield record

    def _odd(self, path: str, line: int) -> None:
        self.report.repaired(f"{path}, line {line}", "a quote that is not closed is read as it stands")


def dialect_of(lines: Sequence[str], asked: TableReading) -> Dialect:
    """The sign between cells and how many there are; of one column where no sign fits."""
    lines = [line for line in lines if line.strip()][:LOOKED_AT]
    if asked.separator is not None:
        mark = SEPARATORS[asked.separator]
        counts = Counter(len(r.cells) for r in read(lines, Dialect(mark, True, 0)))
        return Dialect(mark, True, counts.most_common(1)[0][0] if counts else 1)
    # Of two signs that both fit, the comma parts decimals: `1,5;2,5`.
    for marks in (("\t",), (";",), ("|",), (",",)):
        found = understood(lines, marks)
        if found is not None and _share(lines, found) >= (0.98 if marks != (",",) else 0.6):
            return found._replace(spill="")
    blank = Dialect(" ", True, 0)
    counts = Counter(len(r.cells) for r in read(lines, blank))
    width, n = counts.most_common(1)[0] if counts else (1, 0)
    body = [r.cells for r in read(lines, blank) if len(r.cells) == width]
    numbers = sum(parts(cell) is not None for row in body for cell in row)
    if width > 1 and n >= 0.95 * len(lines) and numbers >= 0.5 * width * len(body):
        return blank._replace(width=width)
    found = understood(lines, MARKS)
    return found._replace(spill="") if found is not None else Dialect(",", True, 1)


def cells_of(lines: Sequence[str]) -> list[list[str]]:
    """The rows of some lines that have the commonest width."""
    dialect = dialect_of(lines, TableReading())
    return [r.cells for r in read(lines, dialect) if len(r.cells) == dialect.width]


def read(lines: Any, dialect: Dialect, odd: Any = lambda line: None) -> Iterator[Record]:
    """The records of a table of text; parted by blanks where that is its sign."""
    if dialect.mark != " ":
        yield from records(lines, dialect, odd)
        return
    for n, line in enumerate(lines, 1):
        if line.strip():
            yield Record(n, [quoted or bare for quoted, bare in _BLANKS.findall(line)])


def _columns(rows: list[list[str | None]], width: int) -> list[pa.Array]:
    turned = zip(*rows, strict=True) if width else ()
    return [pa.array(column, pa.large_string()) for column in turned]


def _share(lines: Sequence[str], dialect: Dialect) -> float:
    widths = [len(record.cells) for record in records(lines, dialect)]
    return sum(w == dialect.width for w in widths) / max(1, len(widths))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"`{shown(name, 40)}`" for name in names[:5]) + more

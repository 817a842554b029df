"""Tables of texts: CSV and its kin, JSON and Parquet, one file or several of the same columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from workbench.data.layout import split_of
from workbench.data.report import shown
from workbench.data.text.arranged import Arranged, Part
from workbench.data.text.columns import Columns, guess, is_header
from workbench.data.text.reading import Reading, Row
from workbench.data.text.records import SAMPLE_ROWS, Dialect, Record, records, understood
from workbench.data.text.sheets import Sheet
from workbench.data.text.sniffed import Sniffed
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


def row_of(record: Record, c: Columns, file: str, split: int) -> Row:
    """A record with what each column means. split: where no column tells it."""
    cells, told = record.cells, split_of(record.cells[c.split]) if c.split is not None else None
    text = cells[c.text[0]] if len(c.text) == 1 else " ".join(cells[k].strip() for k in c.text)
    return Row(
        file, record.line, text.strip(),
        cells[c.label].strip() if c.label is not None else "",
        cells[c.target].strip() if c.target is not None else None,
        split if told is None else told,
        cells[c.group].strip() if c.group is not None else "",
    )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A file of rows and columns. names: where its format has them; dialect: where it is text; examples: some
    of its rows."""

    part: Part
    columns: Columns
    surveyed: Surveyed | None = None
    dialect: Dialect | None = None
    names: tuple[str, ...] | None = None
    examples: tuple[tuple[str, ...], ...] = ()

    @property
    def path(self) -> str:
        return self.part.file.member.path


class Tables:
    """The tables of a source, and their rows."""

    def __init__(self, reading: Reading) -> None:
        self.source, self.asked, self.limits = reading.source, reading.asked, reading.limits
        self.report, self.tick, self._told = reading.report, reading.tick, reading.told

    def all(self, found: Arranged) -> list[Table]:
        """The tables of a source that have the columns of the largest. Raises DataError."""
        textual = [p.file for p in found.parts if p.file.kind in ("table", "lines", "jsonl")]
        seen = surveyed(
            self.source, textual, self.limits, self.report, self.tick, self.asked.encoding, samples=True
        )
        tables: list[Table] = []
        first: DataError | None = None
        for part in sorted(found.parts, key=lambda p: -p.file.member.size):
            try:
                table = self._table(part, seen.get(part.file.member.path), tables)
            except DataError as error:
                first = first or error
                self.report.refused(shown(part.file.member.path), error.problems[0].fact)
                continue
            if table is not None:
                tables.append(table)
        if not tables and first is not None:
            raise first
        order = {part.file.member.path: n for n, part in enumerate(found.parts)}
        return sorted(tables, key=lambda table: order[table.path])

    def rows_of(self, table: Table) -> Iterator[Row]:
        """Its rows, with what each column means."""
        path, width = shown(table.path), len(table.columns.names)
        for record in self._records(table):
            if len(record.cells) != width:
                fact = f"it has {len(record.cells)} cells and the others {width}"
                self.report.refused(f"{path}, line {record.line}", fact)
                continue
            yield row_of(record, table.columns, table.path, table.part.split)

    def _table(self, part: Part, one: Surveyed | None, others: list[Table]) -> Table | None:
        path = part.file.member.path
        names: tuple[str, ...] | None = None
        dialect = None
        sample: list[list[str]]
        if part.file.kind in ("parquet", "json", "xlsx"):
            trees = self._sample(part.file)
            names = tuple(names_of(trees))
            sample = [as_record(0, tree, names).cells for tree in trees]
        elif one is None:
            return None  # it was reported
        elif part.file.kind == "jsonl":
            trees = [cells for _, cells in json_lines([*one.first, *one.last], lambda line, why: None)]
            names = tuple(names_of(trees))
            sample = [as_record(0, tree, names).cells for tree in trees]
        else:
            dialect = understood(one.first) or Dialect(",", True, 1)
            if part.file.kind == "lines":
                dialect = Dialect("\n", False, 1)
            if dialect.mark == " ":
                names = ("label", "text")
            sample = [
                cells
                for record in records([*one.first, *one.last], dialect)
                if len(cells := dialect.fitted(record.cells)) == dialect.width
            ]
        if not sample:
            raise DataError.of(shown(path), "a table has rows", "it has none", "Check the file.")
        known = others[0].columns if others else None
        if known is not None and len(known.names) == len(sample[0]) and names in (None, known.names):
            # Several tables of one set: the columns of the largest hold; a header is told by each.
            has_header = known.header and [shown(" ".join(c.split()), 60) for c in sample[0]] == [
                name if not name.startswith("column ") else "" for name in known.names
            ]
            columns = replace(known, header=has_header)
        elif known is not None:
            raise DataError.of(
                shown(path), f"all tables have the columns of `{shown(others[0].path)}`", "its columns differ"
            )
        else:
            columns = guess(sample, names, self.asked, shown(path))
        examples = tuple(tuple(row) for row in sample[columns.header : columns.header + 5])
        return Table(part, columns, one, dialect, names, examples)

    def _records(self, table: Table) -> Iterator[Record]:
        path = shown(table.path)
        file = table.part.file
        names = table.columns.names if table.names is None else table.names
        if file.kind == "parquet":
            with spooled(self.source, file, self.limits, self.tick) as copy:
                try:
                    for n, tree in enumerate(Parquet(copy).records(), 1):
                        yield as_record(n, tree, names)
                except (*DAMAGE, TypeError) as error:
                    raise _or_damaged(file, error) from None
            return
        if file.kind == "xlsx":
            with self._sheet(file, self.tick) as (own, sheet):
                yield from (
                    as_record(r.line, dict(zip(own, r.cells, strict=True)), names) for r in sheet.records()
                )
            return
        if file.kind == "json":
            for n, tree in enumerate(objects_of(self.source, file, self.limits, self.asked.encoding), 1):
                yield as_record(n, tree, names)
            return
        assert table.surveyed is not None
        self._told(path, table.surveyed)
        for _, stream in self.source.read([file.member]):
            lines = text_lines(cast(BinaryIO, Ticking(stream, self.tick)), table.surveyed, self.limits)
            if file.kind == "jsonl":
                for n, tree in json_lines(
                    lines, lambda n, why: self.report.refused(f"{path}, line {n}", why)
                ):
                    yield as_record(n, tree, names)
                return
            assert table.dialect is not None
            found = records(lines, table.dialect, lambda n: self._odd(path, n))
            for k, record in enumerate(found):
                if k or not table.columns.header:
                    yield record._replace(cells=table.dialect.fitted(record.cells))

    def _odd(self, path: str, line: int) -> None:
        self.report.repaired(f"{path}, line {line}", "a quote that is not closed is read as it stands")

    def _sample(self, file: Sniffed) -> list[dict[str, str]]:
        if file.kind == "json":
            return objects_of(self.source, file, self.limits, self.asked.encoding)[:SAMPLE_ROWS]
        if file.kind == "xlsx":
            with self._sheet(file, lambda n: None) as (own, sheet):
                return [dict(zip(own, r.cells, strict=True)) for r in sheet.sample(SAMPLE_ROWS)]
        with spooled(self.source, file, self.limits, lambda n: None) as copy:
            try:
                return Parquet(copy).sample()
            except (*DAMAGE, TypeError) as error:
                raise _or_damaged(file, error) from None

    @contextmanager
    def _sheet(self, file: Sniffed, tick: Tick) -> Iterator[tuple[list[str], Sheet]]:
        """A workbook's sheet and the names of its columns. Raises DataError where it is damaged."""
        with spooled(self.source, file, self.limits, tick) as copy:
            try:
                sheet = Sheet(copy, self.limits, None, shown(file.member.path))
                yield sheet.header(lambda rows: is_header(rows, self.asked)), sheet
                sheet.close()
            except (*DAMAGE, TypeError, KeyError) as error:
                raise _or_damaged(file, error) from None


def _or_damaged(file: Sniffed, error: BaseException) -> Exception:
    return error if isinstance(error, WorkbenchError) else damaged(file, error)

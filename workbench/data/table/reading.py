"""A table from any file: typed columns, in pieces of rows, with a report of what was mended and refused.

    with open_table(source, files, asked, limits, report) as table:
        table.columns              # ReadColumn: name, kind, missing, distinct, unit, way, ...
        for rows in table:         # Rows: columns by name (n,), the file and the line of each row
            ...

A column is numbers (float64, NaN where there is none), moments (datetime64[us], NaT) or words (objects,
None). All of a table is looked at before a column gets its kind; the cells lie on the disk meanwhile, so that
it may be larger than the memory. What a column is *for* (target, id, split) is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pandas as pd

from workbench.data.archives import open_source
from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.sources import Source
from workbench.data.table.looked import decide, spooled_pieces
from workbench.data.table.names import named
from workbench.data.table.raw import File, Raw
from workbench.data.table.typed import ReadColumn, Rows, measured, restored, tell, typed
from workbench.data.text.sniffed import Sniffed, sniff
from workbench.data.text.surveyed import Tick
from workbench.specs.errors import DataError
from workbench.specs.tables import TableColumn, TableReading

__all__ = ["File", "ReadColumn", "ReadTable", "Rows", "named", "open_path", "open_table"]


class ReadTable:
    """A table that was read. `for rows in table` gives it in pieces; `frame()` all at once."""

    def __init__(
        self,
        files: Sequence[File],
        columns: Sequence[ReadColumn],
        n: int,
        mark: str,
        pieces: Callable[[], Iterator[Rows]],
    ) -> None:
        self.files, self.columns, self.n, self.mark = list(files), list(columns), n, mark
        self._pieces = pieces

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Rows]:
        yield from self._pieces()

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def column(self, name: str) -> ReadColumn:
        """A column by its name, or by its number from 1. Raises DataError."""
        return self.columns[named(name, self.names)]

    def frame(self) -> pd.DataFrame:
        """All rows as a frame; for tables that fit into memory."""
        parts = [rows.frame() for rows in self]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=self.names)


@contextmanager
def open_table(
    source: Source, files: Sequence[Sniffed], asked: TableReading, limits: Limits, report: Report,
    tick: Tick = lambda n: None, known: Mapping[str, TableColumn] | None = None,
    whole: Callable[[ReadTable], Collection[str]] | None = None,
) -> Iterator[ReadTable]:  # fmt: skip
    """The files of a source as one table. Rows that cannot be read are in the report. Raises DataError.

    known: columns of a registered table, by name: theirs are read in the same kinds. whole: which columns, by
    name, no number is left out of because it may stand for nothing; a person's own word goes before that.

    Check: the rows of all pieces add up to the lines that were not refused.
    """
    raw = Raw(source, files, asked, limits, report, tick, known)
    with TemporaryFile(prefix="workbench-") as spool:
        looks, n = spooled_pieces(raw, spool, limits, asked)
        if not n:
            raise DataError.of(
                source.where, "a table has rows", "it has none below its header", "Check the file."
            )
        decided = decide(raw, looks, asked, report, known or {})
        table = ReadTable(raw.files, [], n, raw.mark, lambda: typed(spool, decided))
        measured(table, decided, asked)
        table.columns = [own.told() for own in decided]
        if whole is not None and restored(table, decided, whole(table)):
            table.columns = [own.told() for own in decided]
        tell(decided, report)
        yield table


@contextmanager
def open_path(
    path: Path, asked: TableReading | None = None, limits: Limits | None = None, report: Report | None = None
) -> Iterator[ReadTable]:
    """`open_table` of a file, a folder or an archive. Raises DataError."""
    limits = limits or Limits.from_environment()
    report = report if report is not None else Report(limits.report_rows)
    source = open_source(path, limits)
    files = []
    for member, head in source.scan(report):
        found = sniff(member, head)
        if isinstance(found, str):
            report.refused(shown(member.path), found)
        else:
            files.append(found)
    if not files:
        reasons = report.first_refused(1)
        fact = reasons[0][1] if reasons else "it holds none"
        raise DataError.of(source.where, "a table is read from files of text, Parquet or XLSX", fact)
    with open_table(source, files, asked or TableReading(), limits, report) as table:
        yield table

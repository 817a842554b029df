"""Rows of a stream, such as the `datasets` library gives, as a prepared set of texts: columns, report and
storage are those of a file with the same columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared
from workbench.data.report import Report
from workbench.data.text.columns import guess
from workbench.data.text.imported import Writing, tell_columns
from workbench.data.text.records import SAMPLE_ROWS
from workbench.data.text.structured import as_record, flat, names_of
from workbench.data.text.tabled import row_of
from workbench.specs.data import DataSchema, TextImport
from workbench.specs.errors import DataError

TICK = 1_000  # rows between two looks at the clock


class Stream(NamedTuple):
    """The rows of one split, under the name that the set gives it."""

    name: str
    split: int
    rows: Iterator[Mapping[str, Any]]


def import_rows(
    streams: Sequence[Stream],
    coded: Mapping[str, Sequence[str]],
    folder: Path,
    *,
    where: str,
    asked: TextImport,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str], None],
) -> Prepared:
    """Write streams of rows into `folder`. coded: names of classes by column, where numbers stand for them;
    the first such column is the label unless another is asked for.

    The columns are told from the first rows of the first stream. Raises DataError.
    """
    first = list(islice(streams[0].rows, SAMPLE_ROWS))
    sample = [_cells(row, coded) for row in first]
    names = tuple(names_of(sample))
    if not names:
        raise DataError.of(where, "a set of texts has rows", "it has none", "Choose another set.")
    label = next((name for name in coded if name in names), None)
    if label and asked.task in (None, "classification") and not (asked.label_column or asked.target_column):
        asked = asked.model_copy(update={"label_column": label})
    columns = guess([as_record(0, cells, names).cells for cells in sample], names, asked, where)
    tell_columns(columns, asked, report)
    writing = Writing(folder, columns.task, limits, report, where)
    try:
        for stream in streams:
            rows = chain(first, stream.rows) if stream is streams[0] else stream.rows
            for n, row in enumerate(rows, 1):
                record = as_record(n, _cells(row, coded), names)
                writing.add(row_of(record, columns, stream.name, stream.split))
                if n % TICK == 0:
                    tick(f"{writing.n:,} texts")
        writing.check()
        update = {"kind": "text", "task": columns.task, "columns": columns.meaning, "shape": ()}
        return writing.finish(schema.model_copy(update=update), (), "tables")
    finally:
        writing.close()


def _cells(row: Mapping[str, Any], coded: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A row as text by column; of a class its name, and nothing where there is no such class."""
    plain = dict(row)
    for name, classes in coded.items():
        value = plain.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            plain[name] = classes[value] if 0 <= value < len(classes) else None
    return flat(plain)

"""Rows that a trained model is asked about: from a form, from JSON or from a file, read as its table was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from workbench.data.archives import open_source
from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.table.encoder import Encoder
from workbench.data.table.moments import NEVER, examples, iso, moments
from workbench.data.table.numbers import MISSING, Grammar, number
from workbench.data.table.reading import open_table
from workbench.data.text.sniffed import Sniffed, sniff
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.specs.tables import TableColumn, TableReading

MOST_ROWS = 200_000
MOST_BESIDE = 6  # columns that no model reads, kept to tell the rows by


def from_rows(
    rows: Sequence[Mapping[str, Any]], fields: Sequence[TableColumn], needed: Sequence[str]
) -> dict[str, np.ndarray]:
    """Rows of plain values by name as columns in their kinds; what is not there is missing.

    Raises DataError for a column that the table does not have, and for a number or date that is none.
    """
    known = {own.name: own for own in fields}
    for row in rows:
        for name in row:
            if name not in known:
                raise DataError.of(
                    "row", "a row has the columns of the table", f"`{shown(str(name), 40)}` is none of them",
                    did_you_mean(str(name), known),
                )  # fmt: skip
    return {name: _column([row.get(name) for row in rows], known[name]) for name in needed}


def from_file(
    name: str, content: bytes, fields: Sequence[TableColumn], needed: Sequence[str], report: Report,
    beside: dict[str, list[str]] | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The rows of a file of any of the forms that a table may have. Columns that it lacks are missing in all.

    beside: takes the first columns of the file that are not needed, such as a customer's number, as texts.

    Raises DataError where it cannot be read, or has none of the columns.
    """
    limits = Limits.from_environment()
    known = {own.name: own for own in fields}
    with TemporaryDirectory(prefix="workbench-") as place:
        path = Path(place) / (Path(name).name or "rows.csv")
        path.write_bytes(content)
        source = open_source(path, limits)
        files = [f for member, head in source.scan(report) if isinstance(f := sniff(member, head), Sniffed)]
        if not files:
            raise DataError.of(
                shown(name), "rows come as a table", "it cannot be read as one", "Save it as CSV."
            )
        with open_table(source, files, TableReading(), limits, report, known=known) as table:
            if len(table) > MOST_ROWS:
                raise DataError.of(
                    shown(name),
                    f"{MOST_ROWS:,} rows are answered at once",
                    f"it has {len(table):,}",
                    "Cut it.",
                )
            there = [column for column in needed if column in table.names]
            if not there:
                first = ", ".join(f"`{shown(column, 30)}`" for column in list(needed)[:8])
                raise DataError.of(
                    shown(name), "rows have the columns of the table", f"it has none of {first}",
                    "Name its columns as those of the table in a first row.",
                )  # fmt: skip
            others = [column for column in table.names if column not in needed][:MOST_BESIDE]
            others = others if beside is not None else []
            parts = [{column: rows.columns[column] for column in (*there, *others)} for rows in table]
            n = len(table)
    for column in needed:
        if column not in there:
            report.repaired(f"column `{shown(column, 60)}`", "it is not there and counts as missing")
    found = {column: np.concatenate([part[column] for part in parts]) for column in there}
    if beside is not None:
        beside |= {column: [_text(cell) for part in parts for cell in part[column]] for column in others}
    return {column: found[column] if column in found else nothing(n, known[column]) for column in needed}


def tell_unlearned(odd: Mapping[str, tuple[int, str]], report: Report) -> None:
    """Words that were not learned (`Encoder.unlearned`), in the report."""
    for name, (n, word) in odd.items():
        reason = f"{n:,} cells hold words that were not learned, such as `{shown(word, 40)}`"
        report.repaired(f"column `{shown(name, 60)}`", reason)


def template(fields: Sequence[TableColumn], encoder: Encoder) -> list[TableColumn]:
    """The columns that a form asks for: those that the model reads, in the table's order."""
    wanted = set(encoder.columns)
    return [own for own in fields if own.name in wanted]


def _column(values: Sequence[Any], own: TableColumn) -> np.ndarray:
    values = [None if v is None or (isinstance(v, str) and v.strip() in MISSING) else v for v in values]
    if own.kind == "number":
        return np.array([_number(v, own) for v in values], np.float64)
    if own.kind == "moment":
        return _moments(values, own)
    out = np.empty(len(values), object)
    out[:] = [None if v is None else _word(v) for v in values]
    return out


def _moments(values: Sequence[Any], own: TableColumn) -> np.ndarray:
    """Cells (n,) as datetime64[us] in the table's own way of writing, and else as ISO 8601 has them."""
    texts = ["" if v is None else v.isoformat() if isinstance(v, date) else _word(v) for v in values]
    found = np.array(moments(texts, own.way) if own.way else [NEVER] * len(texts), "datetime64[us]")
    for i in np.flatnonzero(np.isnat(found)):
        if texts[i] in MISSING:
            continue
        found[i] = iso(texts[i])
        if np.isnat(found[i]):
            ways = " or ".join(dict.fromkeys([*examples(own.way), "2024-12-31"]))
            raise DataError.of(
                f"column `{shown(own.name, 60)}`", "a cell of it is a date, written as in the table",
                f"it is `{shown(texts[i], 40)}`", f"Write it as {ways}, or leave it empty.",
            )  # fmt: skip
    return found


def _number(value: Any, own: TableColumn) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool | int | float):
        found = float(value)
    else:
        found = number(str(value).strip(), Grammar(own.decimal, own.unit, own.scaled))
        if found != found:
            unit = f" in `{shown(own.unit, 20)}`" if own.unit else ""
            raise DataError.of(
                f"column `{shown(own.name, 60)}`", f"a cell of it is a number{unit}",
                f"it is `{shown(str(value), 40)}`", f"Write a number{unit}, or leave it empty.",
            )  # fmt: skip
    return float("nan") if found in own.sentinels else found


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _text(cell: Any) -> str:
    """A cell as it is read again; empty where there is none."""
    if cell is None or cell != cell:  # NaN, NaT
        return ""
    if isinstance(cell, np.datetime64):
        return str(cell.astype("datetime64[s]")).removesuffix("T00:00:00").replace("T", " ")
    return f"{cell:.15g}" if isinstance(cell, float) else _word(cell)


def nothing(n: int, own: TableColumn) -> np.ndarray:
    """A column (n,) of the kind without any value."""
    if own.kind == "number":
        return np.full(n, np.nan)
    if own.kind == "moment":
        return np.full(n, np.datetime64("NaT"), "datetime64[us]")
    return np.full(n, None, object)

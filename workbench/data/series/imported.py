"""From a table to a prepared series: which column tells the moments, which are variates, what was mended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared
from workbench.data.report import Report, shown
from workbench.data.series.frequency import guess
from workbench.data.series.regular import regular
from workbench.data.series.stored import write
from workbench.data.sources import Source
from workbench.data.table.moments import NAMED, leads
from workbench.data.table.reading import ReadTable, named, open_table
from workbench.data.text.opened import opened
from workbench.data.text.sniffed import Sniffed
from workbench.data.text.surveyed import DAMAGE
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport

CHOICES = ("gaps", "duplicates", "timezone")
SHOWN = 5  # rows of an example
FEWEST = 10  # rows of what is taken for a series unless it is asked for
LOOKED_AT = 16_384  # bytes of a file of which it is told whether it may be one
_CELLS = re.compile(r"[,;\t|]")
_NUMERIC = re.compile(
    r"[-+(]?[\d.,'\u00a0 ]*\d[\d.,eE+%)-]*|\d[\d/.\-:TZ +]*|-?(nan|na|null|none|\?)", re.IGNORECASE
)
_NUMBERING = re.compile(r"(unnamed.*|index|id|no\.?|nr\.?|row|column 1|#|)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2}))?|(\d{1,2})")
_EPOCHS = ((1e8, 5e9, 1_000.0), (1e11, 5e12, 1.0), (1e14, 5e15, 1e-3), (1e17, 5e18, 1e-6))  # from, to, to ms


class Understood(NamedTuple):
    """What a table's columns are: the one or two that tell the time, the variates, and those that are left
    out with the reason."""

    time: tuple[str, ...]
    moments: np.ndarray | None  # (n,) datetime64[ms]
    values: tuple[str, ...]
    left: dict[str, str]
    words: tuple[str, ...]  # columns of words that vary: what speaks against a series
    has_zone: bool = False  # whether the moments tell theirs, as `+02:00` and seconds since 1970 do


def import_series(
    source: Source,
    files: Sequence[Sniffed],
    folder: Path,
    *,
    asked: SeriesImport,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str, float], None],
) -> Prepared:
    """Write the series of a source into `folder`. Rows of several files come one after the other.

    Raises DataError; what was mended or left out is in the report.
    """
    tick("Reading the table", 0.1)
    with open_table(source, files, asked, limits, report) as table:
        frame = table.frame()
        found = understood(table, frame, asked)
    tick("Making it even", 0.6)
    if not found.values:
        raise DataError.of(
            source.where, "a series has a column of numbers that vary", "it has none",
            "Name one by value_columns (--value-column), or check how the file is read.",
        )  # fmt: skip
    _tell(found, asked, report)
    for name, why in list(found.left.items())[:50]:
        report.refused(f"column `{shown(name, 60)}`", why)
    values = frame[list(found.values)].to_numpy(np.float64)
    series = regular(found.moments, values, list(found.values), asked, report, has_zone=found.has_zone)
    columns = {"time": " + ".join(found.time)} if found.time else {}
    way = next((own.way for own in table.columns if own.name == found.time[0]), "") if found.time else ""
    columns |= {"dates": leads(way)} if leads(way) else {}  # what goes on from it is read so too
    columns |= choices(asked)
    schema = schema.model_copy(update={"variates": found.values, "columns": columns})
    report.kept("series", f"{len(series.values):,} steps of {len(found.values):,} variates")
    return write(folder, schema, series, report, source.where)


def choices(asked: SeriesImport) -> dict[str, str]:
    """What a person chose that whatever goes on from the series is read by too; nothing that is usual."""
    told = {name: getattr(asked, name) for name in CHOICES}
    return {name: value for name, value in told.items() if value != SeriesImport.model_fields[name].default}


def guessed_series(
    source: Source, files: Sequence[Sniffed], asked: SeriesImport, limits: Limits, *, sure: bool
) -> dict[str, Any] | None:
    """What an import would make of the files, without one; None where they are no series. sure: a person says
    that they are one. Raises DataError where they are, and cannot be read so."""
    report = Report(limits.report_rows)
    try:
        with open_table(source, files, asked, limits, report) as table:
            frame = table.frame()
            found = understood(table, frame, asked)
    except DataError:
        if sure:
            raise
        return None
    frequency = None
    if found.moments is not None:
        own = found.moments[~np.isnat(found.moments)].astype(np.int64)
        distinct = np.unique(own)
        frequency = guess(distinct)
        twice = len(own) - len(distinct)
    if not sure and (
        found.moments is None or frequency is None or len(frame) < FEWEST or not found.values
        or twice > 0.1 * len(own) or len(found.words) > 0.3 * len(found.values)
    ):  # fmt: skip
        return None
    return {
        "task": "forecasting", "form": "series", "header": True, "names": [str(name) for name in table.names],
        "columns": {"time": " + ".join(found.time), "values": ", ".join(found.values[:50])},
        "frequency": str(frequency or ""), "rows": len(frame), "left": dict(list(found.left.items())[:50]),
        "examples": frame.head(SHOWN).astype(str).fillna("").to_numpy().tolist(),
        "files": [f.path for f in table.files], "variates": list(found.values),
        "unsure": [column.name for column in table.columns if column.unsure and column.name in found.time],
    }  # fmt: skip


def may_be_series(source: Source, files: Sequence[Sniffed], limits: Limits) -> bool:
    """Whether the first lines of the files are numbers by the larger part: others need not be read as a table
    to learn that they are no series."""
    for file in files:
        if file.kind in ("parquet", "xlsx"):
            continue
        for _, stream in source.read([file.member]):
            try:
                text = opened(stream, file.head, limits).read(LOOKED_AT).decode("utf-8", "replace")
            except (*DAMAGE, DataError):
                return False
            cells = [
                c for line in text.split("\n")[1:-1] or [text] for c in _CELLS.split(line) if c.strip(' "')
            ]
            if sum(bool(_NUMERIC.fullmatch(cell.strip(' "'))) for cell in cells) < 0.5 * max(1, len(cells)):
                return False
    return bool(files)


def understood(table: ReadTable, frame: pd.DataFrame, asked: SeriesImport) -> Understood:
    """Which columns are what. Raises DataError where one that was asked for cannot be."""
    names = list(table.names)
    kinds: dict[str, str] = {column.name: column.kind for column in table.columns}
    time: tuple[str, ...] = ()
    moments: np.ndarray | None = None
    if asked.time_column:
        name = names[named(asked.time_column, names, "time_column")]
        time, moments = (name,), moments_of(frame[name], name, forced=True)
        if moments is None:
            raise DataError.of(
                f"column `{shown(name, 40)}`", "the time column holds dates, times, or seconds since 1970",
                f"its first cell is `{shown(str(frame[name].iloc[0]), 40)}`", "Name another column.",
            )  # fmt: skip
    else:
        time, moments = _time_of(frame, kinds)
    if len(time) == 1 and moments is not None:
        time, moments = _with_clock(frame, time, moments)
    has_zone = bool(time) and _has_zone(table, frame, time[0])
    left: dict[str, str] = {}
    if asked.value_columns:
        values = tuple(
            dict.fromkeys(names[named(one, names, "value_columns")] for one in asked.value_columns)
        )
        for name in values:
            if kinds[name] != "number":
                raise DataError.of(
                    f"column `{shown(name, 40)}`", "a variate is a column of numbers",
                    f"it holds {kinds[name]}s",
                    "Name another column.",
                )  # fmt: skip
            if not np.isfinite(frame[name]).any():
                raise DataError.of(f"column `{shown(name, 40)}`", "a variate has values", "it has none")
        left = {name: "it was not asked for" for name in names if name not in (*values, *time)}
        return Understood(time, moments, values, left, (), has_zone)
    words = []
    chosen = []
    for name in names:
        if name in time:
            continue
        reason = _why_not(frame[name], name, kinds[name])
        if reason is None:
            chosen.append(name)
        else:
            left[name] = reason
            if kinds[name] == "word" and frame[name].nunique() > 1:
                words.append(name)
    return Understood(time, moments, tuple(chosen), left, tuple(words), has_zone)


def _has_zone(table: ReadTable, frame: pd.DataFrame, name: str) -> bool:
    """Whether the moments of a column tell their zone: it stands in its cells, or they count from 1970."""
    own = table.column(name)
    return "%z" in own.way or (own.kind == "number" and bool(frame[name].max() >= _EPOCHS[0][0]))


def moments_of(column: pd.Series, name: str, *, forced: bool = False) -> np.ndarray | None:
    """A column as moments (n,) datetime64[ms], NaT where a cell is none; None where it is no such column.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, by their size; or years, or
    months such as 201603, where the column is called so.
    """
    if column.dtype.kind == "M":
        return np.asarray(column.to_numpy("datetime64[ms]"))
    if column.dtype.kind != "f":
        return None
    numbers = column.to_numpy(np.float64)
    own = numbers[np.isfinite(numbers)]
    if len(own) < 2 or (not (own == np.floor(own)).all() and own.max() < 1e8):
        return None
    is_named = (
        forced
        or bool(NAMED.fullmatch(name))
        or bool(re.fullmatch(r".*(epoch|unix|year|month).*", name, re.I))
    )
    for low, high, factor in _EPOCHS:
        if low <= own.min() and own.max() <= high and (is_named or _mostly_rises(own)):
            return _as_ms(np.round(numbers * factor))
    if is_named and own.min() >= 1500 and own.max() <= 2500 and _mostly_rises(own):
        return _years(numbers)
    if (
        is_named
        and own.min() >= 150_001
        and own.max() <= 250_012
        and set(np.unique(own % 100)) <= set(range(1, 13))
    ):
        months = np.where(np.isfinite(numbers), (numbers // 100 - 1970) * 12 + numbers % 100 - 1, np.nan)
        return _as_ms(months, "datetime64[M]")
    return None


def _time_of(frame: pd.DataFrame, kinds: dict[str, str]) -> tuple[tuple[str, ...], np.ndarray | None]:
    """The column of the moments: of several the one with most of them, the first where they are equal."""
    best: tuple[str, np.ndarray] | None = None
    most = 0
    for name in frame.columns:
        if kinds[name] == "word":
            continue
        found = moments_of(frame[name], name)
        if found is None:
            continue
        distinct = len(np.unique(found[~np.isnat(found)]))
        if distinct > most:
            best, most = (name, found), distinct
    return ((best[0],), best[1]) if best is not None else ((), None)


def _with_clock(
    frame: pd.DataFrame, time: tuple[str, ...], moments: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Days in one column and the time of day in another, as `Date` and `Time`."""
    there = moments[~np.isnat(moments)]
    if len(np.unique(there)) >= 0.6 * len(there) or (there.astype(np.int64) % 86_400_000).any():
        return time, moments
    for name in frame.columns:
        if name == time[0] or not re.fullmatch(r".*(time|hour|uhrzeit|zeit|hh).*", name, re.I):
            continue
        cells = [_CLOCK.fullmatch(str(cell).removesuffix(".0").strip()) for cell in frame[name]]
        if sum(cell is None for cell in cells) > 0.02 * len(cells):
            continue
        ms = np.array([0 if cell is None else _clock(cell) for cell in cells])
        return (time[0], name), moments + ms.astype("timedelta64[ms]")
    return time, moments


def _clock(cell: re.Match[str]) -> int:
    """Milliseconds since midnight."""
    return 1000 * (3600 * int(cell[1] or cell[4]) + 60 * int(cell[2] or 0) + int(cell[3] or 0))


def _why_not(column: pd.Series, name: str, kind: str) -> str | None:
    """Why a column is no variate; None where it is one."""
    if kind == "word" and not column.notna().any():
        return "it has no value"
    if kind == "word":
        return "it holds words, and a series has numbers"
    if kind == "moment":
        return "it holds moments, and another column tells those"
    numbers = column.to_numpy(np.float64)
    own = numbers[np.isfinite(numbers)]
    if not len(own):
        return "it has no value"
    if own.min() == own.max():
        return f"its values are all {own[0]:g}"
    if _NUMBERING.fullmatch(name.strip()) and len(own) == len(numbers) and (np.diff(own) == 1).all():
        return "it numbers the rows"
    return None


def _tell(found: Understood, asked: SeriesImport, report: Report) -> None:
    how = "as asked for" if asked.time_column else "guessed; say time_column to change it"
    if found.time:
        report.kept("columns", f"time: {' + '.join(shown(name, 60) for name in found.time)} ({how})")
    else:
        report.kept("columns", "no column tells a moment: the rows are numbered")
    told = ", ".join(shown(name, 40) for name in found.values[:20])
    more = f" and {len(found.values) - 20} more" if len(found.values) > 20 else ""
    report.kept("columns", f"variates: {told}{more}")


def _mostly_rises(own: np.ndarray) -> bool:
    return bool((np.diff(own) > 0).mean() >= 0.9)


def _as_ms(numbers: np.ndarray, unit: str = "datetime64[ms]") -> np.ndarray:
    there = np.isfinite(numbers)
    whole = np.where(there, numbers, 0).astype(np.int64).astype(unit).astype("datetime64[ms]")
    return np.where(there, whole, np.datetime64("NaT"))


def _years(numbers: np.ndarray) -> np.ndarray:
    """Years, and parts of years such as 1974.25 as months."""
    return _as_ms(np.round((numbers - 1970) * 12), "datetime64[M]")

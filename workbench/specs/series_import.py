"""How a person wants a series to be read, where it should not be guessed."""

from __future__ import annotations

from typing import Literal

from workbench.specs.base import knob
from workbench.specs.tables import TableReading


class SeriesImport(TableReading):
    """Which columns of a table are a series, and how it is made even. What is empty is guessed."""

    time_column: str | None = knob(
        None,
        "Column of the moments, by name or by number from 1: dates and times, months, years, or seconds "
        "since 1970; empty guesses, and rows are numbered where there is none",
        max_length=200,
    )
    value_columns: tuple[str, ...] = knob(
        (), "Columns of the variates, by name or number; empty: every column of numbers that vary",
        max_length=2000,
    )  # fmt: skip
    frequency: str | None = knob(
        None, "What lies between two steps, such as 1 h, 15 min, 1 d, 1 month; empty guesses", max_length=40
    )
    gaps: Literal["last", "interpolate", "keep"] = knob(
        "last",
        "Steps that are missing. last: filled with the value before; interpolate: along a line, but for "
        "windows that end in the gap; keep: left out, so that their neighbours stand side by side",
    )
    duplicates: Literal["mean", "first", "last"] = knob(
        "mean", "Rows of the same moment. mean: their mean; first, last: that one of them", advanced=True
    )
    timezone: str | None = knob(
        None,
        "The zone of moments that tell none, such as Europe/Berlin: then the hour that is missing in spring "
        "and the one that comes twice in autumn are told right; empty takes them as they stand",
        max_length=60, advanced=True,
    )  # fmt: skip

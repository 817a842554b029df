"""How a table of rows and columns is read: what a person may say where it should not be guessed."""

from __future__ import annotations

from typing import Literal

from workbench.specs.base import Spec, knob

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": " "}


class TableReading(Spec):
    """How the cells of a table are read, of any kind of set. Empty fields are guessed, and reported."""

    separator: Literal["comma", "semicolon", "tab", "pipe", "blank"] | None = knob(
        None, "The sign between the cells of a row; empty guesses", advanced=True
    )
    decimal: Literal["point", "comma"] | None = knob(
        None, "The sign before the decimals of a number; empty guesses, column by column", advanced=True
    )
    header: bool | None = knob(None, "Whether the first row names the columns; empty guesses")
    encoding: str | None = knob(
        None, "Encoding of the files, such as shift_jis; empty: UTF-8, UTF-16 or cp1252, as found",
        max_length=40, advanced=True,
    )  # fmt: skip
    sheet: str | None = knob(
        None, "Which sheet of a workbook (XLSX) is read, by its name; empty: the first that has rows",
        max_length=200, advanced=True,
    )  # fmt: skip
    missing: tuple[str, ...] = knob(
        (),
        "Cells that say that nothing is known, such as -200; blank ones always do. Empty: ?, NA and their "
        "kin, and numbers such as -999 that lie far from all others",
        max_length=50, advanced=True,
    )  # fmt: skip
    numeric: tuple[str, ...] = knob(
        (), "Columns that are numbers, whatever they look like", max_length=5000, advanced=True
    )
    categorical: tuple[str, ...] = knob(
        (), "Columns that are words, though they look like numbers: codes", max_length=5000, advanced=True
    )

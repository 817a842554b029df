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
    dates: Literal["day", "month"] | None = knob(
        None,
        "Which comes first in dates such as 03/04/2024; empty guesses, column by column: a number above 12 "
        "tells, or moments that are in order, and the day is taken where nothing does",
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
        "kin, and numbers such as -999 that lie far from all others, those of a regression's target aside",
        max_length=50, advanced=True,
    )  # fmt: skip
    numeric: tuple[str, ...] = knob(
        (), "Columns that are numbers, whatever they look like", max_length=5000, advanced=True
    )
    categorical: tuple[str, ...] = knob(
        (), "Columns that are words, though they look like numbers: codes", max_length=5000, advanced=True
    )


Role = Literal["number", "date", "category", "target", "id", "constant", "ignored", "split", "group"]
INPUTS = ("number", "date", "category")  # roles of the columns that a model sees
TableTask = Literal["classification", "regression", "multi_label"]


class TableSpec(Spec):
    """How the cells of a table become numbers: all that is learned for it comes from the training split."""

    numbers: Literal["standardize", "quantile", "none"] = knob(
        "standardize",
        "standardize: mean 0 and spread 1; quantile: by rank, to a normal distribution, which long tails do "
        "not disturb; none: as they are",
    )
    fill: Literal["median", "mean", "most_frequent", "zero"] = knob(
        "median", "What takes the place of a missing number, measured on the training split"
    )
    indicate: bool = knob(
        True, "Add a column of 0 and 1 for each column of numbers with missing cells", advanced=True
    )
    categories: Literal["embed", "one_hot"] = knob(
        "embed", "embed: a code that the model's first layer learns a vector for; one_hot: a 0 or 1 for each"
    )
    rare: int = knob(
        5, "Words of a column seen less often in the training split count as one and the same", unit="times",
        ge=1, le=100_000,
    )  # fmt: skip
    buckets: int = knob(
        0,
        "Codes that a column's words without a code of their own share, by a hash of each word: for columns "
        "of very many words. At most one for four such words; 0: they all count as one and the same",
        unit="codes", ge=0, le=10_000,
    )  # fmt: skip
    most: int = knob(
        200, "Different words of a column at most, the most frequent", unit="words", ge=1, le=10_000,
        advanced=True,
    )  # fmt: skip
    target: Literal["standardize", "none"] = knob(
        "standardize",
        "Regression: standardize lets the model learn the target with mean 0 and spread 1; marks are always "
        "told in the target's own unit",
        advanced=True,
    )


class TableImport(TableReading):
    """How a person wants a table to be read, where it should not be guessed. Empty fields are guessed."""

    target: tuple[str, ...] = knob(
        (),
        "The column that is to be told, by name or number from 1; several for several labels",
        max_length=500,
    )
    task: TableTask | None = knob(
        None, "classification: one of several classes; regression: a number; multi_label: several yes or no"
    )
    ignored: tuple[str, ...] = knob((), "Columns that the model shall not see", max_length=5000)
    used: tuple[str, ...] = knob(
        (),
        "Columns that the model shall see though they look like ids or names",
        max_length=5000,
        advanced=True,
    )


class TableColumn(Spec):
    """A column of a registered table: what it is for, and how its cells are read. reason: why it is not used;
    edges and counts: of its numbers, a histogram; common: its most frequent words with their counts."""

    name: str
    role: Role
    kind: Literal["number", "moment", "word"]
    reason: str = ""
    unit: str = ""
    way: str = ""
    decimal: str = "."
    scaled: bool = False
    sentinels: tuple[float, ...] = ()
    missing: int = 0
    distinct: int = 0
    is_whole: bool = False
    least: float | None = None
    greatest: float | None = None
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    common: tuple[tuple[str, int], ...] = ()

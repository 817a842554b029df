"""How data is to be read: the options that `data add` and `data look` have in common, and what they say."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

if TYPE_CHECKING:
    from workbench.specs.base import Spec
    from workbench.specs.data import TextImport
    from workbench.specs.series_import import SeriesImport
    from workbench.specs.tables import TableImport

S = TypeVar("S", bound="Spec")
KINDS = ("images", "masks", "text", "series", "table")  # of data that can be added
TASKS = ("classification", "language_model", "translation", "regression", "multi_label")
OF_TABLES = ("regression", "multi_label")

Kind = Annotated[
    str | None, typer.Option(metavar="|".join(KINDS), help="What it holds; found out when left away.")
]
Task = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(TASKS), help="Texts and tables: what they are for; found out when left away."
    ),
]
TextColumn = Annotated[
    list[str] | None,
    typer.Option(help="Texts: a column of the text, by name or number; again for more. Of aligned files: the "
                 "language that is translated."),
]  # fmt: skip
LabelColumn = Annotated[str | None, typer.Option(help="Texts: the column of the class.")]
TargetColumn = Annotated[str | None, typer.Option(help="Texts: the column or language of the translation.")]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Texts: whether the first row names the columns.")
]
Encoding = Annotated[str | None, typer.Option(help="Texts: their encoding, such as shift_jis.")]
TimeColumn = Annotated[str | None, typer.Option(help="Series: the column of the moments, by name or number.")]
ValueColumn = Annotated[
    list[str] | None, typer.Option(help="Series: a column of a variate, by name or number; again for more.")
]
FrequencyOption = Annotated[
    str | None, typer.Option("--frequency", help="Series: what lies between two steps, such as 1 h, 1 month.")
]
Gaps = Annotated[
    str | None, typer.Option(metavar="last|interpolate|keep", help="Series: what becomes of missing steps.")
]
Duplicates = Annotated[
    str | None, typer.Option(metavar="mean|first|last", help="Series: which row of a moment counts.")
]
Timezone = Annotated[str | None, typer.Option(help="Series: the zone of its moments, such as Europe/Berlin.")]
Columns = list[str] | None
Target = Annotated[
    Columns, typer.Option(help="Tables: the column to be told, by name or number; again for several labels.")
]
Ignore = Annotated[
    Columns, typer.Option(help="Tables: a column that the model shall not see; again for more.")
]
Use = Annotated[Columns, typer.Option(help="Tables: a column to be used though it looks like an id.")]
Numeric = Annotated[Columns, typer.Option(help="Tables: a column of numbers, whatever it looks like.")]
Categorical = Annotated[
    Columns, typer.Option(help="Tables: a column of words, though it looks like numbers.")
]
Missing = Annotated[
    Columns, typer.Option(help="Tables: a cell that says that nothing is known, such as -200.")
]
Separator = Annotated[
    str | None, typer.Option(metavar="comma|semicolon|tab|pipe|blank", help="Tables: the sign between cells.")
]
Decimal = Annotated[str | None, typer.Option(metavar="point|comma", help="Tables: before the decimals.")]
Dates = Annotated[
    str | None, typer.Option(metavar="day|month", help="Tables and series: what comes first in 03/04/2024.")
]
Sheet = Annotated[str | None, typer.Option(help="Tables: which sheet of a workbook.")]


class Reading(NamedTuple):
    """What is said of the kind, and of how it is to be read; None where nothing is."""

    kind: str | None
    texts: TextImport | None
    series: SeriesImport | None
    table: TableImport | None


def reading(
    *,
    kind: Kind = None,
    task: Task = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    target_column: TargetColumn = None,
    header: Header = None,
    encoding: Encoding = None,
    time_column: TimeColumn = None,
    value_column: ValueColumn = None,
    frequency: FrequencyOption = None,
    gaps: Gaps = None,
    duplicates: Duplicates = None,
    timezone: Timezone = None,
    target: Target = None,
    ignore: Ignore = None,
    use: Use = None,
    numeric: Numeric = None,
    categorical: Categorical = None,
    missing: Missing = None,
    separator: Separator = None,
    decimal: Decimal = None,
    dates: Dates = None,
    sheet: Sheet = None,
) -> Reading:
    """What the options say. What only tables know says that it is one. Raises DataError."""
    from workbench.specs.data import TextImport
    from workbench.specs.series_import import SeriesImport
    from workbench.specs.tables import TableImport

    _one_of("--kind", "kinds", kind, KINDS)
    _one_of("--task", "tasks", task, TASKS)
    both = {"header": header, "encoding": encoding}
    of_texts = _said(text_columns=text_column, label_column=label_column, target_column=target_column)
    cells = _said(missing=missing, separator=separator, decimal=decimal, sheet=sheet)
    of_tables = {
        **_said(target=target, ignored=ignore, used=use, numeric=numeric, categorical=categorical), **cells
    }  # fmt: skip
    of_series = _said(
        time_column=time_column, value_columns=value_column, frequency=frequency, gaps=gaps,
        duplicates=duplicates, timezone=timezone,
    )  # fmt: skip
    if kind is None and of_series:
        kind = "series"
    elif kind is None and (of_tables or task in OF_TABLES):
        kind = "table"
    texts, of_rows = None, {**both, "dates": dates}
    if kind == "table":
        table = _valid(TableImport, {**of_rows, **of_tables, "task": task})
    else:
        table = _valid(TableImport, {**of_rows, **of_tables})
        texts = _valid(TextImport, {**both, **of_texts, "task": task})
    series = None
    if kind == "series":
        series = _valid(SeriesImport, {**of_series, **cells, **of_rows})
    elif dates is not None:
        series = _valid(SeriesImport, {"dates": dates})
    return Reading(kind, texts, series, table)


def with_reading(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the options of `reading` in place of its `asked`, which is what they say."""
    own = inspect.signature(verb, eval_str=True).parameters
    options = inspect.signature(reading, eval_str=True).parameters

    @functools.wraps(verb)
    def told(**given: Any) -> None:
        said = {name: given.pop(name) for name in options}
        verb(**given, asked=reading(**said))

    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        parameters += list(options.values()) if name == "asked" else [parameter]
    told.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    told.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return told


def _one_of(option: str, word: str, given: str | None, known: tuple[str, ...]) -> None:
    from workbench.specs.errors import DataError

    if given is not None and given not in known:
        names = ", ".join(f"`{name}`" for name in known)
        raise DataError.of(
            option, f"the {word} are {names}", f"it is `{given[:40]}`", f"Leave {option} away."
        )


def _said(**given: str | list[str] | None) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value
    }


def _valid(kind: type[S], tree: dict[str, Any]) -> S:
    from pydantic import ValidationError

    from workbench.specs.base import problems_of
    from workbench.specs.errors import DataError

    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise DataError(*problems_of(error, tree)) from None

"""Verbs about data: add, look, list, show, tokens, rename, delete; versions; changes of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import Json, console, note, print_json, progress, table, the_store
from workbench.specs.layer import show as shape_text

if TYPE_CHECKING:
    from workbench.specs.data import TextImport
    from workbench.specs.series_import import SeriesImport
    from workbench.specs.tables import TableImport
    from workbench.store.datasets import DatasetRow

WORDS = {"text": "texts", "series": "steps", "table": "rows"}
KINDS = ("images", "masks", "text", "series", "table")  # of data that can be added
TASKS = ("classification", "language_model", "translation", "regression", "multi_label")
OF_TABLES = ("regression", "multi_label")
app = typer.Typer(help="Add, list and show data sets.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A registered data set.")]
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
    str | None, typer.Option(metavar="interpolate|last|keep", help="Series: what becomes of missing steps.")
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
Sheet = Annotated[str | None, typer.Option(help="Tables: which sheet of a workbook.")]


@app.command()
def add(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder or archive of class folders, or of images with a CSV; idx or NumPy files; tables, "
            "class folders, aligned files or plain files of texts; hf:owner/name[:config] of either.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; its file name when none.")] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="|".join(KINDS), help="What it holds; found out when left away.")
    ] = None,
    size: Annotated[int | None, typer.Option(min=4, max=512, help="Side of all images, in pixels.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, max=3, help="1 for grey, 3 for colour.")] = None,
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
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """Import pictures, texts or a series as a data set. What is not said of them is guessed and reported."""
    from rich.progress import BarColumn, TextColumn

    from workbench import catalog
    from workbench.specs.errors import DataError

    _one_of("--kind", "kinds", kind, KINDS)
    kind, texts, asked_table = _asked(
        kind, task, header, encoding,
        {"text_columns": text_column, "label_column": label_column, "target_column": target_column},
        {"target": target, "ignored": ignore, "used": use, "numeric": numeric, "categorical": categorical,
         "missing": missing, "separator": separator, "decimal": decimal, "sheet": sheet},
    )  # fmt: skip
    series = _series(time_column, value_column, frequency, gaps, duplicates, timezone, header, encoding, kind)
    if not path.strip():
        raise DataError.of("PATH", "a path must be given", "it is empty", "Name a folder or a file.")
    store = the_store()
    with progress(BarColumn(), TextColumn("{task.description}", markup=False)) as bar:
        task = bar.add_task("", total=1.0)

        def tick(text: str, share: float) -> None:
            bar.update(task, description=text, completed=share)

        row = catalog.add(
            store, path, name=name, size=size, channels=channels, progress=tick, kind=kind, texts=texts,
            series=series, table=asked_table,
        )  # fmt: skip
    _print(catalog.show(store, row.name), as_json)


@app.command()
def look(
    path: Annotated[str, typer.Argument(metavar="PATH", help="What `data add` would be given.")],
    kind: Annotated[str | None, typer.Option(metavar="|".join(KINDS), help="What it holds.")] = None,
    task: Task = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    target_column: TargetColumn = None,
    header: Header = None,
    encoding: Encoding = None,
    time_column: TimeColumn = None,
    value_column: ValueColumn = None,
    frequency: FrequencyOption = None,
    target: Target = None,
    ignore: Ignore = None,
    use: Use = None,
    numeric: Numeric = None,
    categorical: Categorical = None,
    missing: Missing = None,
    separator: Separator = None,
    decimal: Decimal = None,
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """What `data add` would take PATH for: kind, task and columns, with some rows; nothing is added."""
    from workbench import catalog

    _one_of("--kind", "kinds", kind, KINDS)
    kind, texts, asked_table = _asked(
        kind, task, header, encoding,
        {"text_columns": text_column, "label_column": label_column, "target_column": target_column},
        {"target": target, "ignored": ignore, "used": use, "numeric": numeric, "categorical": categorical,
         "missing": missing, "separator": separator, "decimal": decimal, "sheet": sheet},
    )  # fmt: skip
    series = _series(time_column, value_column, frequency, None, None, None, header, encoding, kind)
    found = catalog.look(path, kind=kind, texts=texts, series=series, table=asked_table)
    if as_json:
        print_json(found)
        return
    if found["kind"] == "images":
        print("images")
        return
    if found["kind"] == "series":
        step = f"a step every {found['frequency']}" if found["frequency"] else "uneven steps"
        print(f"a series: {found['rows']:,} rows, {step}")
    else:
        what = "table" if found["kind"] == "table" else "texts"
        print(f"{what} for {found['task']}, from {found['form']}")
    for role, name in found["columns"].items():
        print(f"{role}: {name}")
    for name, role in found.get("roles", {}).items():
        reason = found["reasons"].get(name)
        print(f"{role}: {name}" + (f" ({reason})" if reason else ""))
    if found["examples"]:
        rows = table(*found["names"])
        for cells in found["examples"]:
            rows.add_row(*(cell if len(cell) <= 60 else cell[:59] + "…" for cell in cells))
        console().print(rows)


@app.command()
def tokens(
    name: Name,
    text: Annotated[str | None, typer.Argument(help="A text to be cut into tokens.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="text.KEY=VALUE", help="Settings, such as text.tokenizer=bpe."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What a tokenizer makes of a set of texts: lengths, unknown words, and the tokens of one text."""
    from workbench import catalog
    from workbench.specs.run import RunSpec

    spec = RunSpec().with_changes(f"data.name={name}", *(f"data.{item}" for item in change or ())).data
    store = the_store()
    shape: Any = catalog.shape_and_classes(store, spec)[0]
    if text is not None:
        found = catalog.tokenized(store, spec, text)
        if as_json:
            print_json(
                {"tokens": found.tokens, "ids": found.ids, "unknown": found.unknown, "cut": found.is_cut}
            )
            return
        print(" ".join(f"{token!r}:{i}" for token, i in zip(found.tokens, found.ids, strict=True)))
        return
    sizes, unknown = catalog.lengths(store, spec), catalog.unknown_rate(store, spec)
    if as_json:
        facts = {"mean": sizes.mean, "longest": sizes.longest, "cut": sizes.cut, "tokens": sizes.tokens}
        print_json({"shape": shape_text(shape), **facts, "unknown": unknown})
        return
    print(
        f"{shape_text(shape)}; {sizes.mean:.1f} tokens a text, at most {sizes.longest:,}; {sizes.cut:.1%} cut"
    )
    print("tokens: " + ", ".join(f"{n:,} {split}" for split, n in sizes.tokens.items()))
    print("unknown: " + ", ".join(f"{share:.2%} {split}" for split, share in unknown.items()))


@app.command("list")
def list_sets(as_json: Json = False) -> None:
    """The registered data sets, the shipped ones included."""
    from workbench import catalog

    found = catalog.list(the_store())
    if as_json:
        print_json(
            [
                {
                    "name": row.name, "kind": row.schema.kind, "task": row.schema.task, "rows": row.rows,
                    "classes": list(row.schema.classes), "splits": dict(row.splits),
                }
                for row in found
            ]
        )  # fmt: skip
        return
    rows = table("name", "samples>", "shape or task", "classes>", "splits")
    for row in found:
        splits = ", ".join(f"{n:,} {split}" for split, n in row.splits.items())
        plain = {"text": "texts", "table": "table"}.get(row.schema.kind)
        shape = f"{plain}, {row.schema.task}" if plain else shape_text(row.schema.shape)
        if row.schema.kind == "series":
            n, step = len(row.schema.variates), row.schema.frequency or "uneven"
            shape = f"series, {n} {'variate' if n == 1 else 'variates'}, {step}"
        rows.add_row(row.name, f"{row.rows:,}", shape, str(len(row.schema.classes)), splits)
    console().print(rows)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Schema, counts and the import's report of a data set."""
    from workbench import catalog

    _print(catalog.show(the_store(), name), as_json)


@app.command()
def delete(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove a data set. Runs trained on it keep their results."""
    from workbench import catalog

    store = the_store()
    row = catalog.with_shipped(store, name)
    if not yes and not typer.confirm(f"Delete data set {row.name} ({row.rows:,} {_word(row)})?", err=True):
        note("Nothing was deleted.")
        raise typer.Exit(1)
    catalog.delete(store, name)
    note(f"Deleted {name}.")


@app.command()
def rename(name: Name, new: Annotated[str, typer.Argument(help="The new name.")]) -> None:
    """Give a data set another name."""
    from workbench import catalog

    catalog.rename(the_store(), name, new)
    note(f"{name} is now called {new}.")


@app.command()
def copy(name: Name, new: Annotated[str, typer.Argument(help="The copy's name.")]) -> None:
    """Copy a data set, to change the copy. Its pixels take no new room."""
    from workbench import catalog

    _changed(catalog.copy(the_store(), name, new))


@app.command()
def versions(
    name: Name,
    restore: Annotated[int | None, typer.Option(min=1, help="Make this version the newest again.")] = None,
    as_json: Json = False,
) -> None:
    """The versions of a data set, the newest first. A run keeps the one it started with."""
    from workbench import catalog

    store = the_store()
    catalog.with_shipped(store, name)
    if restore is not None:
        _changed(catalog.restore(store, name, restore))
    found = store.datasets.versions(name)
    facts: list[dict[str, Any]] = [
        {
            "version": row.version, "rows": row.rows, "classes": list(row.schema.classes),
            "fingerprint": row.fingerprint, "added": row.added,
            "change": next((r["reason"] for r in reversed(row.report) if r["file"] == "the data set"), ""),
        }
        for row in found
    ]  # fmt: skip
    if as_json:
        print_json(facts)
        return
    rows = table("version>", "samples>", "classes>", "fingerprint", "change")
    for fact in facts:
        rows.add_row(
            str(fact["version"]), f"{fact['rows']:,}", str(len(fact["classes"])), fact["fingerprint"][:12],
            fact["change"],
        )  # fmt: skip
    console().print(rows)


@app.command("rename-class")
def rename_class(
    name: Name,
    old: Annotated[str, typer.Argument(help="The class.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
) -> None:
    """Give a class another name, in a new version."""
    from workbench import catalog

    _changed(catalog.rename_class(the_store(), name, old, new))


@app.command("merge-classes")
def merge_classes(
    name: Name,
    classes: Annotated[list[str], typer.Argument(help="Two classes or more.")],
    into: Annotated[str, typer.Option(help="The class that is left; a new name or one of them.")],
) -> None:
    """Make one class of several, in a new version."""
    from workbench import catalog

    _changed(catalog.merge_classes(the_store(), name, classes, into))


@app.command("drop-classes")
def drop_classes(
    name: Name, classes: Annotated[list[str], typer.Argument(help="Classes to leave out.")]
) -> None:
    """Leave classes out with their images or texts, in a new version."""
    from workbench import catalog

    _changed(catalog.drop_classes(the_store(), name, classes))


@app.command()
def relabel(
    name: Name,
    to: Annotated[str, typer.Argument(help="The class they get; a new one may be named.")],
    rows: Annotated[list[int], typer.Argument(help="Numbers of images or texts, from 0.")],
) -> None:
    """Give single images or texts another class, in a new version."""
    from workbench import catalog

    _changed(catalog.relabel(the_store(), name, rows, to))


@app.command()
def copies(
    name: Name,
    drop: Annotated[
        bool, typer.Option("--drop", help="Leave out all but the first of identical ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Images or texts that occur more than once, identical or nearly, as pairs of numbers."""
    from workbench import catalog

    store = the_store()
    found = catalog.copies(store, name)
    if drop and len(found.same):
        _changed(catalog.drop_images(store, name, found.same[:, 1].tolist()))
        return
    if as_json:
        print_json({"identical": found.same.tolist(), "near": found.near.tolist()})
        return
    print(f"{len(found.same):,} identical, {len(found.near):,} nearly")
    for word, pairs in (("identical", found.same), ("nearly", found.near)):
        for a, b in pairs[:50].tolist():
            print(f"{word}: {a} and {b}")


def _changed(row: DatasetRow) -> None:
    word = _word(row)
    note(f"{row.name} is at version {row.version}: {row.rows:,} {word}, {len(row.schema.classes)} classes.")


def _word(row: DatasetRow) -> str:
    return WORDS.get(row.schema.kind, row.schema.kind)


def _one_of(option: str, word: str, given: str | None, known: tuple[str, ...]) -> None:
    from workbench.specs.errors import DataError

    if given is not None and given not in known:
        names = ", ".join(f"`{name}`" for name in known)
        raise DataError.of(
            option, f"the {word} are {names}", f"it is `{given[:40]}`", f"Leave {option} away."
        )


def _asked(
    kind: str | None, task: str | None, header: bool | None, encoding: str | None, of_texts: dict[str, Any],
    of_tables: dict[str, Any],
) -> tuple[str | None, TextImport | None, TableImport | None]:  # fmt: skip
    """What is asked for, of texts and of tables. What only one of them knows says which it is."""
    from pydantic import ValidationError

    from workbench.specs.base import problems_of
    from workbench.specs.data import TextImport
    from workbench.specs.errors import DataError
    from workbench.specs.tables import TableImport

    _one_of("--task", "tasks", task, TASKS)
    plain = {
        name: tuple(value) if isinstance(value, list) else value for name, value in of_tables.items() if value
    }
    if kind is None and (plain or task in OF_TABLES):
        kind = "table"
    both = {"header": header, "encoding": encoding}
    text = {**both, **{n: tuple(v) if isinstance(v, list) else v for n, v in of_texts.items() if v}}
    tree: dict[str, Any] = {}
    try:
        tree = {**both, **plain}
        if kind == "table":
            return kind, None, TableImport.model_validate({**tree, "task": task})
        table = TableImport.model_validate(tree)
        tree = {**text, "task": task}
        return kind, TextImport.model_validate(tree), table
    except ValidationError as error:
        raise DataError(*problems_of(error, tree)) from None


def _series(
    time: str | None, values: list[str] | None, frequency: str | None, gaps: str | None,
    duplicates: str | None, timezone: str | None, header: bool | None, encoding: str | None, kind: str | None,
) -> SeriesImport | None:  # fmt: skip
    """How a series is to be read; None where nothing of it is said."""
    from pydantic import ValidationError

    from workbench.specs.base import problems_of
    from workbench.specs.errors import DataError
    from workbench.specs.series_import import SeriesImport

    tree: dict[str, Any] = {
        "time_column": time, "value_columns": tuple(values or ()), "frequency": frequency, "gaps": gaps,
        "duplicates": duplicates, "timezone": timezone,
    }  # fmt: skip
    tree = {name: value for name, value in tree.items() if value}
    if not tree and kind != "series":
        return None
    try:
        return SeriesImport.model_validate({**tree, "header": header, "encoding": encoding})
    except ValidationError as error:
        raise DataError(*problems_of(error, tree)) from None


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    what = f"{facts['rows']:,} {WORDS.get(facts['kind'], facts['kind'])}"
    what += (
        f", {len(facts['classes'])} classes, {facts['task']}" if facts["classes"] else f", {facts['task']}"
    )
    print(f"{facts['name']}: {what}")
    print("splits: " + ", ".join(f"{n:,} {split}" for split, n in facts["splits"].items()))
    if facts["classes"]:
        print("classes: " + ", ".join(facts["classes"]))
    if facts["schema"]["variates"]:
        print("variates: " + ", ".join(facts["schema"]["variates"]))
        print(f"a step every {facts['schema']['frequency'] or '(uneven)'}")
    for role, column in facts["schema"]["columns"].items():
        print(f"{role}: {column}")
    for column in facts["schema"].get("fields", ()):
        gaps = f", {column['missing']:,} missing" if column["missing"] else ""
        why = f" ({column['reason']})" if column["reason"] else ""
        print(f"  {column['name']}: {column['role']}{gaps}{why}")
    worth = [item for item in facts["report"] if item["action"] != "kept"]
    for item in worth[:50]:
        print(f"{item['action']}: {item['file']}: {item['reason']}")
    if len(worth) > 50:
        print(f"… and {len(worth) - 50} more; see --json")

"""Verbs about data: add, look, list, show, tokens, rename, delete; with those of `editing`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench.cli import editing
from workbench.cli.editing import WORDS, Name, word_of
from workbench.cli.reading import Reading, with_reading
from workbench.cli.terminal import Json, console, note, print_json, table, the_store, worked_out
from workbench.specs.layer import show as shape_text

app = typer.Typer(help="Add, list and show data sets.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
@with_reading
def add(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder or archive of class folders, of images with a CSV or alone; idx or NumPy files; "
            "tables, class folders, aligned files or plain files of texts; hf:owner/name[:config] of either.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; its file name when none.")] = None,
    size: Annotated[int | None, typer.Option(min=4, max=512, help="Side of all images, in pixels.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, max=3, help="1 for grey, 3 for colour.")] = None,
    *,
    asked: Reading,
    as_json: Json = False,
) -> None:
    """Import pictures, texts or a series as a data set. What is not said of them is guessed and reported."""
    from workbench import catalog
    from workbench.specs.errors import DataError

    if not path.strip():
        raise DataError.of("PATH", "a path must be given", "it is empty", "Name a folder or a file.")
    store = the_store()
    with worked_out() as tick:
        row = catalog.add(
            store, path, name=name, size=size, channels=channels, progress=tick, **asked._asdict()
        )
    _print(catalog.show(store, row.name), as_json)


@app.command()
@with_reading
def look(
    path: Annotated[str, typer.Argument(metavar="PATH", help="What `data add` would be given.")],
    *,
    asked: Reading,
    as_json: Json = False,
) -> None:
    """What `data add` would take PATH for: kind, task and columns, with some rows; nothing is added."""
    from workbench import catalog

    found = catalog.look(path, **asked._asdict())
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
    if not yes and not typer.confirm(f"Delete data set {row.name} ({row.rows:,} {word_of(row)})?", err=True):
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


for verb in editing.VERBS:
    app.command(verb.__name__.replace("_", "-"))(verb)

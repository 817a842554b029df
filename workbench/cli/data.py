"""Verbs about data: add, list, show, rename, delete; copy, versions, and changes of classes and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import Json, console, note, print_json, progress, table, the_store
from workbench.specs.layer import show as shape_text

if TYPE_CHECKING:
    from workbench.store.datasets import DatasetRow

KINDS = ("images",)  # of data that can be added
app = typer.Typer(help="Add, list and show data sets.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A registered data set.")]


@app.command()
def add(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder or archive of class folders, or of images with a CSV; idx or NumPy files; "
            "hf:owner/name.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; its file name when none.")] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="images", help="What it holds; found out when left away.")
    ] = None,
    size: Annotated[int | None, typer.Option(min=4, max=512, help="Side of all images, in pixels.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, max=3, help="1 for grey, 3 for colour.")] = None,
    as_json: Json = False,
) -> None:
    """Import pictures as a data set."""
    from rich.progress import BarColumn, TextColumn

    from workbench import catalog
    from workbench.specs.errors import DataError

    if kind not in (None, *KINDS):
        known = ", ".join(f"`{name}`" for name in KINDS)
        raise DataError.of("--kind", f"the kinds are {known}", f"it is `{kind[:40]}`", "Leave --kind away.")
    if not path.strip():
        raise DataError.of("PATH", "a path must be given", "it is empty", "Name a folder or a file.")
    store = the_store()
    with progress(BarColumn(), TextColumn("{task.description}", markup=False)) as bar:
        task = bar.add_task("", total=1.0)

        def tick(text: str, share: float) -> None:
            bar.update(task, description=text, completed=share)

        row = catalog.add(store, path, name=name, size=size, channels=channels, progress=tick)
    _print(catalog.show(store, row.name), as_json)


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
    rows = table("name", "images>", "shape", "classes>", "splits")
    for row in found:
        splits = ", ".join(f"{n:,} {split}" for split, n in row.splits.items())
        shape = shape_text(row.schema.shape)
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
    if not yes and not typer.confirm(f"Delete data set {row.name} ({row.rows:,} images)?", err=True):
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
    rows = table("version>", "images>", "classes>", "fingerprint", "change")
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
    """Leave classes out with their images, in a new version."""
    from workbench import catalog

    _changed(catalog.drop_classes(the_store(), name, classes))


@app.command()
def relabel(
    name: Name,
    to: Annotated[str, typer.Argument(help="The class they get; a new one may be named.")],
    rows: Annotated[list[int], typer.Argument(help="Numbers of images, from 0.")],
) -> None:
    """Give single images another class, in a new version."""
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
    """Images that occur more than once, identical or nearly, as pairs of numbers."""
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
    note(f"{row.name} is at version {row.version}: {row.rows:,} images, {len(row.schema.classes)} classes.")


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    what = f"{facts['rows']:,} {facts['kind']}, {len(facts['classes'])} classes, {facts['task']}"
    print(f"{facts['name']}: {what}")
    print("splits: " + ", ".join(f"{n:,} {split}" for split, n in facts["splits"].items()))
    print("classes: " + ", ".join(facts["classes"]))
    worth = [item for item in facts["report"] if item["action"] != "kept"]
    for item in worth[:50]:
        print(f"{item['action']}: {item['file']}: {item['reason']}")
    if len(worth) > 50:
        print(f"… and {len(worth) - 50} more; see --json")

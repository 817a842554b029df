"""Verbs that change a data set, each in a new version: its classes, single samples, copies, the versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import Json, console, note, print_json, table, the_store

if TYPE_CHECKING:
    from workbench.store.datasets import DatasetRow

WORDS = {"text": "texts", "series": "steps", "table": "rows"}
Name = Annotated[str, typer.Argument(metavar="NAME", help="A registered data set.")]


def copy(name: Name, new: Annotated[str, typer.Argument(help="The copy's name.")]) -> None:
    """Copy a data set, to change the copy. Its pixels take no new room."""
    from workbench import catalog

    _changed(catalog.copy(the_store(), name, new))


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


def rename_class(
    name: Name,
    old: Annotated[str, typer.Argument(help="The class.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
) -> None:
    """Give a class another name, in a new version."""
    from workbench import catalog

    _changed(catalog.rename_class(the_store(), name, old, new))


def merge_classes(
    name: Name,
    classes: Annotated[list[str], typer.Argument(help="Two classes or more.")],
    into: Annotated[str, typer.Option(help="The class that is left; a new name or one of them.")],
) -> None:
    """Make one class of several, in a new version."""
    from workbench import catalog

    _changed(catalog.merge_classes(the_store(), name, classes, into))


def drop_classes(
    name: Name, classes: Annotated[list[str], typer.Argument(help="Classes to leave out.")]
) -> None:
    """Leave classes out with their images or texts, in a new version."""
    from workbench import catalog

    _changed(catalog.drop_classes(the_store(), name, classes))


def relabel(
    name: Name,
    to: Annotated[str, typer.Argument(help="The class they get; a new one may be named.")],
    rows: Annotated[list[int], typer.Argument(help="Numbers of images or texts, from 0.")],
) -> None:
    """Give single images or texts another class, in a new version."""
    from workbench import catalog

    _changed(catalog.relabel(the_store(), name, rows, to))


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
    word = word_of(row)
    note(f"{row.name} is at version {row.version}: {row.rows:,} {word}, {len(row.schema.classes)} classes.")


def word_of(row: DatasetRow) -> str:
    """What its samples are called."""
    return WORDS.get(row.schema.kind, row.schema.kind)


VERBS: tuple[Callable[..., None], ...] = (
    copy, versions, rename_class, merge_classes, drop_classes, relabel, copies,
)  # fmt: skip

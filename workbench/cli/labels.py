"""Verbs that put order into runs: tags, notes, and the archive."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.terminal import Run, note, the_store
from workbench.specs.errors import RunError

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, starts of ids, or names of runs.")]


def tag(
    run: Run,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[+TAG|-TAG]...", help="+TAG adds, -TAG removes.")
    ] = None,
) -> None:
    """Add and remove tags of a run; prints the tags it has then."""
    store = the_store()
    row = store.runs.get(run)
    wrong = [text for text in changes or [] if text[:1] not in ("+", "-")]
    if wrong:
        raise RunError.of(
            f"`{wrong[0]}`", "a change of tags begins with + or -", "it begins with neither",
            f"Write +{wrong[0]} to add it, -{wrong[0]} to remove it.",
        )  # fmt: skip
    add = [text[1:] for text in changes or [] if text[0] == "+"]
    remove = [text[1:] for text in changes or [] if text[0] == "-"]
    store.labels.tag([row.id], add=add, remove=remove)
    print("\n".join(store.runs.get(row.id).tags))


def archive(
    runs: Runs,
    undo: Annotated[bool, typer.Option("--undo", help="Take them back into the lists.")] = False,
) -> None:
    """Put runs away: lists leave them out, nothing of them is lost."""
    store = the_store()
    rows = [store.runs.get(ref) for ref in runs]
    store.labels.archive([row.id for row in rows], not undo)
    for row in rows:
        note(f"{'Took back' if undo else 'Archived'} {row.id} ({row.name}).")

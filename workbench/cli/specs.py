"""Verbs about specs: `presets` and `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.terminal import (
    Changes,
    Json,
    SpecPath,
    console,
    print_error,
    print_json,
    read_spec,
    table,
    the_store,
)
from workbench.specs.errors import SpecError
from workbench.specs.layer import show as shape_text
from workbench.specs.presets import PRESETS, preset

if TYPE_CHECKING:
    from workbench.store.presets import Kept


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print this one as a YAML spec.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the presets, your own among them, or one as a YAML spec."""
    from workbench.store import own_presets

    mine = own_presets()
    if name is not None:
        spec = preset(name).spec if name in PRESETS else mine.get(name)
        print(spec.to_json() if as_json else spec.to_yaml(), end="\n" if as_json else "")
    elif as_json:
        listed = [
            {"name": p.name, "title": p.title, "about": p.about, "own": False} for p in PRESETS.values()
        ]
        own = [{"name": p.name, "title": p.name, "about": _about(p), "own": True} for p in mine.list()]
        print_json(listed + own)
    else:
        rows = table("name", "about")
        for p in PRESETS.values():
            rows.add_row(p.name, p.about)
        for kept in mine.list():
            rows.add_row(kept.name, _about(kept))
        console().print(rows)


def _about(kept: Kept) -> str:
    """One of the person's own in a sentence; a damaged one says so."""
    if kept.spec is None:
        fact = kept.problem.fact if kept.problem else "it cannot be read"
        return f"Your own, but its file is damaged: {fact}."
    return f"Your own: {len(kept.spec.model.layers)} layers, data set {kept.spec.data.name}."


def check(spec: SpecPath, changes: Changes = None, as_json: Json = False) -> None:
    """Shapes, parameters, memory and problems of a spec.

    Nothing is trained. The exit code is 2 when the spec cannot run.
    """
    from workbench.jobs.check import check as check_spec
    from workbench.jobs.outlook import outlook

    store, wanted = the_store(), read_spec(spec, changes)
    report = check_spec(store, wanted)
    if as_json:
        print_json(report.to_json())
    else:
        rows = table("layer>", "kind", "output", "parameters>", "mult-adds>")
        for row in report.layers:
            shape = shape_text(row.out_shape) if row.out_shape is not None else "?"
            rows.add_row(row.label, row.kind, shape, f"{row.parameters:,}", f"{row.mult_adds:,}")
        if report.layers:
            console().print(rows)
            print(
                f"{report.parameters:,} parameters, about {report.memory_bytes / 1e6:,.0f} MB while training"
            )
        if report.problems:
            print_error(SpecError(*report.problems))
        if report.ok:
            for head, sentence in outlook(store, wanted, report):
                print(f"{head + ':':12} {sentence}")
        print("It can run." if report.ok else "It cannot run as it is.")
    if not report.ok:
        raise typer.Exit(2)

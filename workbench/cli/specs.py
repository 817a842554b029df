"""Verbs about specs: `presets` and `check`."""

from __future__ import annotations

from typing import Annotated

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


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print this one as a YAML spec.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the presets, or one as a YAML spec."""
    if name is not None:
        spec = preset(name).spec
        print(spec.to_json() if as_json else spec.to_yaml(), end="\n" if as_json else "")
    elif as_json:
        print_json([{"name": p.name, "title": p.title, "about": p.about} for p in PRESETS.values()])
    else:
        rows = table("name", "about")
        for p in PRESETS.values():
            rows.add_row(p.name, p.about)
        console().print(rows)


def check(spec: SpecPath, changes: Changes = None, as_json: Json = False) -> None:
    """Shapes, parameters, memory and problems of a spec.

    Nothing is trained. The exit code is 2 when the spec cannot run.
    """
    from workbench.jobs.check import check as check_spec

    report = check_spec(the_store(), read_spec(spec, changes))
    if as_json:
        print_json(report.to_json())
    else:
        rows = table("layer>", "kind", "output", "parameters>", "mult-adds>")
        for row in report.layers:
            shape = shape_text(row.out_shape) if row.out_shape is not None else "?"
            rows.add_row(str(row.index), row.kind, shape, f"{row.parameters:,}", f"{row.mult_adds:,}")
        if report.layers:
            console().print(rows)
            print(
                f"{report.parameters:,} parameters, about {report.memory_bytes / 1e6:,.0f} MB while training"
            )
        if report.problems:
            print_error(SpecError(*report.problems))
        print("It can run." if report.ok else "It cannot run as it is.")
    if not report.ok:
        raise typer.Exit(2)

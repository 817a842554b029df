"""`workbench import`: plain weights from elsewhere, laid onto a design for runs to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.terminal import Changes, Json, console, note, print_json, read_spec, table, the_store


def import_(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A .safetensors, .pt or .pth file.")],
    spec: Annotated[
        str, typer.Option(metavar="SPEC.yaml", help="The design: a file, a preset's name, or - .")
    ],
    changes: Changes = None,
    name: Annotated[
        str | None,
        typer.Option(help="What they are called from now on; the file's name where none is given."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, and keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Lay plain weights onto a design, tensor by tensor, and keep them for runs to begin with.

    Nothing in the file is run. Tensors go by name, then by order and shape; the report says of every one
    what became of it.
    """
    from workbench.worker.importing import import_weights

    store = the_store()
    found = import_weights(store, weights, read_spec(spec, changes), name, keep=not dry_run)
    if as_json:
        print_json(found)
        return
    rows = table("", "in the design", "in the file", "shape")
    for line in found["lines"]:
        shapes = [line["shape"], line["their_shape"]]
        told = [("×".join(map(str, s)) or "a number") for s in shapes if s is not None]
        shape = told[0] if len(set(told)) == 1 else f"{told[0]}, in the file {told[-1]}"
        rows.add_row(
            line["what"], line["ours"], "" if line["theirs"] == line["ours"] else line["theirs"], shape
        )
    console().print(rows)
    print(", ".join(f"{n} {kind}" for kind, n in found["counts"].items() if n))
    print(f"{found['taken']:,} of {found['parameters']:,} numbers of the model are taken from the file")
    for warning in found["warnings"]:
        note(f"warning: {warning}")
    if not dry_run:
        print(f"Kept as {found['name']}. Begin with them: --set training.start_weights={found['name']}")

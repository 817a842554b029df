"""Verbs that make a trained model smaller: `shrink`, and `variants`, which measures what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import (
    Checkpoint,
    Detach,
    Json,
    Run,
    console,
    note,
    print_json,
    table,
    the_store,
    worked_out,
)
from workbench.specs.errors import RunError, SpecError

if TYPE_CHECKING:
    from workbench.specs.smaller import Prune
    from workbench.store import Store


def shrink(
    run: Run,
    prune: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Leave out this share of the weights, 0.5 say.")
    ] = None,
    structured: Annotated[
        bool, typer.Option("--structured", help="Whole channels and neurons: a smaller, faster model.")
    ] = False,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="Compare weights within each layer, not over the model.")
    ] = False,
    quantise: Annotated[
        str | None,
        typer.Option(metavar="dynamic|static", help="8-bit weights; static: convolutions too, calibrated."),
    ] = None,
    finetune: Annotated[
        float, typer.Option(metavar="EPOCHS", help="How long the pruned model trains on.")
    ] = 1.0,
    checkpoint: Checkpoint = None,
    detach: Detach = False,
    as_json: Json = False,
) -> int:
    """Make a smaller variant of a trained run: pruned and trained on, or with 8-bit weights.

    A pruned variant is a run of its own: its id is printed first, and it is waited for as `train` does.
    """
    from workbench.cli.train import wait
    from workbench.jobs import smaller as jobs

    if (prune is None) == (quantise is None):
        raise SpecError.of(
            "shrink", "it is said how, by --prune or by --quantise",
            "neither was given" if prune is None else "both were given",
            "Write --prune 0.5, or --quantise static.",
        )  # fmt: skip
    store = the_store()
    if prune is not None:
        run_id = jobs.prune(store, run, _prune(prune, structured, per_layer), finetune, checkpoint)
        print(run_id, flush=True)
        return 0 if detach else wait(store, run_id, as_json=as_json)
    row = store.runs.get(run)
    found = _asked(store, jobs.quantise_question(row.id, str(quantise), checkpoint))
    if as_json:
        print_json(found)
    else:
        print(f"{row.id} {found['checkpoint']}: {found['bytes']:,} bytes, made of {found['from']}")
        note(f"Use it: workbench evaluate {row.id} --checkpoint {found['checkpoint']}")
    return 0


def variants(
    run: Run,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="best|last|STEP", help="The original; the best where there is such.")
    ] = None,
    kept: Annotated[
        bool, typer.Option("--kept", help="Print what was measured last; measure nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure a run's variants beside it: size, zeros, accuracy, latency.

    Variants are the runs pruned from it, the students it has taught and its 8-bit checkpoints.
    """
    from workbench.jobs import smaller as jobs

    store = the_store()
    row = store.runs.get(run)
    found = jobs.measured(store, row) if kept else _asked(store, jobs.measure_question(row.id, checkpoint))
    if found is None:
        raise RunError.of(
            f"run `{row.name}`", "its variants must have been measured", "they were not",
            f"Measure them: workbench variants {row.id}.",
        )  # fmt: skip
    rows = jobs.ratios(found)
    if as_json:
        print_json({**found, "rows": rows})
        return
    shown = table(
        "variant", "run!", "size>", "zipped>", "numbers>", "not 0>", f"{found['mark']}>", "1 sample>",
        "of 32>", "size ratio>", "speed ratio>", "quicker at",
    )  # fmt: skip
    for one in rows:
        quicker = "" if one["kind"] == "original" else jobs.quicker_at(one)
        shown.add_row(*_cells(one), *([] if "problem" in one else [quicker]))
    console().print(shown)
    print(
        f"{found['mark']} on {found['samples']:,} {found['split']} samples; ms per sample in batches of 1 "
        f"and 32: processor time of {found['threads']} thread, warm medians, {found['machine']}. Speed "
        "ratio: in batches of 1, of 32; quicker at: the batches for which it is above 1.05."
    )


def _cells(one: dict[str, Any]) -> list[str]:
    what = one["kind"] if one["kind"] != "int8" else one["checkpoint"]
    if "problem" in one:
        return [what, one["run"], f"{one['state']}: {one['problem']}"]
    zipped = "" if one["zipped"] is None else f"{one['zipped'] / 1e3:,.0f} kB"
    return [
        what, one["run"], f"{one['bytes'] / 1e3:,.0f} kB", zipped, f"{one['parameters']:,}",
        f"{one['nonzeros']:,}", f"{one['value']:.4f}", f"{one['latency_1_ms']:.3f}",
        f"{one['latency_32_ms']:.3f}", _ratio(one["size"]),
        f"{_ratio(one['speed_1'])}, {_ratio(one['speed_32'])}",
    ]  # fmt: skip


def _ratio(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _prune(amount: float, structured: bool, per_layer: bool) -> Prune:
    from pydantic import ValidationError

    from workbench.specs.base import problems_of
    from workbench.specs.smaller import Prune

    scope = "layer" if per_layer else "global"
    try:
        return Prune(what="channels" if structured else "weights", amount=amount, scope=scope)
    except ValidationError as error:
        raise SpecError(*problems_of(error)) from None


def _asked(store: Store, question: dict[str, Any]) -> dict[str, Any]:
    """The answer, with a bar while it is worked out."""
    from workbench.jobs.trials import result_of

    with worked_out("Starting") as tick:
        return result_of(store, question, tick)

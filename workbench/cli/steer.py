"""Verbs that steer a run: pause, park, resume, step, stop, change, ledger, fork."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.terminal import (
    Changes,
    Json,
    Run,
    note,
    print_json,
    report,
    run_json,
    table,
    the_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.records import Change, RunState
    from workbench.store import RunRow, Store

SILENT_S = 5.0  # a run at work beats each second
PATIENCE_S = 20.0  # how long pause, resume and stop wait to see what they asked for


def pause(run: Run, as_json: Json = False) -> None:
    """Let a run wait, loaded as it is."""
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    row = jobs.pause(store, run)
    _report_reached(_until(store, row, RunState.PAUSED), RunState.PAUSED, as_json)


def park(run: Run, as_json: Json = False) -> None:
    """Let a run wait and give its memory and its slot back.

    `resume` puts it into the queue; it goes on exactly where it was.
    """
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    before = jobs.park(store, run)
    row = _seen(store, before, lambda row: row.parked or row.state.is_over)
    report(row, as_json, said=None if not row.parked else f"{row.id} is parked at step {row.step:,}")
    if not row.parked and row.state is not RunState.FINISHED:
        if not row.state.is_over:
            note(f"It is not parked yet: {_why(row)}")
        raise typer.Exit(1)


def resume(
    run: Run,
    changes: Changes = None,
    offer: Annotated[
        bool, typer.Option("--offer", help="Take up what the error of a failed run offers.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let a paused run go on, or continue an ended one.

    A parked, stopped, failed or lost run goes on from its last checkpoint; a paused one in place. With
    --set it goes on changed; what can be changed that way, `change` says.
    """
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    if offer:
        jobs.accept_offer(store, run)
    before = jobs.resume(store, run, changes or []) if changes or not offer else store.runs.get(run)
    if before.state is RunState.PAUSED and not before.parked:
        _report_reached(_until(store, before, RunState.RUNNING), RunState.RUNNING, as_json)
    else:
        report(store.runs.get(before.id), as_json)


def step(
    run: Run,
    steps: Annotated[int, typer.Argument(metavar="N", help="Updates to do.")] = 1,
    as_json: Json = False,
) -> None:
    """Let a run do N updates and then pause."""
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    before = store.runs.get(run)
    jobs.step(store, before.id, steps)

    def done(row: RunRow) -> bool:
        return row.state.is_over or (row.state is RunState.PAUSED and row.step >= before.step + steps)

    row = _seen(store, before, done)
    _report_reached(row, RunState.PAUSED, as_json)


def stop(run: Run, as_json: Json = False) -> None:
    """End a run early and keep its model."""
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    row = jobs.stop(store, run)
    _report_reached(_until(store, row, RunState.STOPPED), RunState.STOPPED, as_json)


def change(
    run: Run,
    changes: Annotated[list[str], typer.Argument(metavar="A.B=V...", help="training.optimizer.lr=0.001")],
    as_json: Json = False,
) -> None:
    """Change a run while it lives.

    Learning rate, weight decay, clipping, frozen layers, parts of a batch, augmentation, early stopping
    and the loss to stop at. Each change is a line of the run's ledger.
    """
    from workbench.jobs import runs as jobs
    from workbench.jobs import steering

    store = the_store()
    before = store.runs.get(run)
    known = store.ledger.list(before.id)
    wanted = steering.checked(store, before, changes)
    differs = steering.differs(store, before, wanted)
    jobs.change(store, before.id, changes)

    def written() -> Change | None:
        new = [line for line in store.ledger.list(before.id) if line not in known]  # others may change it too
        return next((line for line in reversed(new) if line.changes.keys() & wanted.keys()), None)

    row = before
    if differs:
        row = _seen(store, before, lambda row: row.state.is_over or written() is not None)
        if row.state.is_over:  # what its process did not take is written when that has ended
            row = _seen(store, row, lambda _: written() is not None, patience_s=2.0)
        if written() is None:
            report(row, as_json)
            note(_unchanged(row))
            raise typer.Exit(1)
    line = written()
    pairs = ", ".join(f"{path}={json.dumps(value)}" for path, value in wanted.items())
    since = f"from step {line.step:,}" if line else "as before"
    report(store.runs.get(row.id), as_json, said=f"{row.id}: {pairs} {since}")


def ledger(run: Run, as_json: Json = False) -> None:
    """What was changed while a run trained; `fork --replay` does it again."""
    store = the_store()
    row = store.runs.get(run)
    lines = store.ledger.list(row.id)
    if as_json:
        print_json([{"step": x.step, "changes": dict(x.changes), "time": x.time} for x in lines])
        return
    if not lines:
        note("Nothing was changed.")
        return
    from workbench.cli.terminal import console

    rows = table("after step>", "change", "at")
    for line in lines:
        changes = ", ".join(f"{path}={json.dumps(value)}" for path, value in line.changes.items())
        rows.add_row(f"{line.step:,}", changes, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.time)))
    console().print(rows)


def fork(
    run: Run,
    changes: Changes = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Start from these weights of the run: best, last or a step.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Make the changes of the run's ledger again, each at its step.")
    ] = False,
    matching: Annotated[
        bool,
        typer.Option(
            "--matching",
            help="The model may differ, in its head say: take the weights whose name and shape are the same.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a new run from another's spec; prints the new id."""
    from workbench.jobs import runs as jobs

    store = the_store()
    run_id = jobs.fork(store, run, changes or [], checkpoint, replay, matching)
    if as_json:
        print_json(run_json(store.runs.get(run_id), with_spec=True))
    else:
        print(run_id)


def _unchanged(row: RunRow) -> str:
    if row.state.is_over:
        return f"It is not changed: it was {row.state} before it could be."
    return f"It is not changed yet: {_why(row)} It will be when it goes on."


def _until(store: Store, row: RunRow, wanted: RunState) -> RunRow:
    """The run once it is in the wanted state, over, or our patience is."""
    return _seen(store, row, lambda row: row.state is wanted or row.state.is_over)


def _seen(
    store: Store, row: RunRow, fact: Callable[[RunRow], bool], patience_s: float | None = None
) -> RunRow:
    deadline = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    while True:
        row = store.runs.get(row.id)
        if fact(row) or time.monotonic() > deadline:
            return row
        time.sleep(0.05)


def _why(row: RunRow) -> str:
    if row.silent_s is not None and row.silent_s > SILENT_S:
        return f"its process has given no sign of life for {row.silent_s:.0f} s."
    return f"after {PATIENCE_S:g} s its process is still busy, at step {row.step:,}."


def _report_reached(row: RunRow, wanted: RunState, as_json: bool) -> None:
    """Print what is true now; exit code 1 when it is not what was asked for."""
    report(row, as_json)
    if row.state is wanted or row.state.value == "finished":  # it came to its end before it was asked
        return
    if not row.state.is_over and row.pid:
        note(f"It is not {wanted} yet: {_why(row)} To end it at once: kill -9 {row.pid}.")
    elif not row.state.is_over:
        note(f"It is not {wanted} yet: it waits in the queue.")
    raise typer.Exit(1)

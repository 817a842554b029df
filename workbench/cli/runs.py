"""Verbs about runs: list, show, log, metrics, and what can be done with one."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.terminal import (
    Changes,
    Json,
    Run,
    console,
    error_text,
    note,
    print_json,
    progress_text,
    run_json,
    table,
    the_store,
)

if TYPE_CHECKING:
    from workbench.records import RunState
    from workbench.store import RunRow, Store

PATIENCE_S = 20.0  # how long pause, resume and stop wait to see what they asked for


def runs(
    search: Annotated[
        str, typer.Option(metavar="WORDS", help="Only with every word in name, id, data set, tags or note.")
    ] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help="Only in this state; may be given several times."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Only with this tag; may be given several times.")
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Those that are put away, instead.")] = False,
    sort: Annotated[
        str,
        typer.Option(
            metavar="[-]KEY",
            help="created, name, started, ended, took, progress, best:METRIC, last:METRIC; - for downwards.",
        ),
    ] = "-created",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Show at most this many.")] = 100,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    from workbench.specs.base import did_you_mean
    from workbench.specs.errors import RunError
    from workbench.store import Query

    store = the_store()
    states = [known_state(text) for text in state or []]
    key = sort.removeprefix("-")
    kind, sign, metric = key.partition(":")
    keys = store.runs.metric_keys() if sign and kind in ("best", "last") else []
    if sign and keys and metric not in keys:
        raise RunError.of(
            f"--sort {sort}",
            "the metric must have been logged",
            f"`{metric}` was not",
            did_you_mean(metric, keys),
        )
    query = Query(search, states, tag or [], archived)
    found, total = store.runs.search(query, sort_key=key, descending=sort.startswith("-"), limit=limit)
    if as_json:
        print_json([run_json(row, with_spec=False) for row in found])
        return
    rows = table("id!", "name", "state", "progress>", "val/accuracy>", "val/loss>", "tags", "created")
    for row in found:
        best = [row.metrics.get(key, {}).get("best") for key in ("val/accuracy", "val/loss")]
        rows.add_row(
            row.id, row.name, row.state.value, f"{row.progress:.0%}",
            *(f"{value:.4f}" if value is not None else "" for value in best), ", ".join(row.tags),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row.created)),
        )  # fmt: skip
    if not found:
        asked = search or state or tag or archived
        console().print("No run fits." if asked else "No runs yet. Start one: workbench train cnn-mnist")
        return
    console().print(rows)
    if total > len(found):
        note(f"{len(found)} of {total:,} runs; --limit shows more.")


def known_state(text: str) -> RunState:
    """The state with this name. Raises RunError with the nearest one."""
    from workbench.records import RunState
    from workbench.specs.base import did_you_mean
    from workbench.specs.errors import RunError

    names = [state.value for state in RunState]
    if text not in names:
        raise RunError.of(
            f"--state {text}", "the state must be a known one", "it is not", did_you_mean(text, names)
        )
    return RunState(text)


def show(run: Run, as_json: Json = False) -> None:
    """What is known of one run."""
    store = the_store()
    row = store.runs.get(run)
    if as_json:
        print_json(run_json(row, with_spec=True))
        return
    from workbench.jobs.runs import why_waiting

    print(f"{row.id}  {row.name}\nstate: {row.state}   {progress_text(row)}")
    if waiting := why_waiting(store, row):
        print(waiting)
    print(f"device: {row.device or 'not yet known'}   process: {row.pid or 'none'}")
    if row.telemetry_share is not None:
        print(f"looking inside took {row.telemetry_share:.1%} of the time")
    if row.parent:
        print(
            f"forked from {row.parent}"
            + (f", weights {row.parent_checkpoint}" if row.parent_checkpoint else "")
        )
    if row.error:
        print(f"error: {error_text(row)}")
    if row.metrics:
        rows = table("metric", "last>", "best>", "at step>")
        for key, value in sorted(row.metrics.items()):
            cells = [f"{value[part]:.6g}" if part in value else "" for part in ("last", "best", "best_step")]
            rows.add_row(key, *cells)
        console().print(rows)


def log(
    run: Run,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run is over.")] = False,
) -> None:
    """Print what a run's process wrote."""
    store = the_store()
    row = store.runs.get(run)
    path = store.log_path(row.id)
    offset = 0
    while True:
        over = store.runs.get(row.id).state.is_over  # asked before reading: nothing written after is missed
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                while part := file.read(1 << 16):
                    sys.stdout.buffer.write(part)
                    offset += len(part)
            sys.stdout.flush()
        if not follow or over:
            break
        time.sleep(0.3)
    if offset == 0:
        note("The log is empty so far.")


def metrics(
    run: Run,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Such as val/loss; all when none.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="csv|json|parquet", help="How to print them.")
    ] = "csv",
    output: Annotated[str | None, typer.Option("-o", "--output", help="Write to this file instead.")] = None,
    as_json: Json = False,
) -> None:
    """Print a run's metrics as a table.

    Columns: key, step, epoch, wall_time (Unix seconds), value.
    """
    from workbench.cli.table_files import write_metrics

    store = the_store()
    row = store.runs.get(run)
    write_metrics(store, row, keys or [], "json" if as_json else format, output)


def pause(run: Run, as_json: Json = False) -> None:
    """Let a run wait, loaded as it is."""
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    row = jobs.pause(store, run)
    _report_reached(_until(store, row, RunState.PAUSED), RunState.PAUSED, as_json)


def resume(run: Run, as_json: Json = False) -> None:
    """Let a paused run go on, or continue an ended one.

    A stopped, failed or lost run goes on from its last checkpoint; a paused one in place.
    """
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    before = jobs.resume(store, run)
    if before.state is RunState.PAUSED:
        _report_reached(_until(store, before, RunState.RUNNING), RunState.RUNNING, as_json)
    else:
        _report(store.runs.get(before.id), as_json)


def stop(run: Run, as_json: Json = False) -> None:
    """End a run early and keep its model."""
    from workbench.jobs import runs as jobs
    from workbench.records import RunState

    store = the_store()
    row = jobs.stop(store, run)
    _report_reached(_until(store, row, RunState.STOPPED), RunState.STOPPED, as_json)


def fork(
    run: Run,
    changes: Changes = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Start from these weights of the run: best, last or a step.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a new run from another's spec; prints the new id."""
    from workbench.jobs import runs as jobs

    store = the_store()
    run_id = jobs.fork(store, run, changes or [], checkpoint)
    if as_json:
        print_json(run_json(store.runs.get(run_id), with_spec=True))
    else:
        print(run_id)


def rename(
    run: Run, name: Annotated[str, typer.Argument(help="The new name.")], as_json: Json = False
) -> None:
    """Give a run another name."""
    store = the_store()
    row = store.runs.get(run)
    store.runs.rename(row.id, name)
    _report(store.runs.get(row.id), as_json, said=f"{row.id} is now called {name.strip()}")


def delete(
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a run that is over, with all it made."""
    from workbench.jobs import runs as jobs

    store = the_store()
    row = store.runs.get(run)
    if not yes and not typer.confirm(f"Delete run {row.id} ({row.name}) and everything it made?", err=True):
        note("Nothing was deleted.")
        raise typer.Exit(1)
    jobs.delete(store, row.id)
    note(f"Deleted {row.id} ({row.name}).")


def _until(store: Store, row: RunRow, wanted: RunState) -> RunRow:
    """The run once it is in the wanted state, over, or our patience is."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        row = store.runs.get(row.id)
        if row.state is wanted or row.state.is_over or time.monotonic() > deadline:
            return row
        time.sleep(0.05)


def _report_reached(row: RunRow, wanted: RunState, as_json: bool) -> None:
    """Print what is true now; exit code 1 when it is not what was asked for."""
    _report(row, as_json)
    if row.state is wanted or row.state.value == "finished":  # it came to its end before it was asked
        return
    if not row.state.is_over:
        note(
            f"It is not {wanted} yet: its process has not answered for {PATIENCE_S:g} s. It will when it "
            f"goes on; to end it at once: kill -9 {row.pid}."
        )
    raise typer.Exit(1)


def _report(row: RunRow, as_json: bool, said: str | None = None) -> None:
    if as_json:
        print_json(run_json(row, with_spec=True))
    else:
        print(said or f"{row.id} is {row.state} at {progress_text(row)}")

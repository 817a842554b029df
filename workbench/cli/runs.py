"""Verbs about runs: list, show, metrics, rename, delete. Steering them is in steer.py."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.terminal import (
    Json,
    Run,
    console,
    error_text,
    note,
    print_json,
    progress_text,
    report,
    run_json,
    table,
    the_store,
)

if TYPE_CHECKING:
    from workbench.records import RunState


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
    group: Annotated[
        bool, typer.Option("--group", help="Cross-validations instead: mean ± sd over their folds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    if group:
        _groups(limit, as_json)
        return
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


def _groups(limit: int, as_json: bool) -> None:
    from workbench.jobs import folds

    store = the_store()
    found = [folds.summary(store, name) for name in folds.groups(store)[:limit]]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    if not found:
        console().print("No cross-validation yet. Start one: workbench train cnn-digits --folds 5")
        return
    rows = table("group!", "name", "folds>", "done>", "metric", "mean ± sd of the best>", "trouble")
    for one in found:
        key = one.headline
        told = one.metrics[key]["best"] if key else None
        value = f"{told['mean']:.4f} ± {told['sd']:.4f}" if told else ""
        trouble = ", ".join(f"fold {fold} {state}" for fold, _, state in one.wrong)
        done = len(one.runs) - one.left - len(one.wrong)
        rows.add_row(one.group, one.name, str(one.folds), str(done), key, value, trouble)
    console().print(rows)


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
    from workbench.live.silence import silence

    parked = ", parked: its memory is free" if row.parked else ""
    print(f"{row.id}  {row.name}\nstate: {row.state}{parked}   {progress_text(row)}")
    if waiting := why_waiting(store, row):
        print(waiting)
    if silent := silence(row):
        print(silent)
    measured = f"   memory of its own: {row.peak_bytes / 1e6:,.0f} MB at most" if row.peak_bytes else ""
    print(f"device: {row.device or 'not yet known'}   process: {row.pid or 'none'}{measured}")
    if row.telemetry_share is not None:
        print(f"looking inside took {row.telemetry_share:.1%} of the time")
    if row.parent:
        print(
            f"forked from {row.parent}"
            + (f", weights {row.parent_checkpoint}" if row.parent_checkpoint else "")
        )
    if row.error:
        print(f"error: {error_text(row)}")
        if row.error.get("line"):
            print(f"at: {row.error['line']}")
        if row.error.get("offer"):
            print(f"offer: {row.error['offer']['text']} Accept it: workbench resume {row.id} --offer")
    if row.metrics:
        rows = table("metric", "last>", "best>", "at step>")
        for key, value in sorted(row.metrics.items()):
            cells = [f"{value[part]:.6g}" if part in value else "" for part in ("last", "best", "best_step")]
            rows.add_row(key, *cells)
        console().print(rows)


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


def rename(
    run: Run, name: Annotated[str, typer.Argument(help="The new name.")], as_json: Json = False
) -> None:
    """Give a run another name."""
    store = the_store()
    row = store.runs.get(run)
    store.runs.rename(row.id, name)
    report(store.runs.get(row.id), as_json, said=f"{row.id} is now called {name.strip()}")


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

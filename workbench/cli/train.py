"""`workbench train`: submit a run, print its id, and wait for it with a progress bar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.terminal import (
    Changes,
    Detach,
    Json,
    SpecPath,
    note,
    outcome_text,
    print_json,
    progress,
    read_spec,
    run_json,
    the_store,
)

if TYPE_CHECKING:
    from workbench.specs.run import RunSpec
    from workbench.store import RunRow, Store

POLL_S = 0.2
REASON_EVERY_S = 1.0


def train(
    spec: SpecPath,
    changes: Changes = None,
    name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    detach: Detach = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Put it into the queue and hold it there; implies --detach.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, max=20, help="Cross-validate: a run per fold, mean ± sd at the end."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Start a training and wait for it.

    Prints the run's id first, then shows a progress bar. Ctrl-C leaves the run alone. The exit code
    is 0 only when the run finished. With --folds it prints the group, then an id for each fold.
    """
    from workbench.jobs.runs import submit

    store = the_store()
    if folds is not None:
        return _folds(store, read_spec(spec, changes, name), folds, detach=detach, held=hold, as_json=as_json)
    run_id = submit(store, read_spec(spec, changes, name), held=hold)
    print(run_id, flush=True)
    if detach or hold:
        return 0
    return wait(store, run_id, as_json=as_json)


def _folds(store: Store, spec: RunSpec, folds: int, *, detach: bool, held: bool, as_json: bool) -> int:
    from workbench.jobs import folds as jobs

    group, ids = jobs.cross_validate(store, spec, folds, held=held)
    print(group, *ids, sep="\n", flush=True)
    if detach or held:
        return 0
    codes = [wait(store, run_id) for run_id in ids]
    if 130 in codes:
        return 130
    found = jobs.summary(store, group)
    if as_json:
        print_json(found.to_json())
    else:
        for key in found.metrics:
            print(found.sentence(key))
        for fold, run_id, state in found.wrong:
            note(f"Fold {fold} {state}: workbench show {run_id}")
    return max(codes)


def wait(store: Store, run_id: str, *, as_json: bool = False) -> int:
    """Follow a run to its end; 0 when it finished, 1 otherwise, 130 after Ctrl-C."""
    try:
        row = _follow(store, run_id)
    except KeyboardInterrupt:
        note(
            f"\nThe run goes on in the background. Follow it: workbench log -f {run_id}. "
            f"Stop it: workbench stop {run_id}."
        )
        return 130
    if as_json:
        print_json(run_json(row, with_spec=True))
    note(outcome_text(row))
    return 0 if row.state.value == "finished" else 1


def _follow(store: Store, run_id: str) -> RunRow:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn

    from workbench.jobs.launch import ensure_supervisor
    from workbench.jobs.runs import why_waiting
    from workbench.records import RunState

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    with progress(*columns) as bar:
        task = bar.add_task("queued", total=None, facts="")
        looked = time.monotonic()
        asked, reason = -1e9, None
        while True:
            row = store.runs.get(run_id)
            if row.state.is_over:
                return row
            if row.state is not RunState.QUEUED:
                reason = None
            elif time.monotonic() - asked > REASON_EVERY_S:  # it looks at the whole queue
                asked, reason = time.monotonic(), why_waiting(store, row)
            facts = reason or _facts(row)
            bar.update(
                task, description=row.state.value, total=row.total_steps, completed=row.step, facts=facts
            )
            time.sleep(POLL_S)
            if time.monotonic() - looked > 2.0:  # a supervisor that was killed must not stop the queue
                looked = time.monotonic()
                ensure_supervisor(store)


def _facts(row: RunRow) -> str:
    def last(key: str) -> Any:
        return row.metrics.get(key, {}).get("last")

    parts = [f"epoch {row.epoch:.2f}"]
    parts += [
        f"{key} {value:.4f}" for key in ("train/loss", "val/accuracy") if (value := last(key)) is not None
    ]
    if row.eta_s is not None:
        parts.append(f"{row.eta_s:.0f} s left")
    return "  ".join(parts)

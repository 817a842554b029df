"""What a person does with runs: submit, pause, resume, stop, fork, delete. Torch is never loaded.

Each function says what stands after it; asking for what is already so is not an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from workbench.jobs.check import check
from workbench.jobs.launch import ensure_supervisor, log_file, supervisor
from workbench.records import Event, RunState
from workbench.specs.errors import RunError, SpecError
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store
from workbench.store.states import HOST, started_at

SLOW_START_S = 20.0  # a cold supervisor needs 3 to 8 s; longer means that something is wrong


def submit(store: Store, spec: RunSpec) -> str:
    """Check `spec`, put it in the queue, see that a supervisor is there; the new run's id.

    Raises SpecError with every problem of the check; warnings do not stop a run.
    """
    _must_work(store, spec)
    row = store.runs.create(spec)
    ensure_supervisor(store)
    return row.id


def pause(store: Store, ref: str) -> RunRow:
    """Ask a run to wait at its next flush, loaded as it is. Raises RunError when it is not at work."""
    row = store.runs.get(ref)
    if row.state in (RunState.RUNNING, RunState.STARTING):
        store.commands.post(row.id, "pause")
    elif row.state is RunState.QUEUED:
        raise _cannot(row, "paused", "it has not started", "Stop it to take it out of the queue.")
    elif row.state is not RunState.PAUSED:
        raise _cannot(row, "paused", f"it is {row.state}", _repair(row))
    return row


def resume(store: Store, ref: str) -> RunRow:
    """Let a paused run go on in place, or put a lost, failed or stopped one back in the queue.

    From the queue it continues at its last checkpoint, or from the start when it has none (an event
    of the run says so). Raises RunError for a finished run.
    """
    row = store.runs.get(ref)
    if row.state in (RunState.PAUSED, RunState.RUNNING, RunState.STARTING):
        store.commands.post(row.id, "resume")
    elif row.state in (RunState.LOST, RunState.FAILED, RunState.STOPPED):
        store.commands.clear(row.id)  # what its former process never took is not meant for the next
        store.runs.requeue(row.id)
        ensure_supervisor(store)
    elif row.state is RunState.FINISHED:
        raise _cannot(row, "resumed", "it finished", _repair(row))
    elif row.state is RunState.STOPPING:
        raise _cannot(row, "resumed", "it is stopping", "Wait until it has stopped, then resume it.")
    return row


def stop(store: Store, ref: str) -> RunRow:
    """End a run early and keep its model: it validates, writes its checkpoint and exits.

    A run that still waits in the queue is stopped at once. Raises RunError when it is over.
    """
    row = store.runs.get(ref)
    if row.state is RunState.QUEUED and _take_from_queue(store, row):
        return store.runs.get(row.id)
    row = store.runs.get(row.id)
    if row.state in (RunState.STARTING, RunState.RUNNING, RunState.PAUSED):
        store.commands.post(row.id, "stop")
    elif row.state not in (RunState.STOPPING, RunState.STOPPED):
        raise _cannot(row, "stopped", f"it is {row.state}", _repair(row))
    return row


def fork(store: Store, ref: str, changes: Sequence[str] = (), checkpoint: str | None = None) -> str:
    """A new run with the spec of another, changed by `a.b=value` texts; its id.

    checkpoint: None starts from fresh weights; "best", "last" or "step-N" (or N) takes the parent's
    weights and leaves its optimizer behind. Raises SpecError, RunError.
    """
    parent = store.runs.get(ref)
    spec = parent.spec.with_changes(*changes)
    if spec.name == parent.name or spec.name == parent.spec.name:
        spec = spec.model_copy(update={"name": f"{parent.name} (fork)"[:200]})
    if checkpoint is not None:
        checkpoint = checkpoint_name(checkpoint)
        known = [info.name for info in store.checkpoints.list(parent.id)]
        if checkpoint not in known:
            raise RunError.of(
                f"run `{parent.name}`", "the checkpoint must exist", f"`{checkpoint}` does not",
                f"It has: {', '.join(known)}." if known else "It has saved none: fork without a checkpoint.",
            )  # fmt: skip
        if spec.model != parent.spec.model:
            raise SpecError.of(
                "model", "weights fit only the architecture that learned them", "the fork changes the model",
                "Fork without a checkpoint, or leave the model as it is.",
            )  # fmt: skip
    _must_work(store, spec)
    row = store.runs.create(spec, parent=parent.id, parent_checkpoint=checkpoint)
    ensure_supervisor(store)
    return row.id


def delete(store: Store, ref: str) -> RunRow:
    """Remove a run that is over or still waits, with all it made. Raises RunError while it works."""
    row = store.runs.get(ref)
    store.runs.delete(row.id)
    return row


def why_waiting(store: Store, row: RunRow) -> str | None:
    """Why a queued run has not started yet, in one sentence; None when it is not queued."""
    if row.state is not RunState.QUEUED:
        return None
    at_work = [other for other in store.runs.active() if other.state.is_active]
    if not at_work and time.time() - row.created > SLOW_START_S and supervisor(store) is None:
        return f"Waits for the supervisor, which does not come up: see {log_file(store)}."
    if not at_work:
        return "Waits for the supervisor."
    first = at_work[0]
    return f"Waits for {first.name} ({first.state})."


def checkpoint_name(text: str) -> str:
    """`best`, `last` or `step-N` from what a person writes: the bare number works too."""
    return f"step-{text}" if text.isdecimal() else text


def _take_from_queue(store: Store, row: RunRow) -> bool:
    """Stop a run that waits; False when its process took it in this very moment.

    Claiming first is what makes it safe: only one can have it, the run's process or we.
    """
    if not store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST):
        return False
    store.runs.exit(row.id, "stopped")
    text = "Stopped while it waited in the queue."
    store.events.add(row.id, Event("stopped", text, row.step, row.epoch, time.time()))
    return True


def _must_work(store: Store, spec: RunSpec) -> None:
    errors = [p for p in check(store, spec).problems if p.severity == "error"]
    if errors:
        raise SpecError(*errors)


WHO = {
    "paused": "a run at work",
    "stopped": "a run that waits or works",
    "resumed": "a paused, stopped, failed or lost run",
}


def _cannot(row: RunRow, done: str, fact: str, repair: str) -> RunError:
    return RunError.of(f"run `{row.name}`", f"only {WHO[done]} can be {done}", fact, repair)


def _repair(row: RunRow) -> str:
    if row.state is RunState.FINISHED:
        return f"Fork it to train on: workbench fork {row.id}."
    return f"Resume it: workbench resume {row.id}."

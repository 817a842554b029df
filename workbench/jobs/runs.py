"""What a person does with runs: submit, pause, park, resume, stop, change, fork, hold, delete. No torch.

Each function says what stands after it; asking for what is already so is not an error. Steering is in
steering.py, what a waiting run waits for in queue.py.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.jobs import steering, teachers, weights
from workbench.jobs.check import check
from workbench.jobs.launch import ensure_supervisor
from workbench.jobs.queue import why_waiting as why_waiting
from workbench.jobs.starting import checkpoint_name as checkpoint_name
from workbench.jobs.starting import known_checkpoint, must_fit, must_start_from_something
from workbench.records import Event, RunState
from workbench.specs.errors import RunError, SpecError, WorkbenchError
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store
from workbench.store.states import HOST, started_at

Changes = Sequence[str] | Mapping[str, Any]  # ["training.optimizer.lr=0.01"], or path -> value
LOADED = (RunState.RUNNING, RunState.STARTING, RunState.PAUSED)
MOST_STEPS = 100_000_000  # as many as a run may have
ENDED = (RunState.LOST, RunState.FAILED, RunState.STOPPED)


def submit(store: Store, spec: RunSpec, held: bool = False, version: int | None = None) -> str:
    """Check `spec`, put it in the queue, see that a supervisor is there; the new run's id.

    held: it waits there until it is released. version: of the data set that it learns from; None is the
    newest when it starts.

    Raises SpecError with every problem of the check; warnings do not stop a run.
    """
    _must_work(store, spec, version)
    must_start_from_something(spec, None)
    row = store.runs.create(teachers.named(store, spec), held=True)  # until it has all it starts from

    def fill() -> None:
        teachers.pin(store, row)
        weights.pin(store, row)
        if version is not None:
            store.runs.update(row.id, beat=False, data_version=version)

    _complete(store, row, fill)
    if not held:
        store.runs.release([row.id])
    ensure_supervisor(store)
    return row.id


def pause(store: Store, ref: str) -> RunRow:
    """Ask a run to wait at its next flush, loaded as it is. Raises RunError when it is not at work."""
    row = store.runs.get(ref)
    if row.state in (RunState.RUNNING, RunState.STARTING):
        if not _asked(store, row, "pause"):
            return pause(store, row.id)
    elif row.state is RunState.QUEUED:
        raise _cannot(row, "paused", "it has not started", "Stop it to take it out of the queue.")
    elif row.state is not RunState.PAUSED:
        raise _cannot(row, "paused", f"it is {row.state}", _repair(row))
    return row


def park(store: Store, ref: str) -> RunRow:
    """Ask a run to save itself and give its memory and its slot back; it stays paused.

    `resume` puts it into the queue, to go on exactly where it was. Raises RunError when it is not at work.
    """
    row = store.runs.get(ref)
    if row.parked:
        return row
    _must_be_ours(row, "parked")
    if row.state in LOADED:
        if not _asked(store, row, "park"):
            return park(store, row.id)
    elif row.state is RunState.QUEUED:
        raise _cannot(row, "parked", "it has not started", f"Hold it instead: workbench hold {row.id}.")
    else:
        raise _cannot(row, "parked", f"it is {row.state}", _repair(row))
    return row


def step(store: Store, ref: str, steps: int) -> RunRow:
    """Let a run do so many updates and then pause; a parked one comes back for them.

    Raises RunError when it is not at work, SpecError for a number below 1 or above any run's.
    """
    if not 1 <= steps <= MOST_STEPS:
        rule = f"a run goes on by 1 to {MOST_STEPS:,} steps"
        raise SpecError.of("steps", rule, f"{steps:,} were asked for"[:60])
    row = store.runs.get(ref)
    if row.parked:
        if not _requeue(store, row, ("step", {"steps": steps})):
            return step(store, row.id, steps)  # somebody was faster: its process is asked instead
    elif row.state in LOADED:
        if not _asked(store, row, "step", {"steps": steps}):
            return step(store, row.id, steps)
    else:
        raise _cannot(row, "stepped", f"it is {row.state}", _repair(row))
    return row


def resume(store: Store, ref: str, changes: Changes = ()) -> RunRow:
    """Let a paused run go on in place, or put a parked, lost, failed or stopped one back in the queue.

    From the queue it continues at its last checkpoint, or from the start when it has none (an event
    of the run says so). changes: made before it goes on, as `change` makes them. Raises RunError for
    a finished run, SpecError for what cannot be changed.
    """
    row = store.runs.get(ref)
    if row.state is RunState.FINISHED:
        raise _cannot(row, "resumed", "it finished", _repair(row))
    if row.state is RunState.STOPPING:
        raise _cannot(row, "resumed", "it is stopping", "Wait until it has stopped, then resume it.")
    if changes or row.state in ENDED:
        _must_be_ours(row, "resumed")
    if changes:
        change(store, row.id, changes)
    if row.parked or row.state in ENDED:
        _requeue(store, row)
    elif row.state in LOADED and not _asked(store, row, "resume"):
        return resume(store, row.id)
    return row


def change(store: Store, ref: str, changes: Changes) -> RunRow:
    """Change what may be changed in a run: learning rate, weight decay, clipping, augmentation, ….

    A run at work is asked, and does it before its next update; for one that waits, is parked or ended
    the change is written into its ledger and comes into force when it goes on. Either way it is a line
    of the ledger and an event. Raises SpecError for what only a fork can change, RunError for a
    finished run.
    """
    row = store.runs.get(ref)
    _must_be_ours(row, "changed")
    wanted = steering.checked(store, row, changes)
    if row.state in LOADED and not row.parked:
        if not _asked(store, row, "change", {"changes": wanted}):
            return change(store, row.id, wanted)
    elif row.parked or row.state in ENDED or row.state is RunState.QUEUED:
        if not steering.write(store, row, wanted):  # a process took it just now: it is asked instead
            return change(store, row.id, wanted)
    elif row.state is RunState.STOPPING:
        raise _cannot(row, "changed", "it is stopping", "Wait until it has stopped; then resume it with it.")
    else:
        raise _cannot(row, "changed", f"it {row.state}", _repair(row))
    return row


def accept_offer(store: Store, ref: str) -> RunRow:
    """Resume a failed or lost run with the change its error offers. Raises RunError when there is none."""
    row = store.runs.get(ref)
    offer = (row.error or {}).get("offer") if row.state.is_over else None
    if not offer:
        fact = "its error offers none" if row.error else f"it is {row.state}, without an error"
        raise RunError.of(f"run `{row.name}`", "a run can be resumed with what its error offers", fact)
    return resume(store, row.id, dict(offer["changes"]))


def stop(store: Store, ref: str) -> RunRow:
    """End a run early and keep its model: it validates, writes its checkpoint and exits.

    A run that still waits in the queue is stopped at once. Raises RunError when it is over.
    """
    row = store.runs.get(ref)
    if row.state is RunState.QUEUED and _take_from_queue(store, row):
        return store.runs.get(row.id)
    row = store.runs.get(row.id)
    if row.parked:  # there is no process to ask; its last checkpoint is what it hands over
        if not store.runs.exit(row.id, "stopped", pid=row.pid):
            return stop(store, row.id)  # it was resumed in this very moment
        _event(store, row, "stopped", "Stopped while it was parked.")
        return store.runs.get(row.id)
    if row.state in LOADED:
        if not _asked(store, row, "stop"):
            return stop(store, row.id)
    elif row.state not in (RunState.STOPPING, RunState.STOPPED):
        raise _cannot(row, "stopped", f"it is {row.state}", _repair(row))
    return row


def fork(
    store: Store, ref: str, changes: Sequence[str] = (), checkpoint: str | None = None, replay: bool = False,
    matching: bool = False,
) -> str:  # fmt: skip
    """A new run with the spec of another, changed by `a.b=value` texts; its id.

    checkpoint: None starts from fresh weights; "best", "last" or a step takes the parent's weights as
    they are now, also while it runs, and leaves its optimizer behind. replay: the child makes the
    changes of the parent's ledger too, each at its step. matching: the model may be another one, such as one
    with a new head; it takes the weights whose name and shape are the same, and draws the others.
    Raises SpecError, RunError.
    """
    parent = store.runs.get(ref)
    _must_be_ours(parent, "forked")
    spec = parent.spec.with_changes(*changes)
    if spec.name == parent.name or spec.name == parent.spec.name:
        spec = spec.model_copy(update={"name": f"{parent.name} (fork)"[:200]})
    return fork_as(store, parent, spec, checkpoint, replay, matching)


def fork_as(
    store: Store, parent: RunRow, spec: RunSpec, checkpoint: str | None = None, replay: bool = False,
    matching: bool = False, version: int | None = None,
) -> str:  # fmt: skip
    """`fork` with the child's whole spec. version: of the data set that the child learns from; None is the
    newest when it starts, and with replay the parent's."""
    _must_be_ours(parent, "forked")
    if replay and checkpoint is not None:
        raise SpecError.of(
            "replay", "a run's changes are replayed from its first step", "the fork starts from a checkpoint",
            "Fork without a checkpoint, or without the replay.",
        )  # fmt: skip
    if checkpoint is not None:
        checkpoint = known_checkpoint(store, parent, checkpoint)
        if not matching:
            must_fit(parent.spec, spec)
    if replay:  # on the very samples that the parent saw
        version = parent.data_version
    _must_work(store, spec, version)
    must_start_from_something(spec, checkpoint)
    if replay:
        steering.with_ledger(spec, store, parent.id)  # the changed spec must take it
    # Nobody may start it before it has all that it starts from.
    spec = teachers.named(store, spec)
    row = store.runs.create(spec, parent=parent.id, parent_checkpoint=checkpoint, held=True)

    def fill() -> None:
        teachers.pin(store, row)
        if checkpoint is not None:
            store.checkpoints.copy(parent.id, checkpoint, row.id, steering.START)
        elif spec.training.start_weights == parent.spec.training.start_weights and has_start(store, parent):
            store.checkpoints.copy(parent.id, steering.START, row.id, steering.START)
        else:
            weights.pin(store, row)
        if replay:
            store.ledger.copy(parent.id, row.id)
        if version is not None:
            store.runs.update(row.id, beat=False, data_version=version)

    _complete(store, row, fill)
    store.runs.release([row.id])
    ensure_supervisor(store)
    return row.id


def has_start(store: Store, row: RunRow) -> bool:
    """Whether the run keeps imported weights that it began with."""
    if row.parent_checkpoint is not None or row.spec.training.start_weights is None:
        return False
    return any(info.name == steering.START for info in store.checkpoints.list(row.id))


def hold(store: Store, refs: Sequence[str]) -> list[RunRow]:
    """Keep waiting runs from being started until they are released. Raises RunError for others."""
    rows = [_waiting(store, ref, "held") for ref in refs]
    store.runs.hold([row.id for row in rows])
    return [store.runs.get(row.id) for row in rows]


def release(store: Store, refs: Sequence[str]) -> list[RunRow]:
    """Let held runs start when their turn comes. Raises RunError for runs that do not wait."""
    rows = [_waiting(store, ref, "released") for ref in refs]
    store.runs.release([row.id for row in rows])
    ensure_supervisor(store)
    return [store.runs.get(row.id) for row in rows]


def move(store: Store, ref: str, before: str | None) -> RunRow:
    """Put a waiting run before another one, or at the end of the queue (None). Raises RunError."""
    row = _waiting(store, ref, "moved")
    other = _waiting(store, before, "moved before") if before is not None else None
    if (other is None or other.id != row.id) and not store.runs.move(row.id, other.id if other else None):
        raise _cannot(row, "moved", "one of them was started just now", "Look at the queue again.")
    return store.runs.get(row.id)


def delete(store: Store, ref: str) -> RunRow:
    """Remove a run that is over or still waits, with all it made. Raises RunError while it works."""
    row = store.runs.get(ref)
    store.runs.delete(row.id)
    return row


def settle(store: Store, run_id: str, pid: int) -> None:
    """Do what was asked of a run while its process `pid` was on its way out, and which it never took.

    Changes go into the ledger; a parked run is resumed, stepped or stopped as if asked now.
    """
    for left in store.commands.left(run_id, pid):
        with contextlib.suppress(WorkbenchError):  # the run is gone, or has moved on
            if left.verb == "change":
                change(store, run_id, left.payload.get("changes", {}))
            elif not store.runs.get(run_id).parked:
                continue
            elif left.verb == "resume":
                resume(store, run_id)
            elif left.verb == "step":
                step(store, run_id, left.payload["steps"])
            elif left.verb == "stop":
                stop(store, run_id)


def _asked(store: Store, row: RunRow, verb: str, payload: Mapping[str, Any] | None = None) -> bool:
    """Ask the run's process. False, and nothing is asked, when it has ended meanwhile: it reads no more."""
    number = store.commands.post(row.id, verb, payload)
    now = store.runs.get(row.id)
    return not (now.parked or now.state in ENDED) or not store.commands.withdraw(number)


def _requeue(store: Store, row: RunRow, asked: tuple[str, Mapping[str, Any]] | None = None) -> bool:
    """Back into the queue; `asked` is what its next process finds. False when somebody was faster."""
    done = store.runs.requeue(row.id, asked)
    ensure_supervisor(store)
    return done


def _waiting(store: Store, ref: str, done: str) -> RunRow:
    row = store.runs.get(ref)
    if row.state is not RunState.QUEUED:
        raise _cannot(row, done, f"it is {row.state}", "")
    return row


def _take_from_queue(store: Store, row: RunRow) -> bool:
    """Stop a run that waits; False when its process took it in this very moment.

    Claiming first is what makes it safe: only one can have it, the run's process or we.
    """
    if not store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST, held_too=True):
        return False
    store.runs.exit(row.id, "stopped")
    _event(store, row, "stopped", "Stopped while it waited in the queue.")
    return True


def _event(store: Store, row: RunRow, kind: str, text: str) -> None:
    store.events.add(row.id, Event(kind, text, row.step, row.epoch, time.time()))


def _must_work(store: Store, spec: RunSpec, version: int | None = None) -> None:
    errors = [p for p in check(store, spec, version).problems if p.severity == "error"]
    if errors:
        raise SpecError(*errors)


WHO = {
    "paused": "a run at work",
    "parked": "a run at work",
    "stepped": "a run at work",
    "stopped": "a run that waits or works",
    "resumed": "a paused, stopped, failed or lost run",
    "changed": "a run that is not over",
    "held": "a run that waits",
    "released": "a run that waits",
    "moved": "a run that waits",
    "moved before": "a run that waits",
}


def _complete(store: Store, row: RunRow, fill: Callable[[], None]) -> None:
    """Give a new run what it starts from. A damaged checkpoint, a parent deleted just now: no half a run."""
    try:
        fill()
    except WorkbenchError:
        store.runs.delete(row.id)
        raise


def _must_be_ours(row: RunRow, done: str) -> None:
    if row.is_own_loop:
        raise RunError.of(
            f"run `{row.name}`", f"only a run that the workbench trains can be {done}",
            "a program of your own trains it", "Change the program, or start it again: that is a new run.",
        )  # fmt: skip


def _cannot(row: RunRow, done: str, fact: str, repair: str) -> RunError:
    return RunError.of(f"run `{row.name}`", f"only {WHO[done]} can be {done}", fact, repair)


def _repair(row: RunRow) -> str:
    if row.state is RunState.QUEUED:
        return "Wait until it has started."
    if row.state is RunState.FINISHED:
        return f"Fork it to train on: workbench fork {row.id}."
    return f"Resume it: workbench resume {row.id}."

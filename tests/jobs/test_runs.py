"""What can be done with a run in which state, without any process being started."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from workbench.jobs import handle
from workbench.jobs import runs as jobs
from workbench.records import RunState
from workbench.specs.errors import RunError, SpecError
from workbench.specs.presets import preset
from workbench.store import Store, open_store
from workbench.store.states import HOST

SPEC = preset("mlp-tiny").spec


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda *_: None)
    return open_store()


def taken(store: Store, phase: str = "running") -> str:
    """A run that this very process claims to work on."""
    run_id = jobs.submit(store, SPEC)
    store.runs.claim(run_id, os.getpid(), psutil.Process().create_time(), HOST)
    store.runs.update(run_id, phase=phase)
    return run_id


def verbs(store: Store, run_id: str) -> list[str]:
    return [command.verb for command in store.commands.take(run_id)]


def test_a_submitted_run_waits_in_the_queue(store: Store) -> None:
    run_id = jobs.submit(store, SPEC)
    row = store.runs.get(run_id)
    assert row.state is RunState.QUEUED
    assert jobs.why_waiting(store, row) == "Waits for the supervisor."


def test_a_waiting_run_names_what_it_waits_for(store: Store) -> None:
    first = taken(store, "paused")
    second = store.runs.get(jobs.submit(store, SPEC))
    assert jobs.why_waiting(store, second) == "Waits for mlp-tiny (paused)."
    assert jobs.why_waiting(store, store.runs.get(first)) is None


def test_a_spec_that_cannot_work_is_refused_before_it_is_a_run(store: Store) -> None:
    bad = SPEC.with_changes("model.layers.1={kind: conv2d}")
    with pytest.raises(SpecError, match=r"layer 1 \(conv2d\): conv2d needs an image"):
        jobs.submit(store, bad)
    assert store.runs.list() == []


def test_an_unknown_data_set_is_refused_with_the_nearest_name(store: Store) -> None:
    jobs.submit(store, SPEC)  # puts the shipped `digits` into the store
    with pytest.raises(SpecError, match="Did you mean `digits`"):
        jobs.submit(store, SPEC.with_changes("data.name=digit"))


def test_a_queued_run_is_stopped_at_once(store: Store) -> None:
    run_id = jobs.submit(store, SPEC)
    assert jobs.stop(store, run_id).state is RunState.STOPPED
    assert store.runs.next_queued() is None
    events, _ = store.events.since(run_id)
    assert [event.kind for event in events] == ["stopped"]


def test_a_run_at_work_is_asked_and_not_forced(store: Store) -> None:
    run_id = taken(store)
    jobs.pause(store, run_id)
    jobs.resume(store, run_id)
    jobs.stop(store, run_id)
    assert verbs(store, run_id) == ["pause", "resume", "stop"]


def test_a_paused_run_takes_no_second_pause(store: Store) -> None:
    run_id = taken(store, "paused")
    jobs.pause(store, run_id)
    assert verbs(store, run_id) == []


@pytest.mark.parametrize("kind", ["lost", "failed", "stopped"])
def test_an_ended_run_goes_back_into_the_queue(store: Store, kind: str) -> None:
    run_id = taken(store)
    store.commands.post(run_id, "stop")
    store.runs.exit(run_id, kind)
    jobs.resume(store, run_id)
    assert store.runs.get(run_id).state is RunState.QUEUED
    assert verbs(store, run_id) == [], "what its former process never took is not for the next"


def test_a_finished_run_is_not_resumed_but_forked(store: Store) -> None:
    run_id = taken(store)
    store.runs.exit(run_id, "finished")
    with pytest.raises(RunError, match=f"Fork it to train on: workbench fork {run_id}"):
        jobs.resume(store, run_id)
    with pytest.raises(RunError, match="only a run that waits or works can be stopped, but it is finished"):
        jobs.stop(store, run_id)
    with pytest.raises(RunError, match="only a run at work can be paused, but it is finished"):
        jobs.pause(store, run_id)


def test_a_waiting_run_cannot_be_paused(store: Store) -> None:
    with pytest.raises(RunError, match=r"it has not started\. Stop it to take it out of the queue"):
        jobs.pause(store, jobs.submit(store, SPEC))


def test_a_fork_is_the_same_spec_with_the_changes(store: Store) -> None:
    parent = jobs.submit(store, SPEC)
    child = store.runs.get(jobs.fork(store, parent, ["training.batch_size=64", "seed=7"]))
    assert child.parent == parent
    assert child.name == "mlp-tiny (fork)"
    same = {"name", "training", "seed"}
    assert child.spec.model_dump(exclude=same) == SPEC.model_dump(exclude=same)
    assert (child.spec.training.batch_size, child.spec.seed) == (64, 7)


def test_a_fork_takes_weights_only_where_they_fit(store: Store) -> None:
    parent = jobs.submit(store, SPEC)
    with pytest.raises(RunError, match=r"`best` does not\. It has saved none"):
        jobs.fork(store, parent, [], "best")
    store.checkpoints.write(parent, "last", b"x", step=3, epoch=0.1, metrics={})
    with pytest.raises(RunError, match=r"`step-9` does not\. It has: last"):
        jobs.fork(store, parent, [], "9")
    with pytest.raises(SpecError, match="weights fit only the architecture that learned them"):
        jobs.fork(store, parent, ["model.layers.1.out_features=57"], "last")
    child = store.runs.get(jobs.fork(store, parent, ["seed=1"], "last"))
    assert child.parent_checkpoint == "last"


def test_what_works_is_not_deleted(store: Store) -> None:
    run_id = taken(store)
    with pytest.raises(RunError, match="only an ended run can be deleted"):
        jobs.delete(store, run_id)
    store.runs.exit(run_id, "stopped")
    jobs.delete(store, run_id)
    assert store.runs.list() == []


def test_python_holds_a_run_by_its_id_or_name(store: Store) -> None:
    import workbench

    run = workbench.train(workbench.RunSpec.model_validate(SPEC.model_dump()))
    assert run.state == "queued"
    assert workbench.open_run(run.name).id == run.id
    assert run.fork("seed=3").spec.seed == 3
    with pytest.raises(RunError, match=r"should be over within 0\.1 s, but it is queued"):
        run.wait(timeout_s=0.1)
    run.stop()
    assert run.wait().state == "stopped"
    assert isinstance(run, handle.Run)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import workbench

    with pytest.raises(AttributeError, match="`nonsense`"):
        _ = workbench.nonsense
    assert "train" in dir(workbench)


# ---------------------------------------------------------------- asked while its process goes


def parked(store: Store) -> str:
    """A run that this very process has just parked."""
    run_id = taken(store)
    store.checkpoints.write(run_id, "last", b"x", step=5, epoch=1.0, metrics={})
    store.runs.exit(run_id, "parked")
    return run_id


def test_a_resume_that_a_parking_process_never_took_is_done(store: Store) -> None:
    run_id = parked(store)
    store.commands.post(run_id, "resume")
    jobs.settle(store, run_id, os.getpid())
    assert store.runs.get(run_id).state is RunState.QUEUED
    assert verbs(store, run_id) == []


def test_a_step_that_a_parking_process_never_took_waits_for_the_next(store: Store) -> None:
    run_id = parked(store)
    store.commands.post(run_id, "step", {"steps": 7})
    jobs.settle(store, run_id, os.getpid())
    (left,) = store.commands.take(run_id)
    assert (left.verb, left.payload) == ("step", {"steps": 7})


def test_a_change_that_an_ending_process_never_took_is_in_the_ledger(store: Store) -> None:
    run_id = parked(store)
    store.commands.post(run_id, "change", {"changes": {"training.optimizer.lr": 0.0123}})
    jobs.settle(store, run_id, os.getpid())
    (line,) = store.ledger.list(run_id)
    assert line.changes == {"training.optimizer.lr": 0.0123}
    assert store.runs.get(run_id).parked


def test_what_is_left_for_another_process_is_not_touched(store: Store) -> None:
    run_id = parked(store)
    store.commands.post(run_id, "resume")
    jobs.settle(store, run_id, os.getpid() + 1)
    assert store.runs.get(run_id).parked
    assert verbs(store, run_id) == ["resume"]


def test_a_command_is_taken_back_only_while_nobody_has_read_it(store: Store) -> None:
    run_id = taken(store)
    assert store.commands.withdraw(store.commands.post(run_id, "pause"))
    assert verbs(store, run_id) == []
    number = store.commands.post(run_id, "pause")
    assert verbs(store, run_id) == ["pause"]
    assert not store.commands.withdraw(number)


def test_a_parked_run_that_was_resumed_meanwhile_is_not_called_stopped(store: Store) -> None:
    run_id = parked(store)
    jobs.resume(store, run_id)
    assert not store.runs.exit(run_id, "stopped", pid=os.getpid())
    assert store.runs.get(run_id).state is RunState.QUEUED

"""Runs in real processes: trained, paused, killed, resumed, adopted. What a person sees is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.processes import (
    PATIENCE_S,
    at_its_quickest,
    at_step,
    in_state,
    living_home,
    processes_of,
    saved_step,
    supervisor_pid,
    until,
)
from workbench.jobs import launch
from workbench.jobs import runs as jobs
from workbench.jobs.launch import ensure_supervisor
from workbench.records import RunState
from workbench.specs.presets import preset
from workbench.store import Store
from workbench.store.states import HOST

pytestmark = pytest.mark.slow

SHORT = preset("mlp-tiny").spec.with_changes("training.epochs=4", "training.threads=1")
LONG = SHORT.with_changes("training.epochs=5000", "name=long")  # minutes, unless somebody ends it
TRUE_WITHIN_S = 5.0  # the design's promise


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    """A home of the test's own, whose supervisor it may kill."""
    with living_home(tmp_path / "home") as store:
        yield store


def ended(store: Store, run_id: str, patience_s: float = PATIENCE_S) -> RunState:
    return until(lambda: (s := store.runs.get(run_id).state).is_over and s, f"{run_id} over", patience_s)


def kinds(store: Store, run_id: str) -> list[str]:
    return [event.kind for event in store.events.since(run_id)[0]]


def losses(store: Store, run_id: str) -> np.ndarray:
    return store.scalars.read(run_id, ["train/loss"])["train/loss"].values


# ---------------------------------------------------------------- a run's life


def test_a_run_is_trained_to_its_end(shared: Store) -> None:
    run_id = jobs.submit(shared, SHORT)
    assert ended(shared, run_id) is RunState.FINISHED
    row = shared.runs.get(run_id)
    assert row.step == row.total_steps == 4 * 46  # 1,455 images in batches of 32
    assert row.metrics["val/accuracy"]["best"] > 0.5
    assert {"best", "last"} <= {info.name for info in shared.checkpoints.list(run_id)}
    assert [kind for kind in kinds(shared, run_id) if kind in ("started", "finished")] == [
        "started",
        "finished",
    ]
    assert "Finished" in shared.log_path(run_id).read_text()
    steps = shared.scalars.read(run_id, ["train/loss"])["train/loss"].steps
    assert (steps == np.arange(1, row.step + 1)).all(), "every step, once"


def test_the_same_spec_and_seed_give_equal_losses_bit_for_bit(shared: Store) -> None:
    first, second, other = (jobs.submit(shared, SHORT.with_changes(f"seed={seed}")) for seed in (3, 3, 4))
    for run_id in (first, second, other):
        assert ended(shared, run_id) is RunState.FINISHED
    assert losses(shared, first).tobytes() == losses(shared, second).tobytes()
    assert losses(shared, first).tobytes() != losses(shared, other).tobytes()


def test_runs_wait_for_each_other_and_keep_their_order(shared: Store) -> None:
    queue = [jobs.submit(shared, SHORT) for _ in range(3)]
    seen = 0
    while not all(shared.runs.get(run_id).state.is_over for run_id in queue):
        seen = max(seen, sum(row.state.is_active for row in shared.runs.active()))
        time.sleep(0.01)
    assert seen == 1, "one at a time"
    started = [shared.runs.get(run_id).started for run_id in queue]
    assert started == sorted(started)  # type: ignore[type-var]


def test_a_run_pauses_goes_on_and_stops(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 10)
    jobs.pause(shared, run_id)
    in_state(shared, run_id, RunState.PAUSED)
    step = shared.runs.get(run_id).step
    beat = shared.runs.get(run_id).heartbeat
    until(lambda: shared.runs.get(run_id).heartbeat > beat, "a sign of life")  # type: ignore[operator]
    time.sleep(0.5)
    assert shared.runs.get(run_id).step == step, "a paused run does not train"
    jobs.resume(shared, run_id)
    at_step(shared, run_id, step + 10)
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)
    assert shared.checkpoints.read(run_id, "last")
    assert [k for k in kinds(shared, run_id) if k in ("paused", "resumed", "stopped")] == [
        "paused", "resumed", "stopped",
    ]  # fmt: skip


def test_the_system_s_sigterm_stops_a_run_and_keeps_its_model(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 10)
    os.kill(shared.runs.get(run_id).pid or 0, signal.SIGTERM)
    in_state(shared, run_id, RunState.STOPPED)
    step = shared.runs.get(run_id).step
    assert [info.step for info in shared.checkpoints.list(run_id) if info.name == "last"] == [step]


def test_a_stopped_run_goes_on_from_where_it_stopped(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 10)
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)
    step = shared.runs.get(run_id).step
    jobs.resume(shared, run_id)
    at_step(shared, run_id, step + 1)
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)
    steps = shared.scalars.read(run_id, ["train/loss"])["train/loss"].steps
    assert (np.diff(steps) == 1).all(), "the axis has no gap and no second copy of a step"


def test_a_run_that_cannot_work_fails_with_where_rule_fact_and_repair(shared: Store) -> None:
    spec = SHORT.with_changes("training.optimizer={kind: sgd, lr: 0.1}")
    shared.runs.create(spec.with_changes("data.name=gone"))  # past the check, as if it was deleted meanwhile
    run_id = shared.runs.list(limit=1)[0].id
    ensure_supervisor(shared)
    assert ended(shared, run_id) is RunState.FAILED
    error = shared.runs.get(run_id).error
    assert error is not None
    assert error["where"] == "data set `gone`"
    assert error["fact"] == "it is not"
    assert error["traceback"].strip().splitlines()[-1].startswith("workbench.specs.errors.DataError")
    assert "failed" in kinds(shared, run_id)


def test_a_fork_starts_from_the_weights_it_was_given(shared: Store) -> None:
    parent = jobs.submit(shared, SHORT)
    assert ended(shared, parent) is RunState.FINISHED
    child = jobs.fork(shared, parent, ["seed=9"], "best")
    fresh = jobs.fork(shared, parent, ["seed=9"])
    for run_id in (child, fresh):
        assert ended(shared, run_id) is RunState.FINISHED
    assert losses(shared, child)[0] < 0.5 * losses(shared, fresh)[0]
    assert shared.scalars.read(child, ["train/loss"])["train/loss"].steps[0] == 1


def test_a_run_stands_on_its_own(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 1)
    process = psutil.Process(shared.runs.get(run_id).pid)
    assert os.getsid(process.pid) == process.pid, "a session of its own: no terminal can reach it"
    files = {os.readlink(f"/proc/{process.pid}/fd/{n}") for n in (0, 1, 2)}
    assert files == {os.devnull, str(shared.log_path(run_id))}
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGHUP)
    step = shared.runs.get(run_id).step
    at_step(shared, run_id, step + 50)
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)


# ---------------------------------------------------------------- kill -9


def test_a_killed_run_is_lost_within_five_seconds_and_resumes_to_its_end(shared: Store) -> None:
    spec = SHORT.with_changes("training.epochs=200", "name=killed")
    run_id = jobs.submit(shared, spec)
    saved_step(shared, run_id)
    saved: list[int] = []

    def seconds_to_truth() -> float:
        if saved:
            jobs.resume(shared, run_id)
            in_state(shared, run_id, RunState.RUNNING)
        pid = shared.runs.get(run_id).pid or 0
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        in_state(shared, run_id, RunState.LOST)
        until(lambda: shared.runs.get(run_id).error, "the exit record")
        took = time.monotonic() - killed
        assert shared.runs.get(run_id).error["fact"] == "it was killed (SIGKILL)"  # type: ignore[index]
        assert not psutil.pid_exists(pid), "no zombie"
        saved.append(saved_step(shared, run_id))
        return took

    assert at_its_quickest(seconds_to_truth, TRUE_WITHIN_S) < TRUE_WITHIN_S
    jobs.resume(shared, run_id)
    assert ended(shared, run_id) is RunState.FINISHED
    events = shared.events.since(run_id)[0]
    assert [event.step for event in events if event.kind == "resumed"] == saved
    points = shared.scalars.read(run_id, ["train/loss"])["train/loss"]
    assert (points.steps == np.arange(1, 200 * 46 + 1)).all(), "every step once, killed or not"
    unharmed = jobs.submit(shared, spec)
    assert ended(shared, unharmed) is RunState.FINISHED
    assert points.values.tobytes() == losses(shared, unharmed).tobytes(), "as if nothing had happened"


def test_a_run_killed_before_its_first_checkpoint_starts_again(shared: Store) -> None:
    # One epoch is the whole run, so that no validation and no checkpoint comes before the kill.
    spec = LONG.with_changes("training.validate_every=1000", "name=early")
    run_id = jobs.submit(shared, spec)
    at_step(shared, run_id, 5)
    assert shared.checkpoints.list(run_id) == [], "else this tests nothing"
    os.kill(shared.runs.get(run_id).pid or 0, signal.SIGKILL)
    in_state(shared, run_id, RunState.LOST)
    jobs.resume(shared, run_id)
    until(lambda: "resumed" in kinds(shared, run_id), "the event")
    at_step(shared, run_id, 5)
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)
    steps = shared.scalars.read(run_id, ["train/loss"])["train/loss"].steps
    assert (steps == np.arange(1, len(steps) + 1)).all()


def test_a_killed_supervisor_leaves_runs_alone_and_the_next_one_adopts_them(own: Store) -> None:
    run_id = jobs.submit(own, LONG)
    at_step(own, run_id, 5)
    first = supervisor_pid(own)
    os.kill(first, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(first), "the supervisor's end")
    step = own.runs.get(run_id).step
    at_step(own, run_id, step + 50)  # nobody supervises, the run trains
    waiting = jobs.submit(own, SHORT)  # starts the next supervisor
    assert supervisor_pid(own) != first
    until(lambda: "ready" in (own.home / "supervisor.log").read_text().split(f"[{first}]")[-1], "warm")
    time.sleep(0.5)
    assert own.runs.get(waiting).state is RunState.QUEUED, "the adopted run holds the slot"
    os.kill(own.runs.get(run_id).pid or 0, signal.SIGKILL)
    in_state(own, run_id, RunState.LOST)
    until(lambda: own.runs.get(run_id).error, "the adopter's exit record")
    assert ended(own, waiting) is RunState.FINISHED


def test_a_second_supervisor_leaves_quietly(own: Store) -> None:
    ensure_supervisor(own, wait_s=PATIENCE_S)
    first = supervisor_pid(own)
    second = subprocess.run(
        [sys.executable, "-m", "workbench.worker.supervisor"], capture_output=True, text=True,
        env={**os.environ, "WORKBENCH_HOME": str(own.home)}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert supervisor_pid(own) == first


def test_a_supervisor_told_to_leave_leaves_the_runs_and_takes_the_answers_along(own: Store) -> None:
    run_id = jobs.submit(own, LONG)
    at_step(own, run_id, 5)
    os.kill(supervisor_pid(own), signal.SIGTERM)
    until(lambda: len(processes_of(own.home)) == 1, "only the run is left")
    assert processes_of(own.home)[0].pid == own.runs.get(run_id).pid
    assert own.runs.get(run_id).state is RunState.RUNNING


def test_a_supervisor_without_a_home_leaves(own: Store) -> None:
    ensure_supervisor(own, wait_s=PATIENCE_S)
    pid = supervisor_pid(own)
    until(lambda: "ready" in (own.home / "supervisor.log").read_text(), "warm")
    own.home.rename(own.home.with_name("moved"))
    until(lambda: not psutil.pid_exists(pid), "its end")


def test_slots_say_how_many_runs_work_at_a_time(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_SLOTS", "2")
    queue = [jobs.submit(own, LONG) for _ in range(3)]
    for run_id in queue[:2]:
        at_step(own, run_id, 1)
    assert own.runs.get(queue[2]).state is RunState.QUEUED
    jobs.pause(own, queue[0])
    in_state(own, queue[0], RunState.PAUSED)
    time.sleep(1.2)
    assert own.runs.get(queue[2]).state is RunState.QUEUED, "a paused run keeps its slot"
    jobs.stop(own, queue[0])
    at_step(own, queue[2], 1)


def test_an_unneeded_supervisor_leaves(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_IDLE_S", "1")
    ensure_supervisor(own, wait_s=PATIENCE_S)
    until(lambda: "nobody needed it" in (own.home / "supervisor.log").read_text(), "its leave")
    until(lambda: not processes_of(own.home), "its end")


def test_an_idle_supervisor_of_an_older_source_is_replaced(
    own: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_supervisor(own, wait_s=PATIENCE_S)
    first = supervisor_pid(own)
    until(lambda: "ready" in (own.home / "supervisor.log").read_text(), "warm")
    monkeypatch.setattr(launch, "source_stamp", lambda: "9" * 20)  # as after an upgrade
    run_id = own.runs.create(SHORT).id
    own.runs.claim(run_id, os.getpid(), psutil.Process().create_time(), HOST)
    ensure_supervisor(own)
    assert supervisor_pid(own) == first, "not while a run is at work"
    own.runs.exit(run_id, "stopped")
    ensure_supervisor(own, wait_s=PATIENCE_S)
    assert supervisor_pid(own) != first

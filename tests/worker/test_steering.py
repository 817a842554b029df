"""Runs steered while they train: parked, stepped, changed, killed, resumed; and replayed from the ledger."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import psutil
import pytest

from tests.processes import at_step, cli, in_state, saved_step, until
from workbench.jobs import runs as jobs
from workbench.records import RunState
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = pytest.mark.slow

SPEC = preset("mlp-tiny").spec.with_changes("training.threads=1", "training.epochs=40")
LONG = SPEC.with_changes("training.epochs=5000")
BY_CLOCK = ("system/", "throughput/", "telemetry/")  # what no two runs have alike


def changed(store: Store, run_id: str, *changes: str) -> None:
    """Change a run. The command gives up after 20 s of a process that is busy; said again it is the same."""
    found = [cli(store.home, "change", run_id, *changes)]
    while found[-1].returncode and len(found) < 5:
        assert "It will be when it goes on." in found[-1].stderr
        found.append(cli(store.home, "change", run_id, *changes))
    assert found[-1].returncode == 0


def history(store: Store, run_id: str) -> dict[str, tuple[bytes, bytes]]:
    return {
        key: (points.steps.tobytes(), points.values.tobytes())
        for key, points in store.scalars.read(run_id).items()
        if not key.startswith(BY_CLOCK)
    }


def test_a_steered_run_killed_and_resumed_equals_the_fork_that_replays_its_ledger(shared: Store) -> None:
    run_id = jobs.submit(shared, SPEC.with_changes("training.epochs=80", "name=steered"), held=True)
    shared.commands.post(run_id, "step", {"steps": 20})  # waits for it: the little network is quick
    assert cli(shared.home, "release", run_id).returncode == 0
    in_state(shared, run_id, RunState.PAUSED)
    for change in ("training.optimizer.lr=0.01", "training.clip_norm=0.5"):
        changed(shared, run_id, change)
        step = shared.runs.get(run_id).step
        cli(shared.home, "step", run_id, "60")
        at_step(shared, run_id, step + 60)
        in_state(shared, run_id, RunState.PAUSED)
    changed(shared, run_id, "training.freeze=[1]", "training.optimizer.weight_decay=0.1")
    here = shared.runs.get(run_id).step
    jobs.step(
        shared, run_id, 1500
    )  # at work when it is killed, and not at its end where the test was kept waiting
    at_step(shared, run_id, here + 100)
    os.kill(shared.runs.get(run_id).pid or 0, signal.SIGKILL)
    in_state(shared, run_id, RunState.LOST)
    found = cli(shared.home, "resume", run_id, "--set", "training.optimizer.lr=0.002")
    assert found.returncode == 0, found.stderr
    in_state(shared, run_id, RunState.FINISHED)
    ledger = shared.ledger.list(run_id)
    assert [dict(line.changes) for line in ledger] == [
        {"training.optimizer.lr": 0.01}, {"training.clip_norm": 0.5},
        {"training.freeze": [1], "training.optimizer.weight_decay": 0.1}, {"training.optimizer.lr": 0.002},
    ]  # fmt: skip
    child = cli(shared.home, "fork", run_id, "--replay").stdout.strip()
    in_state(shared, child, RunState.FINISHED)
    whole = history(shared, run_id)
    assert {"train/loss", "val/loss", "val/accuracy", "lr", "grad_norm"} <= whole.keys()
    assert history(shared, child) == whole
    plain = jobs.fork(shared, run_id)
    in_state(shared, plain, RunState.FINISHED)
    assert history(shared, plain)["train/loss"] != whole["train/loss"], "else the changes changed nothing"
    for one in (run_id, child):
        told = [event.step for event in shared.events.since(one)[0] if event.kind == "changed"]
        assert set(told) == {line.step for line in ledger}, "each change is an event"
        assert len(told) <= len(ledger), "and none is told twice"


def test_a_parked_run_frees_its_process_and_goes_on_bit_for_bit(shared: Store) -> None:
    spec = SPEC.with_changes("training.epochs=30", "name=parked")
    run_id = jobs.submit(shared, spec, held=True)
    shared.commands.post(run_id, "step", {"steps": 50})  # so that it cannot end before it is parked
    jobs.release(shared, [run_id])
    in_state(shared, run_id, RunState.PAUSED)
    pid = shared.runs.get(run_id).pid or 0
    assert "is parked at step" in cli(shared.home, "park", run_id).stdout
    row = shared.runs.get(run_id)
    assert (row.state, row.parked, row.at_work) == (RunState.PAUSED, True, False)
    until(lambda: not psutil.pid_exists(pid), "the end of its process")
    other = jobs.submit(shared, SPEC.with_changes("training.epochs=1"))
    in_state(shared, other, RunState.FINISHED)  # its slot is free
    jobs.resume(shared, run_id)
    in_state(shared, run_id, RunState.FINISHED)
    unharmed = jobs.submit(shared, spec)
    in_state(shared, unharmed, RunState.FINISHED)
    assert history(shared, run_id) == history(shared, unharmed)


def test_a_parked_run_is_stepped_and_stopped(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    at_step(shared, run_id, 5)
    jobs.park(shared, run_id)
    until(lambda: shared.runs.get(run_id).parked, "parked")
    step = shared.runs.get(run_id).step
    jobs.step(shared, run_id, 7)
    until(lambda: (row := shared.runs.get(run_id)).step > step and row.state is RunState.PAUSED, "the steps")
    time.sleep(0.5)
    assert shared.runs.get(run_id).step - step == 7
    jobs.park(shared, run_id)
    until(lambda: shared.runs.get(run_id).parked, "parked again")
    assert jobs.stop(shared, run_id).state is RunState.STOPPED
    assert shared.checkpoints.read(run_id, "last")


def test_a_run_that_still_trains_is_forked_from_its_newest_checkpoint(shared: Store) -> None:
    run_id = jobs.submit(shared, LONG)
    saved_step(shared, run_id)
    child = jobs.fork(shared, run_id, ["training.epochs=1", "seed=5"], "last")
    assert shared.runs.get(run_id).state is RunState.RUNNING
    given = next(info for info in shared.checkpoints.list(child) if info.name == "start")
    jobs.stop(shared, run_id)
    in_state(shared, run_id, RunState.STOPPED)
    assert saved_step(shared, run_id) > given.step
    shared.runs.delete(run_id)  # the child has all it needs
    in_state(shared, child, RunState.FINISHED)
    first = shared.scalars.read(child, ["train/loss"])["train/loss"].values[0]
    assert first < 1.0, "weights that have learned: fresh ones give about 2.3"
    texts = [event.text for event in shared.events.since(child)[0]]
    assert f"Weights taken from checkpoint last (step {given.step:,}) of run {run_id}." in texts
    assert np.isfinite(first)

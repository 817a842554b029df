"""Another program holds the database for longer than SQLite waits by itself: nobody dies of it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from tests.processes import living_home, supervisor_pid, until
from workbench.jobs import runs as jobs
from workbench.records import RunState
from workbench.specs.presets import preset

HELD_S = 13.0  # the driver gives up after 10


@pytest.mark.slow
def test_a_run_outlasts_a_locked_database_and_loses_no_step(tmp_path: Path) -> None:
    spec = preset("mlp-tiny").spec.with_changes("training.epochs=300", "training.threads=1")
    with living_home(tmp_path / "home") as store:
        run_id = jobs.submit(store, spec)
        until(lambda: store.runs.get(run_id).step > 100, "some steps")
        supervisor, worker = supervisor_pid(store), store.runs.get(run_id).pid
        other = sqlite3.connect(store.home / "workbench.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # as a backup or a person with a database tool
        held = time.monotonic()
        step = store.runs.get(run_id).step
        while time.monotonic() - held < HELD_S:
            row = store.runs.get(run_id)  # readers are not held up
            assert row.state is RunState.RUNNING
            assert row.step == step, "nobody else can write"
            time.sleep(0.2)
        other.execute("ROLLBACK")
        other.close()
        until(lambda: store.runs.get(run_id).step > step, "it goes on")
        until(lambda: store.runs.get(run_id).state is RunState.FINISHED, "its end")
        assert store.runs.get(run_id).pid == worker, "by the same process"
        assert supervisor_pid(store) == supervisor
        steps = store.scalars.read(run_id, ["train/loss"])["train/loss"].steps
        assert (steps == np.arange(1, 300 * 46 + 1)).all()
        assert "locked by another process; trying again" in store.log_path(run_id).read_text()

"""Homes that vanish and disks that fill: nothing goes on in the dark, nobody dies of a full log."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import (
    at_its_quickest,
    at_step,
    in_state,
    living_home,
    processes_of,
    supervisor_pid,
    until,
)
from workbench.jobs import runs as jobs
from workbench.jobs.launch import ensure_supervisor
from workbench.jobs.slots import Settings
from workbench.records import RunState
from workbench.specs.errors import StoreError
from workbench.specs.presets import preset
from workbench.store import open_store
from workbench.store.states import HOST, started_at
from workbench.worker import supervisor as supervising
from workbench.worker.control import StoreControl
from workbench.worker.faults import describe

LONG = preset("mlp-tiny").spec.with_changes("training.epochs=5000", "training.threads=1")


def seconds_until_all_have_ended(home: Path, is_paused: bool) -> float:
    """Train in a home, delete it, and wait for the end of every process that worked in it."""
    with living_home(home) as store:
        run_id = jobs.submit(store, LONG)
        at_step(store, run_id, 10)
        if is_paused:
            jobs.pause(store, run_id)
            in_state(store, run_id, RunState.PAUSED)
        away = home.with_name(f"{home.name}-away")
        home.rename(away)  # at once; deleting a tree takes a moment
        began = time.monotonic()
        shutil.rmtree(away)
        until(lambda: not processes_of(home), "the end of every process")
        return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("is_paused", [False, True], ids=["running", "paused"])
def test_no_process_goes_on_in_a_home_that_was_deleted(tmp_path: Path, is_paused: bool) -> None:
    homes = (tmp_path / f"home{i}" for i in range(3))
    assert at_its_quickest(lambda: seconds_until_all_have_ended(next(homes), is_paused), 5.0) < 5.0


@pytest.mark.slow
def test_a_supervisor_whose_terminal_closes_leaves_in_order(tmp_path: Path) -> None:
    with living_home(tmp_path / "home") as store:
        ensure_supervisor(store, 60.0)
        log = store.home / "supervisor.log"
        until(lambda: "ready" in log.read_text(), "a warm supervisor")
        os.kill(supervisor_pid(store), signal.SIGHUP)
        until(lambda: "leaving: got SIGHUP" in log.read_text(), "its leaving")
        until(lambda: not processes_of(store.home), "the end of all it had started")


def test_a_store_whose_file_was_removed_or_replaced_says_so(home: Path) -> None:
    store = open_store()
    store.must_be_there()
    control = StoreControl(store, "anything")
    (home / "workbench.db").rename(home / "moved.db")
    with pytest.raises(StoreError, match="removed or replaced"):
        control.take()
    open_store().close()  # another one in its place is not it
    with pytest.raises(StoreError, match="removed or replaced"):
        store.must_be_there()


class FullDisk:
    """A stream that takes nothing."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_does_not_end_the_supervisor_and_the_reason_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    row = store.runs.create(LONG)
    supervisor = supervising.Supervisor(store, "me", settings=Settings(), idle_s=0)
    pid = 2**22 - 1  # nobody's
    store.runs.claim(row.id, pid, 1.0, HOST)
    supervisor.runs[pid] = (row.id, 0)
    monkeypatch.setattr(sys, "stderr", FullDisk())
    monkeypatch.setattr(os, "waitpid", lambda *_: (pid, 74 << 8) if supervisor.runs else (0, 0))
    real = store.runs.exit

    def full(*_: Any, **__: Any) -> bool:
        raise OSError(28, "database or disk is full")

    monkeypatch.setattr(store.runs, "exit", full)
    with pytest.raises(OSError, match="full"):  # the loop goes on after that
        supervisor._reap()
    monkeypatch.setattr(store.runs, "exit", real)
    supervisor.undertaker.look_around(set())  # there is room again
    error = store.runs.get(row.id).error
    assert error is not None
    assert "the disk was full" in error["fact"]
    assert not supervisor.undertaker.vanished


def test_a_process_that_lives_is_not_buried(home: Path) -> None:
    store = open_store()
    row = store.runs.create(LONG)
    store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST)
    supervising.Supervisor(store, "me", settings=Settings(), idle_s=0).undertaker.look_around(set())
    assert store.runs.get(row.id).error is None


def test_batch_norm_on_a_single_image_is_explained() -> None:
    record = describe(ValueError("Expected more than 1 value per channel when training, got …"), "training")
    assert record["rule"].startswith("batch_norm needs two values")
    assert "batch_size" in record["repair"]

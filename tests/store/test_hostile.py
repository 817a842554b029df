"""Clocks that jump, processes killed between two writes, and two people who press at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.records import RunState
from workbench.specs.errors import RunError
from workbench.specs.presets import preset
from workbench.store import checkpoints, open_store
from workbench.store.states import HOST, process_exists, started_at
from workbench.store.store import Store

SPEC = preset("mlp-tiny").spec


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere start times go by the clock")
def test_a_run_lives_on_when_the_clock_jumps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    row = store.runs.create(SPEC)
    store.runs.claim(row.id, os.getpid(), started_at(os.getpid()), HOST)
    store.runs.update(row.id, phase="running")
    real = psutil.boot_time()
    # Linux tells the time of boot as now minus uptime: it moves with the clock.
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: real + 3600.0)
    assert abs(psutil.Process().create_time() - (started_at(os.getpid()) + real)) > 3000, "it has jumped"
    assert store.runs.get(row.id).state is RunState.RUNNING


def test_a_process_is_told_from_another_of_the_same_number() -> None:
    mine = started_at(os.getpid())
    assert process_exists(os.getpid(), mine)
    assert not process_exists(os.getpid(), mine - 1.0)
    child = subprocess.Popen([sys.executable, "-c", ""])
    began = started_at(child.pid)
    child.wait()
    assert not process_exists(child.pid, began)
    with pytest.raises(psutil.NoSuchProcess):
        started_at(child.pid)


def test_a_run_that_starts_while_it_is_being_deleted_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = store.runs.create(SPEC)
    store.runs.claim(waiting.id, os.getpid(), started_at(os.getpid()), HOST)
    monkeypatch.setattr(store.runs, "get", lambda _: waiting)  # as it was a moment before
    with pytest.raises(RunError, match="started just now"):
        store.runs.delete(waiting.id)
    monkeypatch.undo()
    assert store.runs.get(waiting.id).pid == os.getpid()


def test_what_a_killed_process_left_half_written_goes_with_its_next_checkpoint(store: Store) -> None:
    run = store.runs.create(SPEC).id
    store.checkpoints.write(run, "best", b"best", step=1, epoch=0.0, metrics={})
    folder = store.run_folder(run) / "checkpoints"
    (folder / ".last-0000000002-1.safetensors.abc").write_bytes(b"half")
    (folder / "last-0000000002-1.safetensors").write_bytes(b"whole, but its row was never written")
    forgotten = folder / ".int8-static-0000000002-1.safetensors.abc"
    forgotten.write_bytes(b"half, of yesterday")
    os.utime(forgotten, (time.time() - 86400, time.time() - 86400))
    store.checkpoints.write(run, "last", b"last", step=2, epoch=0.0, metrics={})
    assert len(list(folder.iterdir())) == 2
    assert (store.checkpoints.read(run, "best"), store.checkpoints.read(run, "last")) == (b"best", b"last")


@pytest.mark.parametrize(("ours", "theirs"), [("last", "int8-static"), ("int8-static", "last")])
@pytest.mark.parametrize("moment", ["half written", "whole, before its row"])
def test_a_checkpoint_that_another_process_writes_meanwhile_is_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, ours: str, theirs: str, moment: str
) -> None:
    """A run that trains saves itself, while the process that answers makes its int8 variant."""
    run = store.runs.create(SPEC).id
    where, real = (os, os.replace) if moment == "half written" else (checkpoints, checkpoints.write_whole)
    asked: list[str] = []

    def between(*args: Any) -> None:
        if moment != "half written":
            real(*args)
        if not asked:
            asked.append("theirs")
            store.checkpoints.write(run, theirs, b"theirs", step=1, epoch=0.0, metrics={})
        if moment == "half written":
            real(*args)

    monkeypatch.setattr(where, real.__name__, between)
    store.checkpoints.write(run, ours, b"ours", step=1, epoch=0.0, metrics={})
    assert (store.checkpoints.read(run, ours), store.checkpoints.read(run, theirs)) == (b"ours", b"theirs")


def test_a_checkpoint_replaced_while_it_is_read_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.runs.create(SPEC).id
    store.checkpoints.write(run, "last", b"one", step=1, epoch=0.0, metrics={})
    real = Path.read_bytes
    calls: list[Path] = []

    def late(path: Path) -> bytes:
        if not calls:
            calls.append(path)
            store.checkpoints.write(run, "last", b"two", step=2, epoch=0.0, metrics={})
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", late)
    assert store.checkpoints.read(run, "last") == b"two"

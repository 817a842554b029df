"""A run that is there and yet silent is told as that, with a real process stopped by a real signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.live import trainer
from tests.processes import until
from workbench.live import silence as room
from workbench.live.reader import Reader
from workbench.live.silence import is_silent, is_stopped, silence
from workbench.store import Store
from workbench.store.states import HOST, started_at


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """A process of our own that does nothing."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


@pytest.fixture
def run(store: Store, process: psutil.Process) -> str:
    found = trainer.new_run(store, "quiet")
    store.runs.claim(found, process.pid, started_at(process.pid), HOST)
    store.flush(found, [], phase="running", step=3)
    return found


def test_a_stopped_process_is_told_as_stopped_and_a_woken_one_as_heard(
    store: Store, run: str, process: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert silence(store.runs.get(run)) is None
    with monkeypatch.context() as impatient:
        impatient.setattr(room, "SILENT_S", 0.3)
        time.sleep(0.5)
        _is_told(store, run, process)
    os.kill(process.pid, signal.SIGCONT)
    store.runs.beat(run)
    assert silence(store.runs.get(run)) is None


def _is_told(store: Store, run: str, process: psutil.Process) -> None:
    row = store.runs.get(run)
    assert is_silent(row)
    assert not is_stopped(row)
    assert "its process still exists" in (silence(row) or "")
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: is_stopped(store.runs.get(run)), "its stop")
    row = store.runs.get(run)
    assert (row.state.value, is_stopped(row)) == ("running", True)
    assert f"kill -CONT {process.pid}" in (silence(row) or "")
    reader = Reader(store, run)
    reader.poll()
    assert reader.status()["is_stopped"] is True


@pytest.mark.parametrize("kind", ["parked", "finished", "stopped"])
def test_a_run_without_a_process_is_never_silent(store: Store, run: str, kind: str) -> None:
    store.runs.exit(run, kind)
    row = store.runs.get(run)
    assert (row.silent_s, silence(row)) == (None, None)

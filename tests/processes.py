"""Real processes in tests: a home whose every process is ended when the test is over."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

from workbench.jobs import runs as jobs
from workbench.jobs.answers import ask
from workbench.jobs.launch import supervisor
from workbench.records import RunState
from workbench.store import Store, open_store

T = TypeVar("T")
# For what comes in a moment and is no promise: a busy machine may stand still for most of a minute.
PATIENCE_S = 150.0


@contextlib.contextmanager
def living_home(home: Path) -> Iterator[Store]:
    """The store of `home`; on leaving, every process that works on it is killed, by number."""
    store = open_store(home)
    try:
        yield store
    finally:
        for _ in range(3):  # what was just being forked shows up in the next round
            victims = processes_of(home)
            if not victims:
                break
            for process in victims:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(victims, timeout=5)
        store.close()


@contextlib.contextmanager
def answering_home(home: Path) -> Iterator[Store]:
    """A living home that WORKBENCH_HOME names, whose answering process has spoken."""
    before = os.environ.get("WORKBENCH_HOME")
    os.environ["WORKBENCH_HOME"] = str(home)
    try:
        with living_home(home) as store:
            ask(store, "ping", {}, 60.0)
            yield store
    finally:
        os.environ.pop("WORKBENCH_HOME")
        if before is not None:
            os.environ["WORKBENCH_HOME"] = before


def processes_of(home: Path) -> list[psutil.Process]:
    """Processes that were started for this home (a fork keeps the environment it was started with)."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error):
            # A zombie is done with, though nobody waited for it yet; its environment reads as empty.
            if process.environ().get("WORKBENCH_HOME") == os.fspath(home):
                found.append(process)
    return found


def until(fact: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """The first true value of `fact()`. Fails with `what` when patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        value = fact()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(0.02)


def in_state(store: Store, run_id: str, state: RunState, patience_s: float = PATIENCE_S) -> None:
    until(lambda: store.runs.get(run_id).state is state, f"{run_id} {state}", patience_s)


def at_step(store: Store, run_id: str, step: int) -> None:
    until(lambda: store.runs.get(run_id).step >= step, f"{run_id} at step {step}")


def saved_step(store: Store, run_id: str) -> int:
    """The step of the run's checkpoint `last`, waiting for the first one. (`best` is written before it.)"""

    def step() -> int | None:
        return next((info.step for info in store.checkpoints.list(run_id) if info.name == "last"), None)

    return until(lambda: step() or 0, "a checkpoint")


def leave_no_run(store: Store) -> None:
    """End what a failed test left at work or waiting, so that the next one finds the home as it should be."""
    for row in store.runs.waiting():
        jobs.stop(store, row.id)
    for row in store.runs.active():
        if row.at_work and row.pid:
            with contextlib.suppress(psutil.Error):
                psutil.Process(row.pid).kill()
            until(lambda row=row: store.runs.get(row.id).state.is_over, f"the end of {row.id}")  # type: ignore[misc]


def cli(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`workbench …` with this home; a traceback is never an answer."""
    found = subprocess.run(
        [sys.executable, "-m", "workbench.cli.main", *arguments], capture_output=True, text=True,
        timeout=PATIENCE_S, env={**os.environ, "WORKBENCH_HOME": str(home)},
    )  # fmt: skip
    assert "Traceback" not in found.stderr
    return found


def supervisor_pid(store: Store) -> int:
    """The process number of the living supervisor, waiting for one to come up."""
    found = until(lambda: supervisor(store), "a supervisor")
    return found.pid


def at_its_quickest(measure: Callable[[], float], limit: float, tries: int = 3) -> float:
    """What `measure()` gives, at once where that is below `limit`, else the least of so many tries.

    A machine that halts for seconds makes a promise of seconds late once; what is too slow is so each time.
    """
    least = measure()
    for _ in range(tries - 1):
        if least < limit:
            break
        least = min(least, measure())
    return least

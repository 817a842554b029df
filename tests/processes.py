"""Real processes in tests: a home whose every process is ended when the test is over."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

from workbench.jobs.launch import supervisor
from workbench.store import Store, open_store

T = TypeVar("T")


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


def until(fact: Callable[[], T], what: str, patience_s: float = 60.0) -> T:
    """The first true value of `fact()`. Fails with `what` when patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        value = fact()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(0.02)


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

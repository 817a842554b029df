"""The exit record of processes that left none: why they are gone, and from where their run goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from workbench.jobs import steering
from workbench.jobs.runs import settle
from workbench.records import Event, RunState
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow, Store
from workbench.store.states import HOST, SILENT_S
from workbench.worker.offers import going_on, smaller_parts
from workbench.worker.process import UNRECORDED, say

MEMORY = "the system ran out of memory and killed it (SIGKILL)"


class Undertaker:
    """Writes `lost` for runs whose process is gone. What it could not write it tries again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.vanished: dict[str, str] = {}  # run id -> why, while the store cannot take the record
        self._silent: dict[str, tuple[float | None, float]] = {}  # run id -> heartbeat, since when we see it

    def ended(self, run_id: str, pid: int, status: int, memory_kill: bool) -> None:
        """A child of ours ended with this status of `waitpid`."""
        self.vanished[run_id] = fact = fact_of(status, memory_kill)
        self._lost(run_id, pid, fact)
        del self.vanished[run_id]

    def look_around(self, ours: set[str]) -> None:
        """Bury runs that are gone and no child of ours: a former supervisor's, or another machine's."""
        active = self.store.runs.active()
        for row in active:
            if row.state is RunState.LOST and row.id not in ours and row.pid and self._surely(row):
                unseen = "it is gone, and no supervisor was there to see why"
                self._lost(row.id, row.pid, self.vanished.get(row.id, unseen))
                self.vanished.pop(row.id, None)
        alive = {row.id for row in active}
        self._silent = {run_id: seen for run_id, seen in self._silent.items() if run_id in alive}

    def _surely(self, row: RunRow) -> bool:
        """Here the process was asked. Elsewhere only its heartbeat tells, and by our own stopwatch: a
        clock set forward makes every heartbeat look old."""
        if row.host == HOST:
            return True
        now = time.monotonic()
        beat, since = self._silent.get(row.id, (None, now))
        if beat != row.heartbeat:
            since = now
        self._silent[row.id] = (row.heartbeat, since)
        return now - since > SILENT_S

    def _lost(self, run_id: str, pid: int, fact: str) -> None:
        """The exit record of a process that left none. Does nothing when there is one."""
        try:
            row = self.store.runs.get(run_id)
        except WorkbenchError:
            return  # deleted meanwhile
        # `pid` must still be the run's: it may have been resumed under another process already.
        if row.pid != pid or row.state is not RunState.LOST:
            return
        if self.store.runs.exit(run_id, "lost", _record(self.store, row, fact), pid=pid):
            text = f"Lost at step {row.step}: {fact}."
            self.store.events.add(run_id, Event("lost", text, row.step, row.epoch, time.time()))
            say(f"run {run_id}: lost, {fact}")
            settle(self.store, run_id, pid)


def _record(store: Store, row: RunRow, fact: str) -> dict[str, Any]:
    saved, offer = None, None
    with contextlib.suppress(Exception):
        saved = next((info.step for info in store.checkpoints.list(row.id) if info.name == "last"), None)
    if fact == MEMORY and not row.is_own_loop:
        with contextlib.suppress(WorkbenchError):
            offer = smaller_parts(steering.now(store, row))
    return {
        "where": "the run's process",
        "rule": "it must live until it has written its exit record",
        "fact": fact,
        "repair": "Start your program again: that is a new run."
        if row.is_own_loop
        else f"{'Accept the offer' if offer else 'Resume the run'}: {going_on(saved)}",
        "line": None,
        "offer": offer,
        "traceback": None,
    }


def ending(status: int) -> str:
    """A status of `waitpid` for the supervisor's log."""
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"status {os.WEXITSTATUS(status)}"


def fact_of(status: int, memory_kill: bool) -> str:
    """A status of `waitpid` as the fact of an error record."""
    if not os.WIFSIGNALED(status):
        if os.WEXITSTATUS(status) == UNRECORDED:
            return "it failed when the store took nothing more: the disk was full or the database refused"
        return f"it ended by itself with status {os.WEXITSTATUS(status)} (see the log)"
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL and memory_kill:
        return MEMORY
    if number == signal.SIGKILL:
        return "it was killed (SIGKILL)"
    return f"it was ended by {signal.Signals(number).name} (see the log)"

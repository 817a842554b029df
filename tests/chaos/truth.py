"""Compares, all the time, what store and app say of each run with what the kernel says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.house import House
from tests.chaos.viewer import Viewer
from workbench.records import RunState

EVERY_S = 0.1
TRUE_WITHIN_S = 5.0  # the promise
HALT_S = 1.0  # between two looks at most so much counts: while nobody can look the machine stands still
STUCK_S = 30.0  # a cold supervisor takes 3 to 8 s, on a busy machine more
WORKING = {RunState.STARTING, RunState.RUNNING, RunState.PAUSED, RunState.STOPPING}


def lie(state: RunState, lives: bool) -> str | None:
    """What is false about showing `state` while a process works on the run, or none does."""
    if state in WORKING and not lives:
        return f"shown as {state.value}, and no process works on it"
    if state not in WORKING and lives:
        return f"shown as {state.value}, and a process works on it"
    return None


@dataclass
class Seen:
    """What was found in a whole session. Times in seconds."""

    looks: int = 0
    false: list[str] = field(default_factory=list)  # for longer than TRUE_WITHIN_S
    longest_false: dict[str, float] = field(default_factory=dict)  # by source
    stuck: list[str] = field(default_factory=list)
    halted: float = 0.0  # seconds in which the machine let nobody look
    longest_wait: float = 0.0  # a run waits, a supervisor lives, and nothing works
    finished: set[str] = field(default_factory=set)  # ever seen as finished
    taken_back: list[str] = field(default_factory=list)  # finished, and then not


class Checker:
    """A thread that looks ten times a second at every run that is watched."""

    def __init__(self, house: House, viewer: Viewer, runs: Callable[[], list[str]]) -> None:
        self.house, self.viewer, self.runs = house, viewer, runs
        self.seen = Seen()
        self._since: dict[tuple[str, str], float] = {}  # (what, run) → since when, by the clock below
        self._clock, self._looked = 0.0, time.monotonic()
        self._told: set[tuple[str, str]] = set()
        self._over = threading.Event()
        self._errors: list[str] = []
        self._thread = threading.Thread(target=self._watch, name="checker", daemon=True)
        self._thread.start()

    def stop(self) -> Seen:
        self._over.set()
        self._thread.join(30)
        assert not self._errors, self._errors[:3]
        return self.seen

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self.look()
            except Exception as error:  # a checker that dies would pass everything
                self._errors.append(f"{type(error).__name__}: {error}")

    def look(self) -> None:
        """Compare once."""
        seen, now = self.seen, self._now()
        seen.looks += 1
        rows = {row.id: row for row in self.house.store.runs.many(self.runs())}
        shown = dict(self.viewer.shown)
        working = self.house.run_processes()  # after the states: what is shown must be true by now
        for run, row in rows.items():
            if row.parked:  # paused without a process: so it should be
                continue
            says = {"store": row.state}
            if run in shown:
                says["app"] = RunState(shown[run].state)
            for source in ("store", "app"):
                wrong = lie(says[source], run in working) if source in says else None
                lasted = self._lasts((source, run), wrong is not None, now)
                seen.longest_false[source] = max(seen.longest_false.get(source, 0.0), lasted)
                if lasted > TRUE_WITHIN_S:
                    self._tell(seen.false, (source, run), f"{source}, run {run}, step {row.step}: {wrong}")
            at_end = row.state is RunState.RUNNING and row.step == row.total_steps
            if self._lasts(("end", run), at_end, now) > STUCK_S:
                self._tell(seen.stuck, ("end", run), f"run {run} is stuck at 100 %")
            if row.state is RunState.FINISHED:
                seen.finished.add(run)
            elif run in seen.finished:
                text = f"run {run} was finished and is {row.state.value}"
                self._tell(seen.taken_back, ("finished", run), text)
        waits = any(row.state is RunState.QUEUED for row in rows.values()) and not working
        waits = waits and self.house.supervisor_pid() is not None
        lasted = self._lasts(("queue", ""), waits, now)
        seen.longest_wait = max(seen.longest_wait, lasted)
        if lasted > STUCK_S:
            self._tell(seen.stuck, ("queue", ""), "the queue stands still though a supervisor lives")
        if seen.looks % 10 == 0:
            dead = self.house.zombies()
            if self._lasts(("zombies", ""), bool(dead), now) > TRUE_WITHIN_S:
                self._tell(seen.stuck, ("zombies", ""), f"zombies stay: {dead}")

    def _now(self) -> float:
        """Seconds in which somebody could look. A machine that halts for half a minute, its disk or its
        processor taken by others, makes no state false for that long."""
        wall = time.monotonic()
        self._clock += min(wall - self._looked, HALT_S)
        self.seen.halted += max(0.0, wall - self._looked - HALT_S)
        self._looked = wall
        return self._clock

    def _lasts(self, what: tuple[str, str], holds: bool, now: float) -> float:
        """How long something has been so; what is over may be told again when it comes back."""
        if not holds:
            self._since.pop(what, None)
            self._told.discard(what)
            return 0.0
        return now - self._since.setdefault(what, now)

    def _tell(self, where: list[str], what: tuple[str, str], text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            where.append(text)

"""Clocks of a run: how long it has worked, how much of that went into watching it, and how long is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

RECENT_S = 30.0  # the pace that the remaining time is judged by


class Meter:
    """active_s: wall time of the run without pauses; spent_s: the part of it that telemetry took;
    pace_s: seconds a step takes, validations included, None until known.

    All go on where an earlier session of the run ended.
    """

    def __init__(self, active_s: float = 0.0, spent_s: float = 0.0, pace_s: float | None = None) -> None:
        self._began = perf_counter() - active_s
        self._idle_since: float | None = None
        self.spent_s = spent_s
        self.pace_s = pace_s
        self._pace: deque[tuple[float, int]] = deque()  # (active seconds, step)

    @property
    def active_s(self) -> float:
        return (self._idle_since or perf_counter()) - self._began

    @property
    def share(self) -> float:
        """Share of the active time spent on telemetry, 0..1."""
        active = self.active_s
        return min(1.0, self.spent_s / active) if active > 0 else 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts what happens inside as telemetry."""
        began = perf_counter()
        try:
            yield
        finally:
            self.spent_s += perf_counter() - began

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Does not count what happens inside at all, as of now: the run is paused."""
        self._idle_since = perf_counter()
        try:
            yield
        finally:
            self._began += perf_counter() - self._idle_since
            self._idle_since = None

    def eta_s(self, step: int, total: int) -> float | None:
        """Seconds to the end at the pace of the last half minute; an earlier session's until it is known."""
        now = self.active_s
        if not self._pace or self._pace[-1] != (now, step):
            self._pace.append((now, step))
        while len(self._pace) > 2 and now - self._pace[1][0] > RECENT_S:
            self._pace.popleft()
        then, before = self._pace[0]
        if step > before and now > then:
            self.pace_s = (now - then) / (step - before)
        if step >= total:
            return 0.0
        return None if self.pace_s is None else (total - step) * self.pace_s

"""The one process a home that starts runs: `python -m workbench.worker.supervisor`.

It holds the lease `supervisor` in the store, has torch loaded, forks a process for the run that has
waited longest whenever a slot is free, and writes `lost` for one that vanished. It may die at any
moment, by `kill -9` too: runs go on without it, and the next supervisor finds them in the store by
pid and start time. A second supervisor on the same home leaves at once.

Which run may start, and on which device, `jobs.queue` decides. A paused run keeps its slot, because it
keeps its memory: what was started beside it might not fit, and resuming must never have to wait.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import uuid
from pathlib import Path
from types import FrameType

import psutil

from workbench.jobs.launch import LEASE, LEASE_TTL_S, WANTED
from workbench.jobs.launch import supervisor as living
from workbench.jobs.queue import places
from workbench.jobs.slots import Settings, from_environment, is_count
from workbench.jobs.source import loaded_stamp
from workbench.specs.errors import WorkbenchError
from workbench.store import Store, open_store
from workbench.store.states import HOST, started_at
from workbench.worker.bury import Undertaker, ending
from workbench.worker.process import fork_off, out_of_memory_kills, say

TICK_S = 0.05
RENEW_EVERY_S = 1.0
WARMING_TTL_S = 60.0  # imports may take long on a cold disk, and nothing renews meanwhile
SUCCEED_S = 15.0  # how long a successor waits for the supervisor it replaces
ANSWERS_PAUSE_S = 5.0  # between two starts of the answering process


class Supervisor:
    """The loop and what it remembers. Everything that must outlive it is in the store."""

    def __init__(self, store: Store, holder: str, *, settings: Settings, idle_s: float) -> None:
        self.store = store
        self.holder = holder
        self.settings = settings
        self.idle_s = idle_s
        self.leaving: str | None = None  # why, once it is decided
        self.runs: dict[int, tuple[str, int]] = {}  # pid -> (run id, the kernel's memory kills before)
        self.undertaker = Undertaker(store)
        self.answers: int | None = None
        self._answers_started = -1e9
        self._home = identity(store.home)
        self._last_called = 0  # Unix ns
        self._renewed = time.monotonic()
        self._needed = time.monotonic()
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # ------------------------------------------------------------ the loop

    def serve(self) -> None:
        """Work until told to leave, replaced, idle for long, or left without a home."""
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that it wakes the select below
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._told_to_leave)
        self._keep_answers()
        while self.leaving is None:
            try:
                # The queue is in the database; asking it 20 times a second took 2 % of a core.
                look = self._reap() or self._called()
                if time.monotonic() - self._renewed >= RENEW_EVERY_S:
                    self._every_second()
                    look = True
                while look and self.leaving is None and self._start_next():
                    pass
            except WorkbenchError as error:
                say(f"the store does not serve: {error}")
                time.sleep(1.0)
            except Exception as error:
                # A database that is locked or gone for a moment must not end the supervisor.
                say(f"{type(error).__name__}: {error}")
                time.sleep(1.0)
            select.select([self._wake], [], [], TICK_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        self._leave()

    def _called(self) -> bool:
        """Whether somebody has put a run into the queue, or wanted anything, since the last call."""
        with contextlib.suppress(OSError):
            latest = (self.store.home / WANTED).stat().st_mtime_ns
            if latest != self._last_called:
                self._last_called = latest
                self._needed = time.monotonic()
                return True
        return False

    def _told_to_leave(self, number: int, _frame: FrameType | None) -> None:
        self.leaving = f"got {signal.Signals(number).name}"

    def _every_second(self) -> None:
        self._renewed = time.monotonic()
        if identity(self.store.home) != self._home:
            self.leaving = "its home is gone"
            return
        if not self.store.leases.renew(LEASE, self.holder, LEASE_TTL_S):
            # We slept past the lease (a closed laptop): somebody else may be at work by now.
            me = os.getpid()
            if not self.store.leases.acquire(LEASE, self.holder, me, started_at(me), HOST, LEASE_TTL_S):
                self.leaving = "another supervisor holds the lease"
                return
        self.undertaker.look_around({run_id for run_id, _ in self.runs.values()})
        self._keep_answers()
        self._leave_when_idle()

    def _leave_when_idle(self) -> None:
        if self.runs or self.store.runs.active() or self.store.runs.next_queued():
            self._needed = time.monotonic()
        if self.idle_s and time.monotonic() - self._needed > self.idle_s:
            self.leaving = f"nobody needed it for {self.idle_s:g} s"

    def _leave(self) -> None:
        say(f"leaving: {self.leaving}; {len(self.runs)} run(s) go on")
        if self.answers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.answers, signal.SIGTERM)
        with contextlib.suppress(Exception):
            self.store.leases.release(LEASE, self.holder)

    # ------------------------------------------------------------ starting

    def _start_next(self) -> bool:
        """Fork a process for the first waiting run that a slot is free for; whether there was one."""
        waiting = self.store.runs.waiting(held=False)  # thousands may be held, and cost nothing
        if not waiting:
            return False
        place = next((place for place in places(self.store, self.settings, waiting) if place.slot), None)
        if place is None:
            return False
        row, slot = place.row, place.slot
        kills = out_of_memory_kills()
        log = self.store.log_path(row.id)
        self.store.close()  # database connections do not survive a fork
        pid = fork_off(lambda: _run(row.id, slot), log=log, title="workbench-run")
        self.runs[pid] = (row.id, kills)
        # Both sides claim; whoever comes first, the claim names the child. So neither a parent nor
        # a child that dies in this very moment leaves a run that two processes work on.
        with contextlib.suppress(psutil.NoSuchProcess):
            self.store.runs.claim(row.id, pid, started_at(pid), HOST, slot=slot)
        say(f"run {row.id} ({row.name}): process {pid} on {slot}")
        return True

    def _keep_answers(self) -> None:
        if self.answers is None and time.monotonic() - self._answers_started > ANSWERS_PAUSE_S:
            self._answers_started = time.monotonic()
            self.store.close()
            log = self.store.home / "answers.log"
            with contextlib.suppress(OSError):
                if log.stat().st_size > 1_000_000:
                    log.unlink()
            self.answers = fork_off(_answer, log=log, title="workbench-ask")
            say(f"answering: process {self.answers}")

    # ------------------------------------------------------------ ending

    def _reap(self) -> bool:
        """Take the exit status of every child that ended: no zombie stays. Whether one had."""
        found = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            found = True
            if pid == self.answers:
                say(f"answering: process {pid} ended, {ending(status)}")
                self.answers = None
            elif pid in self.runs:
                run_id, kills = self.runs.pop(pid)
                say(f"run {run_id}: process {pid} ended, {ending(status)}")
                self.undertaker.ended(run_id, pid, status, out_of_memory_kills() > kills)


def _run(run_id: str, slot: str | None) -> int:
    from workbench.worker import train  # noqa: PLC0415  (torch: loaded only once the lease is ours)

    return train.main(run_id, slot)


def _answer() -> int:
    from workbench.worker import answering  # noqa: PLC0415

    return answering.main()


def identity(folder: Path) -> tuple[int, int] | None:
    """Which folder this is, whatever it is called: another one in its place is not the same."""
    with contextlib.suppress(OSError):
        facts = folder.stat()
        return facts.st_dev, facts.st_ino
    return None


def whole_number(name: str, default: int) -> int:
    """An environment variable as a number; the default where it is absent or nonsense."""
    text = os.environ.get(name, "")
    return int(text) if is_count(text) else default


def main(after: str = "") -> int:
    """Take the lease, load torch, serve. after: the holder whose place it is to take."""
    began = time.monotonic()
    try:
        store = open_store()
    except WorkbenchError as error:  # damaged, or a newer version's: to be read in the log
        say(f"the store does not open: {error}")
        return 1
    me = psutil.Process()
    settings = from_environment()
    # The settings are in the lease, so that whoever asks why a run waits knows what decides.
    holder = f"{loaded_stamp()}/{uuid.uuid4().hex[:12]}/{settings.to_text()}"
    while not store.leases.acquire(LEASE, holder, me.pid, started_at(me.pid), HOST, WARMING_TTL_S):
        present = living(store)  # a dead holder's lease is released by looking
        if (present and present.holder != after) or time.monotonic() - began > SUCCEED_S:
            return 0
        time.sleep(0.02)
    with contextlib.suppress(OSError):  # Linux only; shows in ps and top
        Path("/proc/self/comm").write_text("workbench-super")
    idle_s = float(whole_number("WORKBENCH_IDLE_S", 3600))
    supervisor = Supervisor(store, holder, settings=settings, idle_s=idle_s)
    from workbench.worker import warm  # noqa: PLC0415

    warm.warm_up()
    store.leases.renew(LEASE, holder, LEASE_TTL_S)
    size = f"{me.memory_info().rss / 1e6:.0f} MB, {me.num_threads()} thread(s)"
    say(f"ready after {time.monotonic() - began:.1f} s, {size}, slots {settings.to_text()}")
    supervisor.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))

"""Kills and counts. Everything here is what a person with a terminal could do, only faster.

A deck of kills is shuffled by the seed. For each: wait a random moment (or for the very moment when a
checkpoint or the database is being written), `kill -9`, measure the seconds until store and app say
what is true, restart what a person would restart, go on. At the end every run is brought to its end and
compared, bit for bit, with runs of the same specs that nobody touched.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.chaos.house import House, kill
from tests.chaos.truth import Checker, Seen
from tests.chaos.viewer import Viewer
from workbench.jobs import runs as jobs
from workbench.jobs.answers import ask
from workbench.records import RunState
from workbench.specs.errors import WorkbenchError
from workbench.specs.run import RunSpec
from workbench.store import RunRow

# kind → how often in a deck of 44
KINDS = {
    "worker": 8,
    "worker in a checkpoint": 6,
    "worker in a database write": 8,
    "paused worker": 2,
    "supervisor": 3,
    "supervisor and worker": 4,
    "app": 2,
    "app and worker": 2,
    "app, supervisor and worker": 2,
    "answering": 2,
    "nursery": 1,
    "viewer": 4,
}
PATIENCE_S = 90.0
WAITING = 2  # runs that are kept in the queue behind the one at work
WITH_CHECKPOINT = 0.7  # of the kills of workers wait until the run has one and has trained beyond it
KEYS = ("train/loss", "train/accuracy", "grad_norm", "lr", "val/loss", "val/accuracy")


@dataclass
class Verdict:
    """What a session of chaos found. Seconds until what is said is true, by kind of kill."""

    kills: Counter[str] = field(default_factory=Counter)
    store_s: dict[str, list[float]] = field(default_factory=dict)
    app_s: dict[str, list[float]] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # what took too long, failed, was left over
    half_written: int = 0  # kills that left part of a checkpoint behind
    runs: int = 0
    resumed: int = 0
    from_checkpoint: int = 0  # of these, as the runs' own events tell; the others began again at step 0
    seen: Seen = field(default_factory=Seen)
    took_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (
            self.losses or self.failures or self.seen.false or self.seen.stuck or self.seen.taken_back
        )

    def faults(self) -> list[str]:
        """Every single thing that is wrong."""
        seen = self.seen
        return [*self.losses, *self.failures, *seen.false, *seen.stuck, *seen.taken_back]


def deck(n: int, rng: random.Random) -> list[str]:
    """n kills; every kind is among the first 44, as often as KINDS says."""
    cards: list[str] = []
    while len(cards) < n:
        pack = [kind for kind, times in KINDS.items() for _ in range(times)]
        rng.shuffle(pack)
        cards += pack
    return cards[:n]


class Monkey:
    """One session."""

    def __init__(self, house: House, specs: Sequence[RunSpec], seed: int, say: Callable[[str], None]) -> None:
        self.house, self.store, self.specs, self.say = house, house.store, list(specs), say
        self.rng = random.Random(seed)
        self.verdict = Verdict()
        self.references: dict[str, dict[str, np.ndarray]] = {}
        self.submitted: dict[str, str] = {}  # run → the name of its spec
        self.viewer = Viewer(house.url, ("log", "tiles:filters/0"))
        self._watched: list[str] = []

    # ------------------------------------------------------------ the whole

    def play(self, n: int) -> Verdict:
        """n kills, then order, then the reckoning."""
        began = time.monotonic()
        self.house.ensure(60.0)
        self._undisturbed()
        checker = Checker(self.house, self.viewer, lambda: list(self.submitted))
        try:
            for number, kind in enumerate(deck(n, self.rng), 1):
                self._top_up()
                self._look_at()
                time.sleep(self.rng.uniform(0.0, 0.8))
                at = time.monotonic()
                self._strike(kind)
                self.say(f"{number:3d} {kind}: {time.monotonic() - at:.1f} s")
            self._drain()
        finally:
            self.verdict.seen = checker.stop()
        self._reckon()
        self.viewer.close()
        left = self.house.leave()
        self._expect(not left, f"processes are left over: {left}")
        self.verdict.took_s = time.monotonic() - began
        return self.verdict

    def _undisturbed(self) -> None:
        """The truth to compare with: each spec once, untouched."""
        ids = {spec.name: jobs.submit(self.store, spec) for spec in self.specs}
        for name, run in ids.items():
            self._until(lambda run=run: self._row(run).state is RunState.FINISHED, f"the reference {name}")
            self.references[name] = self._history(run)

    # ------------------------------------------------------------ kills

    def _strike(self, kind: str) -> None:
        house = self.house
        if kind == "viewer":
            at = time.monotonic()
            self.viewer.die()
            self._measure(kind, at)
        elif kind in ("answering", "nursery"):  # without its nursery an answering process makes way too
            self._wait(house.nursery_pid, "an answering process with its nursery")
            before = house.answers_pid()
            victim = before if kind == "answering" else house.nursery_pid()
            self._measure(kind, kill(victim), more=lambda: self._answers(before))
        elif kind == "app":
            at = kill(house.app_pid)
            house.start_app()
            self._measure(kind, at)
        elif kind == "supervisor":
            before = house.supervisor_pid()
            at = kill(before)
            house.ensure()
            self._measure(kind, at, more=lambda: house.supervisor_pid() not in (None, before))
        else:
            self._strike_worker(kind)

    def _strike_worker(self, kind: str) -> None:
        house = self.house
        run, pid = self._worker()
        if self.rng.random() < WITH_CHECKPOINT:
            self._let_it_get_somewhere(run)
            run, pid = self._worker(run)
        if kind == "paused worker":
            with contextlib.suppress(WorkbenchError):  # it may just have ended
                jobs.pause(self.store, run)
                self._wait(lambda: self._row(run).state is not RunState.RUNNING, "a pause")
        elif kind == "worker in a checkpoint":
            run, pid = self._in_a_checkpoint(run, pid)
        elif kind == "worker in a database write":
            self._in_a_write()
        pids: list[int | None] = [pid]
        if "supervisor" in kind:
            pids.append(house.supervisor_pid())
        if "app" in kind:
            pids.append(house.app_pid)
        self.rng.shuffle(pids)
        at = kill(*pids)
        if "app" in kind:
            house.start_app()
        self._measure(kind, at, [run])
        folder = self.store.run_folder(run) / "checkpoints"
        if folder.is_dir() and any(name.startswith(".") for name in os.listdir(folder)):
            self.verdict.half_written += 1
        self._resume(run)

    def _let_it_get_somewhere(self, run: str) -> None:
        """Until there is a checkpoint of the run, and points beyond it that a kill leaves behind."""
        deadline = time.monotonic() + 8.0
        while time.monotonic() < deadline and run in self.house.run_processes():
            saved = [info.step for info in self.store.checkpoints.list(run) if info.name == "last"]
            if saved and self._row(run).step > saved[0]:
                return
            time.sleep(0.01)

    def _worker(self, wanted: str = "") -> tuple[str, int]:
        """A run at work, and its process; this run if it still works."""

        def working() -> list[tuple[str, int]]:
            self._resume_lost()
            self._top_up()
            return sorted(self.house.run_processes().items())

        self._wait(working, "a run at work")
        self._look_at()
        found = working()
        if not found:
            return self._worker()
        return next((pair for pair in found if pair[0] == wanted), None) or self.rng.choice(found)

    def _in_a_checkpoint(self, run: str, pid: int) -> tuple[str, int]:
        """Wait until a checkpoint is being written by any run; that run and its process."""
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            for name, number in self.house.run_processes().items():
                folder = self.store.run_folder(name) / "checkpoints"
                until = time.monotonic() + 0.5
                while time.monotonic() < until:
                    with contextlib.suppress(OSError):
                        if any(file.startswith(".") for file in os.listdir(folder)):
                            return name, number
                    time.sleep(0.0005)
        return self._worker()

    def _in_a_write(self) -> None:
        """Wait until something is being written into the database's log."""
        log = self.house.home / "workbench.db-wal"
        before = log.stat().st_mtime_ns
        deadline = time.monotonic() + 3.0
        while log.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.0001)  # a processor that only waits is one that the run to be killed lacks

    # ------------------------------------------------------------ seconds to truth

    def _measure(
        self, kind: str, began: float, killed: Sequence[str] = (), more: Callable[[], object] = lambda: True
    ) -> None:
        """How long from the kill at `began` until store and app say that the runs `killed` do not work,
        and agree on all others; `more` is what else must be so in the store's view."""
        self.verdict.kills[kind] += 1
        times: dict[str, float] = {}
        while len(times) < 2:
            now = time.monotonic() - began
            if now > PATIENCE_S:
                self._expect(False, f"{kind}: {[s for s in ('store', 'app') if s not in times]} not true yet")
                return
            rows = {run: self._row(run) for run in {*killed, *self._watched}}
            gone = not any(rows[run].state.is_active for run in killed)
            if "store" not in times and gone and more():
                times["store"] = now
            since = began if "app" in kind else 0.0  # what an app said before its own death does not count
            if "app" not in times and gone and all(self._shown(row, since) for row in rows.values()):
                times["app"] = now
            time.sleep(0.03)
        self.verdict.store_s.setdefault(kind, []).append(times["store"])
        self.verdict.app_s.setdefault(kind, []).append(times["app"])

    def _shown(self, row: RunRow, since: float = 0.0) -> bool:
        """The page shows this run's state, and heard it after `since` (time.monotonic())."""
        shown = self.viewer.shown.get(row.id)
        return shown is not None and shown.when >= since and shown.state == row.state.value

    def _answers(self, before: int | None) -> bool:
        with contextlib.suppress(WorkbenchError):
            return bool(ask(self.store, "ping", {}, 0.2)["pid"] != before)
        return False

    # ------------------------------------------------------------ what a person does

    def _top_up(self) -> None:
        rows = self.store.runs.many(list(self.submitted))
        waiting = sum(row.state is RunState.QUEUED for row in rows)
        for _ in range(WAITING - waiting):
            spec = self.specs[len(self.submitted) % len(self.specs)]
            self.submitted[jobs.submit(self.store, spec)] = spec.name

    def _look_at(self) -> None:
        """Have the page open on the runs that work or wait, and on the last that ended."""
        rows = self.store.runs.many(list(self.submitted))
        self._watched = [row.id for row in rows if not row.state.is_over][:4]
        self._watched += [row.id for row in rows if row.state.is_over][-2:]
        self.viewer.follow(self._watched)

    def _resume(self, run: str) -> None:
        with contextlib.suppress(WorkbenchError):  # it may just have finished
            if self._row(run).state is RunState.LOST:
                jobs.resume(self.store, run)
                self.verdict.resumed += 1

    def _resume_lost(self) -> None:
        for row in self.store.runs.many(list(self.submitted)):
            if row.state is RunState.LOST:
                self._resume(row.id)
            elif row.state is RunState.PAUSED:
                with contextlib.suppress(WorkbenchError):
                    jobs.resume(self.store, row.id)
            elif row.state in (RunState.FAILED, RunState.STOPPED):
                self._expect(False, f"run {row.id} is {row.state.value}: {(row.error or {}).get('fact')}")
                jobs.resume(self.store, row.id)

    def _drain(self) -> None:
        """Every run to its end."""

        def over() -> bool:
            self._resume_lost()
            self.house.ensure()
            rows = self.store.runs.many(list(self.submitted))
            return all(row.state is RunState.FINISHED for row in rows)

        self.say("draining")
        self._wait(over, "the end of every run", 60.0 + 30.0 * len(self.submitted))

    # ------------------------------------------------------------ the reckoning

    def _reckon(self) -> None:
        verdict = self.verdict
        verdict.runs = len(self.submitted)
        rows = {row.id: row for row in self.store.runs.many(list(self.submitted))}
        for run, name in self.submitted.items():
            if run not in rows:
                verdict.losses.append(f"run {run} is gone")
                continue
            if rows[run].state is not RunState.FINISHED:
                verdict.losses.append(f"run {run} is {rows[run].state.value}")
            verdict.losses += self._differences(run, self.references[name])
            verdict.losses += self._bad_checkpoints(rows[run])
            texts = [event.text for event in self.store.events.since(run)[0] if event.kind == "resumed"]
            verdict.from_checkpoint += sum(" from step " in text for text in texts)
        self._look_at()
        self._wait(lambda: all(self._shown(rows[run]) for run in self._watched), "the app's last word")
        zombies = self.house.zombies()
        self._expect(not zombies, f"zombies: {zombies}")
        self._expect(not self.store.runs.active(), "the queue is not empty")
        with contextlib.closing(sqlite3.connect(self.house.home / "workbench.db")) as database:
            [(word,)] = database.execute("PRAGMA integrity_check").fetchall()
        self._expect(word == "ok", f"the database is damaged: {word}")

    def _differences(self, run: str, reference: dict[str, np.ndarray]) -> list[str]:
        """Where the run's history is not that of an undisturbed run, bit for bit."""
        history = self._history(run)
        return [
            f"run {run}: {name} differs from an undisturbed run's "
            f"({history[name].shape[1] if name in history else 0} of {points.shape[1]} points)"
            for name, points in reference.items()
            if name not in history or history[name].tobytes() != points.tobytes()
        ]

    def _bad_checkpoints(self, row: RunRow) -> list[str]:
        listed = self.store.checkpoints.list(row.id)
        bad = []
        for info in listed:
            try:
                self.store.checkpoints.read(row.id, info.name)
            except WorkbenchError as error:
                bad.append(f"run {row.id}: checkpoint {info.name}: {error}")
        if {info.name for info in listed} != {"best", "last"}:
            bad.append(f"run {row.id} has the checkpoints {[info.name for info in listed]}")
        files = sorted(os.listdir(self.store.run_folder(row.id) / "checkpoints"))
        if len(files) != len(listed):
            bad.append(f"run {row.id}: rests of checkpoints stay: {files}")
        return bad

    def _history(self, run: str) -> dict[str, np.ndarray]:
        """key → (3, n): steps, epochs, values."""
        read = self.store.scalars.read(run, KEYS)
        return {
            key: np.stack([part.steps.astype(float), part.epochs, part.values]) for key, part in read.items()
        }

    # ------------------------------------------------------------ small words

    def _row(self, run: str) -> RunRow:
        return self.store.runs.get(run)

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.say(f"    FAULT {otherwise}")
            self.verdict.failures.append(otherwise)

    def _wait(self, fact: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not fact():
            if time.monotonic() > deadline:
                self._expect(False, f"not within {patience_s:g} s: {what}")
                return
            time.sleep(0.02)

    _until = _wait

"""The processes of a run beside its first one: forked before it has threads, gone when it is gone.

Only the first process is the run's to everybody else: it claims, writes, saves and is asked. The others load
the same data and model and follow it (engine.team). The kernel ends them when the first one ends, however.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from workbench import catalog
from workbench.engine.checkpoint import from_bytes
from workbench.engine.device import pick
from workbench.engine.duel import trainer_for
from workbench.engine.team import CHANGE, END, STEP, Order, Team, join
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.specs.run import RunSpec, from_dict
from workbench.store import open_store
from workbench.worker.trained import task_of, teacher_for

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
LEAVE_S = 10.0  # to come to an end by themselves


class Crew:
    """Made before the first thread of this process. spec: as the run has it, on its slot's device."""

    def __init__(self, run_id: str, spec: RunSpec) -> None:
        self.size = spec.training.processes
        self.pids: list[int] = []
        self.team: Team | None = None
        if self.size == 1:
            return
        self._place = Path(tempfile.mkdtemp(prefix="workbench-team-"))
        self._spec = spec
        for rank in range(1, self.size):
            self.pids.append(_forked(run_id, spec, rank, self._place / "meet"))

    def gathered(self) -> Team | None:
        """The team, once all have come; None for a run of one process."""
        if self.size > 1 and self.team is None:
            self.team = join(0, self.size, self._place / "meet", on_gpu(self._spec))
        return self.team

    def dismiss(self, *, orderly: bool) -> None:
        """Let the others go: after their last step, or at once. None is left."""
        if orderly and self.team is not None:
            with contextlib.suppress(Exception):
                self.team.say(Order(END))
        until = time.monotonic() + (LEAVE_S if orderly else 0.0)
        for pid in self.pids:
            while not _is_gone(pid):
                if time.monotonic() > until:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        self.pids = []
        if self.size > 1:
            for path in (self._place / "meet", self._place):
                with contextlib.suppress(OSError):
                    path.unlink() if path.is_file() else path.rmdir()


def device_of(spec: RunSpec, rank: int) -> RunSpec:
    """The spec for a process: on GPUs each has its own, from the run's on."""
    device = pick(spec.training.device)
    if device.type != "cuda":
        return spec
    training = spec.training.model_copy(update={"device": f"cuda:{(device.index or 0) + rank}"})
    return spec.model_copy(update={"training": training})


def on_gpu(spec: RunSpec) -> bool:
    """Whether each process has a GPU of its own."""
    return str(pick(spec.training.device).type) == "cuda"


def _is_gone(pid: int) -> bool:
    """Whether a child has ended; then it is buried."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    return True


def _forked(run_id: str, spec: RunSpec, rank: int, place: Path) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in this very moment
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first process decides when to stop
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text("workbench-peer")
        follow(run_id, spec, rank, place)
        status = 0
    except BaseException:
        traceback.print_exc()  # into the run's log
    finally:
        os._exit(status)


def follow(run_id: str, spec: RunSpec, rank: int, place: Path) -> Trainer:
    """Do what rank 0 orders until it orders the end. Loads what the run's first process has loaded."""
    team = join(rank, spec.training.processes, place, on_gpu(spec))
    own = device_of(spec, rank)
    store = open_store()
    row = store.runs.get(run_id)
    data = catalog.load(store, own.data, row.data_version)
    model = build(own.model, own.task.input(data.shape, 0), seed=own.seed)
    task = task_of(own, data, data.train.y)
    trainer = trainer_for(model, data, task, own, teacher_for(store, row, data.shape), team)
    store.close()
    return followed(trainer, team)


def followed(trainer: Trainer, team: Team) -> Trainer:
    """The orders of rank 0, carried out by the others' trainer."""
    trainer.restore(from_bytes(team.hand()))
    batches: Any = iter(())
    while True:
        order = team.listen()
        if order.verb == END:
            return trainer
        if order.verb == CHANGE:
            changed = from_dict(json.loads(team.hand()))
            trainer.steer(_as_here(changed, trainer.spec))
            continue
        assert order.verb == STEP
        assert order.step == trainer.step, "all make the same updates"
        trainer.progress.factor = order.factor
        if trainer.step % trainer.steps_per_epoch == 0:
            batches = trainer.rest_of_epoch()
        batch = next(batches, None)
        if batch is None:  # resumed within an epoch
            batches = trainer.rest_of_epoch()
            batch = next(batches)
        trainer.advance(*batch)


def _as_here(changed: RunSpec, here: RunSpec) -> RunSpec:
    """The changed spec on this process's device."""
    training = changed.training.model_copy(update={"device": here.training.device})
    return changed.model_copy(update={"training": training})


def threads(spec: RunSpec, usable: int) -> int:
    """CPU threads of each process: the run's, shared out."""
    whole = spec.training.threads or usable
    return max(1, whole // spec.training.processes)

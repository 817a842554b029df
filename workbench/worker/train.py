"""A run from its frozen spec to its exit record: the one place where the compute rooms meet the store.

Runs in a process of its own that the supervisor forked. Loads the data, builds the model, walks
`engine.fit` and writes each flush in one transaction.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any

import torch
from sqlalchemy.exc import OperationalError

from workbench import catalog
from workbench.engine.batches import normalised
from workbench.engine.checkpoint import Checkpoint, from_bytes, model_tensors
from workbench.engine.fit import fit
from workbench.engine.flush import Flush
from workbench.engine.series import floors
from workbench.jobs import steering, teachers
from workbench.jobs.runs import settle
from workbench.jobs.slots import is_count
from workbench.jobs.steering import START
from workbench.models.build import build
from workbench.probes.pictures import scene_of
from workbench.probes.watch import Watcher
from workbench.records import Event
from workbench.specs.errors import RunError, StoreError, WorkbenchError
from workbench.specs.layer import show
from workbench.specs.run import RunSpec
from workbench.store import RunRow, Store, open_store
from workbench.store.states import HOST, started_at
from workbench.worker.control import StoreControl
from workbench.worker.crew import Crew, threads
from workbench.worker.faults import TRAINING, describe
from workbench.worker.process import UNRECORDED, sacrifice_first, stamp
from workbench.worker.sinks import Sinks
from workbench.worker.start import starting
from workbench.worker.trained import task_of, teacher_for
from workbench.worker.vitals import Vitals

LOCKED_PATIENCE_S = 60.0  # a backup or another program may hold the database for a while


def main(run_id: str, slot: str | None = None) -> int:
    """The process's body: 0 when the run ended as it should, 1 when it failed.

    slot: the device the supervisor chose; None leaves it to the spec.
    """
    sacrifice_first()
    store = open_store()
    me = os.getpid()
    if not store.runs.claim(run_id, me, started_at(me), HOST, slot=slot) and store.runs.get(run_id).pid != me:
        return 0  # somebody else has it, or it was stopped while it waited
    row = store.runs.get(run_id)
    store.close()  # the processes beside this one are forked now: database connections do not survive that
    crew = _crew(row)
    control = StoreControl(store, run_id)
    signal.signal(signal.SIGTERM, lambda *_: control.terminate())
    vitals = Vitals(store, run_id)
    vitals.start()
    session = Session(store, store.runs.get(run_id), control, vitals, crew)
    try:
        outcome = session.run()
        crew.dismiss(orderly=True)
    except BaseException as error:
        crew.dismiss(orderly=False)
        vitals.stop()
        if not session.failed(error):
            return UNRECORDED
        _patiently(lambda: settle(store, run_id, me))
        return 1
    vitals.stop()
    _patiently(lambda: store.runs.update(run_id, peak_bytes=vitals.measure_peak()))
    _patiently(lambda: store.runs.exit(run_id, outcome))
    _patiently(lambda: settle(store, run_id, me))
    store.close()
    return 0


def _crew(row: RunRow) -> Crew:
    try:
        return Crew(row.id, placed(row.spec, row.slot))
    except WorkbenchError:  # a spec that cannot be read: the session tells of it
        return Crew(row.id, RunSpec())


class Session:
    """One process's share of a run; a resumed run has several."""

    def __init__(self, store: Store, row: RunRow, control: StoreControl, vitals: Vitals, crew: Crew) -> None:
        self.crew = crew
        self.store = store
        self.row = row
        self.control = control
        self.vitals = vitals
        self.doing = "starting"  # what is being done, for the error record
        self.sinks = Sinks()
        self.step = row.step
        self.epoch = row.epoch

    def run(self) -> str:
        """Train to the end, or as far as asked; "finished", "stopped" or "parked"."""
        store = self.store
        spec = placed(self.row.spec, self.row.slot)
        _log(f"run {self.row.id} ({self.row.name}), process {os.getpid()}, seed {spec.seed}")
        torch.set_num_threads(threads(spec, usable_threads()))
        self.doing = "loading the data"
        data = self._data()
        self.doing = "building the model"
        task = task_of(spec, data, data.train.y)
        model = build(spec.model, spec.task.input(data.shape, 0), seed=spec.seed)
        teacher = teacher_for(store, self.row, data.shape)
        scene = scene_of(spec, data)
        watch = Watcher.over(spec.model, spec.watch, data, prepare=normalised, loss=task.loss, scene=scene)
        if teacher is not None:
            kept = teachers.pinned(store, self.row)
            _log(f"learns from run {kept['id']} ({kept['name']}), checkpoint {kept['checkpoint']}")
        self.doing = "reading the checkpoint"
        resume = self._last_checkpoint()
        if resume is None and self.row.parent and self.row.parent_checkpoint:
            self._take_weights(model, data.shape)
        elif resume is None and spec.training.start_weights is not None:
            self._take_imported(model, data.shape, spec.training.start_weights)
        self._say_where_it_starts(data)
        self.sinks = Sinks.over(store, store.runs.get(self.row.id))
        ledger = store.ledger.list(self.row.id)
        self.doing = "waiting for its processes"
        team = self.crew.gathered()
        if team is not None:
            beside = ", ".join(map(str, self.crew.pids))
            _log(f"{team.size} processes share each batch: {beside} beside this one")
        self.doing = TRAINING
        outcome = None
        for flush in fit(
            model, data, task, spec, watch=watch, control=self.control, resume=resume, ledger=ledger,
            teacher=teacher, team=team,
        ):  # fmt: skip
            self._write(flush)
            outcome = flush.outcome
        self._warn(self.sinks.close(outcome or "finished"))
        return outcome or "finished"

    def _data(self) -> Any:
        """The version of the data set that this run saw first; the newest when it starts."""
        version = self.row.data_version
        if version is None:
            version = catalog.with_shipped(self.store, self.row.spec.data.name).version
            self.store.runs.update(self.row.id, data_version=version)
        return catalog.load(self.store, self.row.spec.data, version)

    # ------------------------------------------------------------ starting points

    def _last_checkpoint(self) -> Checkpoint | None:
        """Where an earlier process of this run got to; history beyond it is walked again."""
        saved = {info.name: info for info in self.store.checkpoints.list(self.row.id)}
        found: Checkpoint | None = None
        problem = None
        for name in ("last", "best"):
            if name not in saved:
                continue
            try:
                found = from_bytes(self.store.checkpoints.read(self.row.id, name))
                break
            except (RunError, StoreError) as error:
                problem = f"Checkpoint {name} cannot be used: {error}"
                self._event("warning", problem)
        if found is None and problem:
            raise RunError.of(
                f"run `{self.row.name}`", "a run goes on from a checkpoint that is whole", problem,
                "Fork it to train again from the start.",
            )  # fmt: skip
        history = self.store.scalars.keys(self.row.id)
        if found is not None:
            self.store.truncate_after(self.row.id, found.step)
            self.step, self.epoch = found.step, found.epoch
        elif history:
            self.store.truncate_after(self.row.id, -1)
            self.store.runs.update(self.row.id, step=0, epoch=0.0)
            self.step, self.epoch = 0, 0.0
            self._event("resumed", "No checkpoint had been saved yet: training starts again at step 0.")
        return found

    def _take_weights(self, model: torch.nn.Module, shape: Any) -> None:
        """The parent's weights as they were when this run was forked off."""
        parent, name = str(self.row.parent), str(self.row.parent_checkpoint)
        own = [info for info in self.store.checkpoints.list(self.row.id) if info.name == START]
        whose, kept = (self.row.id, START) if own else (parent, name)
        saved = model_tensors(self.store.checkpoints.read(whose, kept))
        taken = starting(model, self.row.spec, self.row.spec.task.input(shape, 0), saved)
        model.load_state_dict(taken.tensors)
        at = f" (step {own[0].step:,})" if own else ""
        self._event("started", f"{taken.words} taken from checkpoint {name}{at} of run {parent}.")

    def _take_imported(self, model: torch.nn.Module, shape: Any, name: str) -> None:
        """Weights from elsewhere, as they were when this run was submitted."""
        kept = model_tensors(self.store.checkpoints.read(self.row.id, START))
        taken = starting(model, self.row.spec, self.row.spec.task.input(shape, 0), kept)
        model.load_state_dict(taken.tensors)
        self._event("started", f"{taken.words} taken from the imported {name}.")

    def _say_where_it_starts(self, data: Any) -> None:
        sizes = f"{len(data.train)} train, {len(data.validation)} validation, {len(data.test)} test"
        classes = f", {len(data.classes)} classes" if data.classes else ""
        _log(f"data {data.name}: {sizes}; {show(data.shape)}{classes}")
        if data.kind == "series" and len(data.validation):
            for name, marks in floors(data.validation, data, task_of(self.row.spec, data)).items():
                told = ", ".join(f"{key} {value:.4f}" for key, value in marks.items())
                _log(f"to be beaten on validation, {name}: {told}")

    # ------------------------------------------------------------ writing

    def _write(self, flush: Flush) -> None:
        self.store.must_be_there()
        self.vitals.use_device(flush.device)
        records = [*flush.records, *self.vitals.take(flush.step, flush.epoch)]
        self.step, self.epoch = flush.step, flush.epoch
        _patiently(
            lambda: self.store.flush(
                self.row.id, records, flush.changes, step=flush.step, epoch=flush.epoch,
                total_steps=flush.total_steps, eta_s=flush.eta_s, device=flush.device,
                telemetry_share=flush.telemetry_share, phase=flush.phase, peak_bytes=self.vitals.peak_bytes,
                active_s=flush.active_s,
            )
        )  # fmt: skip
        self.vitals.flushed()
        for record in flush.records:
            if isinstance(record, Event):
                _log(f"step {record.step}: {record.text}")
        for saved in flush.checkpoints:
            self._save(saved)
        self._warn(self.sinks.write(flush))

    def _save(self, saved: Any) -> None:
        _patiently(
            lambda: self.store.checkpoints.write(
                self.row.id, saved.name, saved.blob,
                step=saved.step, epoch=saved.epoch, metrics=dict(saved.metrics),
            )
        )  # fmt: skip

    def _warn(self, sentences: list[str]) -> None:
        for sentence in sentences:
            self._event("warning", sentence)

    def _event(self, kind: str, text: str) -> None:
        _log(text)
        self.store.events.add(self.row.id, Event(kind, text, self.step, self.epoch, time.time()))

    def failed(self, error: BaseException) -> bool:
        """Log it and write the exit record; if even that fails (False), the supervisor will write `lost`."""
        spec, saved = None, None
        with contextlib.suppress(Exception):  # the store may be what failed
            spec = steering.now(self.store, self.row, upto=self.step)
            names = ("last", "best")
            saved = next((i.step for i in self.store.checkpoints.list(self.row.id) if i.name in names), None)
        record = describe(error, self.doing, spec, saved)
        self.sinks.close("failed")
        with contextlib.suppress(OSError):  # the log's disk may be what is full
            print(record["traceback"], file=sys.stderr)
        sentence = f"Failed while {self.doing}: {record['rule']}, but {record['fact']}"
        with contextlib.suppress(Exception):
            self._event("failed", sentence)
        with contextlib.suppress(Exception):
            _patiently(lambda: self.store.runs.exit(self.row.id, "failed", record))
            return True
        return False


def placed(spec: RunSpec, slot: str | None) -> RunSpec:
    """The spec on the device of its slot."""
    if slot is None:
        return spec
    return spec.model_copy(update={"training": spec.training.model_copy(update={"device": slot})})


def usable_threads() -> int:
    """CPU threads a run takes by itself: what OMP_NUM_THREADS says, else every core it may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if is_count(asked) and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _patiently(write: Any) -> Any:
    """Do a write; while the database is locked by others, try again for a minute."""
    deadline = time.monotonic() + LOCKED_PATIENCE_S
    while True:
        try:
            return write()
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            _log("the database is locked by another process; trying again")
            time.sleep(0.5)


def _log(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{stamp()} {text}", flush=True)

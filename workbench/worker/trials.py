"""Trials of a spec before it runs: the preflight and the learning-rate range test, each in a child.

`Trials` lives in the answering process: it starts them, knows how far they are, and stops them. The same
question while one is under way or just over is the same trial, so that a reloaded page finds its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import signal
import socket
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from workbench import catalog
from workbench.data.dataset import load_some
from workbench.engine.device import free_bytes, pick
from workbench.engine.preflight import preflight, to_json
from workbench.engine.range_test import range_test
from workbench.engine.some import sizes_of
from workbench.jobs import teachers, wire
from workbench.jobs.check import check, fit_problem, split_sizes
from workbench.jobs.texts import one_of
from workbench.models.build import build
from workbench.specs.errors import RunError, SpecError, WorkbenchError
from workbench.specs.memory import largest_batch, predict
from workbench.specs.run import RunSpec, from_dict
from workbench.store import Store, open_store
from workbench.worker.nursery import Nursery
from workbench.worker.process import out_of_memory_kills
from workbench.worker.train import usable_threads
from workbench.worker.trained import task_of, teacher_of
from workbench.worker.variants import measure, quantise

KEPT = 32
FRESH_S = 300.0  # a result is given again for so long
LEAST, SOME_BYTES = 64, 64 << 20  # images of a split that are tried, and bytes of them as float32
SOME = 1024  # images of a split that a preflight loads: enough for any batch that is validated; texts lie in
# a memory map, and of them the preflight itself takes some
KINDS = ("preflight", "range_test")  # of a spec; those of a run: `VARIANTS`
VARIANTS = {"quantise": quantise, "measure": measure}


@dataclass
class Trial:
    """state: running, done, refused, failed or stopped. Written by its reader, read by anybody."""

    id: str
    connection: socket.socket
    state: str = "running"
    words: str = "Starting"
    share: float = 0.0
    result: Any = None
    problems: list[dict[str, Any]] = field(default_factory=list)
    pid: int | None = None
    time: float = field(default_factory=time.monotonic)
    kills: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, state: str, result: Any = None, problems: Sequence[dict[str, Any]] = ()) -> bool:
        """Give a running trial its end; False when it has one already: a stop and an answer may meet."""
        with self._lock:
            if self.state != "running":
                return False
            self.result, self.problems, self.time = result, list(problems), time.monotonic()
            self.state = state
            return True

    def to_json(self) -> dict[str, Any]:
        names = ("id", "state", "words", "share", "result", "problems")
        return {name: getattr(self, name) for name in names}


class Trials:
    """begin, look and stop. nursery: made before the first thread of this process."""

    def __init__(self, nursery: Nursery | None = None) -> None:
        self._nursery = nursery
        self._kept: OrderedDict[str, Trial] = OrderedDict()

    def begin(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """payload: kind, spec (as JSON) or of a run what its kind asks for, and `again` to have it done anew.
        The trial as it stands."""
        kind = str(payload["kind"])
        if kind not in (*KINDS, *VARIANTS):
            every = ", ".join((*KINDS, *VARIANTS))
            raise WorkbenchError.of("trial", f"the kinds are {every}", f"`{kind}` is none of them")
        question = {name: value for name, value in payload.items() if name != "again"}
        text = json.dumps([kind, question.get("spec") or question], sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:24]
        known = self._kept.get(name)
        if known is not None:
            is_fresh = time.monotonic() - known.time < FRESH_S and not payload.get("again")
            if known.state == "running" or (known.state in ("done", "refused") and is_fresh):
                return known.to_json()
        self._nursery = self._nursery or Nursery(work)
        trial = Trial(name, self._nursery.begin(), kills=out_of_memory_kills())
        wire.send(trial.connection, question)
        self._kept[name] = trial
        self._kept.move_to_end(name)
        while len(self._kept) > KEPT:
            self.stop({"id": next(iter(self._kept))})
            self._kept.popitem(last=False)
        threading.Thread(target=_read, args=(trial,), name=f"trial {name}", daemon=True).start()
        return trial.to_json()

    def look(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """payload: id. Raises RunError for one that is not known (any more)."""
        trial = self._kept.get(str(payload["id"]))
        if trial is None:
            raise RunError.of("trial", "it must be known", "it was started long ago", "Start it again.")
        return trial.to_json()

    def stop(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """payload: id. Ends it at once; what is over stays as it is."""
        trial = self._kept.get(str(payload["id"]))
        if trial is None:
            return {"state": "stopped"}
        if trial.settle("stopped"):
            trial.words = "Stopped"
            if trial.pid is not None:  # its end of the connection is open, so the number is still its own
                with contextlib.suppress(ProcessLookupError):
                    os.kill(trial.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                trial.connection.shutdown(socket.SHUT_RDWR)
        return trial.to_json()


def _read(trial: Trial) -> None:
    """What the child says, until it is over."""
    with contextlib.suppress(OSError, ValueError), trial.connection:
        while trial.state == "running" and (said := wire.receive(trial.connection)) is not None:
            trial.pid = said.get("pid", trial.pid)
            trial.words, trial.share = said.get("words", trial.words), said.get("share", trial.share)
            if "state" in said:
                trial.settle(said["state"], said.get("result"), said.get("problems", []))
    if trial.state == "running":  # it went without a word
        killed = out_of_memory_kills() > trial.kills
        error = RunError.of(
            "trial",
            "it must fit into memory" if killed else "it must come to an end",
            "the system ended it because memory ran out" if killed else "its process ended without a word",
            "Use a smaller batch or more parts (accumulation_steps)."
            if killed
            else "See answers.log in the home.",
        )
        trial.settle("failed", problems=[problem.model_dump() for problem in error.problems])


# ---------------------------------------------------------------- in the child


def work(connection: socket.socket) -> None:
    """A child's life: one question, words of progress, one answer."""
    question = wire.receive(connection)
    if question is None:
        return

    def progress(words: str, share: float) -> None:
        wire.send(connection, {"words": words, "share": share})

    wire.send(connection, {"pid": os.getpid(), "words": "Loading the data", "share": 0.05})
    said: dict[str, Any]
    try:
        store = open_store()
        said = {"state": "done", "result": _result(store, question, progress)}
    except SpecError as error:
        said = {"state": "refused", "problems": [problem.model_dump() for problem in error.problems]}
    except WorkbenchError as error:
        said = {"state": "failed", "problems": [problem.model_dump() for problem in error.problems]}
    except BrokenPipeError:
        raise
    except Exception as error:
        traceback.print_exc()
        said = {"state": "failed", "problems": [_problem(error).problems[0].model_dump()]}
    wire.send(connection, said)


def _problem(error: Exception) -> RunError:
    first = (str(error).splitlines() or [""])[0][:300]
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error):
        repair = "Use a smaller batch, or more parts (accumulation_steps)."
        return RunError.of("training.batch_size", "a step must fit into memory", "it ran out", repair)
    return RunError.of("trial", "a step must work", f"{type(error).__name__}: {first}", "See answers.log.")


def _some(shape: Sequence[int]) -> int:
    """Images of a split that are tried: fewer where they are large, for each is read, resized and kept."""
    return max(LEAST, min(SOME, SOME_BYTES // (4 * math.prod(shape))))


def _result(store: Store, question: Mapping[str, Any], progress: Any) -> dict[str, Any]:
    kind = question["kind"]
    if kind in VARIANTS:
        torch.set_num_threads(usable_threads())
        told: dict[str, Any] = VARIANTS[kind](store, question, progress)
        return told
    return _answer(store, kind, from_dict(dict(question["spec"])), progress)


def _teacher(store: Store, spec: RunSpec, shape: Any) -> torch.nn.Module | None:
    """The model that would teach the run."""
    asked = spec.training.distill
    if asked is None:
        return None
    row = teachers.teacher_of(store, asked)
    exact = teachers.named(store, spec).training.distill
    assert exact is not None
    return teacher_of(store, row.spec, shape, row.id, exact.checkpoint)


def _answer(store: Store, kind: str, spec: RunSpec, progress: Any) -> dict[str, Any]:
    report = check(store, spec)
    errors = [problem for problem in report.problems if problem.severity == "error"]
    if errors:
        raise SpecError(*errors)
    torch.set_num_threads(spec.training.threads or usable_threads())
    if kind == "range_test":
        data = catalog.load(store, spec.data)
        task = task_of(spec, data, data.train.y)
        model = build(spec.model, spec.task.input(data.shape, 0), seed=spec.seed)
        found = range_test(
            model, data, task, spec, teacher=_teacher(store, spec, data.shape), progress=progress
        )
        columns = {name: getattr(found, name).tolist() for name in ("rates", "losses", "smoothed")}
        return {**columns, "suggestion": found.suggestion, "lowest": found.lowest}
    device = pick(spec.training.device)
    free = free_bytes(device)
    sizes: Mapping[str, int]
    row = catalog.with_shipped(store, spec.data.name)
    some = _some(row.schema.shape_for(spec.data)) if row.schema.kind == "images" else SOME
    most = {"train": max(some, spec.training.batch_size), "validation": some, "test": 1}
    data, rows, labels = load_some(row.path, spec.data, most)
    sizes = {name: len(getattr(rows, name)) for name in most} if data.kind != "text" else sizes_of(data, spec)
    task = task_of(spec, data, labels)
    if data.kind == "series":
        sizes = split_sizes(store, spec)
    facts = (spec.task.input(data.shape, task.n_classes), task.n_classes, sizes)
    predicted = predict(spec, *facts, device=device.type, free=free)
    refused = fit_problem(spec, *facts, device=device.type, free=free, limit=free)
    if refused is not None:  # ours to say, before torch or the system says it
        raise SpecError(refused)
    model = build(spec.model, spec.task.input(data.shape, 0), seed=spec.seed)
    teacher = _teacher(store, spec, data.shape)
    measured = preflight(model, data, task, spec, progress, sizes=sizes, teacher=teacher)
    factor = measured.memory.total / max(1, predicted.total)
    largest = largest_batch(spec, *facts, device=device.type, free=free, factor=factor)
    share = measured.data_s / measured.step_s if measured.step_s else 0.0
    return {
        **to_json(measured),
        "predicted": {**predicted.parts(), "total": predicted.total, "at": predicted.at},
        "free_bytes": free,
        "largest_batch": largest,
        "largest_is_all": largest >= sizes["train"],
        "batch_size": spec.training.batch_size,
        "samples": one_of(spec, data.shape) + "s",
        "bottleneck": "data" if share > 0.5 else "model",
        "data_share": share,
        "others": sum(1 for row in store.runs.active() if not row.state.is_over),
    }

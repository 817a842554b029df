"""A run's model as one of its checkpoints left it, ready to be asked.

Works for a run that still trains: its newest checkpoint is whole whenever it is read.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from workbench import catalog
from workbench.engine.checkpoint import from_bytes, model_tensors
from workbench.jobs import teachers
from workbench.jobs.texts import task_problems
from workbench.models.build import build
from workbench.models.int8 import loaded
from workbench.specs.errors import RunError, SpecError
from workbench.specs.nesting import every
from workbench.specs.picture_tasks import GenerationTask, ReconstructionTask
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.tasks import TOKEN_TASKS, ForecastingTask
from workbench.store import RunRow, Store
from workbench.store.checkpoints import INT8, CheckpointInfo
from workbench.tasks.choose import Task, task_for
from workbench.tasks.forecasting import Forecasting
from workbench.tasks.generation import Generation
from workbench.tasks.reconstruction import Reconstruction

KEPT = 4  # models held in memory at a time
SAMPLED = 20_000  # tokens that tell how many characters one has


@dataclass(frozen=True)
class Trained:
    """model: on the CPU, in eval mode; data: what it was trained on; least: tokens of the shortest text that
    the model takes."""

    row: RunRow
    checkpoint: CheckpointInfo
    model: torch.nn.Module
    data: Any
    task: Task
    least: int = 1


def task_of(spec: RunSpec, data: Any, labels: np.ndarray | None = None) -> Task:
    """The task of a run on its data. labels (n,) int64 of the training split, for the weights of classes.

    Raises: SpecError where the data cannot serve the task.
    """
    if data.kind == "table" and data.schema.task == spec.task.kind:
        encoder = data.encoder
        numbers = (encoder.target_mean, encoder.target_scale, data.unit)
        return task_for(spec.task, len(data.classes), labels, numbers=numbers)
    is_text, is_whole = data.kind == "text", spec.task.kind in TOKEN_TASKS
    if not data.schema.serves(spec.task.kind):
        raise SpecError(*task_problems(spec, data.schema))
    if data.kind == "series":
        assert isinstance(spec.task, ForecastingTask), "checked above"
        chosen = data.train.targets
        return Forecasting(
            spec.task, data.train.horizon, data.targets, data.std[chosen], data.naive[chosen],
            has_holes=data.train.known is not None,
        )  # fmt: skip
    if isinstance(spec.task, GenerationTask):
        return Generation(spec.task.latent, spec.task.real_label)
    if isinstance(spec.task, ReconstructionTask):
        draws = any(getattr(layer, "kind", "") == "reparameterize" for layer in every(spec.model.layers))
        return Reconstruction(spec.task.loss, spec.task.kl_weight, draws=draws, std=data.std)
    if not (is_text and is_whole):
        return task_for(spec.task, len(data.classes), labels, classes=data.classes)
    if spec.task.kind == "translation":
        return task_for(spec.task, data.shape.target.vocabulary)
    ids = [int(token) for token in data.train.ids.values[:SAMPLED]]
    characters = len(data.tokenizer.decode(ids)) / max(1, len(ids))
    return task_for(spec.task, data.shape.vocabulary, characters=characters)


def least_of(spec: RunSpec, data: Any) -> int:
    """Tokens of the shortest text that the model takes; 1 for images."""
    return spec.model.least_length(data.shape)


def teacher_for(store: Store, row: RunRow, shape: Any) -> torch.nn.Module | None:
    """The model that teaches the run, as it was when the run was made; None where none does.

    Raises RunError, StoreError where neither the run's own copy nor the teacher is there any more.
    """
    if row.spec.training.distill is None:
        return None
    kept = teachers.pinned(store, row)
    own = any(info.name == teachers.TEACHER for info in store.checkpoints.list(row.id))
    whose, name = (row.id, teachers.TEACHER) if own else (kept["id"], kept["checkpoint"])
    return teacher_of(store, from_dict(json.loads(kept["spec"])), shape, whose, name)


def teacher_of(store: Store, spec: RunSpec, shape: Any, run_id: str, checkpoint: str) -> torch.nn.Module:
    """The model of `spec` with the weights of a checkpoint, for data of `shape`."""
    model = build(spec.model, shape, seed=spec.seed)
    model.load_state_dict(model_tensors(store.checkpoints.read(run_id, checkpoint)))
    return model


class Shelf:
    """Recently used models, so that the second question is quick. One thread at a time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._kept: OrderedDict[tuple[str, str, float], Trained] = OrderedDict()

    def get(self, ref: str, checkpoint: str | None = None) -> Trained:
        """The run's model at `checkpoint`: "best", "last", "step-N" or N; best where there is one.

        Raises RunError (no such run or checkpoint), StoreError (damaged), DataError (data is gone).
        """
        row = self.store.runs.get(ref)
        info = self._chosen(row, checkpoint)
        key = (row.id, info.name, info.time)
        if key not in self._kept:
            self._kept[key] = self._load(row, info)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _chosen(self, row: RunRow, wanted: str | None) -> CheckpointInfo:
        known = {info.name: info for info in self.store.checkpoints.list(row.id) if info.can_answer}
        if wanted is None:
            wanted = "best" if "best" in known else "last"
        number = wanted.removeprefix("step-")
        name = f"step-{number}" if number.isdecimal() else wanted
        if name in known:
            return known[name]
        for info in known.values():  # step 300 may be kept under the name "last"
            if str(info.step) == number:
                return info
        have = ", ".join(f"{info.name} (step {info.step})" for info in known.values())
        raise RunError.of(
            f"run `{row.name}`", "the checkpoint must exist", f"`{wanted}` does not",
            f"It has: {have}." if have else "It has not saved one yet: wait for its first validation.",
        )  # fmt: skip

    def _load(self, row: RunRow, info: CheckpointInfo) -> Trained:
        data = self._data_of(row)
        model = build(row.spec.model, row.spec.task.input(data.shape, 0), seed=row.spec.seed)
        blob = self.store.checkpoints.read(row.id, info.name)
        if info.name.startswith(INT8):
            saved = from_bytes(blob)
            model = loaded(model, saved.meta["int8"], saved.tensors)
        else:
            model.load_state_dict(model_tensors(blob))
        kept = from_bytes(blob).meta.get("carried") or {}
        if data.kind == "series":
            data = data.scaled_as(kept or data.carried)
        model.eval()
        task = task_of(row.spec, data)
        if isinstance(task, Forecasting) and "widths" in kept:
            task.widths, task.held = np.array(kept["widths"]), kept.get("held", ())
        return Trained(row, info, model, data, task, least_of(row.spec, data))

    def _data_of(self, row: RunRow) -> Any:
        spec = row.spec.data
        for kept in self._kept.values():
            if kept.row.spec.data == spec and kept.row.id == row.id:
                return kept.data
        return catalog.load(self.store, spec, row.data_version)

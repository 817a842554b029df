"""A run's model as one of its checkpoints left it, ready to be asked.

Works for a run that still trains: its newest checkpoint is whole whenever it is read.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch

from workbench import catalog
from workbench.data.dataset import Dataset
from workbench.engine.checkpoint import model_tensors
from workbench.models.build import build
from workbench.specs.errors import RunError
from workbench.store import RunRow, Store
from workbench.store.checkpoints import CheckpointInfo
from workbench.tasks.choose import Task, task_for

KEPT = 4  # models held in memory at a time


@dataclass(frozen=True)
class Trained:
    """model: on the CPU, in eval mode; data: what it was trained on, with mean, std and classes."""

    row: RunRow
    checkpoint: CheckpointInfo
    model: torch.nn.Module
    data: Dataset
    task: Task


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
        known = {info.name: info for info in self.store.checkpoints.list(row.id)}
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
        model = build(row.spec.model, data.shape, seed=row.spec.seed)
        model.load_state_dict(model_tensors(self.store.checkpoints.read(row.id, info.name)))
        model.eval()
        return Trained(row, info, model, data, task_for(row.spec.task, len(data.classes)))

    def _data_of(self, row: RunRow) -> Dataset:
        spec = row.spec.data
        for kept in self._kept.values():
            if kept.row.spec.data == spec and kept.row.id == row.id:
                return kept.data
        return catalog.load(self.store, spec, row.data_version)

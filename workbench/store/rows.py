"""A run as it leaves the store: a frozen value, its state derived when it was read."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Row

from workbench.records import RunState
from workbench.specs.run import RunSpec, from_dict
from workbench.store.states import PARKED, derive

OWN_LOOP = "own loop"  # the slot of a run whose loop is somebody's own: no place in the queue, no supervisor


@dataclass(frozen=True)
class RunRow:
    """A run as it stands now. Times are Unix seconds; `state` was derived when this was read."""

    id: str
    name: str
    state: RunState
    spec_json: str
    created: float
    started: float | None
    ended: float | None
    pid: int | None
    step: int
    epoch: float
    total_steps: int | None
    device: str | None
    parent: str | None
    parent_checkpoint: str | None
    error: Mapping[str, Any] | None
    telemetry_share: float | None
    metrics: Mapping[str, Mapping[str, float]]
    eta_s: float | None
    heartbeat: float | None
    revision: int
    data: str = ""  # the data set's name
    model: str = ""  # the preset it is built like, or its family and depth
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False
    parked: bool = False  # paused with its memory freed: no process, a checkpoint, and out of the queue
    held: bool = False  # waits in the queue until somebody releases it
    slot: str | None = None  # the device slot it takes or took: cpu, mps, cuda:0
    peak_bytes: int | None = None  # most memory it was measured to take there, of its own
    active_s: float | None = None  # seconds it has worked in all its sessions, pauses and gaps left out
    data_version: int | None = None  # which version of the data set it saw
    host: str | None = None  # the machine of its process
    pid_started: float | None = None
    silent_s: float | None = None  # seconds since the last sign of life of a run at work

    @property
    def at_work(self) -> bool:
        """A process works on it or holds its memory."""
        return self.state.is_active and not self.parked

    @property
    def is_own_loop(self) -> bool:
        """A program of somebody's own trains it (`workbench.watch`); nobody else can start it."""
        return self.slot == OWN_LOOP

    @cached_property
    def spec(self) -> RunSpec:
        """The spec the run was started with, in today's version."""
        return from_dict(json.loads(self.spec_json))

    @property
    def progress(self) -> float:
        """Share of the planned updates that is done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


def frozen(row: Row[Any]) -> RunRow:
    """The value of a row of the table `runs`."""
    state = derive(
        row.exit_kind, row.queued, row.phase, row.pid, row.pid_started, row.host, row.heartbeat
    )  # fmt: skip
    parked = row.exit_kind == PARKED
    silent_s = None
    if state.is_active and not parked and row.heartbeat is not None:
        silent_s = max(0.0, time.time() - row.heartbeat)  # a clock set back makes no silence
    return RunRow(
        id=row.id,
        name=row.name,
        state=state,
        spec_json=row.spec,
        created=row.created,
        started=row.started,
        ended=row.ended,
        pid=row.pid,
        step=row.step,
        epoch=row.epoch,
        total_steps=row.total_steps,
        device=row.device,
        parent=row.parent,
        parent_checkpoint=row.parent_checkpoint,
        error=json.loads(row.error) if row.error else None,
        telemetry_share=row.telemetry_share,
        metrics=json.loads(row.metrics),
        eta_s=row.eta_s,
        heartbeat=row.heartbeat,
        revision=row.revision,
        data=row.data,
        model=row.model,
        tags=tuple(json.loads(row.tags)),
        note=row.note,
        archived=bool(row.archived),
        parked=parked,
        held=bool(row.held),
        slot=row.slot,
        peak_bytes=row.peak_bytes,
        active_s=row.active_s,
        data_version=row.data_version,
        host=row.host,
        pid_started=row.pid_started,
        silent_s=silent_s,
    )

"""What the loop hands out: batches of records at flush boundaries, with the facts of that moment.

The consumer writes the records and the checkpoints in the order given. How long it holds a flush
is measured by the loop and counted as telemetry, unless the flush carries checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workbench.records import Change, Record

Phase = Literal["running", "paused", "stopping"]
Outcome = Literal["finished", "stopped", "parked"]


@dataclass(frozen=True)
class Saved:
    """A checkpoint as bytes, under the name it is to be kept by: "best" or "last".

    blob: a whole safetensors file (`engine.checkpoint.from_bytes`); metrics: the newest value of
    each of train/loss, val/loss, val/accuracy known at that step.
    """

    name: Literal["best", "last"]
    blob: bytes
    step: int
    epoch: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Flush:
    """One hand-over from the loop.

    step: updates done; epoch: passes done, fractional; total_steps, total_epochs: planned for the
    whole run; eta_s: seconds to the end at the recent pace, None until it is known;
    telemetry_share: part of the run's active wall time spent on watching it, 0..1;
    checkpoints: to be written after the records, in order; outcome: set on the last flush only;
    changes: new lines of the run's ledger, to be written with the records: no update has been made
    under them yet; active_s: seconds the run has worked, in all its sessions, pauses left out.
    """

    records: tuple[Record, ...]
    step: int
    epoch: float
    total_steps: int
    total_epochs: float
    device: str
    eta_s: float | None = None
    telemetry_share: float = 0.0
    phase: Phase = "running"
    checkpoints: tuple[Saved, ...] = ()
    outcome: Outcome | None = None
    changes: tuple[Change, ...] = ()
    active_s: float = 0.0

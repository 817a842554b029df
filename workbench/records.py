"""What was seen: values that travel from the engine to the store and on to figures. All frozen.

Steps are optimizer updates since the first session of the run (absolute), epochs are fractional
passes over the training split, wall times are seconds since the Unix epoch. Pixel tensors are
NumPy arrays. Nothing here knows torch, a database or a page. `Split` and `Data` say what the rooms
that look at images need of a data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

# How the names of metrics end of which the smallest value is the best.
LOWER_IS_BETTER = (
    "loss", "perplexity", "bits_per_character", "mae", "mse", "rmse", "mase", "/ece", "distance", "/kl",
    "/reconstruction",
)  # fmt: skip


class RunState(StrEnum):
    """The states a run is shown in. Derived from facts (`store.states`), never stored as such."""

    QUEUED = "queued"  # waiting for the supervisor or a free slot
    STARTING = "starting"  # its process loads data and builds the model
    RUNNING = "running"
    PAUSED = "paused"  # loaded and waiting; or parked, its memory given back
    STOPPING = "stopping"  # evaluates and writes its last checkpoint
    FINISHED = "finished"  # reached its end
    STOPPED = "stopped"  # ended early because a person asked; the model is kept
    FAILED = "failed"  # ended by an error that is recorded
    LOST = "lost"  # its process is gone without an exit record

    @property
    def is_over(self) -> bool:
        return self in (RunState.FINISHED, RunState.STOPPED, RunState.FAILED, RunState.LOST)

    @property
    def is_active(self) -> bool:
        """A process works on it, or is about to."""
        return not self.is_over and self is not RunState.QUEUED


@dataclass(frozen=True)
class Scalars:
    """A columnar chunk of one key's history, in step order.

    steps (n,) int64, epochs (n,) float64, times (n,) float64 in Unix seconds, values (n,) float64.
    Values may be NaN or infinite: they are kept and shown as such.
    """

    key: str
    steps: np.ndarray
    epochs: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Tiles:
    """A stack of small pictures of one kind: filters, feature maps, attention heads.

    topic: "<kind>/<layer>", such as "filters/0" or "maps/3"; the same name at every step.
    pixels (n, h, w) uint8, scaled per tile so that 0 is lows[i] and 255 is highs[i];
    or (n, h, w, 3) uint8 for colour filters, scaled per tile over all channels.
    group: how many consecutive tiles belong together (the channels of one probe image).
    signed: zero is the middle of the range, to be drawn with a diverging colour map.
    """

    topic: str
    step: int
    epoch: float
    time: float
    pixels: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    label: str = "tile"
    title: str = ""
    group: int = 0
    signed: bool = False


@dataclass(frozen=True)
class Panel:
    """A small result that is not a picture stack: a confusion matrix, sample predictions.

    topic: "confusion", "samples"; data: JSON-ready; arrays: name → array, kept as safetensors.
    """

    topic: str
    step: int
    epoch: float
    time: float
    data: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something that happened, in one sentence: started, best checkpoint, paused, resumed."""

    kind: str
    text: str
    step: int
    epoch: float
    time: float
    data: Mapping[str, Any] = field(default_factory=dict)


Record = Scalars | Tiles | Panel | Event


@dataclass(frozen=True)
class Change:
    """A line of a run's ledger: what was changed while it ran. In force from the update after `step`.

    changes: path → JSON-ready value, such as {"training.optimizer.lr": 0.005}; the paths are
    `specs.steer.STEERABLE`. A run's spec, seed and ledger together reproduce it.
    """

    step: int
    changes: Mapping[str, Any]
    time: float


class Split(Protocol):
    """One part of a data set. x (N, C, H, W) uint8, y (N,) int64, index (N,) int64 rows in the set."""

    @property
    def x(self) -> np.ndarray: ...

    @property
    def y(self) -> np.ndarray: ...

    @property
    def index(self) -> np.ndarray: ...

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...


class Data(Protocol):
    """What is needed of a data set of images; `data.Dataset` is one. mean, std (C,) on the 0..1 scale.

    Sets of texts (`data.text.dataset.TextData`) have kind "text", splits of `Texts`, and no mean and std.
    """

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def train(self) -> Split: ...

    @property
    def validation(self) -> Split: ...

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def mean(self) -> np.ndarray: ...

    @property
    def std(self) -> np.ndarray: ...

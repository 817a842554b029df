"""Small data, small specs and small consumers for tests of the loop: no store, no worker, no mocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from workbench.engine import fit as loop
from workbench.engine.checkpoint import Checkpoint, from_bytes
from workbench.engine.control import Request
from workbench.engine.flush import Flush
from workbench.models.build import build
from workbench.records import Change, Event, Panel, Scalars
from workbench.specs.run import RunSpec, from_dict
from workbench.tasks.choose import task_for

SHAPE = (1, 6, 6)
K = 3


@dataclass(frozen=True)
class Part:
    x: np.ndarray
    y: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @property
    def nbytes(self) -> int:
        return self.x.nbytes + self.y.nbytes + self.index.nbytes


@dataclass(frozen=True)
class Images:
    train: Part
    validation: Part
    classes: tuple[str, ...] = ("bars", "dots", "rings")
    mean: np.ndarray = field(default_factory=lambda: np.array([0.5], dtype=np.float32))
    std: np.ndarray = field(default_factory=lambda: np.array([0.25], dtype=np.float32))
    kind: str = "images"
    name: str = "tiny"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.train.x.shape[1:]


def images(n: int = 70, n_validation: int = 20, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Images:
    """Noise with a brighter third per class: learnable, but not at once."""
    rng = np.random.default_rng(seed)

    def part(size: int, start: int) -> Part:
        y = rng.integers(0, K, size)
        x = rng.integers(0, 160, (size, *shape))
        third = shape[1] // K
        for k in range(K):
            x[y == k, :, k * third : (k + 1) * third] += 60
        return Part(x.astype(np.uint8), y.astype(np.int64), np.arange(start, start + size))

    channels = shape[0]
    return Images(
        part(n, 0),
        part(n_validation, n),
        mean=np.full(channels, 0.4, dtype=np.float32),
        std=np.full(channels, 0.25, dtype=np.float32),
    )


MLP = [
    {"kind": "flatten"},
    {"kind": "linear", "out_features": 12},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {"kind": "dropout", "p": 0.3},
    {"kind": "linear", "out_features": K},
]
CNN = [
    {"kind": "conv2d", "out_channels": 4, "padding": 1},
    {"kind": "relu"},
    {"kind": "max_pool2d"},
    {"kind": "flatten"},
    {"kind": "linear", "out_features": K},
]


def spec_of(
    layers: Any = None,
    *,
    seed: int = 0,
    task: Any = None,
    watch: Any = None,
    augment: Sequence[Any] = (),
    **training: Any,
) -> RunSpec:
    """A RunSpec with small defaults: batch 16, one thread, CPU."""
    tree = {
        "name": "tiny",
        "seed": seed,
        "data": {"augment": list(augment)},
        "model": {"family": "cnn", "layers": MLP if layers is None else layers},
        "task": task or {},
        "training": {"batch_size": 16, "device": "cpu", "threads": 1, **training},
        "watch": watch or {},
    }
    return from_dict(tree)


@dataclass
class Seen:
    """All that a run handed over, in order."""

    flushes: list[Flush] = field(default_factory=list)
    model: nn.Module | None = None

    def values(self, key: str) -> np.ndarray:
        parts = [r.values for r in self._records(Scalars) if r.key == key]
        return np.concatenate(parts) if parts else np.empty(0)

    def steps(self, key: str) -> np.ndarray:
        parts = [r.steps for r in self._records(Scalars) if r.key == key]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def events(self, *kinds: str) -> list[Event]:
        return [r for r in self._records(Event) if not kinds or r.kind in kinds]

    def panels(self, topic: str) -> list[Panel]:
        return [r for r in self._records(Panel) if r.topic == topic]

    def _records(self, kind: type) -> list[Any]:
        return [r for flush in self.flushes for r in flush.records if isinstance(r, kind)]

    def checkpoint(self, name: str = "last") -> Checkpoint:
        """The newest of that name."""
        saved = [s for flush in self.flushes for s in flush.checkpoints if s.name == name]
        return from_bytes(saved[-1].blob)

    @property
    def ledger(self) -> list[Change]:
        """New lines, in order."""
        return [line for flush in self.flushes for line in flush.changes]

    @property
    def outcome(self) -> str | None:
        return self.flushes[-1].outcome


class Asking:
    """A control that asks when a step is reached: {step: verb}. Needs a flush at every step."""

    def __init__(self, at: dict[int, str], then: Iterable[str] = ()) -> None:
        self.at = dict(at)
        self.then = list(then)  # asked one by one while paused
        self.step = 0
        self.waits = 0

    def take(self) -> list[Request]:
        if self.waits:
            self.waits = 0
            return [Request(self.then.pop(0))] if self.then else []
        due = [step for step in self.at if step <= self.step]
        return [Request(self.at.pop(step)) for step in due]

    def wait(self) -> None:
        self.waits += 1


def change(**paths: Any) -> Request:
    """A request to change training's fields; `augment` is the data's, lr and weight_decay the optimizer's."""
    places = {"augment": "data.augment"}
    places |= {name: f"training.optimizer.{name}" for name in ("lr", "weight_decay")}
    named = {places.get(name, f"training.{name}"): value for name, value in paths.items()}
    return Request("change", {"changes": named})


class Script:
    """A control that asks whole requests: at steps, and one list after the other whenever it is paused."""

    def __init__(self, at: Mapping[int, Sequence[Request]], paused: Iterable[Sequence[Request]] = ()) -> None:
        self.at = {step: list(requests) for step, requests in at.items()}
        self.paused = [list(requests) for requests in paused]
        self.step = 0
        self.waits = 0

    def take(self) -> list[Request]:
        if self.waits:
            self.waits = 0
            return self.paused.pop(0)
        return [r for step in sorted(self.at) if step <= self.step for r in self.at.pop(step)]

    def wait(self) -> None:
        self.waits += 1


def run(
    spec: RunSpec,
    data: Images | None = None,
    *,
    control: Any = None,
    resume: Checkpoint | None = None,
    ledger: Sequence[Change] = (),
    watch: Any = None,
    model: nn.Module | None = None,
    each: Callable[[Flush], None] | None = None,
) -> Seen:
    """Trains to the end and keeps everything."""
    data = data or images()
    shape = data.train.x.shape[1:]
    model = model or build(spec.model, shape, seed=spec.seed)
    seen = Seen(model=model)
    task = task_for(spec.task, len(data.classes), data.train.y)
    for flush in loop.fit(
        model, data, task, spec, watch=watch, control=control, resume=resume, ledger=ledger
    ):
        seen.flushes.append(flush)
        if isinstance(control, Asking | Script):
            control.step = flush.step
        if each:
            each(flush)
    return seen

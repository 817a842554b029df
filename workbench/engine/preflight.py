"""A few real steps before a run: how long they take, how much memory they need, and what fills it.

Memory is what torch's allocator hands out, at the moment when most is there: on CUDA its own peak, on a
CPU the sum of every allocation its profiler saw. Images as loaded and checkpoint files count on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.profiler import profile

from workbench.engine.checkpoint import to_bytes
from workbench.engine.device import describe, synchronize
from workbench.engine.evaluate import CPU_BATCH, GPU_BATCH, judge
from workbench.engine.task import Task
from workbench.engine.trainer import Trainer
from workbench.records import Data, Split
from workbench.specs.memory import Memory
from workbench.specs.run import RunSpec

WARM_UP = 2  # steps before the clock runs: the first ones allocate and choose kernels
MEASURED = 5  # steps at least, where they are quick
ENOUGH_S = 0.6  # of measured steps
MOST_S = 2.0  # of any steps; a slow model is measured on a single one
COPIED_BYTES = 200_000_000  # larger training states are not copied to measure that, but counted

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Measured:
    """step_s: the median update; data_s: of it, reading, changing and moving the images; validation_s: one
    whole validation; steps: how many were measured; memory: bytes at the peak; device: in words."""

    device: str
    steps: int
    step_s: float
    data_s: float
    validation_s: float
    total_steps: int
    steps_per_epoch: int
    validations: int
    memory: Memory

    @property
    def eta_s(self) -> float:
        """The whole run: its updates and validations."""
        return self.total_steps * self.step_s + self.validations * self.validation_s


def preflight(model: nn.Module, data: Data, task: Task, spec: RunSpec, progress: Progress) -> Measured:
    """Trains `model` for a few steps; keeps nothing of it but what was measured.

    Check: weights, gradients and optimizer state are exactly 4 bytes a number; the peak is within 15 % of
    `specs.memory.predict`. Raises what a run raises: RunError, DataError, SpecError, torch's out of memory.
    """
    progress("Setting up the trainer", 0.2)
    trainer = Trainer(model, data, task, spec)
    batches = _forever(trainer)
    progress("Taking the first steps", 0.35)
    began = perf_counter()
    times: list[float] = []
    feeds: list[float] = []
    for turn in range(10_000):
        took = _timed(trainer, lambda: trainer.advance(*next(batches)))
        if turn >= WARM_UP or perf_counter() - began > MOST_S:
            times.append(took)
            feeds.append(_timed(trainer, lambda: _feed(trainer, next(batches))))
        enough = len(times) >= MEASURED and sum(times) >= ENOUGH_S
        if enough or (times and perf_counter() - began > MOST_S):
            break
    progress("Measuring memory", 0.7)
    trainer.tally.drain(trainer.step)
    phases = {"step": _peak(trainer, lambda: trainer.advance(*next(batches)))}
    images = trainer.validation.n
    validation_s = 0.0
    if images:
        progress("Validating", 0.85)
        few = _Few(data, GPU_BATCH if trainer.device.type == "cuda" else CPU_BATCH)
        some = type(trainer.validation)(few, data, trainer.device)

        def validate() -> None:
            with trainer.judged_model():
                judge(trainer.model, some, task, trainer.precision.autocast)

        validate()
        phases["validation"] = _peak(trainer, validate)
        validation_s = _timed(trainer, validate) * images / some.n
    held = _held(trainer, data)
    copies = 0
    if trainer.device.type == "cpu":
        state = held["weights"] + held["optimizer"] + held["average"]
        copies = _copies(trainer) if state < COPIED_BYTES else 4 * state
    at = max(phases, key=lambda name: phases[name])
    activations, checkpoints = phases[at], 0
    if copies > activations:
        at, activations, checkpoints = "checkpoint", 0, copies
    memory = Memory(**held, activations=activations, checkpoints=checkpoints, at=at)
    times.sort()
    feeds.sort()
    step_s = times[len(times) // 2]
    validations = -(-trainer.total_steps // trainer.validate_every) if images else 0
    return Measured(
        describe(trainer.device), len(times), step_s, min(step_s, feeds[len(feeds) // 2]), validation_s,
        trainer.total_steps, trainer.steps_per_epoch, validations, memory,
    )  # fmt: skip


class _Few:
    """The first images of the validation split."""

    def __init__(self, data: Data, n: int) -> None:
        split: Split = data.validation
        self.x, self.y, self.index = split.x[:n], split.y[:n], split.index[:n]


def _forever(trainer: Trainer) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Batches of full size, epoch after epoch: the last of an epoch may be smaller."""
    n = trainer.train.n
    size = min(trainer.spec.training.batch_size, n)
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    for epoch in count():
        rows, labels = trainer.train.shuffled(trainer.spec.seed, epoch, sizes)
        for some, y in zip(rows, labels, strict=True):
            if len(some) == size:
                yield some, y, size


def _timed(trainer: Trainer, work: Callable[[], object]) -> float:
    synchronize(trainer.device)
    began = perf_counter()
    work()
    synchronize(trainer.device)
    return perf_counter() - began


def _feed(trainer: Trainer, batch: tuple[Tensor, Tensor, int]) -> None:
    rows, y, _ = batch
    changes = trainer._augment
    if changes is None:
        trainer.train.x_of(rows)
    else:
        trainer.train.changed(rows, y, changes, trainer.step)


def _peak(trainer: Trainer, work: Callable[[], object]) -> int:
    """The most bytes that `work` has at a time beyond what was there."""
    if trainer.device.type == "cuda":
        synchronize(trainer.device)
        before = int(torch.cuda.memory_allocated(trainer.device))
        torch.cuda.reset_peak_memory_stats(trainer.device)
        work()
        synchronize(trainer.device)
        return int(torch.cuda.max_memory_allocated(trainer.device)) - before
    return allocated_peak(work)


def allocated_peak(work: Callable[[], object]) -> int:
    """The most bytes that torch's CPU allocator had given out at a time during `work`, beyond before it."""
    with profile(profile_memory=True) as seen:
        kept = work()
    found = seen.kineto_results
    events = [e for e in found.events() if e.name() == "[memory]"] if found is not None else []
    events.sort(key=lambda event: event.start_ns())
    most = now = 0
    for event in events:
        now += int(event.nbytes())
        most = max(most, now)
    del kept
    return most


def _held(trainer: Trainer, data: Data) -> dict[str, int]:
    """What stays for the whole run, in bytes."""
    memory = trainer.updates.memory()
    kept = [trainer.train.x, trainer.train.y, trainer.validation.x, trainer.validation.y]
    images = sum(_bytes(tensor) for tensor in kept)
    images += 16 * trainer.train.n  # the epoch's order, and its labels in that order
    if trainer.device.type == "cpu":
        test = getattr(data, "test", None)
        splits = [data.train, data.validation, *([test] if test is not None else [])]
        images += sum(s.x.nbytes + s.y.nbytes + s.index.nbytes for s in splits)
    return {
        "weights": _bytes(trainer.flat.weights),
        "gradients": _bytes(trainer.flat.grad),
        "optimizer": sum(_bytes(vector) for vector in memory.vectors.values()),
        "average": _bytes(trainer.average.vector) if trainer.average is not None else 0,
        "data": images,
    }


def _copies(trainer: Trainer) -> int:
    """Bytes that writing a best and a last checkpoint takes: two copies, and each as a file."""
    blobs: list[bytes] = []

    def write() -> object:
        best, last = trainer.capture(metrics={}), trainer.capture(metrics={})
        blobs.extend(to_bytes(state) for state in (last, best))
        return best, last

    return allocated_peak(write) + sum(len(blob) for blob in blobs)


def _bytes(tensor: Tensor) -> int:
    return int(tensor.numel() * tensor.element_size())


def to_json(measured: Measured) -> Mapping[str, Any]:
    """All of it, as plain data."""
    facts = {name: value for name, value in vars(measured).items() if name != "memory"}
    memory = {**measured.memory.parts(), "total": measured.memory.total, "at": measured.memory.at}
    return {**facts, "eta_s": measured.eta_s, "memory": memory}

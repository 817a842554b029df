"""A few real steps before a run: how long they take, how much memory they need, and what fills it.

Memory is what torch's allocator hands out, at the moment when most is there: on CUDA its own peak, on a
CPU the sum of every allocation its profiler saw. Images as loaded and checkpoint files count on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.profiler import profile
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.engine.batches import batch_sizes
from workbench.engine.checkpoint import to_bytes
from workbench.engine.device import describe, free_bytes, synchronize
from workbench.engine.evaluate import CPU_BATCH, GPU_BATCH, judge
from workbench.engine.feeds import Feed, Rows, feed_for
from workbench.engine.task import Task
from workbench.engine.trainer import Trainer
from workbench.records import Data
from workbench.specs.memory import Memory, step_bytes, validation_bytes
from workbench.specs.run import RunSpec

MEASURED = 5  # steps at least, where they are quick
ENOUGH_S = 0.6  # of measured steps
MOST_S = 1.8  # for everything; a slow model is tried on fewer images and reckoned up
SCOUTS = 16  # a first look takes this part of the batch
COPIED_BYTES = 50_000_000  # larger training states are not copied to measure that, but counted

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Measured:
    """step_s: the median update; data_s: of it, reading, changing and moving the images; validation_s: one
    whole validation; steps: how many were measured, of `tried` images each: fewer than a batch where the
    model is slow, then time and memory of the batch are reckoned from them; memory: bytes at the peak;
    device: in words."""

    device: str
    steps: int
    tried: int
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


def preflight(
    model: nn.Module,
    data: Data,
    task: Task,
    spec: RunSpec,
    progress: Progress,
    *,
    sizes: Mapping[str, int] | None = None,
    most_s: float = MOST_S,
) -> Measured:
    """Trains `model` for a few steps; keeps nothing of it but what was measured.

    sizes: images per split of the whole set, where `data` holds only some of them; most_s: about how long it
    may take on the whole.
    Check: weights, gradients and optimizer state are exactly 4 bytes a number; the peak is within 15 % of
    `specs.memory.predict`. Raises what a run raises: RunError, DataError, SpecError, torch's out of memory.
    """
    progress("Setting up the trainer", 0.2)
    trainer = _trainer(model, data, task, spec, sizes)
    until = perf_counter() + most_s
    shape, n_classes = data.shape, task.n_classes
    kind = trainer.device.type
    size = min(spec.training.batch_size, trainer.train.n)
    progress("Taking the first steps", 0.35)
    judged = min(GPU_BATCH if kind == "cuda" else CPU_BATCH, trainer.validation.n)
    few, few_s = _scout(trainer, size, judged, until)
    tried = min(size, 2 * few)
    batches = _forever(trainer, tried)
    progress("Measuring memory", 0.5)
    began = perf_counter()
    peak = _peak(trainer, lambda: trainer.advance(*next(batches)))
    # Where the time is over with that, it is the measure too: looking on costs little beside a slow step.
    times = [perf_counter() - began] if perf_counter() > until - most_s / 4 else []
    phases = {"step": _reckoned(peak, lambda n: step_bytes(spec, shape, n_classes, n, kind), tried, size)}
    progress("Timing the steps", 0.65)
    feeds = [_timed(trainer, lambda: _feed(trainer, next(batches)))]
    while not times or perf_counter() < until - most_s / 4:
        times.append(_timed(trainer, lambda: trainer.advance(*next(batches))))
        feeds.append(_timed(trainer, lambda: _feed(trainer, next(batches))))
        if len(times) >= MEASURED and sum(times) >= ENOUGH_S:
            break
    step_s, data_s = median(times), median(feeds)
    if tried < size:
        step_s = _grown(step_s, tried, few_s, few, size)
        data_s *= size / tried
    trainer.tally.drain(trainer.step)
    validation_s = 0.0
    images = sizes["validation"] if sizes else trainer.validation.n
    if images:
        progress("Validating", 0.85)
        few = judged if tried == size else min(judged, tried)
        some = _Few(trainer.validation, few)

        def validate() -> None:
            with trainer.judged_model():
                judge(trainer.model, some, task, trainer.precision.autocast)

        def predicted(n: int) -> int:
            return validation_bytes(spec, shape, n_classes, n, kind)

        if tried < size and perf_counter() > until:  # a third of a step: there is no way back
            phases["validation"], validation_s = predicted(judged), step_s / 3 / size * images
        else:
            began = perf_counter()
            phases["validation"] = _reckoned(_peak(trainer, validate), predicted, few, judged)
            validation_s = perf_counter() - began
            if perf_counter() + validation_s / 2 < until:  # the first one warmed up
                validation_s = _timed(trainer, validate)
            validation_s *= images / few
    held = _held(trainer, data, sizes)
    copies = 0
    if kind == "cpu":
        state = held["weights"] + held["optimizer"] + held["average"]
        copies = _copies(trainer) if state < COPIED_BYTES else 4 * state
    at = max(phases, key=lambda name: phases[name])
    activations, checkpoints = phases[at], 0
    if copies > activations:
        at, activations, checkpoints = "checkpoint", 0, copies
    memory = Memory(**held, activations=activations, checkpoints=checkpoints, at=at)
    validations = -(-trainer.total_steps // trainer.validate_every) if images else 0
    return Measured(
        describe(trainer.device), len(times), tried, step_s, min(step_s, data_s), validation_s,
        trainer.total_steps, trainer.steps_per_epoch, validations, memory,
    )  # fmt: skip


def _trainer(
    model: nn.Module, data: Data, task: Task, spec: RunSpec, sizes: Mapping[str, int] | None
) -> Trainer:
    """The run's trainer. With only some of the images it counts steps and keeps images as with all."""
    trainer = Trainer(model, data, task, spec)
    if sizes is not None:
        n, training = sizes["train"], spec.training
        batch_norm = any(isinstance(module, _BatchNorm) for module in model.modules())
        trainer.steps_per_epoch = len(batch_sizes(n, training.batch_size, join_single=batch_norm))
        trainer.total_steps = training.total_steps(trainer.steps_per_epoch)
        trainer.validate_every = max(1, round(training.validate_every * trainer.steps_per_epoch))
        room = free_bytes(trainer.device) * trainer.train.n // max(1, n)
        least = spec.model.least_length(data.shape)
        trainer.train = feed_for(data.train, data, task, trainer.device, room, least)
    return trainer


def _least(trainer: Trainer, size: int) -> int:
    """The fewest images of a step: batch norm needs two in each part."""
    return min(size, 2 * trainer.spec.training.accumulation_steps)


def _scout(trainer: Trainer, size: int, judged: int, until: float) -> tuple[int, float]:
    """A number of images and how long a step of them takes, in seconds: few where there is no time for whole
    batches of `size`, which are a step for memory, two for time, and two validations of `judged` images,
    each a third of a step's."""
    few = max(_least(trainer, size), size // SCOUTS)
    if few >= size:
        return size, 0.0
    batches = _forever(trainer, few)
    took = _timed(trainer, lambda: trainer.advance(*next(batches)))
    if took < (until - perf_counter()) / 2:  # the first one allocates and chooses kernels
        took = min(took, _timed(trainer, lambda: trainer.advance(*next(batches))))
    trainer.tally.drain(trainer.step)  # batches of another size follow
    whole = took / few * (3 * size + 2 * judged / 3)
    return (size, took) if perf_counter() + whole < until else (few, took)


def _grown(step_s: float, tried: int, few_s: float, few: int, size: int) -> float:
    """The time of a step of `size` images from those of `tried` and of `few`: along the line through both,
    for reading and writing the weights takes the same for any batch. Noise bends it within bounds only."""
    in_proportion = step_s * size / tried
    slope = (step_s - few_s) / max(1, tried - few)
    return min(in_proportion, max(in_proportion / 2, step_s + slope * (size - tried)))


def _reckoned(peak: int, predicted: Callable[[int], int], tried: int, whole: int) -> int:
    """The peak of `whole` images from that of `tried`: as much more as is predicted to come on top. Workspace
    that the prediction does not know is the same for any number."""
    return max(0, peak + predicted(whole) - predicted(tried))


class _Few:
    """n samples of a split, drawn from all of it, as one batch."""

    mark = held_bytes = 0

    def __init__(self, feed: Feed, n: int) -> None:
        self.n, self.device, self.width = n, feed.device, feed.width
        rest = [feed.n - n] if feed.n > n else []
        self._one = feed.batch(feed.shuffled(0, 0, [n, *rest])[0])
        self.y = None if feed.y is None else self._one[1]

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield self._one

    def as_stored(self, scores: Tensor) -> Tensor:
        return scores


def _forever(trainer: Trainer, size: int) -> Iterator[tuple[Rows, int]]:
    """Batches of `size`, epoch after epoch: the last of an epoch may be smaller and is left out."""
    n = trainer.train.n
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    for epoch in count():
        for rows, many in zip(trainer.train.shuffled(trainer.spec.seed, epoch, sizes), sizes, strict=True):
            if many == size:
                yield rows, size


def _timed(trainer: Trainer, work: Callable[[], object]) -> float:
    synchronize(trainer.device)
    began = perf_counter()
    work()
    synchronize(trainer.device)
    return perf_counter() - began


def _feed(trainer: Trainer, batch: tuple[Rows, int]) -> None:
    rows, _ = batch
    changes = trainer._augment
    if changes is None:
        trainer.train.batch(rows)
    else:
        trainer.train.changed(rows, changes, trainer.step)


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


def _held(trainer: Trainer, data: Data, sizes: Mapping[str, int] | None) -> dict[str, int]:
    """What stays for the whole run, in bytes."""
    memory = trainer.updates.memory()
    samples = 0
    for name in ("train", "validation", "test"):
        split = getattr(data, name, None)
        feed = getattr(trainer, name, None)  # of the test split there is none
        n = len(split) if split is not None else 0
        if feed is not None:
            n = feed.n
        if split is None or not n:
            continue
        held = feed.held_bytes if feed is not None else 0
        if trainer.device.type == "cpu":
            held += split.nbytes
        if name == "train":
            held += 16 * n  # the epoch's order, and its labels in that order
        samples += held * (sizes[name] if sizes else n) // n
    return {
        "weights": _bytes(trainer.flat.weights),
        "gradients": _bytes(trainer.flat.grad),
        "optimizer": sum(_bytes(vector) for vector in memory.vectors.values()),
        "average": _bytes(trainer.average.vector) if trainer.average is not None else 0,
        "data": samples,
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

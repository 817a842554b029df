"""A few real steps before a run: how long they take, how much memory they need, and what fills it.

Memory is what torch's allocator hands out, at the moment when most is there: on CUDA its own peak, on a
CPU the sum of every allocation its profiler saw. Data as loaded and checkpoint files count on a CPU. Texts
are as long as they are: time is that of usual batches, memory that of the longest texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from statistics import mean, median
from time import perf_counter
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.engine.batches import batch_sizes
from workbench.engine.device import describe, free_bytes, synchronize
from workbench.engine.duel import trainer_for
from workbench.engine.evaluate import judge
from workbench.engine.feeds import Feed, Rows, feed_for
from workbench.engine.peaks import bytes_of, copies_bytes, peak_of, samples_bytes
from workbench.engine.some import longest, sizes_of, some_of
from workbench.engine.task import Task
from workbench.engine.trainer import Trainer
from workbench.engine.writing_time import writing_s
from workbench.records import Data
from workbench.specs.data_memory import data_bytes, extent_of
from workbench.specs.memory import Memory, judged_at_once, step_bytes, validation_bytes, waiting_bytes
from workbench.specs.run import RunSpec
from workbench.specs.sizes import Extent
from workbench.specs.tasks import TOKEN_TASKS

MEASURED = 5  # steps at least, where they are quick
ENOUGH_S = 0.6  # of measured steps
MOST_S = 1.8  # for everything; a slow model is tried on fewer samples and reckoned up
SCOUTS = 16  # a first look takes this part of the batch
COPIED_BYTES = 50_000_000  # larger training states are not copied to measure that, but counted
HEAVY_BYTES = 200_000_000  # of weights: one step of few samples is all that there is time for
SOME = 1024  # samples of a split that are tried, or a batch where that is more

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Measured:
    """step_s: an update, the median (of texts a mean, for batches differ in length); data_s: of it, reading,
    changing and moving the samples; validation_s: one whole validation; writing_s: what a model of tokens
    writes at each; steps: how many were measured, of `tried` samples each: fewer than a batch where the model
    is slow, then time and memory of the batch are reckoned from them; memory: bytes at the peak; device: in
    words."""

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
    writing_s: float = 0.0

    @property
    def eta_s(self) -> float:
        """The whole run: its updates and validations."""
        return self.total_steps * self.step_s + self.validations * (self.validation_s + self.writing_s)


def preflight(
    model: nn.Module,
    data: Data,
    task: Task,
    spec: RunSpec,
    progress: Progress,
    *,
    sizes: Mapping[str, int] | None = None,
    most_s: float = MOST_S,
    teacher: nn.Module | None = None,
) -> Measured:
    """Trains `model` for a few steps; keeps nothing of it but what was measured.

    sizes: samples per split of the whole set, where `data` holds only some of its images; texts are all there
    and only some are tried. most_s: about how long it may take on the whole.
    Check: weights, gradients and optimizer state are exactly 4 bytes a number; the peak is within 15 % of
    `specs.memory.predict`. Raises what a run raises: RunError, DataError, SpecError, torch's out of memory.
    """
    return _Flight(model, data, task, spec, progress, sizes, most_s, teacher).measured()


class _Flight:
    """One preflight, step after step."""

    def __init__(
        self, model: nn.Module, data: Data, task: Task, spec: RunSpec, progress: Progress,
        sizes: Mapping[str, int] | None, most_s: float, teacher: nn.Module | None,
    ) -> None:  # fmt: skip
        progress("Setting up the trainer", 0.2)
        self.whole, self.data, self.task, self.spec = data, data, task, spec
        self.progress, self.sizes = progress, sizes
        self.shape = spec.task.input(data.shape, task.n_classes)
        if data.kind == "text":
            self.sizes = sizes_of(data, spec)
            most = max(SOME, spec.training.batch_size)
            self.data = some_of(data, spec, {"train": most, "validation": SOME})
        self.trainer = _trainer(model, self.data, task, spec, self.sizes, teacher)
        self.until, self.most_s = perf_counter() + most_s, most_s
        self.kind = self.trainer.device.type
        self.size = min(spec.training.batch_size, self.trainer.train.n)
        known = self.sizes or {"validation": self.trainer.validation.n}
        self.images = known["validation"]
        self.judged = min(judged_at_once(spec, data.shape, known, self.kind), self.images)
        self.is_heavy = self.kind == "cpu" and bytes_of(self.trainer.flat.weights) > HEAVY_BYTES

    def measured(self) -> Measured:
        trainer, size, progress = self.trainer, self.size, self.progress
        progress("Taking the first steps", 0.35)
        few, few_s = self._scouted()
        tried = few if self.is_heavy else min(size, 2 * few)
        batches = _forever(trainer, tried)
        progress("Measuring memory", 0.5)
        began = perf_counter()
        phases = {"step": self._step_peak(tried, batches)}
        # Where the time is over with that, it is the measure too: looking on costs little beside a slow step.
        is_slow = self.is_heavy or self._is_late(self.most_s / 4)
        times = [(perf_counter() - began, self._widest(tried))] if is_slow else []
        progress("Timing the steps", 0.65)
        feeds = [self._fed(next(batches))]
        while not times or not (self.is_heavy or self._is_late(self.most_s / 4)):
            times.append(self._stepped(*next(batches)))
            feeds.append(self._fed(next(batches)))
            if len(times) >= MEASURED and sum(took for took, _ in times) >= ENOUGH_S:
                break
        step_s, data_s = self._usual(times, tried), self._usual(feeds, tried)
        if tried < size:
            step_s = step_s * size / tried if self.is_heavy else _grown(step_s, tried, few_s, few, size)
            data_s *= size / tried
        trainer.tally.drain(trainer.step)
        validation_s = writes_s = 0.0
        if self.images:
            progress("Validating", 0.85)
            phases["validation"], validation_s = self._validated(tried, step_s)
            if self.is_heavy and tried < size:  # a sample's step is three times its look
                step_s = min(step_s, times[0][0] + 3 * validation_s / self.images * (size - tried))
            writes_s = self._writing_s(step_s)
        validations = -(-trainer.total_steps // trainer.validate_every) if self.images else 0
        return Measured(
            describe(trainer.device), len(times), tried, step_s, min(step_s, data_s), validation_s,
            trainer.total_steps, trainer.steps_per_epoch, validations, self._memory(phases), writes_s,
        )  # fmt: skip

    # ------------------------------------------------------------ steps

    def _scouted(self) -> tuple[int, float]:
        """A number of samples and how long a step of them takes, in seconds: few where there is no time for
        whole batches: a step for memory, two for time, and two validations, each a third of that."""
        trainer, size = self.trainer, self.size
        few = max(min(size, 2 * trainer.spec.training.accumulation_steps), size // SCOUTS)
        if few >= size:
            return size, 0.0
        if self.is_heavy:
            return few, 0.0
        batches = _forever(trainer, few)
        times = [self._stepped(*next(batches))]
        if times[0][0] < (self.until - perf_counter()) / 2:  # the first one allocates and chooses kernels
            times.append(self._stepped(*next(batches)))
        trainer.tally.drain(trainer.step)  # batches of another size follow
        took, width = min(times, key=lambda one: one[0] / one[1])
        longest = took * self._widest(few) / width
        whole = longest / few * (3 * size + 2 * self.judged / 3)
        fits = perf_counter() + whole < self.until
        return size if fits else few, self._usual([(took, width)], few)

    def _stepped(self, rows: Rows, n: int) -> tuple[float, int]:
        """Seconds of an update, and the tokens of its batch."""
        return _timed(self.trainer, lambda: self.trainer.advance(rows, n)), _width(rows)

    def _step_peak(self, tried: int, batches: Iterator[tuple[Rows, int]]) -> int:
        """Bytes at the peak of a step of the longest texts, or of any images."""
        trainer = self.trainer
        if self.whole.kind != "text":
            peak = peak_of(trainer, lambda: trainer.advance(*next(batches)))
        else:
            usual, trainer.train = trainer.train, self._longest("train", tried)
            rows = trainer.train.shuffled(0, 0, [trainer.train.n])[0]
            peak = peak_of(trainer, lambda: trainer.advance(rows, tried))
            trainer.train = usual
            trainer.tally.drain(trainer.step)
        return _reckoned(peak, self._predicted_step, tried, self.size) + self._waiting(self.size)

    def _predicted_step(self, n: int) -> int:
        found = step_bytes(self.spec, self.shape, self.task.n_classes, n, self.kind, self._extent(n))
        return found - self._waiting(n)

    def _waiting(self, n: int) -> int:
        """Scores of steps before, which wait for a flush where every token has some: counted, not made."""
        return waiting_bytes(self.spec, self.shape, self.task.n_classes, n, self._extent(n))

    def _extent(self, n: int, split: str = "train") -> Extent | None:
        return extent_of(self.spec, self.whole.shape, self.sizes or {}, split, n)

    def _longest(self, split: str, n: int) -> Feed:
        """The n longest texts of a split, as one batch."""
        part = longest(self.whole, self.spec, split, n)
        least = self.spec.model.least_length(self.whole.shape)
        return feed_for(part, self.whole, self.task, self.trainer.device, least=least)

    def _widest(self, n: int) -> int:
        """Tokens of the widest batch of n texts, as `_width` counts them; 1 for images."""
        if self.whole.kind != "text":
            return 1
        feed = self._longest("train", n)
        return _width(feed.shuffled(0, 0, [feed.n])[0])

    def _usual(self, times: list[tuple[float, int]], size: int) -> float:
        """Seconds of a usual batch of `size` samples, from (seconds, tokens) of some."""
        if self.whole.kind != "text":
            return median(took for took, _ in times)
        feed = self.trainer.train
        cut = [size] * (feed.n // size) + ([feed.n % size] if feed.n % size else [])
        usual = mean(_width(rows) for rows in feed.shuffled(self.spec.seed, 0, cut)[: max(1, feed.n // size)])
        return sum(took for took, _ in times) / sum(width for _, width in times) * usual

    def _fed(self, batch: tuple[Rows, int]) -> tuple[float, int]:
        return _timed(self.trainer, lambda: _feed(self.trainer, batch)), _width(batch[0])

    def _is_late(self, left: float = 0.0) -> bool:
        return perf_counter() > self.until - left

    # ------------------------------------------------------------ validation

    def _validated(self, tried: int, step_s: float) -> tuple[int, float]:
        """Bytes at the peak of a validation, and the seconds it takes."""
        trainer, size = self.trainer, self.size
        few = self.judged if tried == size else min(self.judged, tried)
        if tried < size and self._is_late():  # a third of a step: there is no way back
            return self._predicted_validation(self.judged), step_s / 3 / size * self.images
        usual = _Few(trainer.validation, min(few, trainer.validation.n))
        wide = usual if self.whole.kind != "text" else _Few(self._longest("validation", few), few)
        began = perf_counter()
        peak = peak_of(trainer, lambda: self._judge(wide))
        took = (perf_counter() - began) * usual.tokens / wide.tokens
        if perf_counter() + took / 2 < self.until:  # the first one warmed up
            took = _timed(trainer, lambda: self._judge(usual))
        peak = _reckoned(peak, self._predicted_validation, few, self.judged)
        return peak, took * self.images / usual.n

    def _judge(self, feed: Any) -> None:
        trainer = self.trainer
        with trainer.judged_model():
            judge(trainer.model, feed, self.task, trainer.precision.autocast)

    def _predicted_validation(self, n: int) -> int:
        facts = (self.spec, self.shape, self.task.n_classes, n, self.kind)
        return validation_bytes(*facts, self._extent(n, "validation"))

    def _writing_s(self, step_s: float) -> float:
        if self.spec.task.kind not in TOKEN_TASKS:
            return 0.0
        if self._is_late(-self.most_s / 2):
            return step_s
        with self.trainer.judged_model():
            return writing_s(self.trainer.model, self.whole, self.spec)

    # ------------------------------------------------------------ all of it

    def _memory(self, phases: dict[str, int]) -> Memory:
        held, copies = self._held(), 0
        if self.kind == "cpu":
            state = held["weights"] + held["optimizer"] + held["average"]
            copies = copies_bytes(self.trainer) if state < COPIED_BYTES else 4 * state
        at = max(phases, key=lambda name: phases[name])
        activations, checkpoints = phases[at], 0
        if copies > activations:
            at, activations, checkpoints = "checkpoint", 0, copies
        return Memory(**held, activations=activations, checkpoints=checkpoints, at=at)

    def _held(self) -> dict[str, int]:
        """What stays for the whole run, in bytes."""
        trainer = self.trainer
        found = {
            "weights": bytes_of(trainer.flat.weights),
            "gradients": bytes_of(trainer.flat.grad),
            "optimizer": sum(bytes_of(vector) for vector in trainer.updates.memory().vectors.values()),
            "average": bytes_of(trainer.average.vector) if trainer.average is not None else 0,
        }
        if self.sizes is not None and trainer.train.n < self.sizes["train"] and self.whole.kind == "text":
            free = free_bytes(trainer.device)
            data = data_bytes(self.spec, self.shape, self.sizes, self.kind, free)
        else:
            data = samples_bytes(trainer, self.whole, self.sizes)
        return {**found, "data": data}


def _width(rows: Rows) -> int:
    """Tokens of a batch's longest text, of a pair both sides'; 1 for images."""
    return int(getattr(rows, "width", 1)) + int(getattr(rows, "wide_too", 0))


def _trainer(
    model: nn.Module, data: Data, task: Task, spec: RunSpec, sizes: Mapping[str, int] | None,
    teacher: nn.Module | None,
) -> Trainer:  # fmt: skip
    """The run's trainer. With only some of the samples it counts steps and keeps images as with all."""
    trainer = trainer_for(model, data, task, spec, teacher)
    if sizes is not None:
        n, training = sizes["train"], spec.training
        batch_norm = any(isinstance(module, _BatchNorm) for module in model.modules())
        trainer.steps_per_epoch = len(batch_sizes(n, training.batch_size, join_single=batch_norm))
        trainer.total_steps = training.total_steps(trainer.steps_per_epoch)
        trainer.validate_every = max(1, round(training.validate_every * trainer.steps_per_epoch))
        if data.kind == "images":
            room = free_bytes(trainer.device) * trainer.train.n // max(1, n)
            trainer.train = feed_for(data.train, data, task, trainer.device, room)
    return trainer


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
    """n samples of a split, drawn from all of it, as one batch; of texts one of middling length."""

    mark = held_bytes = 0

    def __init__(self, feed: Feed, n: int) -> None:
        self.n, self.device, self.width = n, feed.device, feed.width
        cut = [n] * (feed.n // n) + ([feed.n % n] if feed.n % n else [])
        whole = sorted(feed.shuffled(0, 0, cut)[: feed.n // n], key=_width)  # images stay as they come
        self._one = feed.batch(whole[len(whole) // 2 if _width(whole[-1]) > 1 else 0])
        self.y = None if feed.y is None else self._one[1]

    @property
    def tokens(self) -> int:
        """Of all of them, padding included."""
        return int(self._one[0].numel())

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


def to_json(measured: Measured) -> Mapping[str, Any]:
    """All of it, as plain data."""
    facts = {name: value for name, value in vars(measured).items() if name != "memory"}
    memory = {**measured.memory.parts(), "total": measured.memory.total, "at": measured.memory.at}
    return {**facts, "eta_s": measured.eta_s, "memory": memory}

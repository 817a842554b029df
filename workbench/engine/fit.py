"""The training loop, as a generator of flushes. It knows no path, no store and no process.

A plain PyTorch loop: no step waits for the device, and everything seen is handed over at flush
boundaries, a few times a second. What is watched never touches what is trained: the same spec and
seed give the same losses bit for bit on a CPU, with probes or without, paused or resumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Protocol

import numpy as np
from torch import nn

from workbench.engine import panels
from workbench.engine.batches import Data
from workbench.engine.checkpoint import Checkpoint, to_bytes
from workbench.engine.control import Asked, Control, Free
from workbench.engine.device import describe, synchronize
from workbench.engine.evaluate import Judged, judge
from workbench.engine.flush import Flush, Outcome, Phase, Saved
from workbench.engine.meter import Meter
from workbench.engine.progress import judge_progress
from workbench.engine.tally import Points
from workbench.engine.task import Task
from workbench.engine.trainer import Trainer
from workbench.records import Event, Record, Scalars
from workbench.specs.run import RunSpec

FLUSH_S = 0.2  # between two flushes, when they cost little
SLOWEST_FLUSH_S = 1.0
SAVE_S = 60.0  # the longest time without a checkpoint
SHORTEST_SAVE_S = 1.0  # between two checkpoints of validations that follow each other quickly
SAVE_SHARE = 0.03  # of the time that such checkpoints may take


class Watch(Protocol):
    """Who looks inside. `probes.watch.Watcher` is one."""

    def due(self, active_s: float, spent_s: float) -> bool:
        """Whether to look now: the run's active seconds, and those that telemetry took."""
        ...

    def look(self, model: nn.Module, step: int, epoch: float, time: float) -> Sequence[Record]:
        """What is seen. Must leave weights, gradients, modes, hooks and random states as they were.

        An error ends the watching and not the run.
        """
        ...


def fit(
    model: nn.Module,
    data: Data,
    task: Task,
    spec: RunSpec,
    *,
    watch: Watch | None = None,
    control: Control | None = None,
    resume: Checkpoint | None = None,
) -> Iterator[Flush]:
    """Trains `model` on `data.train` as `spec` says, and yields what is seen.

    model: any module from (B, C, H, W) to scores (B, K); moved to the device and trained in place.
    watch: looks inside at step 0, within the spec's budget, and at the end. control: asked at every
    flush. resume: an exact continuation; steps, epochs and marks go on from the checkpoint's.
    The first flush comes before the first step, the second right after it, the last one carries the
    outcome. Steps are counted from 1: the values at step s are those of the s-th update.
    Check: n steps equal m steps, a checkpoint, and n - m steps, bit for bit on one CPU.
    Raises: RunError (device, checkpoint), DataError (no images), SpecError (nothing to train); torch's
    own errors, such as out of memory, pass through as they are.
    """
    return _Run(Trainer(model, data, task, spec), data, watch, control or Free(), resume).play()


class _Run:
    """One session's conversation with its consumer."""

    def __init__(
        self, trainer: Trainer, data: Data, watch: Watch | None, control: Control, resume: Checkpoint | None
    ) -> None:
        self.trainer, self.data, self.watch, self.control = trainer, data, watch, control
        self.spec = trainer.spec
        self.resumed = resume is not None
        self.metrics: dict[str, float] = {}
        self.clocks = {"active_s": 0.0, "spent_s": 0.0}
        if resume is not None:
            trainer.restore(resume)
            self.metrics = resume.metrics
            self.clocks |= resume.meta.get("clocks", {})
        self.meter = Meter(**self.clocks)
        self.device = describe(trainer.device)
        self.points = Points()  # of validations and of the flush itself
        self.pending: list[Event] = []
        self.news: dict[str, Event] = {}  # "validated" and "best": only the newest is told
        self.judged: Judged | None = None  # the newest validation not yet shown as panels
        self.best: Checkpoint | None = None  # captured, not yet handed over
        self.ended: str | None = None  # why training is over before its last step
        self.outcome: Outcome = "finished"
        self.interval_s = FLUSH_S
        self.aside_s = 0.0  # validations since the last flush
        self.flushed = self.saved = perf_counter()
        self.save_cost_s = 0.0
        self.save_due = False

    # ------------------------------------------------------------ the whole

    def play(self) -> Iterator[Flush]:
        trainer = self.trainer
        yield self._opening()
        self.meter = Meter(**self.clocks)  # the opening is launch, not training
        self.flushed = self.saved = perf_counter()
        next_flush = 0.0  # the first step is shown at once
        while not self._over():
            for rows, y, size in trainer.rest_of_epoch():
                trainer.advance(rows, y, size)
                if trainer.step % trainer.validate_every == 0:
                    self._validate()
                if perf_counter() >= next_flush:
                    yield from self._flush()
                    next_flush = perf_counter() + self.interval_s
                if self._over():
                    break
        yield from self._closing()

    def _over(self) -> bool:
        return self.ended is not None or self.trainer.step >= self.trainer.total_steps

    def _opening(self) -> Flush:
        trainer = self.trainer
        kind = "resumed" if self.resumed else "started"
        text = f"{kind.capitalize()} on {self.device}"
        if self.resumed:
            text += f" from step {trainer.step:,}"
        facts = {"device": self.device, "weights": sum(s.numel for s in trainer.flat.spans.values())}
        return self._hand([self._event(kind, text, **facts), *self._look()])

    def _closing(self) -> Iterator[Flush]:
        trainer = self.trainer
        if self.outcome == "stopped":
            event = self._event("stopping", "Stopping: a last validation and checkpoint")
            yield self._hand([event], phase="stopping")
        if trainer.progress.validated_step != trainer.step:
            self._validate(planned=False)
        records = self._drain() + self._look()
        last = trainer.capture(**self._facts())
        if trainer.progress.best is None:  # nothing to choose by; the last one must serve
            self.best = last
        kind = self.outcome
        event = self._event(kind, f"{kind.capitalize()} at step {trainer.step:,}" + self._marks())
        checkpoints = self._handed(last)
        yield self._hand([*records, event], phase="stopping", checkpoints=checkpoints, outcome=self.outcome)

    # ------------------------------------------------------------ flush, pause, stop

    def _flush(self) -> Iterator[Flush]:
        trainer = self.trainer
        synchronize(trainer.device)  # waiting for training is not telemetry
        began = perf_counter()
        with self.meter.watching():
            records = self._drain()
        handled = perf_counter() - began
        if self.watch is not None and self.watch.due(self.meter.active_s, self.meter.spent_s):
            with self.meter.watching():
                records += self._look()
        began = perf_counter()
        with self.meter.watching():
            yield self._hand(records)
            asked = list(self.control.take())
        handled += perf_counter() - began
        # Flushes may take a third of the budget; what is left is for looking inside.
        wanted = 3.0 * handled / self.spec.watch.budget
        self.interval_s = min(SLOWEST_FLUSH_S, max(FLUSH_S, 0.5 * (self.interval_s + wanted)))
        if self._should_save():
            began = perf_counter()
            yield self._hand([], checkpoints=self._handed(trainer.capture(**self._facts())))
            self.save_cost_s = perf_counter() - began
        yield from self._obey(asked)
        self.flushed, self.aside_s = perf_counter(), 0.0

    def _obey(self, asked: Sequence[Asked]) -> Iterator[Flush]:
        verbs = [request.verb for request in asked]
        for verb in verbs:
            if verb not in ("pause", "resume", "stop"):
                yield self._hand([self._event("warning", f"A running loop cannot be asked to {verb!r}")])
        if "stop" in verbs:
            self.ended, self.outcome = "stopped by request", "stopped"
        elif [verb for verb in verbs if verb in ("pause", "resume")][-1:] == ["pause"]:
            yield from self._pause()

    def _pause(self) -> Iterator[Flush]:
        checkpoints = self._handed(self.trainer.capture(**self._facts()))
        yield self._hand([self._event("paused", "Paused")], phase="paused", checkpoints=checkpoints)
        verb = None
        with self.meter.idle():
            while verb is None:
                self.control.wait()
                wishes = [request.verb for request in self.control.take()]
                verb = "stop" if "stop" in wishes else "resume" if "resume" in wishes else None
        if verb == "stop":
            self.ended, self.outcome = "stopped by request", "stopped"
        else:
            yield self._hand([self._event("resumed", "Going on after a pause")])

    # ------------------------------------------------------------ validation

    def _validate(self, planned: bool = True) -> None:
        trainer = self.trainer
        if trainer.validation.n == 0:
            trainer.progress.validated_step = trainer.step
            return
        began = perf_counter()
        judged = judge(trainer.model, trainer.validation, trainer.task, trainer.precision.autocast)
        marks = {"val/loss": judged.loss, "val/accuracy": judged.accuracy}
        for key, value in marks.items():
            self.points.add(key, trainer.step, trainer.epoch, value)
        self.metrics |= marks
        self.judged, self.save_due = judged, True
        verdict = judge_progress(
            trainer.progress,
            self.spec.training,
            judged.loss,
            judged.accuracy,
            trainer.step,
            planned=planned,
        )
        self.news["validated"] = self._event("validated", f"Validated{self._marks()}", **marks)
        if verdict.is_best:
            self.best = trainer.capture(**self._facts())
            self.news["best"] = self._event("best", f"Best so far{self._marks()}", **marks)
        if verdict.dropped:
            self.pending.append(self._event("lr_drop", f"Plateau: learning rate falls to {trainer.rate:.3g}"))
        if verdict.stop and self.ended is None and trainer.step < trainer.total_steps:
            self.ended = verdict.stop
            self.pending.append(self._event("early_stop", verdict.stop))
        self.aside_s += perf_counter() - began

    def _marks(self) -> str:
        loss, accuracy = self.metrics.get("val/loss"), self.metrics.get("val/accuracy")
        return "" if loss is None or accuracy is None else f": loss {loss:.4f}, accuracy {accuracy:.2%}"

    # ------------------------------------------------------------ records

    def _drain(self) -> list[Record]:
        """Everything seen since the last flush, fetched from the device."""
        trainer, tally = self.trainer, self.trainer.tally
        self.meter.spent_s += len(tally) * trainer.telemetry_s
        samples, stepping_s = tally.samples, perf_counter() - self.flushed - self.aside_s
        records: list[Record] = []
        series = tally.drain(trainer.step)
        if series:
            self.metrics["train/loss"] = float(series[0].values[-1])
            records += [*series, *self._warning(series[0])]
            self.points.add("telemetry/share", trainer.step, trainer.epoch, self.meter.share)
            if stepping_s > 0:
                self.points.add("throughput/samples_per_s", trainer.step, trainer.epoch, samples / stepping_s)
        records += [*self.points.drain(), *self.pending, *self.news.values(), *self._panels()]
        self.pending, self.news = [], {}
        return records

    def _warning(self, losses: Scalars) -> list[Event]:
        progress = self.trainer.progress
        bad = np.flatnonzero(~np.isfinite(losses.values))
        if progress.warned_step >= 0 or not len(bad):
            return []
        progress.warned_step = step = int(losses.steps[bad[0]])
        value = losses.values[bad[0]]
        what = "not a number" if math.isnan(value) else "infinite"
        text = f"Training loss is {what} since step {step:,}. Try a smaller learning rate or clip_norm."
        return [Event("warning", text, step, float(losses.epochs[bad[0]]), float(losses.times[bad[0]]))]

    def _panels(self) -> list[Record]:
        judged, self.judged = self.judged, None
        if judged is None:
            return []
        step = self.trainer.progress.validated_step
        at = (step, step / self.trainer.steps_per_epoch, time.time())
        found: list[Record] = []
        matrix = panels.confusion_panel(judged, self.data, *at)
        if matrix is not None:
            found.append(matrix)
        if self.spec.watch.samples:
            found.append(
                panels.samples_panel(judged, self.data, self.trainer.task, self.spec.watch.samples, *at)
            )
        return found

    def _look(self) -> list[Record]:
        if self.watch is None:
            return []
        trainer = self.trainer
        try:
            return list(self.watch.look(trainer.model, trainer.step, trainer.epoch, time.time()))
        except Exception as error:  # a picture is not worth a run: training goes on unwatched
            self.watch = None
            return [self._event("warning", f"Looking inside failed and is turned off: {error}")]

    def _event(self, kind: str, text: str, **data: object) -> Event:
        return Event(kind, text, self.trainer.step, self.trainer.epoch, time.time(), data)

    # ------------------------------------------------------------ checkpoints

    def _should_save(self) -> bool:
        since = perf_counter() - self.saved
        shortest = max(SHORTEST_SAVE_S, self.save_cost_s / SAVE_SHARE)
        return since >= SAVE_S or (self.save_due and since >= shortest)

    def _handed(self, last: Checkpoint) -> tuple[Saved, ...]:
        """The best one first, if there is a new one: what "last" remembers as best must be on disk."""
        best, self.best = self.best, None
        self.saved, self.save_due = perf_counter(), False
        blob = to_bytes(last)
        handed = [Saved("last", blob, last.step, last.epoch, last.metrics)]
        if best is not None:
            whole = blob if best.step == last.step else to_bytes(best)
            handed.insert(0, Saved("best", whole, best.step, best.epoch, best.metrics))
        return tuple(handed)

    def _facts(self) -> dict[str, object]:
        clocks = {"active_s": self.meter.active_s, "spent_s": self.meter.spent_s}
        return {"metrics": dict(self.metrics), "clocks": clocks, "device": self.device}

    def _hand(
        self,
        records: Sequence[Record],
        phase: Phase = "running",
        checkpoints: tuple[Saved, ...] = (),
        outcome: Outcome | None = None,
    ) -> Flush:
        trainer = self.trainer
        return Flush(
            tuple(records),
            trainer.step,
            trainer.epoch,
            trainer.total_steps,
            trainer.total_steps / trainer.steps_per_epoch,
            self.device,
            self.meter.eta_s(trainer.step, trainer.total_steps),
            self.meter.share,
            phase,
            checkpoints,
            outcome,
        )

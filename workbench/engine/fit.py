"""The training loop, as a generator of flushes. It knows no path, no store and no process.

A plain PyTorch loop: no step waits for the device, and everything seen is handed over at flush
boundaries, a few times a second. What is watched never touches what is trained: the same spec and
seed give the same losses bit for bit on a CPU, with probes or without, paused or resumed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from torch import nn

from workbench.engine.checkpoint import Checkpoint
from workbench.engine.control import Asked, Control, Free, Orders, orders
from workbench.engine.device import describe, synchronize
from workbench.engine.duel import trainer_for
from workbench.engine.evaluate import judge
from workbench.engine.flush import Flush, Outcome, Phase, Saved
from workbench.engine.keeping import Keeping
from workbench.engine.ledger import Ledger
from workbench.engine.meter import Meter
from workbench.engine.progress import judge_progress, reason_to_stop
from workbench.engine.seen import Seen
from workbench.engine.task import Carrying, Task
from workbench.engine.team import Team
from workbench.engine.trainer import Trainer
from workbench.engine.watch import Watch
from workbench.engine.writing import write
from workbench.records import Change, Data, Event, Record
from workbench.specs.errors import SpecError
from workbench.specs.run import RunSpec
from workbench.specs.steer import differences, sentence, steered

FLUSH_S = 0.2  # between two flushes, when they cost little
SLOWEST_FLUSH_S = 1.0


def fit(
    model: nn.Module,
    data: Data,
    task: Task,
    spec: RunSpec,
    *,
    watch: Watch | None = None,
    control: Control | None = None,
    resume: Checkpoint | None = None,
    ledger: Sequence[Change] = (),
    teacher: nn.Module | None = None,
    team: Team | None = None,
) -> Iterator[Flush]:
    """Trains `model` on `data.train` as `spec` says, and yields what is seen.

    model: any module from (B, C, H, W) or tokens (B, L) to the task's scores; moved to the device and
    trained in place. watch: looks inside at step 0, within the spec's budget, and at the end.
    control: asked at every flush. resume: an exact continuation; steps, epochs and marks go on from the
    checkpoint's. ledger: what was changed while the run was at work: lines up to the first step are in force
    from the start, later ones come into force at their step, with their event, and are not handed out again.
    teacher: the trained model that `training.distill` speaks of. team: the processes that share each batch;
    this one is its rank 0, and the others follow (`worker.crew`).
    The first flush comes before the first step, the second right after it, the last one carries the
    outcome. Steps are counted from 1: the values at step s are those of the s-th update.
    Check: n steps equal m steps, a checkpoint, and n - m steps, bit for bit on one CPU; so do the steered
    run and a fresh one with its ledger.
    Raises: RunError (device, checkpoint), DataError (no images), SpecError (nothing to train, a line of
    the ledger that does not fit); torch's own errors, such as out of memory, pass through as they are.
    """
    lines = Ledger(spec, ledger, start=resume.step if resume else 0)
    trainer = trainer_for(model, data, task, lines.spec, teacher, team)
    return _Run(trainer, data, watch, control or Free(), resume, lines).play()


class _Run:
    """One session's conversation with its consumer."""

    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        watch: Watch | None,
        control: Control,
        resume: Checkpoint | None,
        ledger: Ledger,
    ) -> None:
        self.trainer, self.data, self.watch, self.control = trainer, data, watch, control
        self.ledger = ledger
        self.resumed = resume is not None
        self.seen = Seen(trainer, data)
        self.clocks: dict[str, Any] = {"active_s": 0.0, "spent_s": 0.0, "pace_s": None}
        self.before: Mapping[str, Any] = {}  # what the checkpoint it goes on from carried
        if resume is not None:
            trainer.restore(resume)
            self.seen.metrics = resume.metrics
            self.before = resume.meta.get("carried") or {}
            self.clocks |= resume.meta.get("clocks", {})
        trainer.share()
        self.meter = Meter(**self.clocks)
        self.device = describe(trainer.device)
        self.sums: Any = None  # of the newest validation, where its marks are made of sums
        self.keeping = Keeping()
        self.ended: str | None = None  # why training is over before its last step
        self.halt: int | None = None  # the step to pause at, while a number of steps is taken
        self.mark = -1  # the next step with something to do: a line of the ledger, or the halt
        if trainer.progress.planned_step == trainer.step:  # it was killed between its last step and its end
            self.ended = reason_to_stop(trainer.progress, trainer.spec.training)
        self.outcome: Outcome = "finished"
        self.interval_s = FLUSH_S
        self.aside_s = 0.0  # validations since the last flush
        self.flushed = perf_counter()

    # ------------------------------------------------------------ the whole

    def play(self) -> Iterator[Flush]:
        trainer = self.trainer
        with self.meter.idle():  # the opening is launch, not training
            yield self._opening()
        self.meter = Meter(**self.clocks)
        self.flushed = perf_counter()
        self.keeping.rest()
        next_flush = 0.0  # the first step is shown at once
        self._set_mark()
        yield from self._obey(list(self.control.take()))  # what was asked before its first update
        while not self._over():
            for rows, size in trainer.rest_of_epoch():
                trainer.advance(rows, size)
                if trainer.step % trainer.validate_every == 0:
                    self._validate()
                if trainer.step == self.mark:
                    yield from self._arrive()
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
        events = [self.seen.event(kind, text, **facts)]
        if trainer.masks is not None and not self.resumed:
            zeros, weights = (
                trainer.masks.zeros,
                sum(trainer.flat.spans[n].numel for n in trainer.masks.names),
            )
            events.append(self.seen.event("pruned", f"{zeros:,} of {weights:,} weights are held at zero"))
        if not self.resumed and self.ledger.changed:  # a resumed run's history tells of them
            events.append(self._changed(self.ledger.changed))
        return self._hand([*events, *self._look()])

    def _closing(self) -> Iterator[Flush]:
        trainer = self.trainer
        if self.outcome == "parked":
            event = self.seen.event("parked", f"Parked at step {trainer.step:,}: its memory is given back")
            checkpoints = self._checkpoints()
            records = [*self._drain(), event]
            yield self._hand(records, phase="paused", checkpoints=checkpoints, outcome="parked")
            return
        if self.outcome == "stopped":
            event = self.seen.event("stopping", "Stopping: a last validation and checkpoint")
            yield self._hand([event], phase="stopping")
        if trainer.progress.validated_step != trainer.step:
            self._validate(planned=False)
        records = self._drain() + self._look()
        last = trainer.capture(**self._facts())
        if trainer.progress.best is None:  # nothing to choose by; the last one must serve
            self.keeping.best = last
        kind = self.outcome
        event = self.seen.event(kind, f"{kind.capitalize()} at step {trainer.step:,}" + self.seen.marks())
        checkpoints = self.keeping.handed(last)
        yield self._hand([*records, event], phase="stopping", checkpoints=checkpoints, outcome=self.outcome)

    # ------------------------------------------------------------ flush, pause, stop, change

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
            asked = [] if self.outcome == "parked" else list(self.control.take())
        handled += perf_counter() - began
        # Flushes may take a third of the budget; what is left is for looking inside.
        wanted = 3.0 * handled / self.trainer.spec.watch.budget
        self.interval_s = min(SLOWEST_FLUSH_S, max(FLUSH_S, 0.5 * (self.interval_s + wanted)))
        if self.keeping.due:
            began = perf_counter()
            yield self._hand([], checkpoints=self._checkpoints())
            self.keeping.cost_s = perf_counter() - began
        yield from self._obey(asked)
        self.flushed, self.aside_s = perf_counter(), 0.0

    def _obey(self, asked: Sequence[Asked]) -> Iterator[Flush]:
        wanted = orders(asked)
        yield from self._steer(wanted)
        if wanted.verb == "pause":
            yield from self._pause("Paused")
        elif wanted.verb:
            yield from self._go_on(wanted)

    def _steer(self, wanted: Orders, phase: Phase = "running") -> Iterator[Flush]:
        """What changes, and what makes no sense."""
        for text in wanted.refused:
            yield self._hand([self.seen.event("warning", text)], phase)
        for changes in wanted.changes:
            yield from self._change(changes, phase)

    def _go_on(self, wanted: Orders) -> Iterator[Flush]:
        """Any verb but pause."""
        self.halt = None
        if wanted.verb == "step":
            self.halt = self.trainer.step + wanted.steps
            yield self._hand([self.seen.event("stepping", f"Taking {_steps(wanted.steps)}")])
        elif wanted.verb == "stop":
            self.ended, self.outcome = "stopped by request", "stopped"
        elif wanted.verb == "park" and not self._over():
            self.ended, self.outcome = "parked by request", "parked"
        self._set_mark()

    def _pause(self, text: str) -> Iterator[Flush]:
        self.halt = None
        checkpoints = self._checkpoints()
        yield self._hand([self.seen.event("paused", text)], phase="paused", checkpoints=checkpoints)
        wanted = orders(())
        with self.meter.idle():
            while wanted.verb in (None, "pause"):
                self.control.wait()
                wanted = orders(self.control.take())
                yield from self._steer(wanted, phase="paused")
        if wanted.verb == "resume":
            yield self._hand([self.seen.event("resumed", "Going on after a pause")])
        yield from self._go_on(wanted)

    def _arrive(self) -> Iterator[Flush]:
        """At a step with something to do."""
        trainer = self.trainer
        for line in self.ledger.due(trainer.step):
            yield from self._change(line.changes, replay=True)
        if self.halt is not None and trainer.step >= self.halt and not self._over():
            synchronize(trainer.device)
            with self.meter.watching():
                yield self._hand(self._drain())
            yield from self._pause(f"Paused at step {trainer.step:,}, as asked")
            self.flushed, self.aside_s = perf_counter(), 0.0
        self._set_mark()

    def _set_mark(self) -> None:
        steps = [step for step in (self.halt, self.ledger.next_step) if step is not None]
        self.mark = min(steps, default=-1)

    def _change(
        self, changes: Mapping[str, Any], phase: Phase = "running", replay: bool = False
    ) -> Iterator[Flush]:
        """Comes into force now; on disk before an update feels it, unless it is replayed from there."""
        trainer = self.trainer
        try:
            spec = steered(trainer.spec, changes)
            changed = differences(trainer.spec, spec)
            trainer.steer(spec)
        except SpecError as error:
            yield self._hand([self.seen.event("warning", f"Nothing was changed: {error}")], phase)
            return
        if changed:
            event = self._changed(changed)
            line = Change(trainer.step, {path: new for path, (_, new) in changed.items()}, event.time)
            yield self._hand([event], phase, changes=() if replay else (line,))

    def _changed(self, changed: Mapping[str, tuple[Any, Any]]) -> Event:
        pairs = {path: list(pair) for path, pair in changed.items()}
        return self.seen.event("changed", sentence(changed), changes=pairs)

    # ------------------------------------------------------------ validation

    def _validate(self, planned: bool = True) -> None:
        trainer, seen = self.trainer, self.seen
        if trainer.validation.n == 0:
            trainer.progress.validated_step = trainer.step
            return
        began = perf_counter()
        with trainer.judged_model():
            judged = judge(trainer.model, trainer.validation, trainer.task, trainer.precision.autocast)
            seen.written = write(trainer.model, self.data, trainer.task, trainer.spec, judged.sums)
        found = {**judged.marks, **(seen.written.marks if seen.written else {})}
        marks = {"val/loss": judged.loss, **{f"val/{name}": value for name, value in found.items()}}
        for key, value in marks.items():
            seen.points.add(key, trainer.step, trainer.epoch, value)
        seen.metrics |= marks
        seen.judged, self.sums, self.keeping.asked = judged, judged.sums, True
        verdict = judge_progress(
            trainer.progress, trainer.spec.training, marks, trainer.step, planned=planned
        )
        seen.news["validated"] = seen.event("validated", f"Validated{seen.marks()}", **marks)
        if verdict.is_best:
            self.keeping.best = trainer.capture(**self._facts())
            seen.news["best"] = seen.event("best", f"Best so far{seen.marks()}", **marks)
        if verdict.dropped:
            seen.pending.append(seen.event("lr_drop", f"Plateau: learning rate falls to {trainer.rate:.3g}"))
        if verdict.stop and self.ended is None and trainer.step < trainer.total_steps:
            self.ended = verdict.stop
            seen.pending.append(seen.event("early_stop", verdict.stop))
        self.aside_s += perf_counter() - began

    # ------------------------------------------------------------ records

    def _drain(self) -> list[Record]:
        return self.seen.drain(self.meter, perf_counter() - self.flushed - self.aside_s)

    def _look(self) -> list[Record]:
        if self.watch is None:
            return []
        trainer = self.trainer
        try:
            return list(self.watch.look(trainer.model, trainer.step, trainer.epoch, time.time()))
        except Exception as error:  # a picture is not worth a run: training goes on unwatched
            self.watch = None
            return [self.seen.event("warning", f"Looking inside failed and is turned off: {error}")]

    # ------------------------------------------------------------ handing over

    def _checkpoints(self) -> tuple[Saved, ...]:
        """The present state, and the best one if it has not been handed over."""
        return self.keeping.handed(self.trainer.capture(**self._facts()))

    def _facts(self) -> dict[str, object]:
        meter = self.meter
        clocks = {"active_s": meter.active_s, "spent_s": meter.spent_s, "pace_s": meter.pace_s}
        facts = {"metrics": dict(self.seen.metrics), "clocks": clocks, "device": self.device}
        carried = getattr(self.data, "carried", None)  # what it takes to use the model again, such as a scale
        if carried is not None and isinstance(self.trainer.task, Carrying):
            learned = self.trainer.task.carried(self.sums)
            carried = {**(self.before if self.sums is None else {}), **carried, **learned}
        return facts if carried is None else {**facts, "carried": carried}

    def _hand(
        self,
        records: Sequence[Record],
        phase: Phase = "running",
        checkpoints: tuple[Saved, ...] = (),
        outcome: Outcome | None = None,
        changes: tuple[Change, ...] = (),
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
            changes,
            self.meter.active_s,
        )


def _steps(n: int) -> str:
    return f"{n:,} step{'s' if n != 1 else ''}"

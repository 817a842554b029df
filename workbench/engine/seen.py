"""What a run has seen and not yet handed over: points, events, and its newest validation as panels."""

from __future__ import annotations

import time
from collections.abc import Sequence

from workbench.engine import panels
from workbench.engine.evaluate import Judged
from workbench.engine.meter import Meter
from workbench.engine.progress import warning
from workbench.engine.tally import Points
from workbench.engine.trainer import Trainer
from workbench.engine.writing import Written
from workbench.records import Data, Event, Panel, Record


class Seen:
    """Everything is told once, at the next flush; the newest marks stay known."""

    def __init__(self, trainer: Trainer, data: Data) -> None:
        self.trainer, self.data = trainer, data
        self.metrics: dict[str, float] = {}
        self.points = Points()  # of validations and of the flush itself
        self.pending: list[Event] = []
        self.news: dict[str, Event] = {}  # "validated" and "best": only the newest is told
        self.judged: Judged | None = None  # the newest validation not yet shown as panels
        self.written: Written | None = None  # at that validation

    def drain(self, meter: Meter, stepping_s: float) -> list[Record]:
        """All since the last flush, fetched from the device. stepping_s: how long the steps took."""
        trainer, tally = self.trainer, self.trainer.tally
        meter.spent_s += len(tally) * trainer.telemetry_s
        samples = tally.samples
        records: list[Record] = []
        series = tally.drain(trainer.step)
        if series:
            self.metrics["train/loss"] = float(series[0].values[-1])
            records += [*series, *warning(trainer.progress, series[0])]
            self.points.add("telemetry/share", trainer.step, trainer.epoch, meter.share)
            if stepping_s > 0:
                self.points.add("throughput/samples_per_s", trainer.step, trainer.epoch, samples / stepping_s)
        records += [*self.points.drain(), *self.pending, *self.news.values(), *self._panels()]
        self.pending, self.news = [], {}
        return records

    def marks(self) -> str:
        """`: loss 0.1234, accuracy 96.40%`, of the newest validation; empty before the first."""
        task = self.trainer.task
        loss, counted = self.metrics.get("val/loss"), self.metrics.get(f"val/{task.counted}")
        if loss is None or counted is None:
            return ""
        if task.counted != "accuracy":
            return f": loss {loss:.4f}, {task.counted.replace('_', ' ')} {counted:.4f}"
        return f": loss {loss:.4f}, {'tokens right' if task.per_token else 'accuracy'} {counted:.2%}"

    def event(self, kind: str, text: str, **data: object) -> Event:
        """An event at the present step."""
        return Event(kind, text, self.trainer.step, self.trainer.epoch, time.time(), data)

    def _panels(self) -> Sequence[Record]:
        judged, self.judged = self.judged, None
        if judged is None:
            return []
        trainer = self.trainer
        step = trainer.progress.validated_step
        at = (step, step / trainer.steps_per_epoch, time.time())
        found = panels.of(judged, self.data, trainer.task, trainer.spec.watch.samples, *at)
        if self.written is not None:
            found.append(Panel(self.written.topic, *at, self.written.data, self.written.arrays))
        return found

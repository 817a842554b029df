"""What a run remembers from validation to validation: the best so far, the plateau, the patience.

All of it is plain numbers that go into the checkpoint, so that a resumed run decides as the
uninterrupted one would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workbench.records import Event, Scalars
from workbench.specs.schedules import Plateau
from workbench.specs.training import TrainingSpec

FALLING = ("val/loss", "val/scaled_mae", "val/mae", "val/rmse")  # marks that are better when smaller


@dataclass
class Progress:
    """best: the validation mark the best checkpoint is chosen by (val/loss; val/accuracy where early
    stopping watches that); factor: what plateaus have made of the learning rate so far."""

    best: float | None = None
    best_step: int = -1
    patience_best: float | None = None
    stale: int = 0  # validations without improvement, for early stopping
    plateau_best: float | None = None
    plateau_stale: int = 0
    factor: float = 1.0
    validated_step: int = -1
    warned_step: int = -1  # of the first non-finite loss
    metric: str = ""  # what best and patience_best are marks of
    planned_step: int = -1  # of the last planned validation
    planned_loss: float | None = None

    def to_meta(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What a validation leads to. stop: the reason to end the run now, or None."""

    is_best: bool
    dropped: bool
    stop: str | None


def watched(training: TrainingSpec) -> str:
    """The metric that best checkpoints are chosen by."""
    return training.early_stopping.metric if training.early_stopping else "val/loss"


def judge_progress(
    progress: Progress,
    training: TrainingSpec,
    marks: Mapping[str, float],
    step: int,
    *,
    planned: bool = True,
) -> Verdict:
    """Takes a validation into account. A NaN mark never improves on anything, nor does one that is missing.

    marks: by key, val/loss among them.
    planned: False for the extra validation at a stop, which may be the best one but must not move
    patience and plateau: a resumed run would decide otherwise than an uninterrupted one.
    """
    metric = watched(training)
    rising = metric not in FALLING
    loss = marks["val/loss"]
    mark = marks.get(metric, math.nan)
    if progress.metric not in ("", metric):  # steered to another: marks of two kinds cannot be compared
        progress.best = progress.patience_best = None
        progress.stale = 0
    progress.metric = metric
    progress.validated_step = step
    is_best = _better(mark, progress.best, rising)
    if is_best:
        progress.best, progress.best_step = mark, step
    if not planned:
        return Verdict(is_best, dropped=False, stop=None)
    progress.planned_step, progress.planned_loss = step, loss
    _patience(progress, training, mark, rising)
    dropped = _plateau(progress, training, loss)
    return Verdict(is_best, dropped, reason_to_stop(progress, training))


def reason_to_stop(progress: Progress, training: TrainingSpec) -> str | None:
    """Why the last planned validation ends the run, or None. A pure function of what is remembered, so
    that a run killed after that validation and before its end is not trained further when resumed."""
    loss, threshold, rule = progress.planned_loss, training.stop_at_loss, training.early_stopping
    if loss is not None and threshold is not None and loss <= threshold:
        return f"Validation loss {loss:.4g} is at or below {threshold:g}"
    if rule is not None and progress.stale >= rule.patience:
        return f"{rule.metric} has not improved for {progress.stale} validations"
    return None


def warning(progress: Progress, losses: Scalars) -> list[Event]:
    """The news that a training loss is not finite, once in a run, at its step."""
    bad = np.flatnonzero(~np.isfinite(losses.values))
    if progress.warned_step >= 0 or not len(bad):
        return []
    first = bad[0]
    progress.warned_step = step = int(losses.steps[first])
    what = "not a number" if math.isnan(losses.values[first]) else "infinite"
    text = f"Training loss is {what} since step {step:,}. Try a smaller learning rate or clip_norm."
    return [Event("warning", text, step, float(losses.epochs[first]), float(losses.times[first]))]


def _patience(progress: Progress, training: TrainingSpec, mark: float, rising: bool) -> None:
    rule = training.early_stopping
    if rule is None:
        progress.patience_best, progress.stale = None, 0
    elif _better(mark, progress.patience_best, rising, rule.min_delta):
        progress.patience_best, progress.stale = mark, 0
    else:
        progress.stale += 1


def _plateau(progress: Progress, training: TrainingSpec, loss: float) -> bool:
    schedule = training.schedule
    if not isinstance(schedule, Plateau):
        return False
    if _better(loss, progress.plateau_best, rising=False):
        progress.plateau_best, progress.plateau_stale = loss, 0
        return False
    progress.plateau_stale += 1
    if progress.plateau_stale <= schedule.patience:
        return False
    progress.plateau_stale = 0
    progress.factor *= schedule.gamma
    return True


def _better(mark: float, best: float | None, rising: bool, by: float = 0.0) -> bool:
    if math.isnan(mark):
        return False
    if best is None:
        return True
    return mark > best + by if rising else mark < best - by

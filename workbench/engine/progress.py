"""What a run remembers from validation to validation: the best so far, the plateau, the patience.

All of it is plain numbers that go into the checkpoint, so that a resumed run decides as the
uninterrupted one would.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from workbench.specs.training import Plateau, TrainingSpec


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
    loss: float,
    accuracy: float,
    step: int,
    *,
    planned: bool = True,
) -> Verdict:
    """Takes a validation into account. A NaN mark never improves on anything.

    planned: False for the extra validation at a stop, which may be the best one but must not move
    patience and plateau: a resumed run would decide otherwise than an uninterrupted one.
    """
    mark = accuracy if watched(training) == "val/accuracy" else loss
    rising = watched(training) == "val/accuracy"
    progress.validated_step = step
    is_best = _better(mark, progress.best, rising)
    if is_best:
        progress.best, progress.best_step = mark, step
    if not planned:
        return Verdict(is_best, dropped=False, stop=None)
    stop = _patience(progress, training, mark, rising)
    dropped = _plateau(progress, training, loss)
    threshold = training.stop_at_loss
    if threshold is not None and loss <= threshold:
        stop = f"Validation loss {loss:.4g} is at or below {threshold:g}"
    return Verdict(is_best, dropped, stop)


def _patience(progress: Progress, training: TrainingSpec, mark: float, rising: bool) -> str | None:
    rule = training.early_stopping
    if rule is None:
        return None
    if _better(mark, progress.patience_best, rising, rule.min_delta):
        progress.patience_best, progress.stale = mark, 0
        return None
    progress.stale += 1
    if progress.stale < rule.patience:
        return None
    return f"{rule.metric} has not improved for {progress.stale} validations"


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

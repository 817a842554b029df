"""The learning-rate range test: a short training whose rate grows until the loss does too.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks",
https://arxiv.org/abs/1506.01186, section 3.3; growing the rate exponentially and reading the curve where
it falls most steeply is the usual practice since. Nothing of the training is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

from workbench.engine.duel import trainer_for
from workbench.engine.some import some_of
from workbench.engine.task import Task
from workbench.engine.trainer import Trainer
from workbench.records import Data
from workbench.specs.run import RunSpec
from workbench.specs.schedules import Constant

LOW, HIGH, STEPS = 1e-7, 10.0, 120
SMOOTH = 0.9  # share of the past in the smoothed loss
SETTLED = 10  # losses before the smoothed one is a mean of about ten, and no longer leaps with each
DIVERGED = 4.0  # times the lowest smoothed loss
FEWEST = 20  # points before a curve says anything


@dataclass(frozen=True)
class Ranged:
    """rates, losses, smoothed (n,) float64: one per update. suggestion: where the smoothed loss falls most
    steeply against the logarithm of the rate, None where it never falls; lowest: where it was least."""

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    lowest: float | None


def range_test(
    model: nn.Module,
    data: Data,
    task: Task,
    spec: RunSpec,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
    teacher: nn.Module | None = None,
    progress: Callable[[str, float], None] = lambda words, share: None,
) -> Ranged:
    """Trains `model` for at most `steps` updates with a rate from `low` to `high`, batch by batch.

    Optimizer, batches, augmentation, loss and clipping are the run's; its schedule and its averaging are
    left out. Ends early once the loss is four times the lowest, or no number.
    Check: the same spec gives the same curve, bit for bit on one CPU.
    Raises what a run raises.
    """
    training = spec.training.model_copy(update={"schedule": Constant(), "ema": None})
    spec = spec.model_copy(update={"training": training})
    if data.kind == "text":  # of a large set no more than can be seen
        data = some_of(data, spec, {"train": steps * training.batch_size, "validation": 1})
    trainer = trainer_for(model, data, task, spec, teacher)
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    smooth = 0.0
    least = math.inf
    batches = _batches(trainer)
    for number, rate in enumerate(rates):
        trainer.steer(_at(spec, float(rate)))
        trainer.advance(*next(batches))
        loss = float(trainer.tally.drain(trainer.step)[0].values[-1])
        losses.append(loss)
        smooth = SMOOTH * smooth + (1 - SMOOTH) * loss
        now = smooth / (1 - SMOOTH ** (number + 1))
        progress(f"Learning rate {rate:.1g}", (number + 1) / steps)
        if not math.isfinite(loss) or (number >= FEWEST and now > DIVERGED * least):
            break
        least = min(least, now)
    seen = np.array(losses)
    curve = smoothed(seen)
    suggestion, lowest = suggest(rates[: len(seen)], curve)
    return Ranged(rates[: len(seen)], seen, curve, suggestion, lowest)


def smoothed(losses: np.ndarray) -> np.ndarray:
    """A running average without the pull of its start. losses (n,) -> (n,).

    Source: the bias correction of Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, section 3.
    """
    found, now = np.empty(len(losses)), 0.0
    for i, loss in enumerate(losses):
        now = SMOOTH * now + (1 - SMOOTH) * loss
        found[i] = now / (1 - SMOOTH ** (i + 1))
    return found


def suggest(rates: np.ndarray, curve: np.ndarray) -> tuple[float | None, float | None]:
    """(where the curve falls most steeply, where it is lowest), rates to two digits. Shapes: (n,), (n,).

    Only the fall before the lowest point counts, from where the curve has settled, and one of less than a
    twentieth is none.
    """
    good = np.isfinite(curve)
    end = int(np.argmin(good)) if not good.all() else len(curve)
    rates, curve = rates[:end], curve[:end]
    if len(curve) < FEWEST:
        return None, None
    bottom = int(np.argmin(curve))
    if bottom < SETTLED or curve[bottom] > 0.95 * float(np.max(curve[: bottom + 1])):
        return None, None
    slope = np.gradient(curve, np.log10(rates))
    steepest = SETTLED + int(np.argmin(slope[SETTLED : bottom + 1]))
    return _two_digits(float(rates[steepest])), _two_digits(float(rates[bottom]))


def _at(spec: RunSpec, rate: float) -> RunSpec:
    optimizer = spec.training.optimizer.model_copy(update={"lr": rate})
    return spec.model_copy(update={"training": spec.training.model_copy(update={"optimizer": optimizer})})


def _batches(trainer: Trainer) -> Iterator[tuple]:  # type: ignore[type-arg]
    while True:
        yield from trainer.rest_of_epoch()


def _two_digits(number: float) -> float:
    return float(f"{number:.1e}")

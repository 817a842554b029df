"""How the learning rate changes over a run."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from workbench.specs.base import Spec, knob


class Schedule(Spec):
    """A learning rate as a factor on the optimizer's `lr`, after a linear warm-up."""

    warmup: float = knob(0.0, "Share of all steps over which the rate climbs from zero", ge=0, le=0.5)

    def factor(self, step: int, total: int, steps_per_epoch: int) -> float:
        """Factor for update number `step` (0-based) of `total`."""
        warm = round(self.warmup * total)
        if step < warm:
            return (step + 1) / warm
        return self.after_warmup(step, warm, total, steps_per_epoch)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        return 1.0


class Constant(Schedule):
    """The same rate throughout."""

    kind: Literal["constant"] = "constant"


class Step(Schedule):
    """Multiplies the rate by gamma every so many epochs."""

    kind: Literal["step"] = "step"
    every: float = knob(5.0, "Epochs between two drops", unit="epochs", gt=0, le=10_000)
    gamma: float = knob(0.5, "Factor of each drop", gt=0, le=1)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        return self.gamma ** int(step / steps_per_epoch / self.every)


class Cosine(Schedule):
    """Falls along half a cosine to a final fraction of the rate."""

    kind: Literal["cosine"] = "cosine"
    final: float = knob(0.0, "Rate at the end, as a fraction of the peak", ge=0, le=1)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        done = (step - warm) / max(1, total - warm - 1)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class OneCycle(Schedule):
    """Climbs from a low rate to the peak, then falls to almost nothing (Smith 2018)."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = knob(0.3, "Share of all steps spent climbing", gt=0, lt=1)
    start: float = knob(0.04, "Rate at the start, as a fraction of the peak", gt=0, le=1, advanced=True)
    final: float = knob(0.0004, "Rate at the end, as a fraction of the peak", ge=0, le=1, advanced=True)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        done = (step - warm) / max(1, total - warm - 1)
        if done < self.rise:
            low, high, part = self.start, 1.0, done / self.rise
        else:
            low, high, part = 1.0, self.final, (done - self.rise) / (1 - self.rise)
        return low + (high - low) * 0.5 * (1 - math.cos(math.pi * min(1.0, part)))


class Plateau(Schedule):
    """Multiplies the rate by gamma when the validation loss stops improving."""

    kind: Literal["plateau"] = "plateau"
    patience: int = knob(
        2, "Validations without improvement before a drop", unit="validations", ge=0, le=1000
    )
    gamma: float = knob(0.3, "Factor of each drop", gt=0, lt=1)
    # The drops depend on what is measured, so the engine holds them; `factor` gives the warm-up only.


AnySchedule = Annotated[Constant | Step | Cosine | OneCycle | Plateau, Field(discriminator="kind")]

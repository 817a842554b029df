"""How weights are updated from their gradients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workbench.specs.base import Spec, knob


class Optimizer(Spec):
    """What all optimizers share."""

    lr: float = knob(1e-3, "Learning rate: the size of a step at the schedule's peak", gt=0, le=10)
    weight_decay: float = knob(0.0, "Pulls the weights towards zero at every step", ge=0, le=1)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum."""

    kind: Literal["sgd"] = "sgd"
    lr: float = knob(0.05, "Learning rate: the size of a step at the schedule's peak", gt=0, le=10)
    momentum: float = knob(0.9, "Share of the last step that is kept", ge=0, lt=1)
    nesterov: bool = knob(False, "Look ahead along the momentum before taking the gradient", advanced=True)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; set momentum to 0.9 or turn nesterov off")
        return self


class Adam(Optimizer):
    """Steps scaled per weight by running moments of the gradient."""

    kind: Literal["adam"] = "adam"
    beta1: float = knob(0.9, "Decay of the running mean of the gradient", ge=0, lt=1, advanced=True)
    beta2: float = knob(0.999, "Decay of the running mean of its square", ge=0, lt=1, advanced=True)
    eps: float = knob(1e-8, "Added to the divisor, against division by zero", gt=0, le=1, advanced=True)


class AdamW(Adam):
    """Adam with weight decay kept apart from the gradient."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: float = knob(0.01, "Pulls the weights towards zero at every step", ge=0, le=1)


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: float = knob(0.99, "Decay of the running mean of the squared gradient", ge=0, lt=1, advanced=True)
    momentum: float = knob(0.0, "Share of the last step that is kept", ge=0, lt=1, advanced=True)
    eps: float = knob(1e-8, "Added to the divisor, against division by zero", gt=0, le=1, advanced=True)


AnyOptimizer = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="kind")]

"""Activations: what bends values between layers. Names and fields are torch.nn's own."""

from __future__ import annotations

from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import Layer, refuse, removed, set_to, show, steps


class Activation(Layer):
    """Bends the values, element by element; without it, stacked layers collapse to one."""

    group: ClassVar[str] = "activation"


class ReLU(Activation):
    """max(0, x): the usual choice."""

    kind: Literal["relu"] = "relu"


class ReLU6(Activation):
    """ReLU that stops at 6: kind to low precision, used by MobileNet."""

    kind: Literal["relu6"] = "relu6"


class LeakyReLU(Activation):
    """ReLU that lets a little of the negative side through, so that units do not die."""

    kind: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: float = knob(0.01, "Slope for negative values", ge=0, le=1)


class PReLU(Activation):
    """ReLU that learns how much of the negative side it lets through."""

    kind: Literal["prelu"] = "prelu"
    per_channel: bool = knob(False, "One slope for each channel, instead of one for all")
    init: float = knob(0.25, "Slope at the beginning", ge=-1, le=1, advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        if self.per_channel and len(shape) == 2:
            raise refuse(
                "a slope for each channel needs channels", f"it gets a sequence, {show(shape)}",
                "Set per_channel to no.", set_to(per_channel=False),
            )  # fmt: skip
        return shape

    def n_params(self, shape: Shape) -> int:
        return shape[0] if self.per_channel else 1

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * steps(shape)


class RReLU(Activation):
    """ReLU with a random slope for negative values while training, their mean afterwards."""

    kind: Literal["rrelu"] = "rrelu"
    lower: float = knob(1 / 8, "Smallest slope", ge=0, le=0.3)
    upper: float = knob(1 / 3, "Largest slope", ge=0.3, le=1)


class ELU(Activation):
    """Smooth below zero, saturating at -alpha."""

    kind: Literal["elu"] = "elu"
    alpha: float = knob(1.0, "Size of the negative plateau", gt=0, le=10)


class SELU(Activation):
    """ELU scaled so that deep dense stacks keep zero mean and unit variance."""

    kind: Literal["selu"] = "selu"


class CELU(Activation):
    """ELU whose slope has no jump, whatever alpha."""

    kind: Literal["celu"] = "celu"
    alpha: float = knob(1.0, "Size of the negative plateau", gt=0, le=10)


class GELU(Activation):
    """x · Φ(x): the smooth gate of Transformers."""

    kind: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = knob("none", "tanh: a faster approximation", advanced=True)


class SiLU(Activation):
    """x · sigmoid(x), also called swish."""

    kind: Literal["silu"] = "silu"


class Tanh(Activation):
    """Squashes to (-1, 1)."""

    kind: Literal["tanh"] = "tanh"


class Hardtanh(Activation):
    """Cuts values off at two bounds."""

    kind: Literal["hardtanh"] = "hardtanh"
    min_val: float = knob(-1.0, "Lower bound", ge=-100, le=0)
    max_val: float = knob(1.0, "Upper bound", gt=0, le=100)


class Softsign(Activation):
    """x / (1 + |x|): a slower tanh."""

    kind: Literal["softsign"] = "softsign"


class Tanhshrink(Activation):
    """x - tanh(x): lets large values through, holds small ones back."""

    kind: Literal["tanhshrink"] = "tanhshrink"


class Hardshrink(Activation):
    """Zero between two bounds, unchanged outside."""

    kind: Literal["hardshrink"] = "hardshrink"
    lambd: float = knob(0.5, "Half the width of the zero band", ge=0, le=10)


class Softshrink(Activation):
    """Pulls every value towards zero by a fixed amount."""

    kind: Literal["softshrink"] = "softshrink"
    lambd: float = knob(0.5, "How far", ge=0, le=10)


class Sigmoid(Activation):
    """Squashes to (0, 1)."""

    kind: Literal["sigmoid"] = "sigmoid"


class LogSigmoid(Activation):
    """Logarithm of the sigmoid."""

    kind: Literal["log_sigmoid"] = "log_sigmoid"


class Hardsigmoid(Activation):
    """A piecewise, cheap sigmoid."""

    kind: Literal["hardsigmoid"] = "hardsigmoid"


class Hardswish(Activation):
    """A piecewise, cheap swish."""

    kind: Literal["hardswish"] = "hardswish"


class Mish(Activation):
    """x · tanh(softplus(x))."""

    kind: Literal["mish"] = "mish"


class Softplus(Activation):
    """log(1 + exp(x)): a smooth ReLU."""

    kind: Literal["softplus"] = "softplus"


class Softmax(Activation):
    """Turns scores into probabilities, of a sequence at each step. Cross-entropy does this by itself."""

    kind: Literal["softmax"] = "softmax"


class LogSoftmax(Activation):
    """Logarithm of softmax. Cross-entropy does this by itself."""

    kind: Literal["log_softmax"] = "log_softmax"


class GLU(Activation):
    """Half of the channels gate the other half: x · sigmoid(y). Halves the channels."""

    kind: Literal["glu"] = "glu"

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) == 2 and shape[1] % 2 == 0:
            return (shape[0], shape[1] // 2)
        if shape[0] % 2 or len(shape) == 2:
            raise refuse(
                "glu needs an even number of channels",
                f"it gets {shape[1] if len(shape) == 2 else shape[0]}",
                "Give the layer before it an even number of outputs, or remove it.",
                removed(self.kind),
            )
        return (shape[0] // 2, *shape[1:])

"""Dense layers, what leads to them, and dropout."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import EVERYTHING, Layer, Sight, need_image, preceded, refuse, show, steps


class Dropout(Layer):
    """Zeroes random values while training, against overfitting."""

    group: ClassVar[str] = "regularisation"
    kind: Literal["dropout"] = "dropout"
    p: float = knob(0.5, "Share of the values that is zeroed", ge=0, lt=1)


class Dropout2d(Layer):
    """Zeroes whole random channels while training."""

    group: ClassVar[str] = "regularisation"
    kind: Literal["dropout2d"] = "dropout2d"
    p: float = knob(0.25, "Share of the channels that is zeroed", ge=0, lt=1)

    def out_shape(self, shape: Shape) -> Shape:
        need_image(self.kind, shape)
        return shape


class AlphaDropout(Layer):
    """Dropout that keeps mean and variance; goes with selu."""

    group: ClassVar[str] = "regularisation"
    kind: Literal["alpha_dropout"] = "alpha_dropout"
    p: float = knob(0.1, "Share of the values that is set to the negative plateau", ge=0, lt=1)


class Flatten(Layer):
    """Lays an image or a sequence out as one vector, for linear layers."""

    group: ClassVar[str] = "dense"
    kind: Literal["flatten"] = "flatten"

    def out_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def activations(self, shape: Shape) -> int:
        return 0  # the same memory, seen as a vector

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return EVERYTHING if len(shape) == 3 else before


class Linear(Layer):
    """Every output sees every input (torch.nn.Linear), of sequences step by step; input sizes follow."""

    group: ClassVar[str] = "dense"
    kind: Literal["linear"] = "linear"
    out_features: int = knob(128, "Number of outputs", ge=1, le=65536)
    bias: bool = knob(True, "Add one learned number per output", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) == 2:
            return (shape[0], self.out_features)
        if len(shape) != 1:
            raise refuse(
                "linear needs a vector (D,)",
                f"it gets {show(shape)}",
                "Put a flatten layer before it.",
                preceded("Insert flatten before it", {"kind": "flatten"}),
            )
        return (self.out_features,)

    def n_params(self, shape: Shape) -> int:
        return shape[-1] * self.out_features + (self.out_features if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * steps(shape)

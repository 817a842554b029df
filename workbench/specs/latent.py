"""Into a short code and out of it again: what autoencoders have beside convolutions and linear layers."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import EVERYTHING, Layer, Sight, preceded, refuse, removed, show

MOST = 65_536  # numbers that a linear layer can be asked for


class Unflatten(Layer):
    """Lays a vector out as an image of as many channels as it has numbers for (torch.nn.Unflatten)."""

    group: ClassVar[str] = "convolution"
    kind: Literal["unflatten"] = "unflatten"
    height: int = knob(7, "Height of the image", unit="pixels", ge=1, le=64)
    width: int = knob(7, "Width of the image", unit="pixels", ge=1, le=64)

    def out_shape(self, shape: Shape) -> Shape:
        pixels = self.height * self.width
        if len(shape) == 1 and shape[0] % pixels == 0:
            return (shape[0] // pixels, self.height, self.width)
        rule = (
            f"unflatten makes images of {self.height}×{self.width} = {pixels:,} numbers a channel of a vector"
        )
        if len(shape) == 1:
            even = min(MOST // pixels, -(-shape[0] // pixels)) * pixels
            fix = preceded(f"Insert linear ({even}) before it", {"kind": "linear", "out_features": even})
        elif len(shape) == 3 and math.prod(shape) % pixels == 0:
            fix = preceded("Insert flatten before it", {"kind": "flatten"})
        else:
            fix = removed(self.kind)
        raise refuse(rule, f"it gets {show(shape)}", f"{fix.label}.", fix)

    def activations(self, shape: Shape) -> int:
        return 0  # the same memory, seen as an image

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return EVERYTHING


class Reparameterize(Layer):
    """Draws a code from a bell curve whose mean is the first half of the input and whose log-variance the
    second: the middle of a variational autoencoder (Kingma & Welling 2014). Asked for an answer, it gives the
    mean. The task weighs how far the curves are from the standard one."""

    group: ClassVar[str] = "dense"
    kind: Literal["reparameterize"] = "reparameterize"

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) == 2:
            raise refuse(
                "reparameterize needs a vector (D,) or an image (C, H, W)", f"it gets {show(shape)}",
                "Remove it, or put it behind the layer that makes a vector of the sequence.",
                removed(self.kind),
            )  # fmt: skip
        if shape[0] % 2:
            even = shape[0] + 1
            new = (
                {"kind": "linear", "out_features": even} if len(shape) == 1 else
                {"kind": "conv2d", "out_channels": even, "kernel_size": 1}
            )  # fmt: skip
            fix = preceded(f"Insert {new['kind']} ({even}) before it", new)
            raise refuse(
                "reparameterize takes half of its input as means and half as log-variances",
                f"it gets {show(shape)}, and {shape[0]} is odd", f"{fix.label}.", fix,
            )  # fmt: skip
        return (shape[0] // 2, *shape[1:])

    def activations(self, shape: Shape) -> int:
        return 3 * math.prod(self.out_shape(shape))  # deviation, what is drawn, and the code

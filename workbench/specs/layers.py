"""One class per layer: its fields, the shape it gives, its parameters and its mult-adds.

Field names are PyTorch's own. Input sizes are never fields: they follow from the layer before.
Shapes leave out the batch axis: (C, H, W) for images, (D,) for vectors. All arithmetic is plain
Python, and property tests prove it equal to torch's for every layer. Mult-adds count as torchinfo
does (1.8), per sample: every weight application, biases included, for layers with parameters.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workbench.specs.base import Shape, knob
from workbench.specs.layer import Layer, need_image, refuse, show, window

# ---------------------------------------------------------------- convolution


class Conv2d(Layer):
    """Slides small filters over the image; each output channel is one filter's response."""

    group: ClassVar[str] = "convolution"
    kind: Literal["conv2d"] = "conv2d"
    out_channels: int = knob(32, "Number of filters, and so of output channels", ge=1, le=4096)
    kernel_size: int = knob(3, "Side of each filter", unit="pixels", ge=1, le=31)
    stride: int = knob(1, "Step between two positions of the filter", unit="pixels", ge=1, le=16)
    padding: int = knob(
        0, "Zeros added on each side; kernel_size // 2 keeps the size", unit="pixels", ge=0, le=31
    )
    dilation: int = knob(1, "Spacing between the filter's taps", unit="pixels", ge=1, le=16, advanced=True)
    groups: int = knob(
        1, "Channels are cut into this many groups that do not mix", ge=1, le=4096, advanced=True
    )
    bias: bool = knob(
        True, "Add one learned number per filter; not needed before a batch norm", advanced=True
    )

    def out_shape(self, shape: Shape) -> Shape:
        channels, height, width = need_image("conv2d", shape)
        if channels % self.groups or self.out_channels % self.groups:
            fit = math.gcd(channels, self.out_channels)
            raise refuse(
                "groups must divide the input and the output channels",
                f"groups={self.groups} with {channels} in and {self.out_channels} out",
                f"Set groups to a divisor of {fit}.",
            )
        h = window("conv2d", height, self.kernel_size, self.stride, self.padding, self.dilation)
        w = window("conv2d", width, self.kernel_size, self.stride, self.padding, self.dilation)
        return (self.out_channels, h, w)

    def n_params(self, shape: Shape) -> int:
        weight = self.out_channels * (shape[0] // self.groups) * self.kernel_size**2
        return weight + (self.out_channels if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        _, h, w = self.out_shape(shape)
        return self.n_params(shape) * h * w


# ---------------------------------------------------------------- pooling


class MaxPool2d(Layer):
    """Keeps the largest value of each window: smaller maps, a little shift tolerance."""

    group: ClassVar[str] = "pooling"
    kind: Literal["max_pool2d"] = "max_pool2d"
    kernel_size: int = knob(2, "Side of the window", unit="pixels", ge=1, le=31)
    stride: int | None = knob(
        None, "Step between windows; empty means the window's side", unit="pixels", ge=1, le=16
    )
    padding: int = knob(0, "Border added on each side, at most half the window", unit="pixels", ge=0, le=15)

    def out_shape(self, shape: Shape) -> Shape:
        return _pool(self.kind, shape, self.kernel_size, self.stride, self.padding)


class AvgPool2d(Layer):
    """Averages each window."""

    group: ClassVar[str] = "pooling"
    kind: Literal["avg_pool2d"] = "avg_pool2d"
    kernel_size: int = knob(2, "Side of the window", unit="pixels", ge=1, le=31)
    stride: int | None = knob(
        None, "Step between windows; empty means the window's side", unit="pixels", ge=1, le=16
    )
    padding: int = knob(0, "Zeros added on each side, at most half the window", unit="pixels", ge=0, le=15)

    def out_shape(self, shape: Shape) -> Shape:
        return _pool(self.kind, shape, self.kernel_size, self.stride, self.padding)


class AdaptiveAvgPool2d(Layer):
    """Averages to a fixed output size, whatever the input size; 1 is global average pooling."""

    group: ClassVar[str] = "pooling"
    kind: Literal["adaptive_avg_pool2d"] = "adaptive_avg_pool2d"
    output_size: int = knob(1, "Side of the output", unit="pixels", ge=1, le=64)

    def out_shape(self, shape: Shape) -> Shape:
        channels, _, _ = need_image(self.kind, shape)
        return (channels, self.output_size, self.output_size)


def _pool(kind: str, shape: Shape, kernel: int, stride: int | None, padding: int) -> Shape:
    channels, height, width = need_image(kind, shape)
    if padding * 2 > kernel:
        raise refuse(
            f"{kind} padding must be at most half the kernel",
            f"padding={padding} with kernel_size={kernel}",
            f"Set padding to {kernel // 2} or less.",
        )
    step = stride or kernel
    return (channels, window(kind, height, kernel, step, padding), window(kind, width, kernel, step, padding))


# ---------------------------------------------------------------- normalisation


class BatchNorm(Layer):
    """Centres and scales each channel over the batch (BatchNorm2d on images, BatchNorm1d on vectors)."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["batch_norm"] = "batch_norm"
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    momentum: float = knob(
        0.1, "Share of the newest batch in the running statistics", ge=0, le=1, advanced=True
    )
    affine: bool = knob(True, "Learn a scale and a shift per channel", advanced=True)

    def n_params(self, shape: Shape) -> int:
        return 2 * shape[0] if self.affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


class LayerNorm(Layer):
    """Centres and scales all features of each sample."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["layer_norm"] = "layer_norm"
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    elementwise_affine: bool = knob(True, "Learn a scale and a shift per feature", advanced=True)

    def n_params(self, shape: Shape) -> int:
        return 2 * math.prod(shape) if self.elementwise_affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


class GroupNorm(Layer):
    """Centres and scales groups of channels of each sample; independent of the batch size."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["group_norm"] = "group_norm"
    num_groups: int = knob(8, "Number of groups; must divide the channels", ge=1, le=1024)
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    affine: bool = knob(True, "Learn a scale and a shift per channel", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        if shape[0] % self.num_groups:
            fit = max(d for d in range(1, self.num_groups + 1) if shape[0] % d == 0)
            raise refuse(
                "num_groups must divide the channels",
                f"num_groups={self.num_groups} with {shape[0]} channels",
                f"Set num_groups to {fit}.",
            )
        if math.prod(shape) == self.num_groups:
            raise refuse(
                "group_norm needs more than one value per group",
                f"num_groups={self.num_groups} on {show(shape)} leaves one",
                "Use fewer groups, or layer_norm.",
            )
        return shape

    def n_params(self, shape: Shape) -> int:
        return 2 * shape[0] if self.affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


class InstanceNorm(Layer):
    """Centres and scales each channel of each image (InstanceNorm2d)."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["instance_norm"] = "instance_norm"
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    affine: bool = knob(False, "Learn a scale and a shift per channel", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        _, height, width = need_image(self.kind, shape)
        if height * width < 2:
            raise refuse(
                "instance_norm needs more than one pixel per channel",
                f"it gets {show(shape)}",
                "Move it before the pooling, or use layer_norm.",
            )
        return shape

    def n_params(self, shape: Shape) -> int:
        return 2 * shape[0] if self.affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


# ---------------------------------------------------------------- activations


class Activation(Layer):
    """Bends the values, element by element; without it, stacked layers collapse to one."""

    group: ClassVar[str] = "activation"


class ReLU(Activation):
    """max(0, x): the usual choice."""

    kind: Literal["relu"] = "relu"


class LeakyReLU(Activation):
    """ReLU that lets a little of the negative side through, so that units do not die."""

    kind: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: float = knob(0.01, "Slope for negative values", ge=0, le=1)


class ELU(Activation):
    """Smooth below zero, saturating at -alpha."""

    kind: Literal["elu"] = "elu"
    alpha: float = knob(1.0, "Size of the negative plateau", gt=0, le=10)


class GELU(Activation):
    """x · Φ(x): the smooth gate of Transformers."""

    kind: Literal["gelu"] = "gelu"


class SiLU(Activation):
    """x · sigmoid(x), also called swish."""

    kind: Literal["silu"] = "silu"


class Tanh(Activation):
    """Squashes to (-1, 1)."""

    kind: Literal["tanh"] = "tanh"


class Sigmoid(Activation):
    """Squashes to (0, 1)."""

    kind: Literal["sigmoid"] = "sigmoid"


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
    """Turns scores into probabilities over the first axis. Cross-entropy does this by itself."""

    kind: Literal["softmax"] = "softmax"


class LogSoftmax(Activation):
    """Logarithm of softmax. Cross-entropy does this by itself."""

    kind: Literal["log_softmax"] = "log_softmax"


# ---------------------------------------------------------------- the rest


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


class Flatten(Layer):
    """Lays an image out as one vector, for linear layers."""

    group: ClassVar[str] = "dense"
    kind: Literal["flatten"] = "flatten"

    def out_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


class Linear(Layer):
    """Every output sees every input (torch.nn.Linear); the input size is inferred."""

    group: ClassVar[str] = "dense"
    kind: Literal["linear"] = "linear"
    out_features: int = knob(128, "Number of outputs", ge=1, le=65536)
    bias: bool = knob(True, "Add one learned number per output", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise refuse(
                "linear needs a vector (D,)", f"it gets {show(shape)}", "Put a flatten layer before it."
            )
        return (self.out_features,)

    def n_params(self, shape: Shape) -> int:
        return shape[0] * self.out_features + (self.out_features if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


AnyLayer = Annotated[
    Conv2d
    | MaxPool2d
    | AvgPool2d
    | AdaptiveAvgPool2d
    | BatchNorm
    | LayerNorm
    | GroupNorm
    | InstanceNorm
    | ReLU
    | LeakyReLU
    | ELU
    | GELU
    | SiLU
    | Tanh
    | Sigmoid
    | Hardswish
    | Mish
    | Softplus
    | Softmax
    | LogSoftmax
    | Dropout
    | Dropout2d
    | Flatten
    | Linear,
    Field(discriminator="kind"),
]

LAYERS: dict[str, type[Layer]] = {
    cls.model_fields["kind"].default: cls
    for cls in AnyLayer.__origin__.__args__  # type: ignore[attr-defined]
}

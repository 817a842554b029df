"""Layers that slide filters over images: plain, depthwise and transposed convolutions, upsampling, gates.

Mult-adds count as torchinfo does (1.8): every weight, biases included, once per output pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.errors import Fix
from workbench.specs.layer import Layer, Sight, need_image, refuse, removed, set_to, window

MOST_PADDING = 31
MOST_CHANNELS = 16_384
MOST_SIDE = 4096  # pixels of an image inside the network


class Convolution(Layer):
    """What convolutions share: a window over the image, and a repair where it does not fit."""

    group: ClassVar[str] = "convolution"
    if TYPE_CHECKING:  # declared by each kind, so that its fields keep the order in which people read them
        kernel_size: int
        stride: int
        padding: int
        dilation: int

    @property
    def reach(self) -> int:
        """Pixels that the window spans."""
        return self.dilation * (self.kernel_size - 1) + 1

    def slid(self, kind: str, height: int, width: int) -> tuple[int, int]:
        """(H, W) after the window."""
        fit = math.ceil((self.reach - min(height, width)) / 2)
        fix = set_to(padding=fit) if fit <= MOST_PADDING else set_to(kernel_size=1)
        h, w = (
            window(kind, n, self.kernel_size, self.stride, self.padding, self.dilation, fix=fix)
            for n in (height, width)
        )
        return h, w

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return before.through(self.reach, self.stride)


class Conv2d(Convolution):
    """Slides small filters over the image; each output channel is one filter's response."""

    kind: Literal["conv2d"] = "conv2d"
    out_channels: int = knob(32, "Number of filters, and so of output channels", ge=1, le=4096)
    kernel_size: int = knob(3, "Side of each filter", unit="pixels", ge=1, le=31)
    stride: int = knob(1, "Step between two positions of the filter", unit="pixels", ge=1, le=16)
    padding: int = knob(
        0, "Zeros added on each side; kernel_size // 2 keeps the size", unit="pixels", ge=0, le=MOST_PADDING
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
        check_groups(channels, self.out_channels, self.groups)
        return (self.out_channels, *self.slid("conv2d", height, width))

    def n_params(self, shape: Shape) -> int:
        weight = self.out_channels * (shape[0] // self.groups) * self.kernel_size**2
        return weight + (self.out_channels if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        _, h, w = self.out_shape(shape)
        return self.n_params(shape) * h * w


class DepthwiseConv2d(Convolution):
    """One small filter per channel, channels never mix: cheap, and usually followed by a 1×1 conv2d."""

    kind: Literal["depthwise_conv2d"] = "depthwise_conv2d"
    kernel_size: int = knob(3, "Side of each filter", unit="pixels", ge=1, le=31)
    stride: int = knob(1, "Step between two positions of the filter", unit="pixels", ge=1, le=16)
    padding: int = knob(
        0, "Zeros added on each side; kernel_size // 2 keeps the size", unit="pixels", ge=0, le=MOST_PADDING
    )
    dilation: int = knob(1, "Spacing between the filter's taps", unit="pixels", ge=1, le=16, advanced=True)
    multiplier: int = knob(1, "Filters per input channel", ge=1, le=16, advanced=True)
    bias: bool = knob(
        True, "Add one learned number per filter; not needed before a batch norm", advanced=True
    )

    def out_shape(self, shape: Shape) -> Shape:
        channels, height, width = need_image(self.kind, shape)
        most_channels(self.kind, channels * self.multiplier)
        return (channels * self.multiplier, *self.slid(self.kind, height, width))

    def n_params(self, shape: Shape) -> int:
        return shape[0] * self.multiplier * (self.kernel_size**2 + (1 if self.bias else 0))

    def mult_adds(self, shape: Shape) -> int:
        _, h, w = self.out_shape(shape)
        return self.n_params(shape) * h * w


class ConvTranspose2d(Layer):
    """A convolution run backwards: makes images larger, with learned filters (torch.nn.ConvTranspose2d)."""

    group: ClassVar[str] = "convolution"
    kind: Literal["conv_transpose2d"] = "conv_transpose2d"
    out_channels: int = knob(32, "Number of output channels", ge=1, le=4096)
    kernel_size: int = knob(2, "Side of each filter", unit="pixels", ge=1, le=31)
    stride: int = knob(2, "How many times larger the image becomes", unit="pixels", ge=1, le=16)
    padding: int = knob(0, "Pixels cut off at each side", unit="pixels", ge=0, le=MOST_PADDING)
    output_padding: int = knob(
        0, "Extra pixels at the right and bottom; less than stride or dilation", unit="pixels", ge=0, le=15,
        advanced=True,
    )  # fmt: skip
    dilation: int = knob(1, "Spacing between the filter's taps", unit="pixels", ge=1, le=16, advanced=True)
    groups: int = knob(
        1, "Channels are cut into this many groups that do not mix", ge=1, le=4096, advanced=True
    )
    bias: bool = knob(True, "Add one learned number per output channel", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        channels, height, width = need_image(self.kind, shape)
        check_groups(channels, self.out_channels, self.groups)
        if self.output_padding >= max(self.stride, self.dilation):
            most = max(self.stride, self.dilation) - 1
            raise refuse(
                "output_padding must be smaller than stride or dilation",
                f"output_padding={self.output_padding} with stride={self.stride}",
                f"Set output_padding to {most}.",
                set_to(output_padding=most),
            )
        sides = [self._side(n) for n in (height, width)]
        if min(sides) < 1:
            fit = max(0, self.padding + (min(sides) - 1) // 2)  # two pixels a side less are cut off
            raise refuse(
                "conv_transpose2d must leave at least one pixel",
                f"padding={self.padding} cuts {2 * self.padding} of {min(sides) + 2 * self.padding} pixels",
                f"Set padding to {fit}.",
                set_to(padding=fit),
            )
        most_side(self.kind, max(sides))
        return (self.out_channels, sides[0], sides[1])

    def _side(self, n: int) -> int:
        reach = self.dilation * (self.kernel_size - 1) + 1
        return (n - 1) * self.stride - 2 * self.padding + reach + self.output_padding

    def n_params(self, shape: Shape) -> int:
        weight = shape[0] * (self.out_channels // self.groups) * self.kernel_size**2
        return weight + (self.out_channels if self.bias else 0)

    def mult_adds(self, shape: Shape) -> int:
        _, h, w = self.out_shape(shape)
        return self.n_params(shape) * h * w

    def sight(self, before: Sight, shape: Shape) -> Sight:
        reach = self.dilation * (self.kernel_size - 1) + 1
        return before.through(-(-reach // self.stride), 1 / self.stride)


class Upsample(Layer):
    """Makes images larger without learning: by repeating pixels, or smoothly between them."""

    group: ClassVar[str] = "convolution"
    kind: Literal["upsample"] = "upsample"
    scale_factor: int = knob(2, "How many times larger each side becomes", ge=1, le=16)
    mode: Literal["nearest", "bilinear"] = knob("nearest", "nearest: repeat pixels; bilinear: smooth between")

    def out_shape(self, shape: Shape) -> Shape:
        channels, height, width = need_image(self.kind, shape)
        most_side(self.kind, max(height, width) * self.scale_factor)
        return (channels, height * self.scale_factor, width * self.scale_factor)

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return before.through(2 if self.mode == "bilinear" else 1, 1 / self.scale_factor)


class SqueezeExcitation(Layer):
    """Lets the image as a whole turn each channel up or down (Hu et al. 2018)."""

    group: ClassVar[str] = "convolution"
    kind: Literal["squeeze_excitation"] = "squeeze_excitation"
    reduction: int = knob(16, "The bottleneck has this many times fewer channels", ge=1, le=256)

    def squeezed(self, channels: int) -> int:
        """Channels of the bottleneck, at least one."""
        return max(1, channels // self.reduction)

    def out_shape(self, shape: Shape) -> Shape:
        need_image(self.kind, shape)
        return shape

    def n_params(self, shape: Shape) -> int:
        wide, narrow = shape[0], self.squeezed(shape[0])
        return 2 * wide * narrow + wide + narrow

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)  # both 1×1 convolutions see a single pixel

    def activations(self, shape: Shape) -> int:
        return 2 * shape[0] + self.squeezed(shape[0]) * 2 + super().activations(shape)


def check_groups(channels: int, out_channels: int, groups: int) -> None:
    """Raises LayerError unless `groups` divides both."""
    if channels % groups == 0 and out_channels % groups == 0:
        return
    common = math.gcd(channels, out_channels)
    fit = max(d for d in range(1, min(common, groups) + 1) if common % d == 0)
    raise refuse(
        "groups must divide the input and the output channels",
        f"groups={groups} with {channels} in and {out_channels} out",
        f"Set groups to a divisor of {common}.",
        set_to(groups=fit),
    )


def most_channels(kind: str, channels: int) -> None:
    """Raises LayerError where channels have multiplied beyond reason."""
    _most(kind, "channels", channels, MOST_CHANNELS)


def most_side(kind: str, side: int) -> None:
    """Raises LayerError where an image has grown beyond reason."""
    _most(kind, "pixels a side", side, MOST_SIDE)


def _most(kind: str, what: str, number: int, most: int) -> None:
    if number > most:
        rule = f"{kind} must give at most {most:,} {what}"
        fix: Fix = removed(kind)
        raise refuse(rule, f"it gives {number:,}", f"Remove the {kind} layer.", fix)

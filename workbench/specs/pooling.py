"""Layers that make maps smaller: windows, fixed output sizes, and the whole image as one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import EVERYTHING, Layer, Sight, need_image, refuse, removed, set_to, window

_STRIDE = "Step between windows; empty means the window's side"
_CEIL = "Keep a last window that hangs over the border, instead of leaving it out"


class Pool(Layer):
    """What both window poolings share."""

    group: ClassVar[str] = "pooling"
    if TYPE_CHECKING:  # declared by each kind, so that its fields keep the order in which people read them
        kernel_size: int
        stride: int | None
        padding: int

    def pooled(self, kind: str, shape: Shape, dilation: int, ceil_mode: bool) -> Shape:
        """(C, H, W) after the window."""
        channels, height, width = need_image(kind, shape)
        if self.padding * 2 > self.kernel_size:
            half = self.kernel_size // 2
            raise refuse(
                f"{kind} padding must be at most half the kernel",
                f"padding={self.padding} with kernel_size={self.kernel_size}",
                f"Set padding to {half} or less.",
                set_to(padding=half),
            )
        side = min(height, width)
        fix = removed(kind)
        if side > 1:
            fix = (
                set_to(kernel_size=side, padding=0)
                if dilation == 1
                else set_to(dilation=1, padding=0, kernel_size=min(side, self.kernel_size))
            )
        step = self.stride or self.kernel_size
        h, w = (
            window(kind, n, self.kernel_size, step, self.padding, dilation, ceil_mode=ceil_mode, fix=fix)
            for n in (height, width)
        )
        return (channels, h, w)

    def sight(self, before: Sight, shape: Shape) -> Sight:
        reach = getattr(self, "dilation", 1) * (self.kernel_size - 1) + 1
        return before.through(reach, self.stride or self.kernel_size)


class MaxPool2d(Pool):
    """Keeps the largest value of each window: smaller maps, a little shift tolerance."""

    kind: Literal["max_pool2d"] = "max_pool2d"
    kernel_size: int = knob(2, "Side of the window", unit="pixels", ge=1, le=31)
    stride: int | None = knob(None, _STRIDE, unit="pixels", ge=1, le=16)
    padding: int = knob(0, "Border added on each side, at most half the window", unit="pixels", ge=0, le=15)
    dilation: int = knob(1, "Spacing between the window's pixels", unit="pixels", ge=1, le=16, advanced=True)
    ceil_mode: bool = knob(False, _CEIL, advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        return self.pooled(self.kind, shape, self.dilation, self.ceil_mode)


class AvgPool2d(Pool):
    """Averages each window."""

    kind: Literal["avg_pool2d"] = "avg_pool2d"
    kernel_size: int = knob(2, "Side of the window", unit="pixels", ge=1, le=31)
    stride: int | None = knob(None, _STRIDE, unit="pixels", ge=1, le=16)
    padding: int = knob(0, "Border added on each side, at most half the window", unit="pixels", ge=0, le=15)
    ceil_mode: bool = knob(False, _CEIL, advanced=True)
    count_include_pad: bool = knob(True, "Zeros of the border count in the average", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        return self.pooled(self.kind, shape, 1, self.ceil_mode)


class AdaptivePool(Layer):
    """What both poolings to a fixed size share."""

    group: ClassVar[str] = "pooling"
    if TYPE_CHECKING:
        output_size: int

    def pooled(self, kind: str, shape: Shape) -> Shape:
        channels, _, _ = need_image(kind, shape)
        return (channels, self.output_size, self.output_size)

    def sight(self, before: Sight, shape: Shape) -> Sight:
        if self.output_size == 1:
            return EVERYTHING
        side = max(shape[1:])  # windows of the same size, or one pixel more where they do not go in evenly
        reach = side // self.output_size + (side % self.output_size > 0)
        return before.through(max(1, reach), side / self.output_size)


class AdaptiveAvgPool2d(AdaptivePool):
    """Averages to a fixed output size, whatever the input size; 1 is global average pooling."""

    kind: Literal["adaptive_avg_pool2d"] = "adaptive_avg_pool2d"
    output_size: int = knob(1, "Side of the output", unit="pixels", ge=1, le=64)

    def out_shape(self, shape: Shape) -> Shape:
        return self.pooled(self.kind, shape)


class AdaptiveMaxPool2d(AdaptivePool):
    """Keeps the largest values at a fixed output size, whatever the input size."""

    kind: Literal["adaptive_max_pool2d"] = "adaptive_max_pool2d"
    output_size: int = knob(1, "Side of the output", unit="pixels", ge=1, le=64)

    def out_shape(self, shape: Shape) -> Shape:
        return self.pooled(self.kind, shape)


class GlobalPool(Layer):
    """What both global poolings share: one number per channel, laid out as a vector."""

    group: ClassVar[str] = "pooling"

    def activations(self, shape: Shape) -> int:
        return shape[0]

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return EVERYTHING


class GlobalAvgPool2d(GlobalPool):
    """The average of each channel, as a vector: any image size, no flatten needed."""

    kind: Literal["global_avg_pool2d"] = "global_avg_pool2d"

    def out_shape(self, shape: Shape) -> Shape:
        return need_image(self.kind, shape)[:1]


class GlobalMaxPool2d(GlobalPool):
    """The largest value of each channel, as a vector: any image size, no flatten needed."""

    kind: Literal["global_max_pool2d"] = "global_max_pool2d"

    def out_shape(self, shape: Shape) -> Shape:
        return need_image(self.kind, shape)[:1]

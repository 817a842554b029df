"""Layers that centre and scale: over the batch, over a sample, over groups; and a learned scale alone."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.errors import Fix
from workbench.specs.layer import Layer, exchanged, need_image, refuse, set_to, show, steps


def no_sequence(kind: str, shape: Shape) -> Shape:
    """The shape, or a refusal where it is a sequence's: its steps are no channels."""
    if len(shape) == 2:
        raise refuse(
            f"{kind} needs an image or a vector", f"it gets a sequence, {show(shape)}",
            "Use layer_norm instead.", exchanged({"kind": "layer_norm"}),
        )  # fmt: skip
    return shape


class BatchNorm(Layer):
    """Centres and scales each channel over the batch (BatchNorm2d on images, BatchNorm1d on vectors)."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["batch_norm"] = "batch_norm"
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    momentum: float = knob(
        0.1, "Share of the newest batch in the running statistics", ge=0, le=1, advanced=True
    )
    affine: bool = knob(True, "Learn a scale and a shift per channel", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        return no_sequence(self.kind, shape)

    def n_params(self, shape: Shape) -> int:
        return 2 * shape[0] if self.affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


class LayerNorm(Layer):
    """Centres and scales all features of each sample, of a sequence those of each step."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["layer_norm"] = "layer_norm"
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    elementwise_affine: bool = knob(True, "Learn a scale and a shift per feature", advanced=True)

    def n_params(self, shape: Shape) -> int:
        return 2 * math.prod(shape[1:] if len(shape) == 2 else shape) if self.elementwise_affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * steps(shape)


class GroupNorm(Layer):
    """Centres and scales groups of channels of each sample; independent of the batch size."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["group_norm"] = "group_norm"
    num_groups: int = knob(8, "Number of groups; must divide the channels", ge=1, le=1024)
    eps: float = knob(1e-5, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    affine: bool = knob(True, "Learn a scale and a shift per channel", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        no_sequence(self.kind, shape)
        if shape[0] % self.num_groups:
            fit = max(d for d in range(1, self.num_groups + 1) if shape[0] % d == 0)
            raise refuse(
                "num_groups must divide the channels",
                f"num_groups={self.num_groups} with {shape[0]} channels",
                f"Set num_groups to {fit}.",
                self._fewer(shape),
            )
        if math.prod(shape) == self.num_groups:
            raise refuse(
                "group_norm needs more than one value per group",
                f"num_groups={self.num_groups} on {show(shape)} leaves one",
                "Use fewer groups, or layer_norm.",
                self._fewer(shape),
            )
        return shape

    def _fewer(self, shape: Shape) -> Fix:
        """The most groups that divide the channels and leave more than one value each."""
        values = math.prod(shape)
        fits = [d for d in range(1, self.num_groups + 1) if shape[0] % d == 0 and d < values]
        return set_to(num_groups=fits[-1]) if fits else exchanged({"kind": "layer_norm"})

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
                exchanged({"kind": "layer_norm"}),
            )
        return shape

    def n_params(self, shape: Shape) -> int:
        return 2 * shape[0] if self.affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


class LayerNorm2d(Layer):
    """Centres and scales the channels of each pixel by themselves (ConvNeXt's norm)."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["layer_norm2d"] = "layer_norm2d"
    eps: float = knob(1e-6, "Added to the variance before its root", gt=0, le=1.0, advanced=True)
    elementwise_affine: bool = knob(True, "Learn a scale and a shift per channel", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        need_image(self.kind, shape)
        return shape

    def n_params(self, shape: Shape) -> int:
        return 2 * shape[0] if self.elementwise_affine else 0

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape)


class LayerScale(Layer):
    """Multiplies each channel or feature by a learned number that begins small: deep stacks start gently."""

    group: ClassVar[str] = "normalisation"
    kind: Literal["layer_scale"] = "layer_scale"
    init: float = knob(1e-6, "What every scale begins with", gt=0, le=1.0)

    def n_params(self, shape: Shape) -> int:
        return shape[1] if len(shape) == 2 else shape[0]

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * steps(shape)

"""A group that puts its input beside what its layers make of it: the steps of a U-Net."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from workbench.specs.activation import ReLU
from workbench.specs.base import Shape, knob
from workbench.specs.convolution import Conv2d, Upsample, most_channels
from workbench.specs.errors import Edit, Fix, LayerError, Path
from workbench.specs.layer import Layer, Sight, need_image, refuse, removed, show
from workbench.specs.pooling import MaxPool2d
from workbench.specs.rows import Group, Inside, first_problem, trace

MOST_LAYERS = 256  # written in one list
MOST_PADDED = 8  # pixels of a side by which the two may differ: halving odd sides loses one at each step
MOST_ENLARGED = 16  # the largest factor of an upsample


def down_and_up() -> tuple[Any, ...]:
    """What a new skip starts with."""
    return (MaxPool2d(), Conv2d(out_channels=32, padding=1), ReLU(), Upsample())


class SkipGroup(Group):
    """What `layers.Skip` does; there its layers are of any kind."""

    group: ClassVar[str] = "group"
    kind: Literal["skip"] = "skip"
    layers: tuple[Any, ...] = Field(default_factory=down_and_up)
    first: Literal["input", "layers"] = knob(
        "input", "Whose channels come first in what comes out", advanced=True
    )

    def slots(self) -> Sequence[tuple[Path, Sequence[Layer]]]:
        return ((("layers",), self.layers),)

    def inside(self, shape: Shape, sight: Sight, path: Path) -> Inside:
        if not self.layers:
            raise refuse(
                "a skip needs at least one layer", "it is empty", "Add a layer, or remove it.",
                removed(self.kind),
            )  # fmt: skip
        channels, height, width = need_image(self.kind, shape)
        body = trace(self.layers, shape, (*path, "layers"), sight)
        out, seen = body[-1].out_shape, body[-1].sight or sight
        if first_problem(body) or out is None:
            return Inside(body, None, sight)
        if len(out) != 3 or max(abs(out[1] - height), abs(out[2] - width)) > MOST_PADDED:
            raise self._mismatch(shape, out)
        most_channels(self.kind, channels + out[0])
        joined = (channels + out[0], height, width)
        padded = 0 if out[1:] == shape[1:] else out[0] * height * width
        return Inside(
            body, joined, Sight(max(seen.size, sight.size), sight.jump),
            activations=math.prod(joined) + padded,
        )  # fmt: skip

    def _mismatch(self, shape: Shape, out: Shape) -> LayerError:
        fix = self._repair(shape, out)
        return refuse(
            "a skip puts two images of the same size side by side",
            f"its input is {show(shape)} and its layers give {show(out)}",
            fix.label + ".",
            fix,
        )

    def _repair(self, shape: Shape, out: Shape) -> Fix:
        if len(out) == 3:
            factor = min(MOST_ENLARGED, round(shape[1] / out[1]))
            far = max(abs(out[1] * factor - shape[1]), abs(out[2] * factor - shape[2]))
            if factor > 1 and far <= MOST_PADDED and len(self.layers) < MOST_LAYERS:
                grown = Upsample(scale_factor=factor).model_dump(mode="json")
                edit = Edit(action="insert", path=("layers", len(self.layers)), layer=grown)
                return Fix(label=f"Add upsample ({factor}) to its layers", edits=(edit,))
        inner = [layer.model_dump(mode="json") for layer in self.layers]
        unwrapped = [Edit(action="insert", path=(), layer=layer) for layer in inner[::-1]]
        return Fix(
            label="Take its layers out of the skip", edits=(Edit(action="remove", path=()), *unwrapped)
        )

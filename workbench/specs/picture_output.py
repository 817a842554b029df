"""What a stack must give where an image is the answer, and the repair where it gives something else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from workbench.specs.base import Shape, Tokens
from workbench.specs.doubts import kind_of
from workbench.specs.errors import Edit, Fix, Problem
from workbench.specs.layer import Layer, set_to, show
from workbench.specs.rows import Group, Row, placed, where

MOST_FEATURES, MOST_SIDE = 65_536, 64  # of a linear layer, of an unflatten
FACTORS = (1, 2, 4, 8, 16)  # of an upsample
OUT_CHANNELS = ("conv2d", "conv_transpose2d")


def picture_problem(
    layers: Sequence[Layer], rows: Sequence[Row], wanted: Shape, what: str, *, is_image: bool
) -> Problem | None:
    """None where the stack gives an image of the shape `wanted` (K, H, W). rows: of a stack that works; what:
    the channels, in words; is_image: they are an image's own, so that the data can be brought to them."""
    out = rows[-1].out_shape
    if out == wanted or out is None:
        return None
    fix = _channels(layers, rows, out, wanted) or _appended(layers, out, wanted)
    last = len(layers) - 1
    repair = fix.label if fix else "Enlarge it to that size, and end with a convolution"
    if is_image and len(out) == 3 and out[0] in (1, 3) and out[1] == out[2] and out[1] >= 4:
        repair += f", or set data.size to {out[1]} and data.channels to {out[0]}"
    return Problem(
        where=where((last,), kind_of(layers[last])),
        rule=f"the last layer must give {show(wanted)}: {what}, pixel by pixel",
        fact=f"it gives {show(out)}",
        repair=f"{repair}.",
        fix=fix,
    )


def _channels(layers: Sequence[Layer], rows: Sequence[Row], out: Shape, wanted: Shape) -> Fix | None:
    """The last convolution's channels, where the size is right and nothing behind it changes them."""
    if len(out) != 3 or out[1:] != wanted[1:]:
        return None
    for at in range(len(layers) - 1, -1, -1):
        layer = layers[at]
        if kind_of(layer) in OUT_CHANNELS and rows[at].out_shape == out and getattr(layer, "groups", 1) == 1:
            return placed(set_to(out_channels=wanted[0]), (at,))
        if isinstance(layer, Group) or rows[at].parameters:
            return None
    return None


def _appended(layers: Sequence[Layer], out: Shape, wanted: Shape) -> Fix | None:
    new = _enlarged(out, wanted) or _made(out, wanted)
    if new is None:
        return None
    edits = tuple(Edit(action="insert", path=(len(layers) + i,), layer=layer) for i, layer in enumerate(new))
    names = [layer["kind"] for layer in new]
    words = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return Fix(label=f"Add {words}", edits=edits)


def _enlarged(out: Shape, wanted: Shape) -> list[dict[str, Any]] | None:
    """A smaller image, brought to its size by a whole factor."""
    if len(out) != 3:
        return None
    for factor in FACTORS:
        if (out[1] * factor, out[2] * factor) == tuple(wanted[1:]):
            grown = [{"kind": "upsample", "scale_factor": factor}] if factor > 1 else []
            return [*grown, {"kind": "conv2d", "out_channels": wanted[0], "kernel_size": 1}]
    return None


def _made(out: Shape, wanted: Shape) -> list[dict[str, Any]] | None:
    """An image of numbers that a linear layer gives; enlarged where it gives no more."""
    if isinstance(out, Tokens):
        return None
    channels, height, width = wanted
    for factor in FACTORS:
        h, w = height // factor, width // factor
        whole = (h * factor, w * factor) == (height, width)
        if whole and max(h, w) <= MOST_SIDE and channels * h * w <= MOST_FEATURES:
            flat = [{"kind": "flatten"}] if len(out) > 1 else []
            size = channels * h * w
            dense = [] if math.prod(out) == size else [{"kind": "linear", "out_features": size}]
            grown = [{"kind": "upsample", "scale_factor": factor}] if factor > 1 else []
            return [*flat, *dense, {"kind": "unflatten", "height": h, "width": w}, *grown]
    return None

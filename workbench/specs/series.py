"""Layers of series: from a window of the past to the steps that follow, variate by variate.

Shapes: a window of a series is a sequence (L, V), L steps of V variates. Mult-adds count every variate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from workbench.specs.base import Shape, Window, knob
from workbench.specs.dense import Flatten, Linear
from workbench.specs.errors import Edit, Fix, LayerError, Path
from workbench.specs.layer import Layer, Sight, need_sequence, refuse, removed, show
from workbench.specs.rows import Group, Inside, first_problem, trace


class SeriesLinear(Layer):
    """Straight from the past of each variate to its future, trend and rest apart (DLinear, Zeng et al. 2023).

    Every step that comes out is a weighted sum of the steps that came in. It makes other steps of the
    sequence: (L, V) becomes (out_steps, V).
    """

    group: ClassVar[str] = "series"
    kind: Literal["series_linear"] = "series_linear"
    out_steps: int = knob(
        24, "Steps that come out: the horizon, times the quantiles where a band is told", unit="steps",
        ge=1, le=100_000,
    )  # fmt: skip
    kernel_size: int = knob(
        25, "Steps of the moving average that is the trend, with weights of its own; 1 takes no trend apart",
        unit="steps", ge=1, le=4095,
    )  # fmt: skip
    individual: bool = knob(False, "Weights of its own for each variate, instead of the same for all")
    normalize: Literal["none", "last", "mean"] = knob(
        "none",
        "What is taken off each window before and put back behind: its last step or its mean, so that the "
        "level of a series may drift",
    )
    bias: bool = knob(True, "Add one learned number per step that comes out", advanced=True)

    @property
    def parts(self) -> int:
        """Matrices of each variate: of the trend and of the rest, or one for all."""
        return 2 if self.kernel_size > 1 else 1

    def out_shape(self, shape: Shape) -> Shape:
        _, width = need_sequence(self.kind, shape)
        return (self.out_steps, width)

    def _of_one(self, shape: Shape) -> int:
        """Parameters that one variate meets."""
        return self.parts * self.out_steps * (shape[0] + (1 if self.bias else 0))

    def n_params(self, shape: Shape) -> int:
        return self._of_one(shape) * (shape[1] if self.individual else 1)

    def mult_adds(self, shape: Shape) -> int:
        return self._of_one(shape) * shape[1]

    def activations(self, shape: Shape) -> int:
        """The parts of the window, and what each becomes."""
        return self.parts * (shape[0] + self.out_steps) * shape[1]


def flat() -> tuple[Any, ...]:
    """What a new window_norm starts with."""
    return (Flatten(), Linear(out_features=24))


class WindowNormGroup(Group):
    """What `layers.WindowNorm` does; there its layers are of any kind."""

    group: ClassVar[str] = "series"
    kind: Literal["window_norm"] = "window_norm"
    layers: tuple[Any, ...] = Field(default_factory=flat)
    how: Literal["standardize", "mean", "last"] = knob(
        "standardize",
        "standardize: takes the mean off and divides by the spread; mean: takes the mean off; last: the last "
        "step. All is undone behind the layers",
    )

    def slots(self) -> Sequence[tuple[Path, Sequence[Layer]]]:
        return ((("layers",), self.layers),)

    def inside(self, shape: Shape, sight: Sight, path: Path) -> Inside:
        if not self.layers:
            raise refuse(
                "a window_norm needs at least one layer", "it is empty", "Add a layer, or remove it.",
                removed(self.kind),
            )  # fmt: skip
        if len(shape) == 1:  # moved elsewhere it would meet the next layer that makes a vector
            raise refuse(
                "window_norm needs a sequence of features (L, D)", f"it gets {show(shape)}",
                "Remove it, or put it before the layer that makes a vector.", removed(self.kind),
            )  # fmt: skip
        length, width = need_sequence(self.kind, shape)
        body = trace(self.layers, shape, (*path, "layers"), sight)
        out = body[-1].out_shape
        if first_problem(body) or out is None:
            return Inside(body, None, sight)
        told = told_of(shape)
        if (len(out) == 2 and out[1] != width) or len(out) == 3 or (len(out) == 1 and out[0] % len(told)):
            raise self._mismatch(out, width, len(told))
        return Inside(body, out, body[-1].sight or sight, activations=length * width + 2 * math.prod(out))

    def _mismatch(self, out: Shape, width: int, told: int) -> LayerError:
        fix = self._repair(out, told)
        return refuse(
            f"the last layer must give {told:,} numbers for each step ahead, or steps of {width:,} variates",
            f"the layers of the window_norm give {show(tuple(out))}", fix.label + ".", fix,
        )  # fmt: skip

    def _repair(self, out: Shape, told: int) -> Fix:
        last = len(self.layers) - 1
        if len(out) == 1 and isinstance(self.layers[last], Linear):
            wanted = told * -(-out[0] // told)
            edit = Edit(action="set", path=("layers", last), fields={"out_features": wanted})
            return Fix(label=f"Set out_features of its last linear layer to {wanted:,}", edits=(edit,))
        inner = [layer.model_dump(mode="json") for layer in self.layers]
        unwrapped = [Edit(action="insert", path=(), layer=layer) for layer in inner[::-1]]
        return Fix(
            label="Take its layers out of the window_norm", edits=(Edit(action="remove", path=()), *unwrapped)
        )


def told_of(shape: Shape) -> tuple[int, ...]:
    """Places of the variates that a vector made of this window tells, step by step."""
    return shape.told if isinstance(shape, Window) else tuple(range(shape[1]))

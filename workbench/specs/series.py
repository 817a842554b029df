"""Layers of series: from a window of the past to the steps that follow, variate by variate.

Shapes: a window of a series is a sequence (L, V), L steps of V variates. Mult-adds count every variate.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import Layer, need_sequence


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

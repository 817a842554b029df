"""A model as a stack of layers, and what can be said of it without building it."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import model_validator

from workbench.specs.base import Shape, Spec, knob
from workbench.specs.doubts import Loss, doubts, output_problem
from workbench.specs.errors import Edit, Fix, Problem, SpecError
from workbench.specs.layers import MAX_LAYERS, AnyLayer
from workbench.specs.nesting import built, depth, every
from workbench.specs.rows import Row, first_problem, trace, walk

MAX_DEPTH = 4  # groups within groups
MAX_BUILT = 2_000  # layers that torch builds, repeats counted as often as they run


class ModelSpec(Spec):
    """A feed-forward stack; the last layer gives one score per class."""

    family: Literal["mlp", "cnn"] = knob("cnn", "mlp: dense layers only; cnn: convolutions first")
    layers: tuple[AnyLayer, ...] = knob((), "The layers, first to last", max_length=MAX_LAYERS)

    @model_validator(mode="after")
    def _bounded(self) -> ModelSpec:
        if depth(self.layers) > MAX_DEPTH:
            raise ValueError(f"groups may stand {MAX_DEPTH} deep; take the innermost group apart")
        if sum(1 for _ in every(self.layers)) > MAX_LAYERS:
            raise ValueError(f"a model has at most {MAX_LAYERS} layers; remove some, or use a repeat")
        if built(self.layers) > MAX_BUILT:
            raise ValueError(
                f"all repetitions together build at most {MAX_BUILT:,} layers; repeat less often"
            )
        return self

    def rows(self, shape: Shape) -> list[Row]:
        """The layer table for an input of `shape` (C, H, W); blank from the first fault on.

        One row per layer of the stack; what stands in groups is in `Row.children` (`rows.walk`).
        """
        return trace(self.layers, shape)

    def out_shape(self, shape: Shape) -> Shape:
        """Shape after the last layer. Raises SpecError at the first layer that cannot work."""
        rows = self.rows(shape)
        problem = first_problem(rows)
        if problem:
            raise SpecError(problem)
        return (rows[-1].out_shape if rows else None) or shape

    def n_params(self, shape: Shape) -> int:
        """Trainable numbers of the whole stack."""
        return sum(row.parameters for row in self.rows(shape))

    def problems(self, shape: Shape, n_classes: int, loss: Loss = "cross_entropy") -> list[Problem]:
        """All that is wrong or doubtful, for images of `shape` in `n_classes` classes.

        Each says where, and carries its repair as data where there is one obvious way. Only the fault
        nearest to the input is told: those behind it often go with it.
        """
        if not self.layers:
            return [
                Problem(
                    where="model.layers",
                    rule="a model needs at least one layer",
                    fact="the stack is empty",
                    repair="Add a layer or start from a preset.",
                    fix=_start(shape, n_classes),
                )
            ]
        rows = self.rows(shape)
        fault = first_problem(rows) or output_problem(self.layers, rows[-1].out_shape or shape, n_classes)
        return ([fault] if fault else []) + doubts(self.layers, rows, shape, loss)


def _start(shape: Shape, n_classes: int) -> Fix:
    """A stack that learns these images: a small CNN whose poolings bring the side down to 4 to 7 pixels.

    Images below 8 pixels are too small to be halved: they go straight to the scores.
    """
    poolings = max(0, min(6, int(math.log2(min(shape[1:]) / 4)))) if len(shape) == 3 else 0
    layers: list[dict[str, Any]] = []
    for i in range(poolings):
        width = min(64, 16 * 2**i)
        layers += [
            {"kind": "conv2d", "out_channels": width, "kernel_size": 3, "padding": 1, "bias": False},
            {"kind": "batch_norm"},  # learns in a few epochs what takes many without
            {"kind": "relu"},
            {"kind": "max_pool2d"},
        ]
    layers += [{"kind": "flatten"}, {"kind": "linear", "out_features": n_classes}]
    label = f"Start with a small CNN ({len(layers)} layers)" if poolings else (
        f"Add flatten and linear ({n_classes})"
    )  # fmt: skip
    edits = tuple(Edit(action="insert", path=(i,), layer=layer) for i, layer in enumerate(layers))
    return Fix(label=label, edits=edits)


def activation_numbers(model: ModelSpec, shape: Shape) -> int:
    """Numbers that one sample's activations hold over all layers: a floor for training memory."""
    return math.prod(shape) + sum(row.activations for row in model.rows(shape))


__all__ = ["MAX_BUILT", "MAX_DEPTH", "ModelSpec", "Row", "activation_numbers", "walk"]

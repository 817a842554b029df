"""A model as a stack of layers, and what can be said of it without building it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from workbench.specs.base import Shape, Spec, knob
from workbench.specs.errors import LayerError, Problem, SpecError
from workbench.specs.layer import show
from workbench.specs.layers import Activation, AnyLayer


@dataclass(frozen=True)
class Row:
    """One line of the layer table. `out_shape` is None from the first layer that cannot work."""

    index: int
    kind: str
    out_shape: Shape | None
    parameters: int
    mult_adds: int
    problem: Problem | None = None


class ModelSpec(Spec):
    """A feed-forward stack; the last layer gives one score per class."""

    family: Literal["mlp", "cnn"] = knob("cnn", "mlp: dense layers only; cnn: convolutions first")
    layers: tuple[AnyLayer, ...] = knob((), "The layers, first to last", max_length=256)

    def rows(self, shape: Shape) -> list[Row]:
        """The layer table for an input of `shape` (C, H, W); stops computing at the first fault."""
        rows: list[Row] = []
        current: Shape | None = shape
        for index, layer in enumerate(self.layers):
            if current is None:
                rows.append(Row(index, layer.kind, None, 0, 0))
                continue
            try:
                out = layer.out_shape(current)
                rows.append(Row(index, layer.kind, out, layer.n_params(current), layer.mult_adds(current)))
                current = out
            except LayerError as error:
                first = error.problems[0]
                placed = first.model_copy(update={"where": f"layer {index} ({layer.kind})"})
                rows.append(Row(index, layer.kind, None, 0, 0, placed))
                current = None
        return rows

    def out_shape(self, shape: Shape) -> Shape:
        """Shape after the last layer. Raises SpecError at the first layer that cannot work."""
        for row in self.rows(shape):
            if row.problem:
                raise SpecError(row.problem)
            shape = row.out_shape or shape
        return shape

    def n_params(self, shape: Shape) -> int:
        """Trainable numbers of the whole stack."""
        return sum(row.parameters for row in self.rows(shape))

    def problems(self, shape: Shape, n_classes: int) -> list[Problem]:
        """All that is wrong or doubtful, for images of `shape` in `n_classes` classes."""
        if not self.layers:
            return [
                Problem(
                    where="model.layers",
                    rule="a model needs at least one layer",
                    fact="the stack is empty",
                    repair="Add a layer or start from a preset.",
                )
            ]
        rows = self.rows(shape)
        found = [row.problem for row in rows if row.problem]
        if not found:
            found += self._output_problems(rows[-1].out_shape or shape, n_classes)
        return found + self._doubts(rows)

    def _output_problems(self, out: Shape, n_classes: int) -> list[Problem]:
        if out == (n_classes,):
            return []
        last = len(self.layers) - 1
        where = f"layer {last} ({self.layers[last].kind})"
        rule = f"the last layer must give one score per class ({n_classes})"
        if len(out) != 1:
            repair = f"Add a flatten and a linear layer with out_features={n_classes}."
        elif any(layer.kind == "linear" for layer in self.layers):
            repair = f"Set out_features of the last linear layer to {n_classes}."
        else:
            repair = f"Add a linear layer with out_features={n_classes}."
        return [Problem(where=where, rule=rule, fact=f"it gives {show(out)}", repair=repair)]

    def _doubts(self, rows: list[Row]) -> list[Problem]:
        found = []
        last = self.layers[-1]
        where = f"layer {len(self.layers) - 1} ({last.kind})"
        if last.kind in ("softmax", "log_softmax", "sigmoid"):
            found.append(
                Problem(
                    where=where,
                    rule="cross-entropy applies softmax by itself",
                    fact=f"the model ends in {last.kind}, so scores are squashed twice",
                    repair=f"Remove the {last.kind} layer.",
                    severity="warning",
                )
            )
        elif isinstance(last, Activation) and last.kind in ("relu", "softplus"):
            found.append(
                Problem(
                    where=where,
                    rule="scores should be free to be negative",
                    fact=f"the model ends in {last.kind}",
                    repair=f"Remove the {last.kind} layer.",
                    severity="warning",
                )
            )
        total = sum(row.parameters for row in rows)
        heavy = [row for row in rows if total > 100_000 and row.parameters > 0.95 * total]
        return found + [
            Problem(
                where=f"layer {row.index} ({row.kind})",
                rule="parameters are best spread over the layers",
                fact=f"it holds {row.parameters / total:.1%} of all {total:,}",
                repair="Add pooling before flatten, or make the layer smaller.",
                severity="warning",
            )
            for row in heavy
        ]


def activation_numbers(model: ModelSpec, shape: Shape) -> int:
    """Numbers that one sample's activations hold over all layers: a floor for training memory."""
    return math.prod(shape) + sum(math.prod(r.out_shape) for r in model.rows(shape) if r.out_shape)

"""What the check must know of a table: which loss its scores go into, and what only tables can have wrong."""

from __future__ import annotations

from workbench.specs.base import AnyShape
from workbench.specs.data import DataSchema
from workbench.specs.doubts import Loss
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.run import RunSpec


def loss_kind(schema: DataSchema, spec: RunSpec, shape: AnyShape) -> Loss:
    """What the scores go into: one score of two classes is BCE-with-logits."""
    if schema.task == "regression":
        return "error"
    if schema.task == "multi_label":
        return "bce_with_logits"
    if schema.task == "classification" and len(schema.classes) == 2:
        try:
            return "bce_with_logits" if spec.model.out_shape(shape) == (1,) else "cross_entropy"
        except WorkbenchError:
            return "cross_entropy"
    return "cross_entropy"


def table_problems(spec: RunSpec) -> list[Problem]:
    """What is made for images alone."""
    if not spec.data.augment:
        return []
    return [
        Problem(
            where="data.augment", rule="random changes are made to images",
            fact=f"{spec.data.name} is a table", repair="Take the changes away.",
        )
    ]  # fmt: skip

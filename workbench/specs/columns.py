"""Layers of tables: from numbers and codes of categories to one vector, or to a step per column.

Shapes: the columns of a table, `Columns`, or numbers alone, (D,). A row comes in as (numbers, codes) in one
vector of float32: numbers first, then a code for each column of categories.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from workbench.specs.base import Columns, Shape, knob
from workbench.specs.layer import Layer, refuse, removed, show


def need_columns(kind: str, shape: Shape) -> Columns:
    """The columns; numbers alone are columns without categories. Or a refusal."""
    if isinstance(shape, Columns):
        return shape
    if len(shape) == 1:
        return Columns(shape[0], ())
    raise refuse(
        f"{kind} needs the columns of a table", f"it gets {show(shape)}",
        "Put it first in a network for tables, or remove it.", removed(kind),
    )  # fmt: skip


class ColumnEmbedding(Layer):
    """A learned vector for each category of each column, beside the numbers as they are."""

    group: ClassVar[str] = "table"
    takes_columns: ClassVar[bool] = True
    kind: Literal["column_embedding"] = "column_embedding"
    embedding_dim: int = knob(
        16, "Numbers per category at most; a column of few categories takes half as many as it has", ge=1,
        le=1024,
    )  # fmt: skip

    def widths(self, shape: Shape) -> tuple[int, ...]:
        """Numbers per category, column by column."""
        return tuple(min(self.embedding_dim, (n + 1) // 2) for n in need_columns(self.kind, shape).categories)

    def out_shape(self, shape: Shape) -> Shape:
        return (need_columns(self.kind, shape).numeric + sum(self.widths(shape)),)

    def n_params(self, shape: Shape) -> int:
        known = need_columns(self.kind, shape).categories
        return sum(n * width for n, width in zip(known, self.widths(shape), strict=True))


class ColumnTokens(Layer):
    """A step for each column: a number times a learned vector, or a category's own, and the column's vector
    (the feature tokenizer of FT-Transformer, Gorishniy et al. 2021)."""

    group: ClassVar[str] = "table"
    takes_columns: ClassVar[bool] = True
    kind: Literal["column_tokens"] = "column_tokens"
    embedding_dim: int = knob(64, "Numbers per column", ge=1, le=4096)

    def out_shape(self, shape: Shape) -> Shape:
        return (need_columns(self.kind, shape)[0], self.embedding_dim)

    def n_params(self, shape: Shape) -> int:
        columns = need_columns(self.kind, shape)
        vectors = 2 * columns.numeric + sum(columns.categories) + len(columns.categories)
        return vectors * self.embedding_dim

    def mult_adds(self, shape: Shape) -> int:
        return need_columns(self.kind, shape).numeric * self.embedding_dim  # the rest is looked up

"""The layer table: what comes out of each layer of a stack, groups and all, and what it costs.

A path leads to a layer through the spec, (3, "layers", 1); a label is its short form for people, 3.1.
Everything here is plain Python and asks each layer for its own arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from workbench.specs.base import Columns, Shape, Tokens
from workbench.specs.errors import Edit, Fix, LayerError, Path, Problem
from workbench.specs.layer import EVERYTHING, Layer, Sight, preceded, refuse, removed, show

FLATTENERS = (
    "flatten", "global_avg_pool2d", "global_max_pool2d", "image_rows", "patch_embedding",
    "sequence_pool",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the layer table. `out_shape` is None from the first layer that cannot work.

    Numbers of a group are those of everything inside. Inside a repeat they are the sum over all
    repetitions, and shape and receptive field are those of the last one.
    """

    index: int  # its place in its list
    kind: str
    out_shape: Shape | None
    parameters: int
    mult_adds: int
    problem: Problem | None = None
    path: Path = ()
    times: int = 1  # how often it is built: repetitions around it, multiplied
    activations: int = 0  # numbers that one sample leaves behind for the backward pass
    sight: Sight | None = None
    children: tuple[Row, ...] = ()

    @property
    def label(self) -> str:
        """Its place as people read it: 3, 3.1, 3.shortcut.0."""
        return label(self.path)

    @property
    def depth(self) -> int:
        """Groups around it."""
        return sum(isinstance(part, int) for part in self.path) - 1

    @property
    def receptive_field(self) -> int | None:
        """Pixels of the input's side that a value sees; None: everything."""
        if self.sight is None or not math.isfinite(self.sight.size):
            return None
        return math.ceil(self.sight.size)


def label(path: Path) -> str:
    """(3, "layers", 1) as 3.1, (3, "shortcut", 0) as 3.shortcut.0, (3, "branches", 0, 1) as 3.0.1."""
    return ".".join(str(part) for part in path if part not in ("layers", "branches"))


def where(path: Path, kind: str) -> str:
    """How a problem names a layer: `layer 3.1 (conv2d)`."""
    return f"layer {label(path)} ({kind})"


class Inside(NamedTuple):
    """What a group makes of a shape: its layers' rows, what comes out, and what is the group's own."""

    children: Sequence[Row]
    out: Shape | None  # None: a layer inside cannot work
    sight: Sight
    parameters: int = 0
    mult_adds: int = 0
    activations: int = 0


class Group(Layer):
    """A layer that holds lists of layers."""

    takes_tokens: ClassVar[bool] = True  # the layers inside say what they take
    takes_columns: ClassVar[bool] = True

    def slots(self) -> Sequence[tuple[Path, Sequence[Layer]]]:
        """Its lists of layers, each with the path that leads to it: (("layers",), layers)."""
        raise NotImplementedError

    def inside(self, shape: Shape, sight: Sight, path: Path) -> Inside:
        """Raises LayerError for a fault of the group itself; faults of its layers stand in their rows."""
        raise NotImplementedError

    def whole(self, shape: Shape) -> Inside:
        """`inside` of a group that works. Raises LayerError otherwise."""
        found = self.inside(shape, Sight(), ())
        for row in walk(found.children):
            if row.problem:
                raise LayerError(row.problem)
        return found

    def out_shape(self, shape: Shape) -> Shape:
        out = self.whole(shape).out
        assert out is not None, "a group without a faulty row has a shape"
        return out

    def n_params(self, shape: Shape) -> int:
        found = self.whole(shape)
        return found.parameters + sum(row.parameters for row in found.children)

    def mult_adds(self, shape: Shape) -> int:
        found = self.whole(shape)
        return found.mult_adds + sum(row.mult_adds for row in found.children)

    def activations(self, shape: Shape) -> int:
        found = self.whole(shape)
        return found.activations + sum(row.activations for row in found.children)


def trace(
    layers: Sequence[Layer], shape: Shape | None, path: Path = (), sight: Sight | None = None
) -> list[Row]:
    """The rows of a list of layers for an input of `shape`; blank from the first fault on.

    sight: the receptive field so far; left out, one pixel for an image and everything for a vector.
    """
    if sight is None:
        sight = Sight() if shape is not None and len(shape) == 3 else EVERYTHING
    rows: list[Row] = []
    for index, layer in enumerate(layers):
        here = (*path, index)
        if shape is None:
            rows.append(_blank(layer, here))
            continue
        try:
            row = _row(layer, shape, sight, here)
        except LayerError as error:
            problem = _placed(error.problems[0], layers, index, here, shape)
            row = replace(_blank(layer, here, shape, sight), problem=problem)
        rows.append(row)
        shape, sight = row.out_shape, row.sight or sight
    return rows


def walk(rows: Sequence[Row]) -> Iterator[Row]:
    """Every row and the rows inside it, in reading order."""
    for row in rows:
        yield row
        yield from walk(row.children)


def first_problem(rows: Sequence[Row]) -> Problem | None:
    """The fault nearest to the input."""
    return next((row.problem for row in walk(rows) if row.problem), None)


def totals(rows: Sequence[Row]) -> dict[str, int]:
    """Sums over top-level rows, which hold those of everything inside."""
    names = ("parameters", "mult_adds", "activations")
    return {name: sum(getattr(row, name) for row in rows) for name in names}


def layer_at(layers: Sequence[Layer], path: Path) -> Layer:
    """The layer that a path leads to. Raises KeyError, IndexError or AttributeError for a wrong path."""
    node: Any = layers
    for part in path:
        node = node[part] if isinstance(part, int) else getattr(node, part)
    assert isinstance(node, Layer), path
    return node


def _row(layer: Layer, shape: Shape, sight: Sight, path: Path) -> Row:
    index = path[-1]
    assert isinstance(index, int)
    if isinstance(shape, Tokens) and not layer.takes_tokens:
        raise refuse(
            f"{_kind(layer)} needs numbers to reckon with", f"it gets {show(shape)}",
            "Put an embedding before it.", preceded("Insert embedding before it", {"kind": "embedding"}),
        )  # fmt: skip
    if isinstance(shape, Columns) and shape.categories and not layer.takes_columns:
        raise refuse(
            f"{_kind(layer)} needs numbers to reckon with", f"it gets {show(shape)}, which are codes",
            "Put a column_embedding before it.",
            preceded("Insert column_embedding before it", {"kind": "column_embedding"}),
        )  # fmt: skip
    if isinstance(layer, Group):
        found = layer.inside(shape, sight, path)
        return Row(
            index, _kind(layer), found.out,
            found.parameters + sum(row.parameters for row in found.children),
            found.mult_adds + sum(row.mult_adds for row in found.children),
            path=path,
            activations=found.activations + sum(row.activations for row in found.children),
            sight=found.sight,
            children=tuple(found.children),
        )  # fmt: skip
    return Row(
        index, _kind(layer), layer.out_shape(shape), layer.n_params(shape), layer.mult_adds(shape),
        path=path, activations=layer.activations(shape), sight=layer.sight(sight, shape),
    )  # fmt: skip


def _blank(layer: Layer, path: Path, shape: Shape | None = None, sight: Sight | None = None) -> Row:
    """A row without numbers. The layers of a group that fails by itself keep theirs: they show why."""
    children: list[Row] = []
    if isinstance(layer, Group):
        for slot, inner in layer.slots():
            children += trace(inner, shape, (*path, *slot), sight)
    index = path[-1]
    assert isinstance(index, int)
    return Row(index, _kind(layer), None, 0, 0, path=path, children=tuple(children))


def _placed(problem: Problem, layers: Sequence[Layer], index: int, path: Path, shape: Shape) -> Problem:
    """A layer's refusal with its place, and with a repair where only the stack around it knows one."""
    kind = _kind(layers[index])
    fix = problem.fix
    if fix is None and len(shape) != 3:  # an image layer behind the point where images become vectors
        flat = max((i for i in range(index) if _kind(layers[i]) in FLATTENERS), default=None)
        if flat is None or kind in FLATTENERS:
            fix = removed(kind)
        else:
            name = _kind(layers[flat])
            fix = Fix(label=f"Move it before {name}", edits=(Edit(action="move", path=(), to=flat),))
    return problem.model_copy(update={"where": where(path, kind), "fix": fix and placed(fix, path)})


def placed(fix: Fix, path: Path) -> Fix:
    """A repair that a layer wrote for itself, with the path that leads to it."""
    edits = tuple(edit.model_copy(update={"path": (*path, *edit.path)}) for edit in fix.edits)
    return fix.model_copy(update={"edits": edits})


def _kind(layer: Layer) -> str:
    return str(getattr(layer, "kind", ""))

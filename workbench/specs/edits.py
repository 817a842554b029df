"""Repairs and other edits of a stack as plain data: each gives a new stack and leaves the old one alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.specs.errors import Edit, Fix, Path

Raw = dict[str, Any]  # one layer as plain data: {"kind": "conv2d", "out_channels": 32, ...}


def apply(layers: Sequence[Raw], fix: Fix | Sequence[Edit]) -> list[Raw]:
    """The stack after the edits, one after the other. Raises KeyError or IndexError for a wrong path."""
    stack = list(layers)
    for edit in fix.edits if isinstance(fix, Fix) else fix:
        stack = _changed(stack, edit.path, edit)
    return stack


def apply_to(model: dict[str, Any], fix: Fix | Sequence[Edit]) -> dict[str, Any]:
    """The plain data of a model ({"layers": [...], "decoder": [...], ...}) after the edits of either stack.

    Paths of the decoder begin with "decoder", those of the other stack with a number; an empty one leads to
    the model's own fields. Raises KeyError or IndexError for a wrong path.
    """
    tree = {"layers": [], "decoder": [], **model}
    for edit in fix.edits if isinstance(fix, Fix) else fix:
        if not edit.path:
            tree = {**tree, **(edit.fields or {})}
            continue
        name, path = ("decoder", edit.path[1:]) if edit.path[0] == "decoder" else ("layers", edit.path)
        tree = {**tree, name: apply(tree[name], [edit.model_copy(update={"path": path})])}
    return tree


def at(layers: Sequence[Raw], path: Path) -> Any:
    """What a path leads to. Raises KeyError or IndexError for a wrong path."""
    node: Any = layers
    for part in path:
        node = node[part]
    return node


def _changed(node: Any, path: Path, edit: Edit) -> Any:
    """A copy of `node` (a list or a layer) in which the edit at `path` is done."""
    part, rest = path[0], path[1:]
    if not rest:
        return _done(list(node), int(part), edit)
    copy = list(node) if isinstance(node, list | tuple) else dict(node)
    copy[part] = _changed(node[part], rest, edit)  # type: ignore[index, call-overload]
    return copy


def _done(items: list[Any], place: int, edit: Edit) -> list[Any]:
    if edit.action == "insert":
        if not 0 <= place <= len(items):
            raise IndexError(place)
        items.insert(place, dict(edit.layer or {}))
    elif edit.action == "remove":
        del items[place]
    elif edit.action == "set":
        items[place] = {**items[place], **(edit.fields or {})}
    else:
        items.insert(edit.to or 0, items.pop(place))
    return items

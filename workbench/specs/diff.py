"""What differs between specs, and nothing else; and which are one experiment with several seeds or folds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Tree = Mapping[str, Any]
SHOWN_LAYERS = 12  # of a stack, where stacks are compared as a whole


class Difference(NamedTuple):
    """A field and its value in each spec, in the order given; None: that spec has no such field."""

    path: str
    values: tuple[str | None, ...]


def differences(specs: Sequence[Tree]) -> list[Difference]:
    """Fields in which the specs (plain data) are not all alike, by path.

    Stacks of the same kinds of layers are compared field by field, others as a whole: a layer put in
    at the front would otherwise make all behind it look changed.
    """
    flat = [_flat(spec) for spec in specs]
    stacks = [_kinds(spec) for spec in specs]
    if any(stack != stacks[0] for stack in stacks[1:]):
        for tree, spec in zip(flat, specs, strict=True):
            for path in [path for path in tree if path.startswith("model.layers")]:
                del tree[path]
            tree["model.layers"] = _summary(spec)
    paths = dict.fromkeys(path for tree in flat for path in tree)  # in the order of the specs
    found = [Difference(path, tuple(tree.get(path) for tree in flat)) for path in paths]
    return [row for row in found if len(set(row.values)) > 1]


def same_but_seed(specs: Mapping[str, Tree]) -> list[tuple[str, ...]]:
    """Names of specs that differ only in the seed or the fold (and in what they are called), two or more
    each."""
    alike: dict[str, list[str]] = {}
    for name, spec in specs.items():
        rest = {key: value for key, value in spec.items() if key not in ("seed", "name")}
        if isinstance(rest.get("data"), Mapping):
            rest["data"] = {key: value for key, value in rest["data"].items() if key != "fold"}
        alike.setdefault(json.dumps(rest, sort_keys=True), []).append(name)
    return [tuple(names) for names in alike.values() if len({_draw(specs[name]) for name in names}) > 1]


def _draw(spec: Tree) -> tuple[Any, Any]:
    """Seed and fold."""
    data = spec.get("data")
    return spec.get("seed"), data.get("fold") if isinstance(data, Mapping) else None


def _flat(node: Any, path: str = "") -> dict[str, str | None]:
    if isinstance(node, Mapping) and node:
        pairs = [(f"{path}.{key}" if path else str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple) and any(isinstance(value, Mapping) for value in node):
        pairs = [(f"{path}[{i}]", value) for i, value in enumerate(node)]
    else:
        return {path: _text(node)}
    return {key: text for place, value in pairs for key, text in _flat(value, place).items()}


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    )


def _layers(spec: Tree) -> list[Any]:
    return list(spec.get("model", {}).get("layers") or [])


def _kinds(spec: Tree) -> list[str]:
    return [str(layer.get("kind")) for layer in _layers(spec)]


def _summary(spec: Tree) -> str:
    """`conv2d 32 · relu · flatten · linear 10`."""
    words = []
    for layer in _layers(spec):
        size = next(
            (layer[name] for name in ("out_channels", "out_features", "hidden_size") if name in layer), ""
        )
        words.append(f"{layer.get('kind')} {size}".strip())
    more = len(words) - SHOWN_LAYERS
    return " · ".join(words[:SHOWN_LAYERS]) + (f" · {more} more" if more > 0 else "")

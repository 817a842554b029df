"""The logic of the layer editor, in pure functions: the menu of layers, the report, the repairs.

A stack travels between browser and Python as a list of plain dicts, one per layer, and may be
wrong: a field out of bounds, shapes that do not meet. `report` says for each row what comes out of
it and what is the matter, without torch, in about a millisecond. Knows no Streamlit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from workbench.specs.base import Shape, did_you_mean
from workbench.specs.errors import Problem
from workbench.specs.layer import Layer, show
from workbench.specs.layers import LAYERS
from workbench.specs.model import ModelSpec
from workbench.ui.fields import Knob, fault, knobs, summary

Raw = dict[str, Any]  # one layer as plain data: {"kind": "conv2d", "out_channels": 32, ...}
MAX_LAYERS = 256

GROUP_TITLES = {
    "convolution": "Convolution",
    "pooling": "Pooling",
    "normalisation": "Normalisation",
    "activation": "Activation",
    "regularisation": "Regularisation",
    "dense": "Dense",
    "other": "Other",
}


@dataclass(frozen=True)
class Repair:
    """A one-click cure: what the button says, and the whole stack after it."""

    label: str
    layers: list[Raw]


# ---------------------------------------------------------------- the menu


@cache
def menu() -> dict[str, Any]:
    """Every kind of layer with its group, help and fields, as the browser needs it."""
    kinds = {
        kind: {
            "group": cls.group,
            "help": summary(cls),
            "fields": [_field(cls, knob) for knob in knobs(cls)],
        }
        for kind, cls in LAYERS.items()
    }
    used = {entry["group"] for entry in kinds.values()}
    groups = [{"name": name, "title": title} for name, title in GROUP_TITLES.items() if name in used]
    return {"groups": groups, "kinds": kinds}


def _field(cls: type[Layer], knob: Knob) -> dict[str, Any]:
    return {
        "name": knob.name,
        "type": knob.kind,
        "optional": knob.optional,
        "default": knob.default,
        "help": knob.help,
        "unit": knob.unit,
        "advanced": knob.advanced,
        "lo": knob.lo,
        "hi": knob.hi,
        "range": knob.range_text,
        "options": list(knob.options),
    }


# ---------------------------------------------------------------- raw layers


def dump(model: ModelSpec) -> list[Raw]:
    """The stack of a model as plain data, every field given."""
    return [layer.model_dump(mode="json") for layer in model.layers]


def clean(raw: Any) -> list[Raw]:
    """What the browser sent, reduced to known kinds and fields; missing fields get their defaults.

    Unknown kinds and anything that is not a layer are dropped: only a broken or hostile page sends them.
    """
    layers: list[Raw] = []
    for item in raw if isinstance(raw, list) else []:
        cls = LAYERS.get(str(item.get("kind", ""))) if isinstance(item, dict) else None
        if cls is None:
            continue
        layer: Raw = {"kind": item["kind"]}
        for knob in knobs(cls):
            layer[knob.name] = item.get(knob.name, knob.default)
        layers.append(layer)
    return layers[:MAX_LAYERS]


def family(layers: list[Raw]) -> str:
    """`cnn` as soon as a convolution or a pooling stands in the stack, else `mlp`."""
    images = {"convolution", "pooling"}
    return "cnn" if any(LAYERS[r["kind"]].group in images for r in layers if r["kind"] in LAYERS) else "mlp"


def model_tree(layers: list[Raw]) -> dict[str, Any]:
    """The `model` block of a RunSpec for this stack."""
    return {"family": family(layers), "layers": layers}


def faults(layers: list[Raw]) -> dict[int, list[Problem]]:
    """Fields that are out of bounds or of the wrong type, by row."""
    found: dict[int, list[Problem]] = {}
    for index, raw in enumerate(layers):
        cls = LAYERS.get(raw.get("kind", ""))
        if cls is None:
            found[index] = [
                Problem(
                    where=f"layer {index}",
                    rule="the kind must be a known one",
                    fact=f"it is `{raw.get('kind', '')}`",
                    repair=did_you_mean(str(raw.get("kind", "")), LAYERS),
                )
            ]
            continue
        for knob in knobs(cls):
            value = raw.get(knob.name, knob.default)
            message = fault(cls, knob.name, value)
            if message:
                rule = (
                    f"{knob.name} must be {knob.range_text}" if knob.range_text else f"{knob.name} {message}"
                )
                fact = "it is empty" if value is None or value == "" else f"it is {value}"
                where = f"layer {index} ({raw['kind']}).{knob.name}"
                found.setdefault(index, []).append(Problem(where=where, rule=rule, fact=fact))
    return found


def build(layers: list[Raw]) -> ModelSpec | None:
    """The model of a stack whose fields are all within bounds; None otherwise."""
    try:
        return ModelSpec.model_validate(model_tree(layers))
    except ValidationError:
        return None


# ---------------------------------------------------------------- the report


def report(layers: list[Raw], shape: Shape, n_classes: int) -> dict[str, Any]:
    """What the editor shows for a stack on images of `shape` (C, H, W) in `n_classes` classes.

    rows: per layer {shape: "32×26×26" or None, parameters, mult_adds, share, problems: [...]};
    problem: {severity, rule, fact, repair, field, fix: {label, layers} or None};
    totals: {parameters, mult_adds, layers, output}; ok: whether it can be trained.
    """
    wrong = faults(layers)
    first_wrong = min(wrong, default=len(layers))
    sound = build(layers[:first_wrong]) or ModelSpec(family="mlp", layers=())
    rows = sound.rows(shape)
    shapes: list[Shape | None] = [row.out_shape for row in rows]
    shapes += [None] * (len(layers) - len(rows))
    total = sum(row.parameters for row in rows)
    table: list[dict[str, Any]] = []
    for index in range(len(layers)):
        row = rows[index] if index < len(rows) else None
        out = shapes[index]
        table.append(
            {
                "shape": show(out) if out else None,
                "parameters": row.parameters if row else 0,
                "mult_adds": row.mult_adds if row else 0,
                "share": row.parameters / total if row and total else 0.0,
                "problems": [_field_problem(layers, index, p) for p in wrong.get(index, [])],
            }
        )
    loose: list[dict[str, Any]] = []
    if not wrong:
        for problem in sound.problems(shape, n_classes):
            where = row_of(problem)
            item = _as_dict(problem, fix=repair(layers, problem, shape, n_classes))
            (table[where]["problems"] if where is not None else loose).append(item)
    else:
        for row in rows:  # a shape fault before the first field fault still counts
            if row.problem:
                fix = repair(layers, row.problem, shape, n_classes)
                table[row.index]["problems"].insert(0, _as_dict(row.problem, fix=fix))
    flat = [p for row in table for p in row["problems"]] + loose
    last = shapes[-1] if shapes else shape
    return {
        "rows": table,
        "problems": loose,
        "ok": not any(p["severity"] == "error" for p in flat),
        "input": show(shape),
        "classes": n_classes,
        "totals": {
            "layers": len(layers),
            "parameters": total,
            "mult_adds": sum(row.mult_adds for row in rows),
            "output": show(last) if last else None,
            "complete": all(s is not None for s in shapes),
        },
    }


def all_problems(layers: list[Raw], shape: Shape, n_classes: int) -> list[Problem]:
    """Every problem of the stack, for lists outside the editor."""
    wrong = faults(layers)
    if wrong:
        return [problem for row in sorted(wrong) for problem in wrong[row]]
    model = build(layers)
    if model is None:
        fact = f"it has {len(layers)}"
        return [Problem(where="model.layers", rule=f"a model has at most {MAX_LAYERS} layers", fact=fact)]
    return model.problems(shape, n_classes)


def row_of(problem: Problem) -> int | None:
    """The row a problem stands at: `layer 3 (linear)` → 3."""
    found = re.match(r"layer (\d+)\b", problem.where)
    return int(found.group(1)) if found else None


def _as_dict(problem: Problem, field: str | None = None, fix: Repair | None = None) -> dict[str, Any]:
    return {
        "severity": problem.severity,
        "rule": problem.rule,
        "fact": problem.fact,
        "repair": problem.repair,
        "field": field,
        "fix": {"label": fix.label, "layers": fix.layers} if fix else None,
    }


def _field_problem(layers: list[Raw], index: int, problem: Problem) -> dict[str, Any]:
    name = problem.where.rpartition(".")[2]
    return _as_dict(problem, field=name, fix=_bounds_repair(layers, index, name))


# ---------------------------------------------------------------- repairs


def repair(layers: list[Raw], problem: Problem, shape: Shape, n_classes: int) -> Repair | None:
    """The obvious cure of a located problem, or None where there is more than one sensible way."""
    index = row_of(problem)
    if index is None:
        return None if layers else Repair(f"Add flatten and linear ({n_classes})", _head(n_classes))
    model = build(layers)
    if model is None:
        return None
    rows = model.rows(shape)
    before = shape if index == 0 else rows[index - 1].out_shape
    if before is None:
        return None
    if rows[index].problem is not None:
        return _shape_repair(layers, index, before)
    if problem.rule.startswith("the last layer must give"):
        return _output_repair(layers, rows[-1].out_shape or shape, n_classes)
    if problem.repair.startswith("Remove the "):
        return Repair(f"Remove {layers[index]['kind']}", without(layers, index))
    if problem.rule.startswith("parameters are best spread"):
        return _pool_repair(layers, index, [shape, *(r.out_shape or () for r in rows)])
    return None


def _shape_repair(layers: list[Raw], index: int, shape: Shape) -> Repair | None:
    raw = layers[index]
    kind = raw["kind"]
    if kind == "linear":
        return Repair("Insert flatten before it", inserted(layers, index, {"kind": "flatten"}))
    if kind == "group_norm":
        values = math.prod(shape)  # a group needs more than one of them
        fits = [d for d in range(1, raw["num_groups"] + 1) if shape[0] % d == 0 and d < values]
        if not fits:
            return Repair("Use layer_norm instead", replaced(layers, index, [_fresh("layer_norm")]))
        return Repair(f"Set num_groups to {fits[-1]}", changed(layers, index, num_groups=fits[-1]))
    if len(shape) != 3:  # an image layer after flatten
        flat = max((i for i in range(index) if layers[i]["kind"] == "flatten"), default=None)
        if flat is None:
            return Repair(f"Remove {kind}", without(layers, index))
        return Repair("Move it before flatten", moved(layers, index, flat))
    channels, height, width = shape
    if kind == "conv2d":
        common = math.gcd(channels, raw["out_channels"])
        if common % raw["groups"]:
            fit = _divisor(common, raw["groups"])
            return Repair(f"Set groups to {fit}", changed(layers, index, groups=fit))
        reach = raw["dilation"] * (raw["kernel_size"] - 1) + 1
        padding = math.ceil((reach - min(height, width)) / 2)
        if padding <= 31:
            return Repair(f"Set padding to {padding}", changed(layers, index, padding=padding))
        return Repair("Set kernel_size to 1", changed(layers, index, kernel_size=1))
    if kind in ("max_pool2d", "avg_pool2d"):
        if raw["padding"] * 2 > raw["kernel_size"]:
            fit = raw["kernel_size"] // 2
            return Repair(f"Set padding to {fit}", changed(layers, index, padding=fit))
        if min(height, width) == 1:
            return Repair(f"Remove {kind}", without(layers, index))
        fit = min(height, width)
        return Repair(f"Set kernel_size to {fit}", changed(layers, index, kernel_size=fit, padding=0))
    if kind == "instance_norm":
        return Repair("Use layer_norm instead", replaced(layers, index, [_fresh("layer_norm")]))
    return None


def _output_repair(layers: list[Raw], out: Shape, n_classes: int) -> Repair:
    if len(out) != 1:
        return Repair(f"Add flatten and linear ({n_classes})", [*layers, *_head(n_classes)])
    linear = max((i for i, raw in enumerate(layers) if raw["kind"] == "linear"), default=None)
    if linear is None or linear < len(layers) - 3:
        return Repair(f"Add linear ({n_classes})", [*layers, _fresh("linear", out_features=n_classes)])
    return Repair(f"Set out_features to {n_classes}", changed(layers, linear, out_features=n_classes))


def _pool_repair(layers: list[Raw], index: int, inputs: list[Shape]) -> Repair | None:
    flat = max((i for i in range(index) if layers[i]["kind"] == "flatten"), default=None)
    if flat is None or len(inputs[flat]) != 3 or min(inputs[flat][1:]) < 2:
        return None
    return Repair("Insert max_pool2d before flatten", inserted(layers, flat, _fresh("max_pool2d")))


def _bounds_repair(layers: list[Raw], index: int, name: str) -> Repair | None:
    cls = LAYERS.get(layers[index].get("kind", ""))
    knob = next((k for k in knobs(cls) if k.name == name), None) if cls else None
    if knob is None:
        return None
    value = layers[index].get(name)
    fit: Any = knob.default
    if isinstance(value, int | float) and not isinstance(value, bool):
        if knob.lo is not None and value < knob.lo and not knob.lo_open:
            fit = knob.lo
        elif knob.hi is not None and value > knob.hi and not knob.hi_open:
            fit = knob.hi
        elif knob.kind == "int" and value != int(value):
            fit = round(value)
    return Repair(f"Set {name} to {fit}", changed(layers, index, **{name: fit}))


def _divisor(number: int, at_most: int) -> int:
    return max(d for d in range(1, min(number, at_most) + 1) if number % d == 0)


def _fresh(kind: str, **fields: Any) -> Raw:
    return {"kind": kind, **{k.name: k.default for k in knobs(LAYERS[kind])}, **fields}


def _head(n_classes: int) -> list[Raw]:
    return [_fresh("flatten"), _fresh("linear", out_features=n_classes)]


# ---------------------------------------------------------------- edits, each giving a new list


def inserted(layers: list[Raw], index: int, layer: Raw) -> list[Raw]:
    return [*layers[:index], layer, *layers[index:]]


def without(layers: list[Raw], index: int) -> list[Raw]:
    return [*layers[:index], *layers[index + 1 :]]


def changed(layers: list[Raw], index: int, **fields: Any) -> list[Raw]:
    return replaced(layers, index, [{**layers[index], **fields}])


def replaced(layers: list[Raw], index: int, new: list[Raw]) -> list[Raw]:
    return [*layers[:index], *new, *layers[index + 1 :]]


def moved(layers: list[Raw], index: int, to: int) -> list[Raw]:
    rest = without(layers, index)
    return inserted(rest, to, layers[index])

"""The logic of the layer editor, in pure functions: reading what the browser sent, and the report on it.

A stack travels between browser and Python as a list of plain dicts, one per layer, groups holding
lists of their own, and may be wrong: a field out of bounds, shapes that do not meet. `report` says for
each row what comes out of it and what is the matter, without torch, in a few milliseconds. Knows no
Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from workbench.specs.base import Shape, did_you_mean, problems_of
from workbench.specs.edits import apply
from workbench.specs.errors import Edit, Fix, Path, Problem
from workbench.specs.layer import Layer, show
from workbench.specs.layers import GROUPS, LAYERS, MAX_LAYERS, Parallel
from workbench.specs.model import MAX_DEPTH, ModelSpec
from workbench.specs.rows import Row, label, walk
from workbench.ui.fields import Knob, fault, knobs, summary

Raw = dict[str, Any]  # one layer as plain data: {"kind": "conv2d", "out_channels": 32, ...}
FLOAT_BYTES = 4
GROUP_TITLES = {
    "group": "Groups",
    "convolution": "Convolution",
    "pooling": "Pooling",
    "normalisation": "Normalisation",
    "activation": "Activation",
    "regularisation": "Regularisation",
    "dense": "Dense",
    "other": "Other",
}
SLOTS: dict[str, tuple[str, ...]] = {
    "residual": ("layers", "shortcut"), "repeat": ("layers",), "parallel": ("branches",),
}  # fmt: skip

# ---------------------------------------------------------------- the menu


@cache
def menu() -> dict[str, Any]:
    """Every kind of layer with its group, help and fields, as the browser needs it.

    Groups have `slots` too: the names of their lists of layers, and what a new one starts with.
    """
    kinds: dict[str, Any] = {}
    for kind, cls in LAYERS.items():
        fields = [_field(knob) for knob in knobs(cls) if knob.kind != "other"]
        kinds[kind] = {"group": cls.group, "help": summary(cls), "fields": fields}
        if kind in GROUPS:
            start = cls().model_dump(mode="json")
            kinds[kind]["slots"] = {name: start[name] for name in SLOTS[kind]}
    used = {entry["group"] for entry in kinds.values()}
    groups = [{"name": name, "title": title} for name, title in GROUP_TITLES.items() if name in used]
    return {"groups": groups, "kinds": kinds, "deepest": MAX_DEPTH, "most": MAX_LAYERS}


def _field(knob: Knob) -> dict[str, Any]:
    """A field as the browser needs it; what is empty is left out, since the menu goes with every answer."""
    entry: dict[str, Any] = {
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
    return {
        name: value
        for name, value in entry.items()
        if value not in (None, "", False, []) or name == "default"
    }


# ---------------------------------------------------------------- raw layers


def dump(model: ModelSpec) -> list[Raw]:
    """The stack of a model as plain data, every field given."""
    return [layer.model_dump(mode="json") for layer in model.layers]


def brief(layers: Sequence[Raw]) -> list[Raw]:
    """The same without the fields that have their usual values: what a link carries."""
    short = []
    for raw in layers:
        cls = LAYERS.get(str(raw.get("kind")))
        usual = {k.name: k.default for k in knobs(cls) if k.kind != "other"} if cls else {}
        one = {k: v for k, v in raw.items() if k == "kind" or k not in usual or v != usual[k]}
        for name in SLOTS.get(str(raw.get("kind")), ()):
            lists = raw[name]
            one[name] = [brief(inner) for inner in lists] if name == "branches" else brief(lists)
        short.append(one)
    return short


def clean(raw: Any, depth: int = 0) -> list[Raw]:
    """What the browser sent, reduced to known kinds and fields; missing fields get their defaults.

    Unknown kinds and anything that is not a layer are dropped, and so is what nests too deep: only a
    broken or hostile page sends them.
    """
    layers: list[Raw] = []
    for item in raw if isinstance(raw, list) else []:
        kind = item.get("kind") if isinstance(item, dict) else None
        cls = LAYERS.get(kind) if isinstance(kind, str) else None
        if cls is None or (cls in GROUPS.values() and depth >= MAX_DEPTH):
            continue
        assert isinstance(kind, str)
        layer: Raw = {"kind": kind}
        for knob in knobs(cls):
            if knob.kind != "other":
                layer[knob.name] = item.get(knob.name, knob.default)
        for name in SLOTS.get(kind, ()):
            layer[name] = _lists(cls, name, item, depth)
        layers.append(layer)
        if len(layers) == MAX_LAYERS:
            break
    return layers


def _lists(cls: type[Layer], name: str, item: Raw, depth: int) -> list[Any]:
    if name not in item:
        start: list[Any] = cls().model_dump(mode="json")[name]
        return start
    if cls is not Parallel:
        return clean(item[name], depth + 1)
    branches = item[name] if isinstance(item[name], list) else []
    return [clean(branch, depth + 1) for branch in branches[:16]]


def lists_of(raw: Raw) -> Iterator[tuple[Path, list[Raw]]]:
    """The lists of layers that a group holds, each with the path that leads to it."""
    for name in SLOTS.get(str(raw.get("kind")), ()):
        if name == "branches":
            for i, branch in enumerate(raw.get(name, [])):
                yield (name, i), branch
        else:
            yield (name,), raw.get(name, [])


def every(layers: Sequence[Raw], path: Path = ()) -> Iterator[tuple[Path, Raw]]:
    """Every layer, and those inside groups, in reading order, each with its path."""
    for index, raw in enumerate(layers):
        yield (*path, index), raw
        for slot, inner in lists_of(raw):
            yield from every(inner, (*path, index, *slot))


def family(layers: Sequence[Raw]) -> str:
    """`cnn` as soon as a convolution or a pooling stands in the stack, else `mlp`."""
    images = {"convolution", "pooling"}
    kinds = (raw.get("kind") for _, raw in every(layers))
    return "cnn" if any(LAYERS[kind].group in images for kind in kinds if kind in LAYERS) else "mlp"


def model_tree(layers: list[Raw]) -> dict[str, Any]:
    """The `model` block of a RunSpec for this stack."""
    return {"family": family(layers), "layers": layers}


def faults(layers: Sequence[Raw]) -> dict[int, list[Problem]]:
    """Fields that are out of bounds or of the wrong type, by the row of the editor that they stand in."""
    found: dict[int, list[Problem]] = {}
    for row, (path, raw) in enumerate(every(layers)):
        problems = list(_faults_of(raw, path))
        if problems:
            found[row] = problems
    return found


def _faults_of(raw: Raw, path: Path) -> Iterator[Problem]:
    cls = LAYERS.get(raw.get("kind", ""))
    if cls is None:
        yield Problem(
            where=f"layer {label(path)}",
            rule="the kind must be a known one",
            fact=f"it is `{raw.get('kind', '')}`",
            repair=did_you_mean(str(raw.get("kind", "")), LAYERS),
            fix=Fix(label="Remove it", edits=(Edit(action="remove", path=path),)),
        )
        return
    for knob in knobs(cls):
        value = raw.get(knob.name, knob.default)
        message = fault(cls, knob.name, value) if knob.kind != "other" else None
        if message:
            rule = f"{knob.name} must be {knob.range_text}" if knob.range_text else f"{knob.name} {message}"
            if knob.options:
                rule = f"{knob.name} must be one of {', '.join(str(o) for o in knob.options)}"
            fact = "it is empty" if value is None or value == "" else f"it is {str(value)[:40]}"
            place = f"layer {label(path)} ({raw['kind']}).{knob.name}"
            yield Problem(where=place, rule=rule, fact=fact, fix=_within(knob, value, path))


def _within(knob: Knob, value: Any, path: Path) -> Fix:
    """The nearest value that goes."""
    fit: Any = knob.default
    if isinstance(value, int | float) and not isinstance(value, bool):
        if knob.lo is not None and value < knob.lo and not knob.lo_open:
            fit = knob.lo
        elif knob.hi is not None and value > knob.hi and not knob.hi_open:
            fit = knob.hi
        elif knob.kind == "int" and value == value and value != int(value):
            fit = round(value)
    edit = Edit(action="set", path=path, fields={knob.name: fit})
    return Fix(label=f"Set {knob.name} to {fit}", edits=(edit,))


def build(layers: list[Raw]) -> ModelSpec | None:
    """The model of a stack whose fields are all within bounds; None otherwise."""
    try:
        return ModelSpec.model_validate(model_tree(layers))
    except ValidationError:
        return None


# ---------------------------------------------------------------- the report


def report(layers: list[Raw], shape: Shape, n_classes: int) -> dict[str, Any]:
    """What the editor shows for a stack on images of `shape` (C, H, W) in `n_classes` classes.

    rows: per layer, those in groups behind their group: {shape: "32×26×26" or None, parameters, mult_adds,
    bytes, sees, times, share, problems: [...]}; problem: {severity, rule, fact, repair, field, fix: {label,
    edits} or None}; totals: {parameters, mult_adds, bytes, layers, output}; ok: whether it can be trained.
    """
    places = list(every(layers))
    wrong = faults(layers)
    sound = _sound(layers, wrong, places)
    tops = sound.rows(shape)
    rows = list(walk(tops))
    total = sum(row.parameters for row in tops)
    table = [_entry(rows[i] if i < len(rows) else None, total) for i in range(len(places))]
    for i, problems in wrong.items():
        table[i]["problems"] = [_as_dict(p, field=p.where.rpartition(".")[2]) for p in problems]
    loose: list[dict[str, Any]] = []
    rooms = {f"layer {row.label} ({row.kind})": i for i, row in enumerate(rows)}
    for problem in _told(layers, wrong, sound, shape, n_classes, rows):
        at = rooms.get(problem.where)
        (table[at]["problems"] if at is not None else loose).insert(0 if wrong else 999, _as_dict(problem))
    flat = [p for row in table for p in row["problems"]] + loose
    last = tops[-1].out_shape if tops else shape
    complete = not wrong and all(row.out_shape for row in tops) and build(layers) is not None
    return {
        "rows": table,
        "problems": loose,
        "ok": not any(p["severity"] == "error" for p in flat),
        "input": show(shape),
        "classes": n_classes,
        "totals": {
            "layers": len(places),
            "parameters": total,
            "mult_adds": sum(row.mult_adds for row in tops),
            "bytes": FLOAT_BYTES * sum(row.activations for row in tops),
            "output": show(last) if last and complete else None,
            "complete": complete,
        },
    }


def _sound(layers: list[Raw], wrong: dict[int, list[Problem]], places: list[tuple[Path, Raw]]) -> ModelSpec:
    """The stack up to the first top-level layer in which a field is at fault."""
    first = min((places[i][0][0] for i in wrong), default=len(layers))
    assert isinstance(first, int)
    return build(layers[:first]) or ModelSpec(family="mlp", layers=())


def _told(
    layers: list[Raw], wrong: dict[int, list[Problem]], sound: ModelSpec, shape: Shape, n_classes: int,
    rows: list[Row],
) -> list[Problem]:  # fmt: skip
    if wrong:  # a shape fault before the first field fault still counts
        return [row.problem for row in rows if row.problem]
    return all_problems(layers, shape, n_classes) if len(sound.layers) < len(layers) else sound.problems(
        shape, n_classes
    )  # fmt: skip


def _entry(row: Row | None, total: int) -> dict[str, Any]:
    out = row.out_shape if row else None
    return {
        "shape": show(out) if out else None,
        "parameters": row.parameters if row else 0,
        "mult_adds": row.mult_adds if row else 0,
        "bytes": FLOAT_BYTES * row.activations if row else 0,
        "sees": row.receptive_field if row else None,
        "times": row.times if row else 1,
        "share": min(1.0, row.parameters / total) if row and total else 0.0,
        "problems": [],
    }


def all_problems(layers: list[Raw], shape: Shape, n_classes: int) -> list[Problem]:
    """Every problem of the stack, for lists outside the editor."""
    wrong = faults(layers)
    if wrong:
        return [problem for row in sorted(wrong) for problem in wrong[row]]
    try:
        return ModelSpec.model_validate(model_tree(layers)).problems(shape, n_classes)
    except ValidationError as error:
        found = problems_of(error, model_tree(layers))
        last = Fix(label="Remove the last layer", edits=(Edit(action="remove", path=(len(layers) - 1,)),))
        return [p.model_copy(update={"where": "model.layers", "fix": p.fix or last}) for p in found]


def _as_dict(problem: Problem, field: str | None = None) -> dict[str, Any]:
    fix = problem.fix
    edits = [edit.model_dump(mode="json", exclude_none=True) for edit in fix.edits] if fix else []
    return {
        "severity": problem.severity,
        "rule": problem.rule,
        "fact": problem.fact,
        "repair": problem.repair,
        "field": field,
        "fix": {"label": fix.label, "edits": edits} if fix else None,
    }


def fitted(layers: list[Raw], shape: Shape, n_classes: int) -> list[Raw]:
    """The stack with as many outputs as there are classes, where that is the one thing amiss."""
    found = all_problems(layers, shape, n_classes)
    output = next((p for p in found if p.rule.startswith("the last layer must give")), None)
    return clean(apply(layers, output.fix)) if output and output.fix else layers

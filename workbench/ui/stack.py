"""The logic of the layer editor, in pure functions: reading what the browser sent, and the report on it.

A model travels between browser and Python as plain data: a list of layers, one dict each, groups holding
lists of their own; a translator has a second list, its decoder. It may be wrong: a field out of bounds,
shapes that do not meet. `report` says for each row what comes out of it and what is the matter, without
torch, in a few milliseconds. Knows no Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from workbench.specs.base import AnyShape, Duel, Pair, Picture, Shape, Window, did_you_mean, problems_of
from workbench.specs.edits import apply_to
from workbench.specs.errors import Edit, Fix, Path, Problem
from workbench.specs.layer import Layer, show
from workbench.specs.layers import GROUPS, LAYERS, MAX_LAYERS, Parallel
from workbench.specs.model import MAX_DEPTH, ModelSpec
from workbench.specs.rows import Row, label, walk
from workbench.ui.fields import Knob, fault, knobs
from workbench.ui.menu import SLOTS, reads

Raw = dict[str, Any]  # one layer as plain data: {"kind": "conv2d", "out_channels": 32, ...}
Model = dict[str, Any]  # {"family": ..., "layers": [Raw, ...], "decoder": [Raw, ...], "tie_embeddings": bool}
FLOAT_BYTES = 4

# ---------------------------------------------------------------- plain data


def model(layers: list[Raw], decoder: list[Raw] | None = None, tie_embeddings: bool = False) -> Model:
    """The `model` block of a RunSpec for these stacks."""
    second = decoder or []
    return {
        "family": family(layers, second), "layers": layers, "decoder": second,
        "tie_embeddings": tie_embeddings,
    }  # fmt: skip


def read(raw: Any) -> Model:
    """What the browser sent, or what a draft or a link holds, reduced to what a model may have."""
    tree = raw if isinstance(raw, dict) else {}
    return model(clean(tree.get("layers")), clean(tree.get("decoder")), tree.get("tie_embeddings") is True)


def dump(spec: ModelSpec) -> Model:
    """A model as plain data, every field given. Check: `build` gives it back."""
    return spec.model_dump(mode="json")


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


def places(tree: Model) -> list[tuple[Path, Raw]]:
    """Every layer of both stacks in the order of the editor's rows; a decoder's paths begin with its name."""
    return [*every(tree["layers"]), *every(tree["decoder"], ("decoder",))]


def family(layers: Sequence[Raw], decoder: Sequence[Raw] = ()) -> str:
    """What kind of network it is, told by its layers: the first that applies."""
    found = [raw for _, raw in every([*layers, *decoder])]
    kinds = {raw.get("kind") for raw in found}
    groups = {LAYERS[kind].group for kind in kinds if kind in LAYERS}
    if kinds & {"pretrained_text", "pretrained_image"}:
        return "pretrained"
    if decoder:
        return "seq2seq" if kinds & {"embedding", "transformer_decoder_layer", "lstm_decoder"} else "gan"
    if "skip" in kinds:
        return "unet"
    if kinds & {"unflatten", "reparameterize"}:
        return "autoencoder"
    if "attention" in groups:
        if "embedding" not in kinds:
            of_images = "convolution" in groups or kinds & {"image_rows", "patch_embedding"}
            return "vit" if of_images else "encoder"
        return "gpt" if any(raw.get("causal") for raw in found) else "encoder"
    if "recurrent" in groups:
        return "rnn"
    return "cnn" if groups & {"convolution", "pooling"} or "conv1d" in kinds else "mlp"


def faults(tree: Model) -> dict[int, list[Problem]]:
    """Fields that are out of bounds or of the wrong type, by the row of the editor that they stand in."""
    found: dict[int, list[Problem]] = {}
    for row, (path, raw) in enumerate(places(tree)):
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


def build(tree: Model) -> ModelSpec | None:
    """The model whose fields are all within bounds; None otherwise."""
    try:
        return ModelSpec.model_validate(tree)
    except ValidationError:
        return None


# ---------------------------------------------------------------- the report


def report(tree: Model, shape: AnyShape, n_scores: int, *, per_token: bool = False) -> dict[str, Any]:
    """What the editor shows for a model on inputs of `shape` with `n_scores` columns of scores.

    per_token: every token has scores, as in a language model; those of a pair always have.
    rows: per layer, those in groups behind their group, the decoder's last: {shape: "32×26×26" or None,
    parameters, mult_adds, bytes, sees, times, share, problems: [...]}; problem: {severity, rule, fact,
    repair, field, fix: {label, edits} or None}; reads: "images", "text" or "table"; inputs: of each stack;
    memory: what the encoder hands on; goal: {text, met}; totals: {parameters, mult_adds, bytes, layers,
    output, complete}; ok: whether it can be trained.
    """
    table_of = places(tree)
    wrong = faults(tree)
    sound = _sound(tree, wrong, table_of)
    tops = sound.rows(shape)
    rows = {row.path: row for row in walk(tops)}
    total = sum(row.parameters for row in tops)
    table = [_entry(rows.get(path), total) for path, _ in table_of]
    for i, problems in wrong.items():
        table[i]["problems"] = [_as_dict(p, field=p.where.rpartition(".")[2]) for p in problems]
    loose: list[dict[str, Any]] = []
    rooms = {f"layer {label(path)} ({raw.get('kind')})": i for i, (path, raw) in enumerate(table_of)}
    for problem in _told(tree, wrong, sound, shape, n_scores, per_token, list(rows.values())):
        at = rooms.get(problem.where)
        (table[at]["problems"] if at is not None else loose).insert(0 if wrong else 999, _as_dict(problem))
    flat = [p for row in table for p in row["problems"]] + loose
    paired, duel = isinstance(shape, Pair), isinstance(shape, Duel)
    out = _end(tops, shape)
    complete = not wrong and all(row.out_shape for row in tops) and build(tree) is not None
    complete = complete and not ((paired or duel) and not (tree["layers"] and tree["decoder"]))
    per_token = per_token or paired
    met = complete and (len(out) == 2 and out[-1] == n_scores if per_token else out == (n_scores,))
    met = met or (complete and not per_token and n_scores == 2 and out == (1,))
    if isinstance(shape, Window):
        per_token, met = False, complete and out == (n_scores,)
    if isinstance(shape, Picture | Duel):
        met = complete and _gives(tops, tree, shape)
    what = f"a score for each of {n_scores:,} tokens, at every step" if per_token else (
        f"{n_scores:,} numbers: steps ahead times variates" if isinstance(shape, Window) else
        "one number" if n_scores == 1 else f"one score for each of {n_scores:,} classes"
    )  # fmt: skip
    if isinstance(shape, Picture):
        what = f"{show(shape.gives)}, " + (
            "a score per class and pixel" if shape.scored else "the picture itself"
        )
    if isinstance(shape, Duel):
        what = f"pictures of {show(shape.image)}, and one score of the discriminator"
    memory = [row.out_shape for row in tops if row.path[0] != "decoder"]
    return {
        "rows": table,
        "problems": loose,
        "ok": not any(p["severity"] == "error" for p in flat),
        "reads": reads(shape),
        "paired": paired or duel or bool(tree["decoder"]),
        "names": DUEL_NAMES if duel else STACK_NAMES,
        "inputs": [show(part) for part in _inputs(shape)],
        "memory": show(memory[-1]) if paired and memory and memory[-1] else None,
        "goal": {"text": what, "met": bool(met)},
        "totals": {
            "layers": len(table_of),
            "parameters": total,
            "mult_adds": sum(row.mult_adds for row in tops),
            "bytes": FLOAT_BYTES * sum(row.activations for row in tops),
            "output": show(out) if out and complete else None,
            "complete": complete,
        },
    }


def _end(tops: Sequence[Row], shape: AnyShape) -> Shape:
    """What comes out last: of the decoder, where there are two stacks."""
    if isinstance(shape, Duel):
        made = [row.out_shape for row in tops if row.path[0] != "decoder"]
        return (made[-1] if made else None) or ()
    if tops:
        return tops[-1].out_shape or ()
    return shape.target if isinstance(shape, Pair) else shape


def _inputs(shape: AnyShape) -> Sequence[Shape]:
    """What comes into each stack."""
    if isinstance(shape, Duel):
        return (shape.noise, shape.image)
    return shape if isinstance(shape, Pair) else (shape,)


def _gives(tops: Sequence[Row], tree: Model, shape: Picture | Duel) -> bool:
    """Whether what must come out does."""
    if isinstance(shape, Picture):
        return bool(tops) and tops[-1].out_shape == shape.gives
    made = tops[len(tree["layers"]) - 1].out_shape if tree["layers"] else None
    return made == shape.image and tops[-1].out_shape == (1,)


# What the two stacks of an editor are called, and what each does.
STACK_NAMES = (("Encoder", "reads"), ("Decoder", "writes"))
DUEL_NAMES = (("Generator", "makes pictures"), ("Discriminator", "tells them from true ones"))


def _sound(tree: Model, wrong: dict[int, list[Problem]], table_of: list[tuple[Path, Raw]]) -> ModelSpec:
    """The model up to the first top-level layer in which a field is at fault."""
    cut = dict(tree)
    for i in sorted(wrong, reverse=True):  # the first one is cut last
        path = table_of[i][0]
        name, place = ("decoder", path[1]) if path[0] == "decoder" else ("layers", path[0])
        cut[name] = cut[name][:place]
        if name == "layers":  # what the decoder would look at is not known
            cut["decoder"] = []
    return build(cut) or ModelSpec(family="mlp", layers=())


def _told(
    tree: Model, wrong: dict[int, list[Problem]], sound: ModelSpec, shape: AnyShape, n_scores: int,
    per_token: bool, rows: list[Row],
) -> list[Problem]:  # fmt: skip
    if wrong:  # a shape fault before the first field fault still counts
        return [row.problem for row in rows if row.problem]
    if len(sound.layers) + len(sound.decoder) < len(tree["layers"]) + len(tree["decoder"]):
        return all_problems(tree, shape, n_scores, per_token=per_token)
    return _found(sound, shape, n_scores, per_token)


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


def all_problems(tree: Model, shape: AnyShape, n_scores: int, *, per_token: bool = False) -> list[Problem]:
    """Every problem of the model, for lists outside the editor."""
    wrong = faults(tree)
    if wrong:
        return [problem for row in sorted(wrong) for problem in wrong[row]]
    try:
        return _found(ModelSpec.model_validate(tree), shape, n_scores, per_token)
    except ValidationError as error:
        found = problems_of(error, tree)
        stack: Path = ("decoder", len(tree["decoder"]) - 1) if tree["decoder"] else (len(tree["layers"]) - 1,)
        last = Fix(label="Remove the last layer", edits=(Edit(action="remove", path=stack),))
        return [p.model_copy(update={"where": "model.layers", "fix": p.fix or last}) for p in found]


def _found(spec: ModelSpec, shape: AnyShape, n_scores: int, per_token: bool) -> list[Problem]:
    """The model's own problems; a decoder that nothing is translated by can be taken away."""
    found = spec.problems(shape, n_scores, per_token=per_token)
    if not spec.decoder or isinstance(shape, Pair | Duel):
        return found
    gone = Fix(
        label="Remove the decoder",
        edits=tuple(Edit(action="remove", path=("decoder", 0)) for _ in spec.decoder),
    )  # fmt: skip
    return [
        p.model_copy(update={"fix": gone}) if p.where == "model.decoder" and not p.fix else p for p in found
    ]


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


def fitted(tree: Model, shape: AnyShape, n_scores: int, *, per_token: bool = False) -> Model:
    """The model with as many outputs as are wanted, and categories of a table made numbers, where that is all
    that is amiss."""
    for _ in range(2):
        found = all_problems(tree, shape, n_scores, per_token=per_token)
        fault = next((p for p in found if p.severity == "error"), None)
        is_ours = fault is not None and fault.rule.startswith((*OUTPUTS, "linear needs numbers"))
        if fault is None or fault.fix is None or not is_ours:
            break
        tree = read(apply_to(tree, fault.fix))
    return tree


OUTPUTS = ("the last layer must give", "tie_embeddings shares")  # how problems with the scores begin

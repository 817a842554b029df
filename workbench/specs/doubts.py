"""What works but is probably not meant: warnings on a stack, each with its repair.

Sources: Ioffe & Szegedy 2015 (a bias before batch norm is subtracted again); Li et al. 2019,
"Understanding the Disharmony between Dropout and Batch Normalization".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

from workbench.specs.base import AnyShape, Pair, Picture, Shape, Tokens
from workbench.specs.errors import Edit, Fix, Path, Problem
from workbench.specs.layer import Layer, removed, set_to, show
from workbench.specs.layers import LAYERS, MAX_LAYERS
from workbench.specs.nesting import every
from workbench.specs.rows import Group, Row, placed, walk, where

Loss = Literal["cross_entropy", "bce_with_logits", "forecast", "error"]

SQUASHING = {
    "cross_entropy": ("softmax", "log_softmax", "sigmoid", "log_sigmoid", "hardsigmoid"),
    "bce_with_logits": ("sigmoid", "log_sigmoid", "hardsigmoid", "softmax", "log_softmax"),
    "forecast": ("softmax", "log_softmax", "sigmoid", "log_sigmoid", "hardsigmoid", "tanh", "hardtanh"),
    "error": (
        "softmax",
        "log_softmax",
        "sigmoid",
        "log_sigmoid",
        "hardsigmoid",
        "tanh",
        "hardtanh",
        "softsign",
    ),
}
LOSS_RULES = {
    "cross_entropy": "cross-entropy applies softmax by itself",
    "bce_with_logits": "BCE-with-logits applies sigmoid by itself",
    "forecast": "forecasts are compared with values of any size",
    "error": "a number that is told may be any",
}
SURE = {  # those that are never meant; log_softmax before cross-entropy changes nothing
    "cross_entropy": ("softmax", "sigmoid", "hardsigmoid"),
    "bce_with_logits": SQUASHING["bce_with_logits"],
}
ONE_SIDED = ("relu", "relu6", "softplus")
SILENT = ("dropout", "alpha_dropout", "dropout2d", "flatten")  # they leave the output's meaning as it is
ATTENDING = ("multihead_attention", "transformer_encoder_layer", "transformer_decoder_layer")
UNORDERED = {"embedding": "order of the tokens", "patch_embedding": "places of the patches"}
ORDERED = ("positions", "rnn", "lstm", "gru", "conv1d", "lstm_decoder")  # they tell one place from another
STRETCHING = ("class_token", "conv1d", "series_linear")  # they change the number of steps
DROPOUTS = ("dropout", "dropout2d", "alpha_dropout")
MEANS = ("adaptive_avg_pool2d", "adaptive_max_pool2d", "global_avg_pool2d", "global_max_pool2d")
HEAVY, HEAVY_FROM = 0.95, 100_000  # share of the parameters; models smaller than this are not told
SEEN = 0.5  # of the image's side: what a value should see before the image becomes one number


def doubts(
    layers: Sequence[Layer], rows: Sequence[Row], shape: AnyShape, loss: Loss, *, prefix: Path = (),
    causal: bool = False,
) -> list[Problem]:  # fmt: skip
    """Warnings, those on the output first. prefix: of the stack's paths; causal: whether it must see earlier
    tokens only, which it is then an error not to do."""
    return [
        *(_on_seeing_ahead(layers, prefix) if causal else ()),
        *(() if isinstance(shape, Picture) and not shape.scored else _on_the_output(layers, loss, prefix)),
        *inner_doubts(layers, prefix),
        *_on_images(layers, rows, shape),
    ]


def _on_images(layers: Sequence[Layer], rows: Sequence[Row], shape: AnyShape) -> list[Problem]:
    if isinstance(shape, Tokens | Pair) or len(shape) != 3:
        return []
    return [*_on_sight(rows, shape), *_on_weight(rows, shape)]


def inner_doubts(layers: Sequence[Layer], prefix: Path = ()) -> list[Problem]:
    """What is doubtful in any stack, also one that gives no scores."""
    return [*_on_neighbours(layers, prefix), *_on_places(layers, prefix)]


def blind_decoder(decoder: Sequence[Layer], rows: Sequence[Row]) -> list[Problem]:
    """A decoder that never looks at the encoder cannot know what it is to translate."""
    if any(layer.needs_memory for layer in every(decoder)):
        return []
    last = len(decoder) - 1
    at = last if kind_of(decoder[last]) == "linear" else last + 1
    before = rows[at - 1].out_shape if at else None
    fix = None
    if before is not None and len(before) == 2 and not isinstance(before, Tokens):
        heads = max(n for n in (8, 4, 2, 1) if before[1] % n == 0)
        new = {"kind": "transformer_decoder_layer", "nhead": heads, "dim_feedforward": 4 * before[1]}
        edit = Edit(action="insert", path=("decoder", at), layer=new)
        fix = Fix(label="Insert transformer_decoder_layer", edits=(edit,))
    return [
        Problem(
            where="model.decoder", rule="a decoder should look at what the encoder read",
            fact="none of its layers does", severity="warning", fix=fix,
            repair="Put a transformer_decoder_layer or an lstm_decoder into it.",
        )
    ]  # fmt: skip


def _on_seeing_ahead(layers: Sequence[Layer], path: Path) -> Iterator[Problem]:
    """A language model that sees the token it must tell learns to copy it."""
    for i, layer in enumerate(layers):
        here, kind = (*path, i), kind_of(layer)
        name = "causal" if hasattr(layer, "causal") else "bidirectional"
        sees = getattr(layer, "causal", True) is False or getattr(layer, "bidirectional", False)
        if kind == "conv1d" and getattr(layer, "kernel_size", 1) == 1:
            sees = False
        fix = set_to(**{name: name == "causal"})
        if sees:
            found = _doubt(
                here, kind, "a model must not see the token that it is to tell",
                f"{kind} looks at later tokens too", f"{fix.label}.", fix,
            )  # fmt: skip
            yield found.model_copy(update={"severity": "error"})
        if isinstance(layer, Group):
            for slot, inner in layer.slots():
                yield from _on_seeing_ahead(inner, (*here, *slot))


def _on_places(layers: Sequence[Layer], prefix: Path) -> Iterator[Problem]:
    """Attention by itself does not know the order of the steps."""
    found = list(every(layers))
    looking = [layer for layer in found if kind_of(layer) in ATTENDING]
    if not looking or any(getattr(layer, "rotary", False) for layer in looking):
        return
    if any(kind_of(layer) in ORDERED for layer in found):
        return
    at = next((i for i, layer in enumerate(layers) if kind_of(layer) in UNORDERED), None)
    if at is None:
        return
    kind = kind_of(layers[at])
    edit = Edit(action="insert", path=(*prefix, at + 1), layer={"kind": "positions"})
    yield _doubt(
        (*prefix, at), kind, f"attention does not know the {UNORDERED[kind]} by itself",
        "no layer tells positions", "Add positions behind the embedding.", None,
    ).model_copy(update={"fix": Fix(label="Add positions", edits=(edit,))})  # fmt: skip


def _doubt(path: Path, kind: str, rule: str, fact: str, repair: str, fix: Fix | None) -> Problem:
    place = fix and placed(fix, path)
    return Problem(
        where=where(path, kind), rule=rule, fact=fact, repair=repair, severity="warning", fix=place
    )


def _on_the_output(layers: Sequence[Layer], loss: Loss, prefix: Path = ()) -> Iterator[Problem]:
    at = next((i for i in range(len(layers) - 1, -1, -1) if kind_of(layers[i]) not in SILENT), None)
    if at is None:
        return
    kind = kind_of(layers[at])
    if kind in SQUASHING[loss]:
        rule = LOSS_RULES[loss]
        twice = "what it tells is squashed" if loss == "forecast" else "scores are squashed twice"
        fact = f"the model ends in {kind}, so {twice}"
        if loss == "error":
            fact = f"the model ends in {kind}, which gives a part of them only"
    elif kind in ONE_SIDED:
        rule, fact = "scores should be free to be negative", f"the model ends in {kind}"
    else:
        return
    yield _doubt((*prefix, at), kind, rule, fact, f"Remove the {kind} layer.", removed(kind))


def held_up(found: Iterable[Problem], is_meant: bool) -> list[Problem]:
    """The problems of a model that is to be launched: scores that are surely squashed twice stand in its way,
    unless that is meant."""
    return [p if is_meant or not _is_squashed_twice(p) else _surely(p) for p in found]


def _is_squashed_twice(problem: Problem) -> bool:
    kind = problem.where.rpartition("(")[2].rstrip(")")
    return any(problem.rule == LOSS_RULES[loss] and kind in kinds for loss, kinds in SURE.items())


def _surely(problem: Problem) -> Problem:
    repair = f"{problem.repair.rstrip('.')}; where it is meant, set training.squashed_twice to true."
    return problem.model_copy(update={"severity": "error", "repair": repair})


def _on_neighbours(layers: Sequence[Layer], path: Path) -> Iterator[Problem]:
    for i, layer in enumerate(layers):
        here, kind = (*path, i), kind_of(layer)
        after = [kind_of(other) for other in layers[i + 1 :]]
        if kind in DROPOUTS and "batch_norm" in after:
            last = len(layers) - 1 - after[::-1].index("batch_norm")
            yield _doubt(
                here, kind, "batch norm should see the values that it will see in use",
                f"{kind} stands before a batch_norm and changes their spread while training only",
                f"Move {kind} behind the last batch_norm.",
                Fix(label="Move it behind batch_norm", edits=(Edit(action="move", path=(), to=last),)),
            )  # fmt: skip
        if after[:1] == ["batch_norm"] and getattr(layer, "bias", False):
            yield _doubt(
                here, kind, "a bias is of no use before a batch norm", "the batch norm subtracts it again",
                "Set bias to no.", set_to(bias=False).model_copy(update={"label": "Turn bias off"}),
            )  # fmt: skip
        if isinstance(layer, Group):
            for slot, inner in layer.slots():
                yield from _on_neighbours(inner, (*here, *slot))


def _on_sight(rows: Sequence[Row], shape: Shape) -> Iterator[Problem]:
    """Where the whole image becomes one number per channel, each value should have seen an object."""
    side = max(shape[1:], default=1)
    for before, row in pairwise(rows):
        pools = row.kind in MEANS and row.out_shape is not None and row.out_shape[1:] in ((), (1, 1))
        field = before.receptive_field
        if pools and field is not None and field < SEEN * side:
            yield _doubt(
                row.path, row.kind, "what is averaged should have seen whole objects",
                f"each value before it sees {field} of {side} pixels",
                "Add pooling, strides or more convolutions before it.", None,
            )  # fmt: skip


def _on_weight(rows: Sequence[Row], shape: Shape) -> Iterator[Problem]:
    total = sum(row.parameters for row in rows)
    if total <= HEAVY_FROM:
        return
    for row in walk(rows):
        reads_steps = row.out_shape is not None and len(row.out_shape) == 2  # a recurrent layer may be all
        is_a_network = row.kind.startswith("pretrained_")
        if not row.children and row.parameters > HEAVY * total and not reads_steps and not is_a_network:
            yield _doubt(
                row.path, row.kind, "parameters are best spread over the layers",
                f"it holds {row.parameters / total:.1%} of all {total:,}",
                "Add pooling before flatten, or make the layer smaller.", None,
            ).model_copy(update={"fix": _pooled(rows, row, shape)})  # fmt: skip


def _pooled(rows: Sequence[Row], heavy: Row, shape: Shape) -> Fix | None:
    """A pooling before the flatten whose vector feeds the heavy layer."""
    if len(heavy.path) > 1:
        return None
    flat = max((i for i in range(heavy.index) if rows[i].kind == "flatten"), default=None)
    if flat is None:
        return None
    before = rows[flat - 1].out_shape if flat else shape
    if before is None or len(before) != 3 or min(before[1:]) < 2:
        return None
    edit = Edit(action="insert", path=(flat,), layer={"kind": "max_pool2d"})
    return Fix(label="Insert max_pool2d before flatten", edits=(edit,))


def output_problem(
    layers: Sequence[Layer], rows: Sequence[Row], shape: AnyShape, n_classes: int, *, per_token: bool = False,
    prefix: Path = (),
) -> Problem | None:  # fmt: skip
    """The one thing that a stack must give: a score per class; per token: a score per entry of the vocabulary
    at every step. rows: of a stack that works."""
    out = rows[-1].out_shape
    assert out is not None
    if per_token:
        length = (shape.target if isinstance(shape, Pair) else shape)[0]
        return _token_problem(layers, rows, out, length, n_classes, prefix)
    if out == (n_classes,) or (out == (1,) and n_classes == 2):  # one score says how sure it is of the second
        return None
    if len(out) == 2:
        return _unpooled(layers, out, n_classes)
    last = len(layers) - 1
    if kind_of(layers[last]) in ("pretrained_text", "pretrained_image"):
        return Problem(
            where=where((last,), kind_of(layers[last])),
            rule=f"the last layer must give one score per class ({n_classes})", fact=f"it gives {out[0]}",
            repair=f"Set num_labels to {n_classes}.",
            fix=placed(set_to(num_labels=n_classes, **other_head(layers[last])), (last,)),
        )  # fmt: skip
    linear = max((i for i, layer in enumerate(layers) if kind_of(layer) == "linear"), default=None)
    head: dict[str, Any] = {"kind": "linear", "out_features": n_classes}
    if len(out) != 1:
        repair = f"Add a flatten and a linear layer with out_features={n_classes}."
        fix = appended(layers, f"flatten and linear ({n_classes})", {"kind": "flatten"}, head)
    elif linear is None or rows[linear].out_shape != out or any(map(changes_size, layers[linear + 1 :])):
        repair = f"Add a linear layer with out_features={n_classes}."
        fix = appended(layers, f"linear ({n_classes})", head)
    else:
        repair = f"Set out_features of the last linear layer to {n_classes}."
        fix = placed(set_to(out_features=n_classes), (linear,))
    return Problem(
        where=where((last,), kind_of(layers[last])),
        rule=_wanted(n_classes),
        fact=f"it gives {'×'.join(str(n) for n in out)}",
        repair=repair,
        fix=fix,
    )


def _wanted(n_classes: int) -> str:
    if n_classes == 1:
        return "the last layer must give one number"
    return f"the last layer must give one score per class ({n_classes})"


def other_head(layer: Layer) -> dict[str, Any]:
    """What must change with `num_labels`: a classifier that a checkpoint brings has classes of its own."""
    return {"head": "new"} if getattr(layer, "head", "new") == "kept" else {}


def _unpooled(layers: Sequence[Layer], out: Shape, n_classes: int) -> Problem:
    """A sequence where one vector of scores is wanted."""
    last = len(layers) - 1
    head: dict[str, Any] = {"kind": "linear", "out_features": n_classes}
    pool: dict[str, Any] = {"kind": "sequence_pool"}
    if isinstance(out, Tokens):
        pool = {"kind": "embedding", "embedding_dim": 64}
        fix = appended(layers, "embedding, sequence_pool and linear", pool, {"kind": "sequence_pool"}, head)
    elif kind_of(layers[last]) == "linear" and out[1] == n_classes:
        edits = (Edit(action="insert", path=(last,), layer=pool),)
        fix = Fix(label="Insert sequence_pool before the last linear", edits=edits)
    else:
        fix = appended(layers, f"sequence_pool and linear ({n_classes})", pool, head)
    return Problem(
        where=where((last,), kind_of(layers[last])),
        rule=f"the last layer must give one score per class ({n_classes}) for the whole text",
        fact=f"it gives a sequence, {show(out)}",
        repair=f"{fix.label}.",
        fix=fix,
    )


def _token_problem(
    layers: Sequence[Layer], rows: Sequence[Row], out: Shape, length: int, n: int, prefix: Path
) -> Problem | None:
    if out == (length, n) and not isinstance(out, Tokens):
        return None
    last = len(layers) - 1
    rule = f"the last layer must give a score for each of the {n:,} tokens at every step"
    place = where((*prefix, last), kind_of(layers[last]))
    if len(out) != 2:
        at = next(i for i, row in enumerate(rows) if row.out_shape is not None and len(row.out_shape) != 2)
        fix = placed(removed(kind_of(layers[at])), (*prefix, at))
        fact = (
            f"it gives one vector ({out[0]}) for the whole text" if len(out) == 1 else f"it gives {show(out)}"
        )
        return Problem(where=place, rule=rule, fact=fact, repair=f"{fix.label}.", fix=fix)
    if out[0] != length:
        row = next(row for row in walk(rows) if row.kind in STRETCHING)
        fix = placed(removed(row.kind), row.path)
        return Problem(
            where=place, rule=rule, fact=f"{row.kind} makes {out[0]} steps of {length}",
            repair=f"{fix.label}.", fix=fix,
        )  # fmt: skip
    if kind_of(layers[last]) == "linear":
        fix = placed(set_to(out_features=n), (*prefix, last))
        repair = f"Set out_features of the last linear layer to {n}."
    else:
        added = appended(layers, f"linear ({n:,})", {"kind": "linear", "out_features": n})
        edits = tuple(edit.model_copy(update={"path": (*prefix, *edit.path)}) for edit in added.edits)
        fix = added.model_copy(update={"edits": edits})
        repair = f"Add a linear layer with out_features={n}."
    return Problem(where=place, rule=rule, fact=f"it gives {show(out)}", repair=repair, fix=fix)


def appended(layers: Sequence[Layer], what: str, *new: dict[str, Any]) -> Fix:
    """New layers at the end, in place of the last ones where the stack is full."""
    last = len(layers) - 1
    room = MAX_LAYERS - sum(1 for _ in every(layers))
    gone = [Edit(action="remove", path=(last - i,)) for i in range(max(0, len(new) - room))]
    end = len(layers) - len(gone)
    added = [Edit(action="insert", path=(end + i,), layer=layer) for i, layer in enumerate(new)]
    return Fix(label=f"Put {what} last" if gone else f"Add {what}", edits=(*gone, *added))


def changes_size(layer: Layer) -> bool:
    """Whether a vector may leave the layer with another length than it came with."""
    return isinstance(layer, Group) or kind_of(layer) in ("linear", "glu")


def kind_of(layer: Layer) -> str:
    """The name of its kind."""
    return str(getattr(layer, "kind", ""))


assert set(SILENT + DROPOUTS + MEANS + ONE_SIDED + ATTENDING + ORDERED + STRETCHING + (*UNORDERED,)) <= set(
    LAYERS
), "a kind was renamed"

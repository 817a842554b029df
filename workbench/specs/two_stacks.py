"""What two stacks have to do with each other: the decoder's look at the encoder, and shared weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from workbench.specs.base import AnyShape, Pair, Shape, Tokens
from workbench.specs.errors import Edit, Fix, Path, Problem
from workbench.specs.layer import Layer, show
from workbench.specs.nesting import every
from workbench.specs.rows import Group, Row, first_problem, layer_at, trace, walk, where


class TwoStacks(Protocol):
    """A model as far as it matters here."""

    @property
    def layers(self) -> Any: ...

    @property
    def decoder(self) -> Any: ...

    @property
    def tie_embeddings(self) -> bool: ...


def joined(layers: Sequence[Layer], encoder: Sequence[Row] | None, shape: AnyShape) -> list[Row]:
    """The rows of the stack that gives the scores: the decoder behind `encoder`, or the only one (None).

    A layer that looks at the encoder's output is refused where there is none, or one of another width; what
    is behind it stays blank.
    """
    prefix: Path = () if encoder is None else ("decoder",)
    memory = encoder[-1].out_shape if encoder else None
    if encoder is not None and first_problem(encoder):
        return trace(layers, None, prefix)
    rows = trace(layers, shape.target if isinstance(shape, Pair) else shape, prefix)
    served = False  # whether the encoder's width is that of an earlier layer: then it stays
    for place, row in enumerate(rows):
        for inner in walk([row]):
            layer = layer_at(layers, inner.path[len(prefix) :])
            problem = _unseen(layer, inner, encoder, memory, served)
            if problem is not None:
                blank = trace(layers, None, prefix)[place:]
                return [*rows[:place], _marked(blank[0], inner.path, problem), *blank[1:]]
            served = served or layer.needs_memory
    return rows


def _marked(row: Row, path: Path, problem: Problem) -> Row:
    """The row with the problem where the path leads: at itself, or at a row inside it."""
    if row.path == path:
        return replace(row, problem=problem)
    return replace(row, children=tuple(_marked(child, path, problem) for child in row.children))


def _unseen(
    layer: Any, inner: Row, encoder: Sequence[Row] | None, memory: Shape | None, served: bool
) -> Problem | None:
    """Why a layer cannot look at the encoder; None where it can or need not."""
    if layer.needs_memory and not inner.problem and inner.out_shape is not None:
        place = where(inner.path, inner.kind)
        if encoder is None or memory is None:
            return Problem(
                where=place, rule=f"{inner.kind} looks at what an encoder read",
                fact="there is none before it", repair="Use it in a decoder, and here a layer without.",
                fix=_alone(layer, inner.path),
            )  # fmt: skip
        wanted = layer.memory_width(inner.out_shape)
        if len(memory) != 2:
            last = next(r for r in encoder if r.out_shape is not None and len(r.out_shape) != 2)
            return Problem(
                where=place, rule=f"{inner.kind} needs a sequence (L, D) from the encoder",
                fact=f"the encoder gives {show(memory)}",
                repair=f"Take {last.kind} out of the encoder.",
                fix=Fix(
                    label=f"Remove {last.kind} from the encoder",
                    edits=(Edit(action="remove", path=last.path),),
                ),
            )  # fmt: skip
        if memory[1] != wanted:
            linear = {"kind": "linear", "out_features": wanted}
            fix = Fix(
                label=f"Add linear ({wanted}) to the encoder",
                edits=(Edit(action="insert", path=(len(encoder),), layer=linear),),
            )
            if encoder[-1].kind == "linear":
                fix = Fix(
                    label=f"Set out_features of the encoder's last layer to {wanted}",
                    edits=(Edit(action="set", path=encoder[-1].path, fields={"out_features": wanted}),),
                )
            if served:
                fix = _following(layer, inner.path, memory[1])
            return Problem(
                where=place, rule="encoder and decoder must have the same width",
                fact=f"the encoder gives {memory[1]} features a step, and {inner.kind} needs {wanted}",
                repair=f"{fix.label}.", fix=fix,
            )  # fmt: skip
    return None


def _following(layer: Any, path: Path, width: int) -> Fix:
    """What a layer becomes that cannot have the encoder's width for itself."""
    if layer.kind != "lstm_decoder":
        return _alone(layer, path)
    edits = (Edit(action="set", path=path, fields={"hidden_size": width}),)
    return Fix(label=f"Set hidden_size to {width}", edits=edits)


def _alone(layer: Any, path: Path) -> Fix:
    """The nearest layer that looks at no encoder, in its place."""
    names: tuple[str, ...] = ("hidden_size", "num_layers", "dropout")
    new: dict[str, Any] = {"kind": "lstm"}
    if layer.kind != "lstm_decoder":
        names = ("nhead", "dim_feedforward", "dropout", "activation", "norm_first", "bias", "rotary")
        new = {"kind": "transformer_encoder_layer", "causal": True}
    new |= {name: getattr(layer, name) for name in names}
    edits = (Edit(action="remove", path=path), Edit(action="insert", path=path, layer=new))
    return Fix(label=f"Use {new['kind']} instead", edits=edits)


def tied(model: TwoStacks, rows: list[Row], shape: AnyShape) -> list[Row]:
    """The rows with shared weights counted once: the last linear layer keeps its bias alone."""
    if not model.tie_embeddings or tied_problem(model, shape) is not None:
        return rows
    place = max(i for i, row in enumerate(rows) if row.kind == "linear")
    row = rows[place]
    if row.out_shape is None:
        return rows
    stack = model.decoder if isinstance(shape, Pair) else model.layers
    bias = row.out_shape[-1] if stack[row.index].bias else 0
    return [*rows[:place], replace(row, parameters=bias), *rows[place + 1 :]]


def tied_problem(model: TwoStacks, shape: AnyShape) -> Problem | None:
    """Why the embedding and the last linear layer cannot share their weights; None where they can."""
    if not model.tie_embeddings:
        return None
    stack = model.decoder if isinstance(shape, Pair) else model.layers
    tokens = shape.target if isinstance(shape, Pair) else shape
    prefix: Path = ("decoder",) if isinstance(shape, Pair) else ()
    kinds = [getattr(layer, "kind", "") for layer in stack]
    rule = "tie_embeddings shares an embedding's weights with the last linear layer"
    off = Fix(
        label="Turn tie_embeddings off",
        edits=(Edit(action="set", path=(), fields={"tie_embeddings": False}),),
    )
    repair = f"{off.label}."
    if "embedding" not in kinds or "linear" not in kinds or not isinstance(tokens, Tokens):
        fact = "there is no " + ("linear layer" if "embedding" in kinds else "embedding")
        return Problem(where="model.tie_embeddings", rule=rule, fact=fact, repair=repair, fix=off)
    width = stack[kinds.index("embedding")].embedding_dim
    last = len(kinds) - 1 - kinds[::-1].index("linear")
    before = tokens if last == 0 else trace(stack[:last], tokens, prefix)[-1].out_shape
    out = stack[last].out_features
    if before is None or (before[-1], out) == (width, tokens.vocabulary):
        return None
    if out != tokens.vocabulary:
        edits = (Edit(action="set", path=(*prefix, last), fields={"out_features": tokens.vocabulary}),)
        return Problem(
            where=where((*prefix, last), "linear"), rule=rule,
            fact=f"it has {out:,} outputs and the vocabulary {tokens.vocabulary:,} tokens",
            repair=f"Set out_features to {tokens.vocabulary}.",
            fix=Fix(label=f"Set out_features to {tokens.vocabulary}", edits=edits),
        )  # fmt: skip
    fact = f"the embedding is {width} wide and what comes into the linear layer {before[-1]}"
    return Problem(where="model.tie_embeddings", rule=rule, fact=fact, repair=repair, fix=off)


FIXING = ("flatten", "series_linear", "window_norm")  # they reckon with all steps, padding too


def fixes_length(layers: Sequence[Layer], shape: Shape | None) -> bool:
    """Whether the stack takes texts of one length only: where a flatten lays the steps out as one vector, a
    series_linear has a weight for each or a window_norm measures them, and where ways that skip steps meet
    again, since they meet at some lengths only."""
    for layer in layers:
        if shape is None:
            return False
        if getattr(layer, "kind", "") in FIXING and len(shape) == 2:
            return True
        if isinstance(layer, Group):
            inner = [lists for _, lists in layer.slots()]
            meet = len(inner) > 1 and any(skips(one) for lists in inner for one in every(lists))
            if meet or any(fixes_length(lists, shape) for lists in inner):
                return True
        shape = trace([layer], shape)[0].out_shape
    return False


def skips(layer: Layer) -> bool:
    """Whether it gives fewer steps than it reads, by a factor."""
    return getattr(layer, "kind", "") == "conv1d" and getattr(layer, "stride", 1) > 1

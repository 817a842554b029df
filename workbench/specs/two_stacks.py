"""What two stacks have to do with each other: the decoder's look at the encoder, and shared weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from workbench.specs.base import Pair, Shape, Tokens
from workbench.specs.errors import Edit, Fix, Path, Problem
from workbench.specs.layer import Layer, show
from workbench.specs.rows import Row, first_problem, layer_at, trace, walk, where


class TwoStacks(Protocol):
    """A model as far as it matters here."""

    @property
    def layers(self) -> Any: ...

    @property
    def decoder(self) -> Any: ...

    @property
    def tie_embeddings(self) -> bool: ...


def joined(layers: Sequence[Layer], encoder: Sequence[Row] | None, shape: Shape) -> list[Row]:
    """The rows of the stack that gives the scores: the decoder behind `encoder`, or the only one (None).

    A layer that looks at the encoder's output is refused where there is none, or one of another width; what
    is behind it stays blank.
    """
    prefix: Path = () if encoder is None else ("decoder",)
    begin = shape.target if isinstance(shape, Pair) else shape
    memory = encoder[-1].out_shape if encoder else None
    if encoder is not None and first_problem(encoder):
        return trace(layers, None, prefix)
    rows = trace(layers, begin, prefix)
    for place, row in enumerate(rows):
        problem = _unseen(layers, row, begin, memory, prefix)
        if problem is not None:
            blank = trace(layers[place:], None, prefix)
            moved = [replace(r, index=place + i, path=(*prefix, place + i)) for i, r in enumerate(blank)]
            return [*rows[:place], replace(moved[0], problem=problem), *moved[1:]]
        begin = row.out_shape or begin
    return rows


def _unseen(
    layers: Sequence[Layer], row: Row, shape: Shape, memory: Shape | None, prefix: Path
) -> Problem | None:
    """Why a layer of this row (or inside it) cannot look at the encoder; None where it can or need not."""
    for inner in walk([row]):
        layer: Any = layer_at(layers, inner.path[len(prefix) :])
        if not layer.needs_memory or inner.problem or inner.out_shape is None:
            continue
        place = where(inner.path, inner.kind)
        if memory is None:
            return Problem(
                where=place, rule=f"{inner.kind} looks at what an encoder read",
                fact="this model has one stack only", repair="Use it in a decoder, or an encoder layer here.",
                fix=Fix(label=f"Remove {inner.kind}", edits=(Edit(action="remove", path=inner.path),)),
            )  # fmt: skip
        wanted = layer.memory_width(inner.out_shape)
        if len(memory) != 2:
            return Problem(
                where=place, rule=f"{inner.kind} needs a sequence (L, D) from the encoder",
                fact=f"the encoder gives {show(memory)}", repair="Take the last layers of the encoder away.",
            )  # fmt: skip
        if memory[1] != wanted:
            fix = Fix(
                label=f"Add linear ({wanted}) to the encoder",
                edits=(Edit(action="insert", path=(END,), layer={"kind": "linear", "out_features": wanted}),),
            )
            return Problem(
                where=place, rule="encoder and decoder must have the same width",
                fact=f"the encoder gives {memory[1]} features a step, and {inner.kind} needs {wanted}",
                repair=f"Add a linear layer with out_features={wanted} at the encoder's end.", fix=fix,
            )  # fmt: skip
    return None


END = 10_000  # of an insertion: behind the last layer, however many there are


def tied(model: TwoStacks, rows: list[Row], shape: Shape) -> list[Row]:
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


def tied_problem(model: TwoStacks, shape: Shape) -> Problem | None:
    """Why the embedding and the last linear layer cannot share their weights; None where they can."""
    if not model.tie_embeddings:
        return None
    stack = model.decoder if isinstance(shape, Pair) else model.layers
    tokens = shape.target if isinstance(shape, Pair) else shape
    prefix: Path = ("decoder",) if isinstance(shape, Pair) else ()
    kinds = [getattr(layer, "kind", "") for layer in stack]
    rule = "tie_embeddings shares an embedding's weights with the last linear layer"
    repair = "Turn tie_embeddings off."
    if "embedding" not in kinds or "linear" not in kinds or not isinstance(tokens, Tokens):
        fact = "there is no " + ("linear layer" if "embedding" in kinds else "embedding")
        return Problem(where="model.tie_embeddings", rule=rule, fact=fact, repair=repair)
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
    return Problem(where="model.tie_embeddings", rule=rule, fact=fact, repair=repair)

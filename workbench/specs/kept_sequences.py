"""What layers of texts keep for their derivative, on the tape: in, along and out of sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.specs.columns import need_columns
from workbench.specs.kept_parts import dropped
from workbench.specs.tape import FLOAT, INDEX, Tape, Value

BLOCK = 16  # filters that oneDNN lays side by side


def _embedding(tape: Tape, layer: Any, x: Value) -> Value:
    """It keeps the ids, and gives a gradient for the whole table."""
    shape = layer.out_shape(x.shape)
    table = tape.shared.get(id(layer))
    weights = 0 if table is not None else FLOAT * layer.n_params(x.shape)
    inputs = [x] if table is None else [x, table]
    out = tape.op(inputs, shape, saved=[x], weights=weights, item=FLOAT)
    if not layer.scale:
        return out
    scaled = tape.op([out], shape)
    tape.drop(out.store)
    return scaled


def _positions(tape: Tape, layer: Any, x: Value) -> Value:
    weights = FLOAT * layer.n_params(x.shape)
    placed = tape.op([x], x.shape, weights=weights, shares=True)
    out = dropped(tape, placed, layer.dropout)
    tape.drop(placed.store)
    return out


def _class_token(tape: Tape, layer: Any, x: Value) -> Value:
    return tape.op([x], layer.out_shape(x.shape), weights=FLOAT * x.shape[1], turned=False)


def _image_rows(tape: Tape, layer: Any, x: Value) -> Value:
    shape = layer.out_shape(x.shape)
    return tape.view(x, shape) if x.shape[0] == 1 else tape.op([x], shape)


def _conv1d(tape: Tape, layer: Any, x: Value) -> Value:
    """The text with its padding zeroed, laid out feature by feature; the output lies so too. On a CPU oneDNN
    works on copies in an order of its own, filters in blocks of 16."""
    shape, weights = layer.out_shape(x.shape), FLOAT * layer.n_params(x.shape)
    masked = tape.op([x], x.shape) if tape.mask is not None else tape.view(x, x.shape)
    reach = layer.dilation * (layer.kernel_size - 1)
    wider = (x.shape[0] + reach, x.shape[1]) if layer.causal else x.shape  # zeros before the first step
    laid = tape.op([masked], wider, turned=False)
    filters = -(-shape[1] // BLOCK) * BLOCK
    blocked = tape.size((shape[0], filters), x.item) + weights * filters // shape[1]
    wide, long = tape.size(x.shape, x.item), tape.size(shape, x.item)
    temp, back = (0, 0) if tape.gpu else (wide + blocked - long, 2 * wide + blocked)
    out = tape.op(
        [laid], shape, saved=[laid], weights=weights, temp=temp, back=back - weights, turn=long, turned=True
    )
    tape.drop(laid.store)
    tape.drop(masked.store)
    return out


def _series_linear(tape: Tape, layer: Any, x: Value) -> Value:
    """The window variate by variate, its moving average and what is left, each through a matrix."""
    (length, width), steps = x.shape, layer.out_steps
    own = width if layer.individual else 1
    weights = FLOAT * layer.n_params(x.shape) // layer.parts
    past = tape.view(x, (width, length)) if layer.normalize == "none" else tape.op([x], (width, length))
    if layer.parts == 1:
        out = tape.op([past], (width, steps), saved=[past], weights=weights, turned=False)
        parts = [past]
    else:
        wide = tape.op([past], (width, length + layer.kernel_size - 1))
        trend = tape.op([wide], (width, length), saved=[wide] if x.grad else [])
        tape.drop(wide.store)
        rest = tape.op([past, trend], (width, length))
        one = tape.op([rest], (width, steps), saved=[rest], weights=weights, turned=False)
        other = tape.op([trend], (width, steps), saved=[trend], weights=weights, turned=False)
        out = tape.op([one, other], (width, steps), shares=True)
        parts = [past, trend, rest, one, other]
    for value in parts:
        tape.drop(value.store)
    if own > 1:
        tape.note(tape.size((width, steps)))
    found = tape.view(out, (steps, width))
    tape.drop(out.store)
    if layer.normalize == "none":
        return found
    back = tape.op([found], (steps, width))
    tape.drop(found.store)
    return back


def _sequence_pool(tape: Tape, layer: Any, x: Value) -> Value:
    shape, mask, size = layer.out_shape(x.shape), tape.mask, tape.size(x.shape, x.item)
    if layer.mode == "attention":
        scores = tape.op([x], (x.shape[0],), saved=[x], weights=FLOAT * layer.n_params(x.shape))
        shares = tape.op([scores], (x.shape[0],), keeps_output=True)
        out = tape.op([x, shares], shape, saved=[x, shares], turned=False, plain=True)
        tape.drop(scores.store)
        tape.drop(shares.store)
        return out
    if layer.mode == "max":
        hidden = tape.op([x], x.shape) if mask is not None else tape.view(x, x.shape)
        # Where the largest stands is found anew, and counted in int64 before the gradient is made.
        out = tape.op([hidden], shape, saved=[hidden], keeps_output=True, back=size + size // 4, turned=False)
        tape.drop(hidden.store)
        return out
    if layer.mode == "mean" and mask is not None:
        masked = tape.op([x], x.shape)
        out = tape.op([masked], shape, turned=False, plain=True)
        tape.drop(masked.store)
        return out
    return tape.op([x], shape, turned=False, plain=True)


def _column_embedding(tape: Tape, layer: Any, x: Value) -> Value:
    """The codes as whole numbers, which each table keeps, and the joined result."""
    known = need_columns(layer.kind, x.shape)
    codes = tape.new((max(1, len(known.categories)),), INDEX)
    parts = [tape.op([x], (known.numeric,))] if known.numeric else []
    for n, width in zip(known.categories, layer.widths(x.shape), strict=True):
        parts.append(tape.op([x], (width,), saved=[codes], weights=FLOAT * n * width))
    out = tape.op([x, *parts], layer.out_shape(x.shape))
    for part in parts:
        tape.drop(part.store)
    tape.drop(codes.store)
    return out


def _column_tokens(tape: Tape, layer: Any, x: Value) -> Value:
    known, shape = need_columns(layer.kind, x.shape), layer.out_shape(x.shape)
    width = layer.embedding_dim
    numbers = tape.op([x], (known.numeric, width), saved=[x], weights=FLOAT * known.numeric * width)
    if not known.categories:
        out = tape.op([numbers], shape, weights=FLOAT * known.numeric * width)
        tape.drop(numbers.store)
        return out
    codes = tape.new((len(known.categories),), INDEX)
    table = FLOAT * sum(known.categories) * width
    found = tape.op([x], (len(known.categories), width), saved=[codes], weights=table)
    joined = tape.op([numbers, found], shape)
    tape.drop(numbers.store)
    tape.drop(found.store)
    out = tape.op([joined], shape, weights=FLOAT * x.shape[0] * width)
    tape.drop(joined.store)
    tape.drop(codes.store)
    return out


SEQUENCES: dict[str, Callable[[Tape, Any, Value], Value]] = {
    "embedding": _embedding,
    "positions": _positions,
    "class_token": _class_token,
    "image_rows": _image_rows,
    "conv1d": _conv1d,
    "series_linear": _series_linear,
    "sequence_pool": _sequence_pool,
    "column_embedding": _column_embedding,
    "column_tokens": _column_tokens,
}

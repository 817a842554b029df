"""What layers of texts keep for their derivative, on the tape: in, along and out of sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.specs.kept_parts import dropped
from workbench.specs.tape import FLOAT, Tape, Value

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
    laid = tape.op([masked], x.shape, turned=False)
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


SEQUENCES: dict[str, Callable[[Tape, Any, Value], Value]] = {
    "embedding": _embedding,
    "positions": _positions,
    "class_token": _class_token,
    "image_rows": _image_rows,
    "conv1d": _conv1d,
    "sequence_pool": _sequence_pool,
}

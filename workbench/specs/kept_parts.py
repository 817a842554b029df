"""Steps that many layers are made of: dense layers, norms, dropout, copies.

Which tensors a derivative needs is PyTorch's own list (tools/autograd/derivatives.yaml); copies and
workspace were measured with its memory profiler.
"""

from __future__ import annotations

import math

from workbench.specs.base import Shape
from workbench.specs.tape import FLOAT, HALF, Tape, Value


def dense(tape: Tape, x: Value, shape: Shape, weights: int, shared: Value | None = None) -> Value:
    """A linear layer from x to `shape` with `weights` bytes of weights of its own; shared: those it has
    together with another layer."""
    now = cast(tape, x)
    flat = straight(tape, now)
    tape.drop(now.store)
    at_rest = weights and not tape.learns and shared is None  # then its input has no derivative to serve
    saved: list[Value | int] = ([] if at_rest else [flat]) + ([weights // 2] if tape.half else [])
    inputs = [flat] if shared is None else [flat, shared]
    out = tape.op(inputs, shape, saved=saved, weights=weights, last=False, turned=False)
    tape.drop(flat.store)
    return out


def cast(tape: Tape, x: Value) -> Value:
    """x in the number format of the forward pass, held once."""
    if tape.half and x.item != HALF:
        return tape.op([x], x.shape, item=HALF)
    tape.hold(x.store)
    return x


def straight(tape: Tape, x: Value) -> Value:
    """x text by text, held once: a copy where it lies otherwise."""
    if x.turned:
        return tape.op([x], x.shape, turned=False, plain=True)
    tape.hold(x.store)
    return x


def normed(tape: Tape, x: Value, weights: int) -> Value:
    """A layer norm: over each step of a sequence, else over all of a sample."""
    rows = x.shape[0] if len(x.shape) == 2 else 1
    turned = tape.size(x.shape) if x.last or x.turned else 0  # it wants the usual order, and gives it
    saved: list[Value | int] = [x, 2 * FLOAT * tape.batch * rows]
    item = FLOAT if tape.half else None
    return tape.op(
        [x], x.shape, saved=saved, weights=weights, temp=turned, back=2 * turned, last=False, item=item,
        turned=False, plain=x.turned,
    )  # fmt: skip


def dropped(tape: Tape, x: Value, p: float) -> Value:
    """A dropout."""
    if p == 0 or not tape.training:
        return tape.view(x, x.shape, x.last)
    return tape.op([x], x.shape, saved=[tape.size(x.shape, 1 if tape.gpu else x.item)])


def bent(tape: Tape, x: Value, activation: str) -> Value:
    """relu keeps what comes out, gelu and silu what came in."""
    is_relu = activation == "relu"
    return tape.op([x], x.shape, saved=[] if is_relu else [x], keeps_output=is_relu)


def added(tape: Tape, x: Value, y: Value) -> Value:
    """Their sum, in a new tensor."""
    return tape.op([x, y], x.shape, shares=True, turned=x.turned and y.turned)


def numbers(shape: Shape) -> int:
    """How many there are in one sample."""
    return math.prod(shape)

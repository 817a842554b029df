"""What attention keeps for its derivative, layer by layer, on the tape.

Fused attention keeps queries, keys, values, its output and one number per head and step. On a CPU torch has
it without dropout only: with dropout it keeps three tables of all pairs of steps per head.
Notation: L steps that ask, M steps that are asked, D features, H heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.specs.kept_parts import added, bent, dense, dropped, normed
from workbench.specs.tape import FLOAT, Tape, Value

SCRATCH = 32_000  # bytes of workspace of fused attention on one thread


def self_attention(tape: Tape, x: Value, heads: int, dropout: float, bias: bool, rotary: bool) -> Value:
    """Projections, attention and the projection of its result; held once, as all results here."""
    length, width = x.shape
    whole = dense(tape, x, (length, 3 * width), _weights(width, 3 * width, bias))
    # The parts' gradients are stacked, then laid out again for the linear layer.
    (laid,) = tape.split(whole, [(length, 3 * width)])
    parts = tape.split(laid, [(length, width)] * 3)
    if rotary:
        parts[:2] = [_rotated(tape, part) for part in parts[:2]]
    found = attended(tape, *parts, heads=heads, dropout=dropout, in_order=not rotary)
    out = dense(tape, found[-1], (length, width), _weights(width, width, bias))
    for value in (whole, laid, *parts, *found):  # they have names until the module returns
        tape.drop(value.store)
    return out


def cross_attention(tape: Tape, x: Value, heads: int, dropout: float, bias: bool) -> Value:
    """Queries from x, keys and values from what the encoder read."""
    memory = tape.memory
    assert memory is not None, "a decoder has an encoder"
    length, width = x.shape
    query = dense(tape, x, (length, width), _weights(width, width, bias))
    both = dense(tape, memory, (memory.shape[0], 2 * width), _weights(width, 2 * width, bias))
    (laid,) = tape.split(both, [both.shape])
    key, value = tape.split(laid, [(memory.shape[0], width)] * 2)
    found = attended(tape, query, key, value, heads=heads, dropout=dropout, in_order=True)
    out = dense(tape, found[-1], (length, width), _weights(width, width, bias))
    for part in (query, both, laid, key, value, *found):
        tape.drop(part.store)
    return out


def attended(
    tape: Tape, query: Value, key: Value, value: Value, *, heads: int, dropout: float, in_order: bool
) -> list[Value]:
    """(L, D), last of the tensors that stay until the module returns. in_order: queries lie text by text, and
    the fused kernel gives its output like them."""
    (length, width), asked = query.shape, key.shape[0]
    if tape.gpu or dropout == 0 or not tape.training:
        sums = tape.batch * heads * length * FLOAT
        scratch = 0 if tape.gpu else SCRATCH
        out = tape.op(
            [query, key, value], (length, width), saved=[query, key, value, sums], keeps_output=True,
            temp=scratch, back=scratch,
        )  # fmt: skip
        return [out] if in_order else [out, _copied(tape, out)]
    pairs = (heads, length, asked)
    copies = [_copied(tape, part) for part in (query, key, value)]  # scaled, and laid out for the products
    scores = tape.op(copies[:2], pairs, saved=copies[:2])
    shares = tape.op([scores], pairs, keeps_output=True)
    tape.drop(scores.store)
    left = tape.op([shares], pairs, saved=[tape.size(pairs)])
    found = tape.op([left, copies[2]], (length, width), saved=[left, copies[2]])
    for part in (*copies, shares, left):
        tape.drop(part.store)
    return [found, _copied(tape, found)]


def _copied(tape: Tape, x: Value) -> Value:
    """The same numbers in a new tensor."""
    return tape.op([x], x.shape, turned=False)


def _rotated(tape: Tape, x: Value) -> Value:
    """Each pair of numbers turned: four products of half the size, joined."""
    half = tape.size(x.shape, x.item) // 2
    out = tape.op([x], x.shape, temp=2 * half, back=3 * half)
    tape.drop(x.store)
    return out


def _weights(fan_in: int, fan_out: int, bias: bool) -> int:
    return FLOAT * (fan_in * fan_out + (fan_out if bias else 0))


def _multihead_attention(tape: Tape, layer: Any, x: Value) -> Value:
    return self_attention(tape, x, layer.num_heads, layer.dropout, layer.bias, layer.rotary)


def _transformer_layer(tape: Tape, layer: Any, x: Value) -> Value:
    """x + part(norm(x)), or norm(x + part(x)), for each part."""

    def attend(x: Value) -> Value:
        return self_attention(tape, x, layer.nhead, layer.dropout, layer.bias, layer.rotary)

    def look(x: Value) -> Value:
        return cross_attention(tape, x, layer.nhead, layer.dropout, layer.bias)

    def think(x: Value) -> Value:
        return _feedforward(tape, layer, x)

    parts: list[Callable[[Value], Value]] = [attend, think]
    if layer.kind == "transformer_decoder_layer":
        parts.insert(1, look)
    norm = FLOAT * x.shape[1] * (2 if layer.bias else 1)
    tape.hold(x.store)
    now = x
    for part in parts:
        before = normed(tape, now, norm) if layer.norm_first else tape.view(now, now.shape)
        found = part(before)
        tape.drop(before.store)
        kept = dropped(tape, found, layer.dropout)
        tape.drop(found.store)
        total = added(tape, now, kept)
        tape.drop(kept.store)
        tape.drop(now.store)
        now = total
        if not layer.norm_first:
            now = normed(tape, total, norm)
            tape.drop(total.store)
    return now


def _feedforward(tape: Tape, layer: Any, x: Value) -> Value:
    length, width = x.shape
    inner = (length, layer.dim_feedforward)
    wide = dense(tape, x, inner, _weights(width, layer.dim_feedforward, layer.bias))
    curved = bent(tape, wide, layer.activation)
    tape.drop(wide.store)
    left = dropped(tape, curved, layer.dropout)
    tape.drop(curved.store)
    out = dense(tape, left, (length, width), _weights(layer.dim_feedforward, width, layer.bias))
    tape.drop(left.store)
    return out


ATTENTION: dict[str, Callable[[Tape, Any, Value], Value]] = {
    "multihead_attention": _multihead_attention,
    "transformer_encoder_layer": _transformer_layer,
    "transformer_decoder_layer": _transformer_layer,
}

"""What recurrent layers keep for their derivative, on the tape.

On a CPU torch hands an LSTM to oneDNN, which keeps a workspace of its own; GRU and RNN, and texts of unequal
length that are read in both directions, go step by step through autograd. Which sizes that takes was read
from torch's memory profiler; pages and row lengths are oneDNN's (rnn_utils: set_offsets, get_good_ld).
Notation: T steps in all texts of a batch, D features in, H of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.specs.base import Shape
from workbench.specs.kept_parts import dense, dropped
from workbench.specs.tape import FLOAT, Tape, Value

PAGE, LINE = 1024, 16  # float32 numbers of a page and of a cache line
# Numbers per step and state that stay: of every gate and intermediate result.
KEPT = {"lstm": 7, "gru": 7, "rnn": 1}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
RESERVED = {"lstm": 6, "gru": 5, "rnn": 1}  # cuDNN's reserve on a GPU; its size is not documented


def recurrent(tape: Tape, layer: Any, x: Value) -> Value:
    """All its layers and directions; held once. Texts of unequal length that are read in both directions are
    packed first, without their padding, and spread out again behind."""
    directions = 2 if layer.bidirectional else 1
    is_packed = directions == 2 and tape.mask is not None
    length = max(1, round(x.shape[0] * tape.fill)) if is_packed else x.shape[0]
    more = tape.size(x.shape) if is_packed else 0
    now = tape.op([x], (length, x.shape[1]), temp=more, back=more, turned=True)  # step by step
    for number in range(layer.num_layers):
        outs = [_direction(tape, layer, now, is_packed) for _ in range(directions)]
        tape.drop(now.store)
        now = outs[0]
        if directions == 2:
            now = tape.op(outs, (length, 2 * layer.hidden_size), shares=True, plain=True)
            for out in outs:
                tape.drop(out.store)
        if number < layer.num_layers - 1:
            left = dropped(tape, now, layer.dropout)
            tape.drop(now.store)
            now = left
    shape = (x.shape[0], directions * layer.hidden_size)
    if not is_packed:
        return now
    found = tape.op([now], shape, temp=tape.size(shape), back=tape.size(shape), turned=True, plain=True)
    tape.drop(now.store)
    return found


def _direction(tape: Tape, layer: Any, x: Value, is_packed: bool) -> Value:
    """One layer in one direction. x lies step by step, and so does what is given back."""
    (length, width), hidden, kind = x.shape, layer.hidden_size, layer.kind
    matrices = FLOAT * GATES[kind] * hidden * (width + hidden)
    weights = matrices + (2 * FLOAT * GATES[kind] * hidden if layer.bias else 0)
    state = tape.size((length, hidden))
    gates = GATES[kind] * state
    if tape.gpu:
        saved: list[Value | int] = [x, RESERVED[kind] * state if tape.training else 0]
        return tape.op([x], (length, hidden), saved=saved, keeps_output=True, weights=weights, turned=True)
    if kind == "lstm" and not (is_packed and not tape.even):
        row = _line(4 * hidden)
        scratch = tape.size((length, row + 4)) + FLOAT * row * (width + hidden)
        saved = [x, workspace(tape.batch, length, width, hidden) if tape.training else 0]
        return tape.op(
            [x], (length, hidden), saved=saved, keeps_output=True, weights=weights, temp=scratch,
            back=scratch, turn=state, turned=True,
        )  # fmt: skip
    # The gates' gradients are gathered step by step, while what was kept goes; so are those of one matrix.
    looped, given = FLOAT * GATES[kind] * hidden * hidden, tape.size(x.shape)
    kept = KEPT[kind] * state if tape.training else 0
    begin = 2 * looped + (2 * gates if is_packed else 0) - given
    end = max(2 * gates - given, gates + weights - looped) - kept
    return tape.op(
        [x], (length, hidden), saved=[x, kept], weights=weights, temp=gates, back=max(begin, end) - weights,
        turned=True,
    )  # fmt: skip


def workspace(batch: int, length: int, width: int, hidden: int) -> int:
    """Bytes that oneDNN keeps of one LSTM layer in one direction."""
    state = _line(max(width, hidden))
    parts = [batch * length * _line(4 * hidden), batch * length * _line(hidden)]
    parts += 3 * [2 * batch * (length + 1) * state] + 2 * [2 * batch * (length + 1) * hidden]
    return FLOAT * sum(-(-part // PAGE) * PAGE for part in parts)


def _line(n: int) -> int:
    """The length of a row of n numbers: whole cache lines, no multiple of 256."""
    length = -(-n // LINE) * LINE
    return length + LINE if length % 256 == 0 else length


def _lstm_decoder(tape: Tape, layer: Any, x: Value) -> Value:
    """An LSTM from the mean of what was read, its look at that, and a dense layer over both."""
    memory, mask = tape.memory, tape.memory_mask
    assert memory is not None, "a decoder has an encoder"
    (length, _), (read, width), hidden = x.shape, memory.shape, layer.hidden_size
    out = recurrent(tape, _Plain(layer), x)
    masked = tape.op([memory], memory.shape) if mask is not None else tape.view(memory, memory.shape)
    mean = tape.op([masked], (width,))
    tape.drop(masked.store)
    pairs: Shape = (length, read)
    laid = tape.op([out], out.shape, turned=False)
    raw = tape.op([laid, memory], pairs, saved=[laid, memory])
    scaled = tape.op([raw], pairs)
    tape.drop(raw.store)
    hidden_away = tape.op([scaled], pairs) if mask is not None else tape.view(scaled, pairs)
    tape.drop(scaled.store)
    shares = tape.op([hidden_away], pairs, keeps_output=True)
    tape.drop(hidden_away.store)
    seen = tape.op([shares, memory], (length, width), saved=[shares, memory])
    both = tape.op([out, seen], (length, hidden + width), turned=False)
    mixed = dense(tape, both, (length, hidden), FLOAT * (2 * hidden * hidden + hidden))
    tape.drop(both.store)
    curved = tape.op([mixed], mixed.shape, keeps_output=True)
    tape.drop(mixed.store)
    found = dropped(tape, curved, layer.dropout)
    for value in (curved, seen, shares, laid, mean, out):
        tape.drop(value.store)
    return found


class _Plain:
    """The LSTM inside an lstm_decoder."""

    kind, bidirectional, bias = "lstm", False, True

    def __init__(self, layer: Any) -> None:
        self.hidden_size, self.num_layers, self.dropout = layer.hidden_size, layer.num_layers, layer.dropout


RECURRENT: dict[str, Callable[[Tape, Any, Value], Value]] = {
    "rnn": recurrent,
    "lstm": recurrent,
    "gru": recurrent,
    "lstm_decoder": _lstm_decoder,
}

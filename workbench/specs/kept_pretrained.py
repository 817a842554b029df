"""What a pretrained encoder keeps for its derivative, on the tape: as BERT does; its kin are near to it.

Frozen weights need no input kept; below the first layer that learns nothing is kept at all.
Notation: L steps, D features, F features of the feed-forward part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from workbench.specs.checkpoint_folder import Checkpoint
from workbench.specs.kept_attention import attended
from workbench.specs.kept_parts import added, dense, dropped, normed
from workbench.specs.tape import FLOAT, Tape, Value


def _pretrained(tape: Tape, layer: Any, x: Value) -> Value:
    found: Checkpoint = layer.checkpoint()
    length, width = x.shape[0], found.hidden
    table = 0 if _rests(layer, 0) else FLOAT * _numbers(layer, found, 0)
    looked = [tape.op([x], (length, width), saved=[x], weights=table, item=FLOAT)]  # words
    looked.append(tape.op([looked[0]], (length, width), shares=True))  # and kinds, and places
    looked.append(tape.op([looked[1]], (length, width), shares=True))
    first = normed(tape, looked[-1], 0 if table == 0 else 2 * FLOAT * width)
    now = dropped(tape, first, _share(found, "hidden_dropout_prob", "dropout", "embedding_dropout"))
    for value in (*looked, first):
        tape.drop(value.store)
    for index in range(found.layers):
        now = _encoder(tape, layer, found, now, index)
    pooled = tape.op([now], (width,), turned=False)
    tape.drop(now.store)
    square = dense(tape, pooled, (width,), FLOAT * (width * width + width))
    bent = tape.op([square], (width,), keeps_output=True)
    left = dropped(tape, bent, 0.1 if layer.classifier_dropout is None else layer.classifier_dropout)
    out = dense(tape, left, (layer.num_labels,), FLOAT * layer.num_labels * (width + 1))
    for value in (pooled, square, bent, left):
        tape.drop(value.store)
    return out


def _encoder(tape: Tape, layer: Any, found: Checkpoint, x: Value, index: int) -> Value:
    """norm(x + attention(x)), then norm(x + feedforward(x)); x is given up."""
    width = x.shape[1]
    rests = _rests(layer, index + 1)
    inner = max(
        (size[0] for name, size in found.base.items()
         if len(size) == 2 and size[1] == width and found.family.layer_of(name) is not None),
        default=4 * width,
    )  # fmt: skip
    learns = layer.lora_rank is not None and (index >= layer.freeze_layers or found.family.shared)
    p = _share(found, "hidden_dropout_prob", "dropout")
    norm = 0 if rests else 2 * FLOAT * width
    # With LoRA the queries and values count, wherever its matrices stand: they are small.
    parts = [_linear(tape, x, width, rests, layer.lora_rank if learns and i != 1 else None) for i in range(3)]
    heads = found.heads if width % found.heads == 0 else 1
    share = _share(found, "attention_probs_dropout_prob", "attention_dropout")
    looked = attended(tape, *parts, heads=heads, dropout=share, in_order=False)
    now = _joined(tape, x, looked[-1], width, rests, p, norm)
    for value in (*parts, *looked):
        tape.drop(value.store)
    wide = _linear(tape, now, inner, rests, None)
    curved = tape.op([wide], wide.shape, saved=[wide])
    tape.drop(wide.store)
    out = _joined(tape, now, curved, width, rests, p, norm)
    tape.drop(curved.store)
    return out


def _joined(tape: Tape, x: Value, y: Value, width: int, rests: bool, p: float, norm: int) -> Value:
    """norm(x + dropout(linear(y))); x is given up."""
    made = _linear(tape, y, width, rests, None)
    left = dropped(tape, made, p)
    total = added(tape, left, x)
    out = normed(tape, total, norm)
    for value in (made, left, total, x):
        tape.drop(value.store)
    return out


def _linear(tape: Tape, x: Value, width: int, rests: bool, rank: int | None) -> Value:
    """A linear layer from x to `width` features, with LoRA's matrices beside it where there is a rank."""
    shape = (x.shape[0], width)
    if not rests:
        return dense(tape, x, shape, FLOAT * (x.shape[1] * width + width))
    out = tape.op([x], shape)  # its derivative needs the weights alone
    if rank is None:
        return out
    low = dense(tape, x, (shape[0], rank), FLOAT * x.shape[1] * rank)
    high = dense(tape, low, shape, FLOAT * rank * width)
    scaled = tape.op([high], shape)
    total = added(tape, out, scaled)
    for value in (out, low, high, scaled):
        tape.drop(value.store)
    return total


def _rests(layer: Any, depth: int) -> bool:
    """Whether the weights at a depth (0 the embeddings, i + 1 layer i) stay as they are."""
    if layer.lora_rank is not None:
        return True
    return bool(layer.freeze_embeddings if depth == 0 else depth <= layer.freeze_layers)


def _numbers(layer: Any, found: Checkpoint, depth: int) -> int:
    return sum(
        math.prod(size) for name, size in layer.weights(found).items() if layer.depth(name, found) == depth
    )


def _share(found: Checkpoint, *names: str) -> float:
    """A dropout by the name that the family has for it."""
    told = next((found.config[name] for name in names if name in found.config), 0.1)
    return float(told) if isinstance(told, int | float) and 0 <= told < 1 else 0.0


def _pretrained_image(tape: Tape, layer: Any, x: Value) -> Value:
    """All that its layers keep at once: roughly, as no tape was written for every family."""
    learning = layer.n_params(x.shape) - layer.n_frozen(x.shape)
    scaled = tape.op([x], x.shape)
    kept = tape.batch * FLOAT * layer.activations(x.shape)
    out = tape.op([scaled], (layer.num_labels,), saved=[kept], weights=FLOAT * learning, item=FLOAT)
    tape.drop(scaled.store)
    return out


PRETRAINED: dict[str, Callable[[Tape, Any, Value], Value]] = {
    "pretrained_text": _pretrained, "pretrained_image": _pretrained_image,
}  # fmt: skip

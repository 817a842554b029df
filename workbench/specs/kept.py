"""What each layer keeps for its derivative, and what comes and goes in it: the layers on the tape.

Which tensors a derivative needs is PyTorch's own list (tools/autograd/derivatives.yaml); copies and
workspace were measured with its memory profiler. Both are tested against it, layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from workbench.specs.base import Shape
from workbench.specs.fitted import projection_stride
from workbench.specs.kept_attention import ATTENTION
from workbench.specs.kept_parts import cast, dense, dropped, normed
from workbench.specs.kept_pretrained import PRETRAINED
from workbench.specs.kept_recurrent import RECURRENT
from workbench.specs.kept_sequences import SEQUENCES
from workbench.specs.layer import Layer
from workbench.specs.tape import FLOAT, INDEX, Tape, Value, ambiguous


def walk(tape: Tape, layers: Sequence[Layer], x: Value, frozen: Collection[int] = ()) -> Value:
    """The forward pass through a stack; its output, held once. x is held by the caller throughout."""
    tape.hold(x.store)
    now = x
    for index, layer in enumerate(layers):
        before = tape.learns
        tape.learns = before and index not in frozen
        out = forward(tape, layer, now)
        tape.learns = before
        tape.drop(now.store)
        now = out
    return now


def forward(tape: Tape, layer: Layer, x: Value) -> Value:
    """One layer; its output, held once."""
    kind = str(getattr(layer, "kind", ""))
    if kind in RULES:
        return RULES[kind](tape, layer, x)
    keeps = KEEPS.get(kind, "input")
    shape = layer.out_shape(x.shape)
    return tape.op(
        [x], shape, saved=[x] if keeps == "input" else [], keeps_output=keeps == "output",
        weights=FLOAT * layer.n_params(x.shape), turn=0 if x.turned else None,  # in the order of what it kept
    )  # fmt: skip


# Layers that keep one tensor and make no other; all others not in RULES keep their input.
KEEPS = {"relu": "output", "tanh": "output", "sigmoid": "output", "upsample": "nothing"}


SCRATCH = 12_500  # bytes of oneDNN's workspace per convolution on one thread

# ---------------------------------------------------------------- weights


def convolved(tape: Tape, x: Value, shape: Shape, weights: int) -> Value:
    """A convolution from x to `shape` with `weights` bytes of weights."""
    now = cast(tape, x)
    turned = tape.size(x.shape, now.item) if tape.last and not now.last and not ambiguous(x.shape) else 0
    saved: list[Value | int] = [now] + ([weights // 2] if tape.half else [])
    # oneDNN turns the weights into an order of its own, there and back.
    temp, back = (0, 0) if tape.gpu else (weights + SCRATCH, 2 * weights + SCRATCH)
    out = tape.op(
        [now], shape, saved=saved, weights=weights, temp=turned + temp, back=turned + back,
        turn=tape.size(shape, now.item), last=tape.last,
    )  # fmt: skip
    tape.drop(now.store)
    return out


def _convolution(tape: Tape, layer: Any, x: Value) -> Value:
    return convolved(tape, x, layer.out_shape(x.shape), FLOAT * layer.n_params(x.shape))


def _patch_embedding(tape: Tape, layer: Any, x: Value) -> Value:
    """A convolution whose windows do not meet; the steps are its pixels, laid out anew."""
    weights = FLOAT * layer.n_params(x.shape)
    made = convolved(tape, x, (layer.embed_dim, *layer.grid(x.shape)), weights)
    out = tape.view(made, layer.out_shape(x.shape))
    tape.drop(made.store)
    return out


def _linear(tape: Tape, layer: Any, x: Value) -> Value:
    shared = tape.shared.get(id(layer))
    shape = layer.out_shape(x.shape)
    whole = FLOAT * layer.n_params(x.shape)
    weights = whole if shared is None else whole - FLOAT * x.shape[-1] * shape[-1]
    return dense(tape, x, shape, weights, shared)


def _squeeze_excitation(tape: Tape, layer: Any, x: Value) -> Value:
    wide, narrow = x.shape[0], layer.squeezed(x.shape[0])
    weights = FLOAT * (wide * narrow + narrow), FLOAT * (wide * narrow + wide)
    chain = [tape.op([x], (wide, 1, 1))]  # the mean keeps nothing
    chain.append(convolved(tape, chain[-1], (narrow, 1, 1), weights[0]))
    chain.append(tape.op([chain[-1]], (narrow, 1, 1), keeps_output=True))
    chain.append(convolved(tape, chain[-1], (wide, 1, 1), weights[1]))
    chain.append(tape.op([chain[-1]], (wide, 1, 1), keeps_output=True))
    out = tape.op([x, chain[-1]], x.shape, saved=[x, chain[-1]], back=tape.size(x.shape, x.item))
    for value in chain:
        tape.drop(value.store)
    return out


def _layer_scale(tape: Tape, layer: Any, x: Value) -> Value:
    weights = FLOAT * layer.n_params(x.shape)
    # The scales' gradient is a sum over a product as large as x.
    return tape.op([x], x.shape, saved=[x], weights=weights, back=tape.size(x.shape))


def _prelu(tape: Tape, layer: Any, x: Value) -> Value:
    weights = FLOAT * layer.n_params(x.shape)
    return tape.op([x], x.shape, saved=[x], weights=weights, back=tape.size(x.shape, x.item))


# ---------------------------------------------------------------- norms


def _layer_norm(tape: Tape, layer: Any, x: Value) -> Value:
    return normed(tape, x, FLOAT * layer.n_params(x.shape))


def _layer_norm2d(tape: Tape, layer: Any, x: Value) -> Value:
    weights = FLOAT * layer.n_params(x.shape)
    turned = 0 if x.last or ambiguous(x.shape) else tape.size(x.shape)
    saved: list[Value | int] = [x, 2 * FLOAT * tape.batch * math.prod(x.shape[1:])]
    item = FLOAT if tape.half else None
    return tape.op(
        [x], x.shape, saved=saved, weights=weights, temp=turned, back=2 * turned, last=True, item=item
    )


def _instance_norm(tape: Tape, layer: Any, x: Value) -> Value:
    weights = FLOAT * layer.n_params(x.shape)
    if not x.last:
        return tape.op([x], x.shape, saved=[x], weights=weights)
    plain = tape.op([x], x.shape, last=False)
    out = tape.op([plain], x.shape, saved=[plain], weights=weights, last=False)
    tape.drop(plain.store)
    return out


# ---------------------------------------------------------------- pooling and shapes


def _max_pool(tape: Tape, layer: Any, x: Value) -> Value:
    shape = layer.out_shape(x.shape)
    indices = tape.size(shape, INDEX)
    return tape.op([x], shape, saved=[x, indices], turn=indices + tape.size(x.shape, x.item))


def _adaptive_avg(tape: Tape, layer: Any, x: Value) -> Value:
    shape = layer.out_shape(x.shape)
    single = math.prod(shape[1:]) == 1  # then it is a mean, which keeps nothing
    return tape.op([x], shape, saved=[] if single else [x], plain=single)


def _flatten(tape: Tape, layer: Any, x: Value) -> Value:
    shape = (math.prod(x.shape),)
    if x.turned:
        return tape.op([x], shape, turned=False)
    return tape.op([x], shape, last=False, shares=True, plain=True) if x.last else tape.view(x, shape)


# ---------------------------------------------------------------- activations of several steps


def _dropout(tape: Tape, layer: Any, x: Value) -> Value:
    return dropped(tape, x, layer.p)


def _dropout2d(tape: Tape, layer: Any, x: Value) -> Value:
    if layer.p == 0 or not tape.training:
        return tape.view(x, x.shape, x.last)
    return tape.op([x], x.shape, saved=[tape.size(x.shape[:1], x.item)])


def _alpha_dropout(tape: Tape, layer: Any, x: Value) -> Value:
    if layer.p == 0 or not tape.training:
        return tape.view(x, x.shape, x.last)
    size = tape.size(x.shape, x.item)
    return tape.op([x], x.shape, saved=[size], temp=size)


def _beside(tape: Tape, layer: Any, x: Value) -> Value:
    """Input, and as much again: the noise of rrelu, the buffer of log_sigmoid."""
    return tape.op([x], x.shape, saved=[x, tape.size(x.shape, x.item)], back=tape.size(x.shape, x.item))


def _softsign(tape: Tape, layer: Any, x: Value) -> Value:
    size = tape.op([x], x.shape, saved=[x])  # |x|
    below = tape.op([size], x.shape, shares=True)  # |x| + 1
    out = tape.op([x, below], x.shape, saved=[x, below], back=tape.size(x.shape, x.item))
    tape.drop(size.store)
    tape.drop(below.store)
    return out


def _tanhshrink(tape: Tape, layer: Any, x: Value) -> Value:
    bent = tape.op([x], x.shape, keeps_output=True)
    out = tape.op([x, bent], x.shape)
    tape.drop(bent.store)
    return out


def _softmax(tape: Tape, layer: Any, x: Value) -> Value:
    turned = tape.size(x.shape) if x.last else 0
    return tape.op([x], x.shape, keeps_output=True, temp=turned, back=turned, item=FLOAT)


# ---------------------------------------------------------------- groups


def _residual(tape: Tape, layer: Any, x: Value) -> Value:
    shape = layer.out_shape(x.shape)
    if layer.shortcut:
        around = walk(tape, layer.shortcut, x)
    elif shape != x.shape:
        around = _projection(tape, x, shape)
    else:
        around = tape.view(x, x.shape, x.last)
    body = walk(tape, layer.layers, x)
    total = tape.op([body, around], shape, shares=True)
    tape.drop(body.store)
    if layer.activation == "none":
        tape.drop(around.store)
        return total
    saved = [] if layer.activation == "relu" else [total]
    out = tape.op([total], shape, saved=saved, keeps_output=layer.activation == "relu")
    tape.drop(total.store)
    tape.drop(around.store)
    return out


def _projection(tape: Tape, x: Value, shape: Shape) -> Value:
    if len(shape) < 3 or projection_stride(x.shape, shape) is None:
        return dense(tape, x, shape, FLOAT * x.shape[-1] * shape[-1])
    body = convolved(tape, x, shape, FLOAT * x.shape[0] * shape[0])
    out = tape.op([body], shape, saved=[body], weights=2 * FLOAT * shape[0])
    tape.drop(body.store)
    return out


def _parallel(tape: Tape, layer: Any, x: Value) -> Value:
    parts = [walk(tape, branch, x) for branch in layer.branches]
    shape = layer.out_shape(x.shape)
    temp = len(parts) * tape.size(shape, x.item) if layer.join == "sum" else 0  # they are stacked first
    out = tape.op(parts, shape, temp=temp, shares=True, last=parts[0].last)
    for part in parts:
        tape.drop(part.store)
    return out


def _skip(tape: Tape, layer: Any, x: Value) -> Value:
    body = walk(tape, layer.layers, x)
    shape = layer.out_shape(x.shape)
    if body.shape[1:] != shape[1:]:
        short, body = body, tape.op([body], (body.shape[0], *shape[1:]))
        tape.drop(short.store)
    out = tape.op([x, body], shape, shares=True, last=x.last)
    tape.drop(body.store)
    return out


def _window_norm(tape: Tape, layer: Any, x: Value) -> Value:
    """The window on its own scale, which nothing learns from, and what its layers give put back from it."""
    length, width = x.shape
    scaled = tape.op(
        [x], (length, width), temp=tape.size(x.shape, x.item) if layer.how == "standardize" else 0
    )
    body = walk(tape, layer.layers, scaled)
    tape.drop(scaled.store)
    found = body
    if layer.how == "standardize":
        found = tape.op([body], body.shape)
        tape.drop(body.store)
    out = tape.op([found], found.shape)
    tape.drop(found.store)
    return out


def _unflatten(tape: Tape, layer: Any, x: Value) -> Value:
    return tape.view(x, layer.out_shape(x.shape))


def _reparameterize(tape: Tape, layer: Any, x: Value) -> Value:
    shape = layer.out_shape(x.shape)
    size = tape.size(shape, x.item)
    # The variance and the deviation, as exponentials keep them, and what is drawn.
    return tape.op([x], shape, saved=[x, 3 * size], temp=2 * size, back=2 * size)


def _repeat(tape: Tape, layer: Any, x: Value) -> Value:
    return walk(tape, [one for _ in range(layer.times) for one in layer.layers], x)


RULES: dict[str, Callable[[Tape, Any, Value], Value]] = {
    "conv2d": _convolution,
    "depthwise_conv2d": _convolution,
    "conv_transpose2d": _convolution,
    "patch_embedding": _patch_embedding,
    "linear": _linear,
    "squeeze_excitation": _squeeze_excitation,
    "layer_scale": _layer_scale,
    "prelu": _prelu,
    "layer_norm": _layer_norm,
    "layer_norm2d": _layer_norm2d,
    "instance_norm": _instance_norm,
    "max_pool2d": _max_pool,
    "adaptive_max_pool2d": _max_pool,
    "global_max_pool2d": _max_pool,
    "adaptive_avg_pool2d": _adaptive_avg,
    "global_avg_pool2d": _adaptive_avg,
    "flatten": _flatten,
    "dropout": _dropout,
    "dropout2d": _dropout2d,
    "alpha_dropout": _alpha_dropout,
    "rrelu": _beside,
    "log_sigmoid": _beside,
    "softsign": _softsign,
    "tanhshrink": _tanhshrink,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "residual": _residual,
    "parallel": _parallel,
    "repeat": _repeat,
    "skip": _skip,
    "window_norm": _window_norm,
    "unflatten": _unflatten,
    "reparameterize": _reparameterize,
    **SEQUENCES,
    **RECURRENT,
    **ATTENTION,
    **PRETRAINED,
}  # fmt: skip

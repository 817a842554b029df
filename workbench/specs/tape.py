"""The tensors of one training step, made and freed in order: what autograd keeps, in plain Python.

The forward pass keeps of every operation what its derivative needs (its input, its output, statistics,
indices); the backward pass frees that operation by operation while gradients come and go. The most that
is there at once is the step's peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.specs.base import Shape, Tokens

FLOAT, HALF, INDEX = 4, 2, 8  # bytes of a number; the indices of a max pooling are int64


@dataclass(eq=False)
class Storage:
    """Bytes that are there as long as somebody refers to them."""

    size: int
    refs: int = 0
    plain: bool = False  # a gradient that lies in the usual order, though its tensor lies channels last


@dataclass(eq=False)
class Value:
    """A tensor. shape: of one sample; grad: a gradient flows through it; last: its numbers lie channels
    last, and that is another order than the usual one; item: bytes of a number; turned: a sequence whose
    numbers lie in another order, such as step by step; fixed: its bytes, where they are the same for any
    number of samples."""

    store: Storage
    shape: Shape
    grad: bool = False
    last: bool = False
    item: int = FLOAT
    turned: bool = False
    fixed: int = 0


@dataclass(eq=False)
class _Op:
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    saved: tuple[Storage, ...]
    weights: int  # bytes of its weights' gradients: made here, then added to the run's
    temp: int  # bytes that come and go in its backward pass
    turn: int | None  # the same, where its gradient arrives in another order and must be turned; None: it
    # passes the order on
    shares: bool  # the inputs' gradients are the output's own numbers
    plain: bool  # it gives gradients in the usual order


@dataclass
class Tape:
    """batch: samples in memory at a time; last: the model is laid out channels last; half: the forward pass
    is in 16 bits; gpu: kernels are those of a GPU; training: derivatives follow.

    Of texts: fill: the share of their places that hold tokens; even: they are all equally long; mask: where
    tokens are; memory, memory_mask: what an encoder read; shared: weights of the layers with these ids, which
    others have too.
    """

    batch: int
    last: bool = True
    half: bool = False
    gpu: bool = False
    training: bool = True
    fill: float = 1.0
    even: bool = True
    mask: Value | None = None
    memory: Value | None = None
    memory_mask: Value | None = None
    shared: dict[int, Value] = field(default_factory=dict)
    live: int = 0
    peak: int = 0
    learns: bool = True  # the layer that is being walked does
    _ops: list[_Op] = field(default_factory=list)

    def size(self, shape: Shape, item: int = FLOAT) -> int:
        """Bytes of a tensor with `shape` numbers per sample."""
        return self.batch * (shape.length if isinstance(shape, Tokens) else math.prod(shape)) * item

    def note(self, temp: int = 0) -> None:
        """Remembers the most so far, with `temp` bytes that are there for a moment."""
        self.peak = max(self.peak, self.live + temp)

    def hold(self, store: Storage) -> None:
        if store.refs == 0:
            self.live += store.size
            self.note()
        store.refs += 1

    def drop(self, store: Storage) -> None:
        store.refs -= 1
        if store.refs == 0:
            self.live -= store.size

    def new(
        self,
        shape: Shape,
        item: int = FLOAT,
        *,
        grad: bool = False,
        last: bool = False,
        turned: bool = False,
    ) -> Value:
        """A tensor in a storage of its own, held once by the caller."""
        value = Value(Storage(self.size(shape, item)), shape, grad, last, item, turned)
        self.hold(value.store)
        return value

    def op(
        self,
        inputs: Sequence[Value],
        shape: Shape,
        *,
        saved: Sequence[Value | int] = (),
        keeps_output: bool = False,
        weights: int = 0,
        temp: int = 0,
        back: int = 0,
        turn: int | None = None,
        last: bool | None = None,
        item: int | None = None,
        turned: bool | None = None,
        shares: bool = False,
        plain: bool = False,
    ) -> Value:
        """A differentiable step from `inputs` to a new tensor of `shape`, held once by the caller.

        saved: tensors, or sizes of what it makes beside its output; weights: bytes of its trainable weights;
        temp, back: bytes that come and go in its forward and its backward pass; last, turned: how the output
        lies, as the first input where left out.
        """
        first = inputs[0]
        weights = weights if self.learns else 0
        learns = self.training and (weights > 0 or any(value.grad for value in inputs))
        lies_last = ambiguous(shape) is False and (first.last if last is None else last)
        lies_turned = first.turned if turned is None else turned
        out = self.new(shape, item or first.item, grad=learns, last=lies_last, turned=lies_turned)
        self.note(temp + sum(part for part in saved if isinstance(part, int)))
        if learns:
            kept = [part.store if isinstance(part, Value) else Storage(part) for part in saved]
            kept += [out.store] if keeps_output else []
            for store in kept:
                self.hold(store)
            self._ops.append(_Op(tuple(inputs), (out,), tuple(kept), weights, back, turn, shares, plain))
        return out

    def view(self, x: Value, shape: Shape, last: bool = False) -> Value:
        """The same numbers in another shape, held once by the caller."""
        out = Value(x.store, shape, x.grad, last, x.item, x.turned)
        self.hold(x.store)
        if x.grad:
            self._ops.append(_Op((x,), (out,), (), 0, 0, None, True, False))
        return out

    def split(self, x: Value, shapes: Sequence[Shape]) -> list[Value]:
        """Views of parts of x, each held once by the caller. Their gradients are joined in a new tensor."""
        outs = [Value(x.store, shape, x.grad, False, x.item) for shape in shapes]
        for out in outs:
            self.hold(out.store)
        if x.grad:
            self._ops.append(_Op((x,), tuple(outs), (), 0, 0, None, False, False))
        return outs

    def backward(self, end: Value) -> None:
        """From `end`, which the caller goes on holding, back to the first weights."""
        grads: dict[Value, Storage] = {end: self._like(end)}
        for op in reversed(self._ops):
            outs = [grads.pop(value) for value in op.outputs if value in grads]
            if outs:
                self._through(op, outs[0], grads)
            for out in outs:
                self.drop(out)
            for store in op.saved:
                self.drop(store)
        for left in grads.values():
            self.drop(left)
        self._ops = []

    def _through(self, op: _Op, out: Storage, grads: dict[Value, Storage]) -> None:
        new: list[tuple[Value, Storage]] = []
        for value in op.inputs:
            if not value.grad:
                continue
            if op.shares:
                self.hold(out)
            grad = out if op.shares else self._like(value)
            grad.plain = (value.last or value.turned) and (op.plain or (out.plain and op.turn is None))
            new.append((value, grad))
        self.note(op.weights + op.temp + (op.turn or 0 if out.plain else 0))
        for value, store in new:
            old = grads.get(value)
            if old is None:
                grads[value] = store
                continue
            if old.refs > 1:  # somebody else needs it as it is
                grads[value] = self._like(value)
                self.drop(old)
            self.drop(store)

    def _like(self, value: Value) -> Storage:
        store = Storage(value.fixed or self.size(value.shape, value.item))
        self.hold(store)
        return store


def ambiguous(shape: Shape) -> bool:
    """Whether a shape lies the same way channels first and channels last: one channel, or one pixel."""
    return len(shape) != 3 or shape[0] == 1 or shape[1] * shape[2] == 1

"""All trainable weights of a model as one vector, and all their gradients as another.

The model's parameters become views into the vector, so nothing else changes for it. What is gained:
the optimizer updates one tensor instead of one per layer, and the gradient's norm, clipping and
zeroing are one operation each. Measured on a 6,000-weight MLP: docs/adr/0002-plain-loop.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.specs.errors import SpecError

ALIGN = 16  # numbers; 64 bytes of float32, what vector units and oneDNN like best


@dataclass(frozen=True)
class Span:
    """Where one parameter lies in the vector."""

    start: int
    numel: int
    shape: torch.Size
    stride: tuple[int, ...]  # of the parameter's own memory format; dense

    def of(self, vector: Tensor) -> Tensor:
        """The part of `vector` (n,) that is this parameter, in its shape and memory format. A view."""
        return vector.as_strided(self.shape, self.stride, vector.storage_offset() + self.start)


class Flat:
    """weights (n,) and grad (n,), the storage behind every trainable parameter of a model.

    rates: parameter name → share of the learning rate at which it learns, where a module asks for less than
    the whole (a module says so by a method `rates`); empty where all learn alike. turns: parameter name → in
    whose turn it learns, where children of the model take turns (named in its `turns`); else empty.
    Gaps between parameters hold zeros and keep them: their gradient is always zero. Parameters that share a
    storage before, as cuDNN wants those of a recurrent layer, share one afterwards, in the same order.
    Check: the model's output, parameters by name and gradients are as before.
    Raises: SpecError when there is nothing to train.
    """

    def __init__(self, model: nn.Module) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not named:
            raise SpecError.of(
                "model.layers",
                "a model must have weights to train",
                "none of its layers has any",
                "Add a conv2d or linear layer.",
            )
        self.rates = _rates(model)
        heads: tuple[str, ...] = getattr(model, "turns", ())
        parts = {name: name.partition(".")[0] for name, _ in named} if heads else {}
        self.turns = {name: heads.index(head) for name, head in parts.items()}
        self.spans: dict[str, Span] = {}
        size = 0
        blocks = _shared([parameter for _, parameter in named])
        begun: dict[int, int] = {}  # storage -> where it begins in the vector
        for name, parameter in named:
            key = parameter.untyped_storage().data_ptr()
            start, length = size, parameter.numel()
            if key in blocks:
                start = begun.setdefault(key, size) + parameter.storage_offset()
                length = blocks[key] if begun[key] == size else 0
            self.spans[name] = Span(start, parameter.numel(), parameter.shape, parameter.stride())
            size += -(-length // ALIGN) * ALIGN
        first = named[0][1]
        vector = torch.zeros(size, dtype=first.dtype, device=first.device)
        own = {key: _alone(vector[start : start + blocks[key]]) for key, start in begun.items()}
        self.grad = torch.zeros_like(vector)
        for name, parameter in named:
            span, key = self.spans[name], parameter.untyped_storage().data_ptr()
            span.of(vector).copy_(parameter.detach())
            if key in own:
                offset = span.start - begun[key]
                parameter.data = own[key].as_strided(span.shape, span.stride, offset)
            else:
                parameter.data = span.of(vector)
            parameter.grad = span.of(self.grad)  # backward adds into it, in place
        self.weights = nn.Parameter(vector)
        self.weights.grad = self.grad

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """Any vector laid out like the weights, as one view per parameter name."""
        return {name: span.of(vector) for name, span in self.spans.items()}

    def join(self, parts: dict[str, Tensor]) -> Tensor:
        """The reverse of `split`, on the weights' device."""
        vector = torch.zeros_like(self.grad)
        for name, part in parts.items():
            self.spans[name].of(vector).copy_(part)
        return vector


def _shared(parameters: Sequence[nn.Parameter]) -> dict[int, int]:
    """Storages that hold several parameters and nothing else: address -> numbers in it."""
    held: dict[int, list[nn.Parameter]] = {}
    for parameter in parameters:
        held.setdefault(parameter.untyped_storage().data_ptr(), []).append(parameter)
    sizes = {key: some[0].untyped_storage().nbytes() // some[0].element_size() for key, some in held.items()}
    return {
        key: sizes[key]
        for key, some in held.items()
        if len(some) > 1 and sum(parameter.numel() for parameter in some) == sizes[key]
    }


def _alone(part: Tensor) -> Tensor:
    """The same memory under a storage of its own, which begins with it: cuDNN looks for a recurrent layer's
    weights from the beginning of their storage, and copies them at every call where they are not there."""
    return torch.from_dlpack(part)


def _rates(model: nn.Module) -> dict[str, float]:
    found: dict[str, float] = {}
    for place, module in model.named_modules():
        asked: Any = getattr(module, "rates", None)
        if callable(asked):
            found |= {f"{place}.{name}".lstrip("."): float(share) for name, share in asked().items()}
    return {name: share for name, share in found.items() if share != 1.0}

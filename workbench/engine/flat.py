"""All trainable weights of a model as one vector, and all their gradients as another.

The model's parameters become views into the vector, so nothing else changes for it. What is gained:
the optimizer updates one tensor instead of one per layer, and the gradient's norm, clipping and
zeroing are one operation each. Measured on a 6,000-weight MLP: docs/adr/0002-plain-loop.md.
"""

from __future__ import annotations

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
    the whole (a module says so by a method `rates`); empty where all learn alike.
    Gaps between parameters hold zeros and keep them: their gradient is always zero.
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
        self.spans: dict[str, Span] = {}
        size = 0
        for name, parameter in named:
            self.spans[name] = Span(size, parameter.numel(), parameter.shape, parameter.stride())
            size += -(-parameter.numel() // ALIGN) * ALIGN
        first = named[0][1]
        vector = torch.zeros(size, dtype=first.dtype, device=first.device)
        self.grad = torch.zeros_like(vector)
        for name, parameter in named:
            span = self.spans[name]
            span.of(vector).copy_(parameter.detach())
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


def _rates(model: nn.Module) -> dict[str, float]:
    found: dict[str, float] = {}
    for place, module in model.named_modules():
        asked: Any = getattr(module, "rates", None)
        if callable(asked):
            found |= {f"{place}.{name}".lstrip("."): float(share) for name, share in asked().items()}
    return {name: share for name, share in found.items() if share != 1.0}

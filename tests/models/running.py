"""Running what was built: inputs of any shape, and torchinfo's count with every step counted."""

from __future__ import annotations

from typing import Any

import torch
import torchinfo
from torch import nn

from workbench.models.attention import CrossAttention, SelfAttention
from workbench.models.sequence import Context, LSTMDecoder, real
from workbench.specs.base import Columns, Pair, Shape, Tokens

RECURRENT = ("RNN", "LSTM", "GRU")


def sample(shape: Shape, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Inputs of a shape: ids without padding for tokens, two rows of them for a pair."""
    draw = torch.Generator().manual_seed(seed)
    if isinstance(shape, Pair):
        longest = max(part.length for part in shape)
        x = torch.zeros(batch, 2, longest, dtype=torch.int64)
        for row, part in enumerate(shape):
            x[:, row, : part.length] = sample(part, batch, seed + row)
        return x
    if isinstance(shape, Tokens):
        return torch.randint(1, shape.vocabulary, (batch, shape.length), generator=draw)
    if isinstance(shape, Columns):
        codes = [torch.randint(0, n, (batch, 1), generator=draw).float() for n in shape.categories]
        return torch.cat([torch.randn(batch, shape.numeric, generator=draw), *codes], dim=1)
    return torch.randn(batch, *shape, generator=draw)


def context_for(x: torch.Tensor, layer: Any = None, shape: Shape = ()) -> Context:
    """What a stack would hand to its layers; with something to look at for a decoder's."""
    context = Context(mask=real(x) if x.ndim == 2 else None)
    if layer is not None and layer.needs_memory and len(shape) == 2:
        context.memory = torch.randn(len(x), x.shape[1], layer.memory_width(shape))
    return context


def call(module: nn.Module, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
    with torch.no_grad():
        return module(x, context) if getattr(module, "contextual", False) else module(x)


def counted(module: nn.Module, x: torch.Tensor, **more: Any) -> int:
    """Mult-adds of x, one sample. torchinfo counts a layer once for all its steps; here each step counts, and
    so do the products of attention; look-ups do not."""
    products = 0

    def attend(module: nn.Module, args: tuple[Any, ...], out: torch.Tensor) -> None:
        nonlocal products
        steps, width = args[0].shape[1:]
        if isinstance(module, SelfAttention):
            products += 2 * steps * steps * width
        else:
            products += 2 * steps * args[1].memory.shape[1] * args[1].memory.shape[2]

    kinds = SelfAttention | CrossAttention | LSTMDecoder
    hooks = [m.register_forward_hook(attend) for m in module.modules() if isinstance(m, kinds)]
    found = torchinfo.summary(module, input_data=[x], verbose=0, device="cpu", mode="eval", **more)
    for hook in hooks:
        hook.remove()
    # torchinfo runs the model once
    return products + sum(_steps(info) * _own(info) for info in found.summary_list if info.is_leaf_layer)


def _own(info: Any) -> int:
    """What torchinfo counts of one step."""
    if info.class_name in ("Embedding", "ClassToken", "Positions"):
        return 0
    if info.class_name in (*RECURRENT, "Conv1d"):
        return sum(p.numel() for p in info.module.parameters())
    return int(info.macs)


def _steps(info: Any) -> int:
    size = info.output_size
    if info.class_name in RECURRENT:  # packed ones have no axis of the batch
        return int(size[1] if len(size) == 3 else size[0])
    return int(size[1]) if len(size) == 3 else 1

"""Attention as torch modules: trains fused, and gives its weights outside the training path.

Each stands by itself: exported code carries the classes as they are. B texts, L steps, D features, H heads;
masks (B, L) are True where a step is there and not padding.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from workbench.models.sequence import Cache, Context


class SelfAttention(nn.Module):
    """Every step looks at all steps, or at the earlier ones (causal): (B, L, D) -> the same shape.

    Trains with fused attention; `attention_weights` gives the weights (B, H, L, L) of the same numbers.
    """

    contextual = True

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.dropout, self.causal, self.rotary = heads, dropout, causal, rotary
        self.in_proj = nn.Linear(width, 3 * width, bias=bias)
        self.out_proj = nn.Linear(width, width, bias=bias)

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        cache = None if context is None else context.cache
        query, key, value = self.split(x, cache)
        mask, is_causal = self.mask(query, key, None if context is None else context.mask)
        out = F.scaled_dot_product_attention(
            query, key, value, mask, self.dropout if self.training else 0.0, is_causal
        )
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def attention_weights(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        """(B, H, Lq, Lk), each row summing to 1."""
        query, key, _ = self.split(x, None)
        mask, is_causal = self.mask(query, key, None if context is None else context.mask)
        return weights(query, key, mask, is_causal)

    def split(self, x: torch.Tensor, cache: Cache | None) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values (B, H, L, D / H); with a cache, keys and values of all steps so far."""
        parts = self.in_proj(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        start = 0 if cache is None else cache.length
        if self.rotary:
            query, key = rotated(query, start), rotated(key, start)
        if cache is not None:
            before = cache.get(self)
            if before is not None:
                key, value = torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2)
            cache.put(self, 0, key, value)
        return query, key, value

    def mask(
        self, query: torch.Tensor, key: torch.Tensor, padding: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, bool]:
        """What may be seen, and whether that is simply all earlier steps. Padding stands on the right: steps
        that see earlier ones only never see it."""
        new, steps = query.shape[2], key.shape[2]
        if not self.causal:
            return (None if padding is None else padding[:, None, None]), False
        if new == steps:
            return None, True
        rows = torch.arange(steps - new, steps, device=query.device).unsqueeze(1)
        return (torch.arange(steps, device=query.device) <= rows if new > 1 else None), False


class CrossAttention(nn.Module):
    """Every step looks at what the encoder read: (B, L, D) -> the same shape."""

    contextual = True

    def __init__(self, width: int, heads: int, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width, bias=bias)
        self.key_value = nn.Linear(width, 2 * width, bias=bias)
        self.out_proj = nn.Linear(width, width, bias=bias)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        query, key, value, mask = self.split(x, context)
        out = F.scaled_dot_product_attention(query, key, value, mask, self.dropout if self.training else 0.0)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def attention_weights(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """(B, H, Lq, Lk), each row summing to 1."""
        query, key, _, mask = self.split(x, replace(context, cache=None))
        return weights(query, key, mask)

    def split(
        self, x: torch.Tensor, context: Context
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Queries of the steps; keys and values of the encoder's output, which a cache keeps."""
        assert context.memory is not None, "a decoder needs an encoder"
        query = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        kept = None if context.cache is None else context.cache.get(self)
        if kept is None:
            both = self.key_value(context.memory).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
            kept = tuple(both.unbind(0))
            if context.cache is not None:
                context.cache.put(self, 0, *kept)
        mask = context.memory_mask
        return query, kept[0], kept[1], None if mask is None else mask[:, None, None]


def weights(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, is_causal: bool = False
) -> torch.Tensor:
    """softmax(query · key / root of their length) over what may be seen."""
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    if is_causal:
        mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=3)


def rotated(x: torch.Tensor, start: int) -> torch.Tensor:
    """Pairs of numbers turned by their step's place times a rate per pair (Su et al. 2021): (B, H, L, d)."""
    half = x.shape[3] // 2
    rate = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(start, start + x.shape[2], device=x.device).unsqueeze(1) * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=3)


class TransformerLayer(nn.Module):
    """Self-attention, attention over the encoder's output where `is_decoder`, and a feed-forward part; each
    with a way around it, and a norm before it (norm_first) or behind."""

    contextual = True

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        bias: bool = True,
        causal: bool = False,
        rotary: bool = False,
        is_decoder: bool = False,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.self_attn = SelfAttention(width, heads, dropout, bias, causal or is_decoder, rotary)
        self.cross_attn = CrossAttention(width, heads, dropout, bias) if is_decoder else None
        self.linear1 = nn.Linear(width, inner, bias=bias)
        self.linear2 = nn.Linear(inner, width, bias=bias)
        self.norms = nn.ModuleList(nn.LayerNorm(width, bias=bias) for _ in range(3 if is_decoder else 2))
        self.activation = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}[activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        for norm, part in zip(self.norms, self.parts(), strict=True):
            if self.norm_first:
                x = x + self.dropout(self.call(part, norm(x), context))
            else:
                x = norm(x + self.dropout(self.call(part, x, context)))
        return x

    def attention_weights(self, x: torch.Tensor, context: Context | None = None) -> dict[str, torch.Tensor]:
        """{"self": (B, H, L, L)}, of a decoder also {"cross": (B, H, L, Lk)}."""
        context = Context() if context is None else replace(context, cache=None)
        seen = self.norms[0](x) if self.norm_first else x
        found = {"self": self.self_attn.attention_weights(seen, context)}
        if self.cross_attn is not None:
            norm = self.norms[0]
            if self.norm_first:
                x = x + self.dropout(self.self_attn(norm(x), context))
                found["cross"] = self.cross_attn.attention_weights(self.norms[1](x), context)
            else:
                x = norm(x + self.dropout(self.self_attn(x, context)))
                found["cross"] = self.cross_attn.attention_weights(x, context)
        return found

    def parts(self) -> list[nn.Module]:
        between = [] if self.cross_attn is None else [self.cross_attn]
        return [self.self_attn, *between, self.linear1]

    def call(self, part: nn.Module, x: torch.Tensor, context: Context | None) -> torch.Tensor:
        if part is self.linear1:
            return self.linear2(self.dropout(self.activation(self.linear1(x))))
        return part(x, context)


def soften(model: nn.Module) -> None:
    """Weights of causal Transformers begin small, the deeper the smaller: N(0, 0.02), and what is added to
    the stream N(0, 0.02 / root of twice the layers), as in GPT-2 (Radford et al. 2019, section 2.3)."""
    layers = [m for m in model.modules() if isinstance(m, TransformerLayer) and m.self_attn.causal]
    for layer in layers:
        if layer.cross_attn is not None:
            continue
        deep = 0.02 / math.sqrt(2 * len(layers))
        last = (layer.self_attn.out_proj, layer.linear2)
        for module in layer.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=deep if module in last else 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

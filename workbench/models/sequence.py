"""Layers of sequences as torch modules, and the stacks that hand them what they need.

Each stands by itself: exported code carries the classes as they are. B texts, L steps, D features, H heads;
masks (B, L) are True where a step is there and not padding.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F


class Cache:
    """What a model remembers between two calls while a text grows: keys, values and states, by module."""

    def __init__(self) -> None:
        self.length = 0  # steps seen
        self.kept: dict[nn.Module, tuple[int, tuple[torch.Tensor, ...]]] = {}  # the batch's axis, tensors

    def get(self, module: nn.Module) -> tuple[torch.Tensor, ...] | None:
        return self.kept[module][1] if module in self.kept else None

    def put(self, module: nn.Module, axis: int, *tensors: torch.Tensor) -> None:
        self.kept[module] = (axis, tensors)

    def reorder(self, rows: torch.Tensor) -> None:
        """Row i goes on from row rows[i]: for beam search."""
        for module, (axis, tensors) in self.kept.items():
            self.kept[module] = (axis, tuple(t.index_select(axis, rows) for t in tensors))


@dataclass
class Context:
    """What travels along a stack beside the features: padding masks, and what the encoder read."""

    mask: torch.Tensor | None = None
    memory: torch.Tensor | None = None
    memory_mask: torch.Tensor | None = None
    cache: Cache | None = None


class Stack(nn.Sequential):
    """Layers in a row. Token ids (B, L), 0 for padding, or features; gives what the last layer gives."""

    contextual = True

    def forward(
        self, x: torch.Tensor, context: Context | None = None, cache: Cache | None = None
    ) -> torch.Tensor:
        steps, is_outermost = x.shape[1], context is None
        if context is None:
            context = Context(mask=real(x), cache=cache)
        for layer in self:
            x = layer(x, context) if getattr(layer, "contextual", False) else layer(x)
        if is_outermost and cache is not None:
            cache.length += steps
        return x

    def new_cache(self) -> Cache:
        return Cache()


def real(ids: torch.Tensor) -> torch.Tensor | None:
    """Where tokens are no padding (B, L); the first one always counts, so that no text is empty."""
    if ids.is_floating_point():
        return None
    mask = ids.ne(0)
    mask[:, 0] = True
    return mask


class EncoderDecoder(nn.Module):
    """Two stacks: x (B, 2, L) holds the source and what the decoder has written; scores (B, L, K)."""

    def __init__(self, encoder: Stack, decoder: Stack) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        memory, mask = self.encode(x[:, 0])
        return self.decode(x[:, 1], memory, mask)

    def encode(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, L) -> features (B, L', D) and their mask."""
        context = Context(mask=real(source))
        return self.encoder(source, context), context.mask

    def decode(
        self,
        ids: torch.Tensor,
        memory: torch.Tensor,
        memory_mask: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Scores (B, L, K) of the token after each of `ids` (B, L); with a cache, only of the new ones."""
        steps = ids.shape[1]
        out = self.decoder(ids, Context(real(ids), memory, memory_mask, cache))
        if cache is not None:
            cache.length += steps
        return out

    def new_cache(self) -> Cache:
        return Cache()


# ---------------------------------------------------------------- in and out of sequences


class Embedding(nn.Module):
    """Ids (B, L) -> vectors (B, L, D); padding is zero."""

    def __init__(self, vocabulary: int, width: int, scale: bool = False, std: float = 0.1) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=std)
        with torch.no_grad():
            self.table.weight[0] = 0.0
        self.factor = math.sqrt(width) if scale else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.table(x)
        return found if self.factor == 1.0 else found * self.factor


class Positions(nn.Module):
    """Adds what tells each step's place: a learned vector, or sines and cosines of its number."""

    contextual = True

    def __init__(self, length: int, width: int, encoding: str = "learned", dropout: float = 0.0) -> None:
        super().__init__()
        if encoding == "learned":
            self.weight = nn.Parameter(torch.randn(length, width) * 0.02)
        else:
            place = torch.arange(length).unsqueeze(1)
            rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
            table = torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=2)
            self.register_buffer("weight", table.flatten(1), persistent=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        start = context.cache.length if context is not None and context.cache is not None else 0
        return self.dropout(x + self.weight[start : start + x.shape[1]])


class ClassToken(nn.Module):
    """A learned step before the first: (B, L, D) -> (B, L + 1, D)."""

    contextual = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        if context is not None and context.mask is not None:
            context.mask = F.pad(context.mask, (1, 0), value=True)
        return torch.cat([self.weight.expand(len(x), 1, -1), x], dim=1)


class ImageRows(nn.Module):
    """Rows of pixels as steps: (B, C, H, W) -> (B, H, C * W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2).flatten(2)


class Conv1d(nn.Conv1d):
    """Filters along the steps: (B, L, D) -> (B, L', C). Padding is read as zeros; windows on it are such.
    causal: they see no later step, and zeros before the first take the place of padding."""

    contextual = True

    def __init__(self, *given: int, causal: bool = False, **more: object) -> None:
        super().__init__(*given, **more)
        self.causal = causal

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        mask = None if context is None else context.mask
        if mask is not None:
            x = x * mask.unsqueeze(2)
        out = self._slid(x.transpose(1, 2)).transpose(1, 2)
        if context is not None and mask is not None:
            reach = self.dilation[0] * (self.kernel_size[0] - 1) + 1
            wider = reach - 1 if self.causal else 2 * self.padding[0]
            there = (mask.sum(dim=1) + wider - reach) // self.stride[0] + 1
            steps = torch.arange(out.shape[1], device=x.device)
            context.mask = steps < there.clamp(min=1).unsqueeze(1)
        return out

    def _slid(self, x: torch.Tensor) -> torch.Tensor:
        size, reach = self.padding[0], self.dilation[0] * (self.kernel_size[0] - 1) + 1
        if self.causal:
            past = F.pad(x, (reach - 1, 0))
            return F.conv1d(past, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        lacking = reach - 2 * size - x.shape[2]
        if lacking > 0:  # a batch of texts shorter than the window, which longer ones would have widened
            x = F.pad(x, (0, lacking))
        if not size or self.stride[0] == 1:
            return super().forward(x)
        # padding by itself with a stride, torch 2.13 crashes (a segmentation fault) on some texts of one step
        padded = F.pad(x, (size, size))
        return F.conv1d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class SequencePool(nn.Module):
    """One vector of the steps that are there: (B, L, D) -> (B, D)."""

    contextual = True

    def __init__(self, mode: str = "mean", width: int = 0) -> None:
        super().__init__()
        self.mode = mode
        self.score = nn.Linear(width, 1) if mode == "attention" else None

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        mask = None if context is None else context.mask
        if self.mode == "first":
            return x[:, 0]
        if self.mode == "attention":
            return (self.attention_weights(x, context)[:, 0] @ x).squeeze(1)
        if mask is None:
            return x[:, -1] if self.mode == "last" else x.amax(1) if self.mode == "max" else x.mean(1)
        if self.mode == "last":
            return x[torch.arange(len(x), device=x.device), mask.sum(dim=1) - 1]
        if self.mode == "max":
            return x.masked_fill(~mask.unsqueeze(2), -torch.inf).amax(dim=1)
        return (x * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def attention_weights(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        """(B, 1, 1, L): what each step weighs; of mode "attention"."""
        assert self.score is not None, "other modes do not weigh"
        scores = self.score(x).squeeze(2)
        if context is not None and context.mask is not None:
            scores = scores.masked_fill(~context.mask, -torch.inf)
        return scores.softmax(dim=1)[:, None, None]


# ---------------------------------------------------------------- recurrent


class Recurrent(nn.Module):
    """nn.RNN, nn.LSTM or nn.GRU: (B, L, D) -> (B, L, H). Reading backwards begins at a text's own end."""

    contextual = True

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        cache = None if context is None else context.cache
        if cache is not None:
            state = cache.get(self)
            out, state = self.rnn(x, _unpacked(state))
            cache.put(self, 1, *(state if isinstance(state, tuple) else (state,)))
            return out
        mask = None if context is None else context.mask
        if not self.rnn.bidirectional or mask is None:
            return self.rnn(x)[0]
        lengths = mask.sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.rnn(packed)
        return nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]


def _unpacked(state: tuple[torch.Tensor, ...] | None) -> torch.Tensor | tuple[torch.Tensor, ...] | None:
    """A recurrent layer's state as it wants it: one tensor, or two of an LSTM."""
    return state[0] if state is not None and len(state) == 1 else state


class LSTMDecoder(nn.Module):
    """An LSTM that begins with the mean of what the encoder read and looks at it at every step."""

    contextual = True

    def __init__(self, width: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.rnn = nn.LSTM(width, hidden, layers, batch_first=True, dropout=between)
        self.combine = nn.Linear(2 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        assert context.memory is not None, "a decoder needs an encoder"
        out = self._states(x, context)
        seen = self._weights(out, context) @ context.memory
        return self.dropout(torch.tanh(self.combine(torch.cat([out, seen], dim=2))))

    def attention_weights(self, x: torch.Tensor, context: Context) -> dict[str, torch.Tensor]:
        """{"cross": (B, 1, Lq, Lk)}: what each written step takes of each step that was read."""
        context = replace(context, cache=None)
        return {"cross": self._weights(self._states(x, context), context).unsqueeze(1)}

    def _states(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        state = None if context.cache is None else context.cache.get(self)
        if state is None:
            memory, mask = context.memory, context.memory_mask
            assert memory is not None
            if mask is None:
                mean = memory.mean(dim=1)
            else:
                mean = (memory * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            first = mean.expand(self.rnn.num_layers, -1, -1).contiguous()
            state = (first, torch.zeros_like(first))
        out, state = self.rnn(x, state)
        if context.cache is not None:
            context.cache.put(self, 1, *state)
        return out

    def _weights(self, out: torch.Tensor, context: Context) -> torch.Tensor:
        assert context.memory is not None
        scores = out @ context.memory.transpose(1, 2) / math.sqrt(out.shape[2])
        if context.memory_mask is not None:
            scores = scores.masked_fill(~context.memory_mask.unsqueeze(1), -torch.inf)
        return scores.softmax(dim=2)


# ---------------------------------------------------------------- groups of sequence layers


class SequenceResidual(nn.Module):
    """activation(layers(x) + shortcut(x)), the shortcut x itself where there is none; with the context."""

    contextual = True

    def __init__(
        self, layers: Stack, shortcut: Stack | None = None, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        context = Context() if context is None else context
        around = x if self.shortcut is None else self.shortcut(x, replace(context))
        total = self.layers(x, context) + around
        return total if self.activation is None else self.activation(total)


def _shared(masks: list[torch.Tensor | None]) -> torch.Tensor | None:
    """Steps that are there in every branch."""
    shared = masks[0]
    for mask in masks[1:]:
        if mask is not shared and mask is not None and shared is not None and mask.shape == shared.shape:
            shared = shared & mask
    return shared


class SequenceParallel(nn.Module):
    """Branches on the same input, concatenated over the features ("concat") or added up ("sum")."""

    contextual = True

    def __init__(self, *branches: Stack, join: str = "concat") -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.join = join

    def forward(self, x: torch.Tensor, context: Context | None = None) -> torch.Tensor:
        contexts = [replace(context or Context()) for _ in self.branches]
        results = [branch(x, own) for branch, own in zip(self.branches, contexts, strict=True)]
        if context is not None:
            context.mask = _shared([own.mask for own in contexts])
        if self.join == "concat":
            return torch.cat(results, dim=1 if results[0].ndim == 4 else -1)
        return torch.stack(results).sum(dim=0)

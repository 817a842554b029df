"""Layers that work on 8-bit numbers on a CPU: linear, convolution, recurrent, embedding, and rows of them.

Notation: weights are symmetric per output channel, w = scale · q, q int8 from -127 to 127; what flows in a
stretch is u8: x = scale · (q - zero). What is kept are plain tensors; a layer makes of them what its kernel
wants. B texts, L steps, D features, N rows.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from workbench.models.sequence import Conv1d

ONEDNN: Any = torch.ops.onednn  # convolutions on plain tensors
TYPED: Any = torch.ops.quantized  # recurrent layers: on quantised dtypes, which torch will leave behind
TOP = 127  # largest u8 that is used: processors without VNNI add up pairs of products in 16 bits
WEIGHTY = ("conv1d", "conv2d", "linear")
WIDE = 192  # states from which torch's int8 LSTM is quicker than its float one (GRUs always are)
MOST_SHAPES = 4  # of inputs for which a convolution keeps its weights packed
MOST_ROWS = 512  # of a linear layer that are worked on at once
Range = tuple[float, int]  # scale and zero of what flows


def eighth(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 per first axis: (out, ...) float -> (q int8, scale (out,) float32).

    Check: |weight - scale · q| is at most half a scale.
    """
    flat = weight.detach().float().flatten(1)
    scale = (flat.abs().amax(dim=1) / 127.0).clamp(min=1e-12)
    q = (flat / scale.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
    return q.view(weight.shape), scale


def whole(q: Tensor, scale: Tensor) -> Tensor:
    """The float weights that they stand for."""
    return q.to(torch.float32) * scale.view(-1, *[1] * (q.ndim - 1))


class Int8Embedding(nn.Module):
    """Ids -> vectors from an 8-bit table, a scale a row."""

    def __init__(self, q: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.q, self.scale = q, scale

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return [self.q, self.scale]

    def forward(self, ids: Tensor) -> Tensor:
        return self.q[ids].to(torch.float32) * self.scale[ids].unsqueeze(-1)


class _Linear:
    """u8 (..., in) of a known range -> u8 of another, or float where there is none.

    torch._int_mm, 15 µs quicker a call than oneDNN's own linear layer, knows no zero: what that adds is the
    same for all rows and lies in the bias.
    """

    def __init__(self, parts: Mapping[str, Tensor], relu: bool, given: Range, out: Range | None) -> None:
        q = parts["q"].flatten(1)
        self.weight = q.t()
        self.gain = given[0] * parts["scale"]
        self.shift = -given[1] * self.gain * q.sum(dim=1, dtype=torch.int32)
        if (bias := parts.get("bias")) is not None:
            self.shift = self.shift + bias
        self.relu, self.is_last = relu, out is None
        if out is not None:
            self.gain, self.shift = self.gain / out[0], self.shift / out[0] + out[1] + 0.5  # as _To8
            self.least = out[1] + 0.5 if relu else 0.5

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            return in_parts(self._rows, x)
        return in_parts(self._rows, x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)

    def _rows(self, rows: Tensor) -> Tensor:
        y = torch._int_mm(rows.view(torch.int8), self.weight).mul(self.gain).add_(self.shift)
        if not self.is_last:
            return y.clamp_(self.least, TOP + 0.5).to(torch.uint8)
        return y.relu_() if self.relu else y


class _Conv:
    """The same for (N, C, H, W)."""

    def __init__(
        self, parts: Mapping[str, Tensor], step: Mapping[str, Any], given: Range, out: Range | None
    ) -> None:
        self.q, self.scale, self.bias, self.given = parts["q"], parts["scale"], parts.get("bias"), given
        self.options = (step["stride"], step["padding"], step["dilation"], step["groups"])
        self.packed: dict[tuple[int, ...], Tensor] = {}
        self.zeros = torch.zeros(len(self.scale), dtype=torch.int64)
        self.out: tuple[Any, ...] = (1.0, 0, torch.float32) if out is None else (*out, torch.uint8)
        self.after = "relu" if step["relu"] else "none"

    def __call__(self, x: Tensor) -> Tensor:
        packed = self.packed.get(x.shape)
        if packed is None:
            packed = self._pack(x.shape)
        return ONEDNN.qconv_pointwise(
            x, *self.given, packed, self.scale, self.zeros, self.bias, *self.options, *self.out, self.after,
            [], None,
        )  # fmt: skip

    def _pack(self, shape: torch.Size) -> Tensor:
        """In the order that oneDNN wants for this shape: in another, it turns them round at every call."""
        if len(self.packed) >= MOST_SHAPES:
            self.packed.clear()
        done = ONEDNN.qconv_prepack(self.q, self.scale, *self.given, *self.options, list(shape))
        self.packed[tuple(shape)] = done
        return done


class DynamicLinear(nn.Module):
    """A linear layer whose input is made 8-bit row by row: a sample's scores hang on no other's."""

    def __init__(self, parts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.parts = dict(parts)
        self.weight, self.scale, self.least = parts["q"].t(), parts["scale"], torch.tensor(1e-12)
        self.bias = parts.get("bias", torch.zeros(()))
        self.out_features, self.in_features = parts["q"].shape

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return list(self.parts.values())

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        return in_parts(self._rows, rows).view(*x.shape[:-1], self.out_features)

    def _rows(self, rows: Tensor) -> Tensor:
        largest = rows.abs().amax(dim=1, keepdim=True)
        scale = torch.add(self.least, largest, alpha=1 / TOP)
        out = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight)
        return out.mul(scale).mul_(self.scale).add_(self.bias)


class Int8Recurrent(nn.Module):
    """nn.LSTM, nn.GRU or nn.RNN with 8-bit weights, called as they are: padded or packed, with states or not.

    Computes on 8-bit numbers where torch's kernel for that is quicker than float; else the weights are
    unfolded for the time of a call. parts: of a weight "<name>/q" and "<name>/scale", of a bias "<name>".
    """

    is_recurrent = True  # for who looks for states

    def __init__(self, rnn: nn.RNNBase, parts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.parts = dict(parts)
        self.num_layers, self.hidden_size, self.bias = rnn.num_layers, rnn.hidden_size, rnn.bias
        self.bidirectional, self.batch_first, self.mode = rnn.bidirectional, rnn.batch_first, rnn.mode
        self.names = list(rnn._flat_weights_names)
        self.is_kernel = has_kernel(rnn)
        self.work = getattr(torch, ("quantized_" if self.is_kernel else "") + rnn.mode.lower())
        self.more = {"dtype": torch.qint8, "use_dynamic": True} if self.is_kernel and self.is_lstm else {}
        self.cells = self._packed() if self.is_kernel else []

    @property
    def is_lstm(self) -> bool:
        return bool(self.mode == "LSTM")

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return list(self.parts.values())

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        is_packed = isinstance(x, PackedSequence)
        data, sizes, order, back = x if is_packed else (x, None, None, None)
        n = data.shape[0 if self.batch_first else 1] if sizes is None else int(sizes[0])
        first = self._first(state, n, data)
        if order is not None:
            first = [part.index_select(1, order) for part in first]
        given = first if self.is_lstm else first[0]
        weights = self.cells if self.is_kernel else self._unfolded()
        options = (self.bias, self.num_layers, 0.0, False, self.bidirectional)
        if is_packed:
            out, *last = self.work(data, sizes, given, weights, *options, **self.more)
            out = PackedSequence(out, sizes, order, back)
        else:
            out, *last = self.work(data, given, weights, *options, self.batch_first, **self.more)
        if back is not None:
            last = [part.index_select(1, back) for part in last]
        return out, (tuple(last) if self.is_lstm else last[0])

    def _first(self, state: Any, n: int, x: Tensor) -> list[Tensor]:
        if state is not None:
            return list(state) if self.is_lstm else [state]
        zeros = x.new_zeros(self.num_layers * (1 + self.bidirectional), n, self.hidden_size)
        return [zeros, zeros] if self.is_lstm else [zeros]

    def _unfolded(self) -> list[Tensor]:
        parts = self.parts
        return [
            whole(parts[f"{name}/q"], parts[f"{name}/scale"]) if f"{name}/q" in parts else parts[name]
            for name in self.names
        ]

    def _packed(self) -> list[Any]:
        found = []
        for at in range(0, len(self.names), 4):  # weights of input and of state, a bias of each
            names, biases = self.names[at : at + 2], [self.parts[n] for n in self.names[at + 2 : at + 4]]
            packed = [
                TYPED.linear_prepack(_typed(self.parts[f"{name}/q"], self.parts[f"{name}/scale"]), bias)
                for name, bias in zip(names, biases, strict=True)
            ]
            found.append(TYPED.make_quantized_cell_params_dynamic(*packed, *biases, True))
        return found


def rounded(rnn: nn.RNNBase) -> dict[str, Tensor]:
    """The parts that Int8Recurrent is made of."""
    parts: dict[str, Tensor] = {}
    for name in rnn._flat_weights_names:
        weight = getattr(rnn, name)
        if weight.ndim == 2:
            parts[f"{name}/q"], parts[f"{name}/scale"] = eighth(weight)
        else:
            parts[name] = weight.detach().float().clone()
    return parts


def has_kernel(rnn: nn.RNNBase) -> bool:
    """Whether torch has an int8 kernel for the layer that is quicker than its float one."""
    is_wide = rnn.mode == "GRU" or (rnn.mode == "LSTM" and rnn.hidden_size >= WIDE)
    is_there = hasattr(torch, f"quantized_{rnn.mode.lower()}") and hasattr(torch, "qint8")
    return bool(is_there and is_wide and rnn.bias and not rnn.proj_size)


def _typed(q: Tensor, scale: Tensor) -> Tensor:
    """Weights as the recurrent kernels want them before they are packed."""
    zeros = torch.zeros(len(scale), dtype=torch.int64)
    with warnings.catch_warnings():  # without these dtypes the layer computes in float: nothing to be told
        warnings.simplefilter("ignore", UserWarning)
        return torch._make_per_channel_quantized_tensor(q, scale.double(), zeros, 0)


class Int8Conv1d(Conv1d):
    """The convolution along steps, its sliding on 8-bit numbers; masks and padding as in the float one."""

    def __init__(self, layer: Conv1d, parts: Mapping[str, Tensor]) -> None:
        nn.Module.__init__(self)
        for name in ("kernel_size", "stride", "padding", "dilation", "groups", "causal"):
            setattr(self, name, getattr(layer, name))
        self.parts = dict(parts)
        given = pair(parts["range"])
        self.first, self.work = _To8(given), _Linear(within(parts, 0), False, given, None)

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return list(self.parts.values())

    def _slid(self, x: Tensor) -> Tensor:
        """(B, D, L) -> (B, C, L')."""
        size, reach = self.padding[0], self.dilation[0] * (self.kernel_size[0] - 1) + 1
        before, after = (reach - 1, 0) if self.causal else (size, size)
        after += max(0, reach - before - after - x.shape[2])
        x = self.first(F.pad(x, (before, after)))
        windows = x.unfold(2, reach, self.stride[0])[..., :: self.dilation[0]].transpose(1, 2)
        out = self.work(windows.reshape(-1, windows.shape[2] * windows.shape[3]))  # (B L', D k)
        return out.view(*windows.shape[:2], -1).transpose(1, 2)


class Stretch(nn.Module):
    """A run of layers that works on 8-bit numbers from its first to its last: float in, float out.

    steps: what each layer is; parts: "range" (scale, zero) of the input, and of layer i "i/q", "i/scale",
    "i/bias" and "i/range" of its output.
    """

    def __init__(self, steps: list[dict[str, Any]], parts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.parts = dict(parts)
        now = pair(parts["range"])
        self.first = _To8(now)
        self.run: list[Callable[[Tensor], Tensor]] = []
        for i, step in enumerate(steps):
            own = within(parts, i)
            out = None if i == len(steps) - 1 or not own else pair(own["range"])
            self.run.append(_step(step, own, now, out))
            now = out or now
        self.last = None if steps[-1]["kind"] in WEIGHTY else now

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return list(self.parts.values())

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.first(x)
        for run in self.run:
            x = run(x)
        if self.last is not None:
            x = (x.to(torch.float32) - self.last[1]) * self.last[0]
        return x


def in_parts(work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """What `work` gives for the rows; of many, part by part, so that what lies between stays in the cache."""
    if len(rows) <= MOST_ROWS:
        return work(rows)
    return torch.cat([work(part) for part in rows.split(MOST_ROWS)])


class _To8:
    """Floats -> u8 of a known range. The conversion cuts off what is behind the point, so a half is added."""

    def __init__(self, given: Range) -> None:
        scale, zero = given
        self.steps, self.half = 1.0 / scale, torch.tensor(zero + 0.5)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.add(self.half, x, alpha=self.steps).clamp_(0.5, TOP + 0.5).to(torch.uint8)


def pair(kept: Tensor) -> Range:
    return float(kept[0]), int(kept[1])


def within(parts: Mapping[str, Tensor], i: int) -> dict[str, Tensor]:
    """Those of layer i of a stretch, by their own names."""
    head = f"{i}/"
    return {name.removeprefix(head): part for name, part in parts.items() if name.startswith(head)}


def _step(
    step: Mapping[str, Any], parts: Mapping[str, Tensor], given: Range, out: Range | None
) -> Callable[[Tensor], Tensor]:
    kind = step["kind"]
    if kind == "linear":
        return _Linear(parts, step["relu"], given, out)
    if kind == "conv2d":
        return _Conv(parts, step, given, out)
    if kind == "relu":
        return lambda x: x.clamp(min=given[1])
    if kind == "max_pool2d":
        return lambda x: largest(x, *step["pool"])
    if kind == "flatten":
        return lambda x: x.contiguous().flatten(1).clamp(max=TOP)  # a convolution goes up to 255
    return lambda x: x.to(torch.float32).mean(dim=(2, 3)).clamp_(max=TOP).round_().to(torch.uint8)  # global


def largest(x: Tensor, size: Any, stride: Any, padding: Any) -> Tensor:
    """Max pooling of u8 (N, C, H, W), whose ranges keep their order; torch's own takes only small u8 maps.

    Check: equal to torch's on floats.
    """
    (kh, kw), (sh, sw), (ph, pw) = (v if isinstance(v, tuple) else (v, v) for v in (size, stride, padding))
    if ph or pw:
        x = nn.functional.pad(x, (pw, pw, ph, ph), value=0)  # nothing is smaller
    high, wide = (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1
    found: Tensor | None = None
    for i in range(kh):
        for j in range(kw):
            part = x[:, :, i : i + sh * (high - 1) + 1 : sh, j : j + sw * (wide - 1) + 1 : sw]
            found = part if found is None else torch.maximum(found, part)
    assert found is not None
    return found


def range_of(low: float, high: float) -> Range:
    """Scale and zero of numbers from 0 to TOP that take in 0 and low to high."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / TOP, 1e-8)
    return scale, round(-low / scale)

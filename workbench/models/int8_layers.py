"""Layers that work on 8-bit numbers with oneDNN's kernels: linear, convolution, embedding, and rows of them.

Notation: weights are symmetric per output channel, w = scale · q, q int8 from -127 to 127; what flows is u8:
x = scale · (q - zero). N rows.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

ONEDNN: Any = torch.ops.onednn  # kernels on plain tensors; torch's quantised dtypes are on their way out
TOP = 127  # largest u8 that is used: processors without VNNI add up pairs of products in 16 bits
WEIGHTY = ("conv2d", "linear")
Range = tuple[float, int]  # scale and zero of what flows


def eighth(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 per first axis: (out, ...) float -> (q int8, scale (out,) float32).

    Check: |weight - scale · q| is at most half a scale.
    """
    flat = weight.detach().float().flatten(1)
    scale = (flat.abs().amax(dim=1) / 127.0).clamp(min=1e-12)
    q = (flat / scale.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
    return q.view(weight.shape), scale


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
    """u8 (N, in) of a known range -> u8 of another, or float where there is none."""

    def __init__(self, parts: Mapping[str, Tensor], relu: bool) -> None:
        self.scale, self.bias = parts["scale"], parts.get("bias")
        self.packed = ONEDNN.qlinear_prepack(parts["q"], None)
        self.zeros = torch.zeros(len(self.scale), dtype=torch.int64)
        self.after = "relu" if relu else "none"

    def __call__(self, x: Tensor, given: Range, out: Range | None) -> Tensor:
        scale, zero = (1.0, 0) if out is None else out
        kind = torch.float32 if out is None else torch.uint8
        return ONEDNN.qlinear_pointwise(
            x, *given, self.packed, self.scale, self.zeros, self.bias, scale, zero, kind, self.after, [], ""
        )


class _Conv:
    """The same for (N, C, H, W)."""

    def __init__(self, parts: Mapping[str, Tensor], step: Mapping[str, Any], given: Range) -> None:
        self.scale, self.bias = parts["scale"], parts.get("bias")
        self.options = (step["stride"], step["padding"], step["dilation"], step["groups"])
        self.packed = ONEDNN.qconv_prepack(parts["q"], self.scale, *given, *self.options, None)
        self.zeros = torch.zeros(len(self.scale), dtype=torch.int64)
        self.after = "relu" if step["relu"] else "none"

    def __call__(self, x: Tensor, given: Range, out: Range | None) -> Tensor:
        scale, zero = (1.0, 0) if out is None else out
        kind = torch.float32 if out is None else torch.uint8
        return ONEDNN.qconv_pointwise(
            x, *given, self.packed, self.scale, self.zeros, self.bias, *self.options, scale, zero, kind,
            self.after, [], None,
        )  # fmt: skip


class DynamicLinear(nn.Module):
    """A linear layer whose input is made 8-bit batch by batch."""

    def __init__(self, parts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.parts = dict(parts)
        self.work = _Linear(parts, relu=False)
        self.out_features, self.in_features = parts["q"].shape

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return list(self.parts.values())

    def forward(self, x: Tensor) -> Tensor:
        low, high = x.aminmax()
        given = range_of(float(low), float(high))
        out = self.work(u8(x.reshape(-1, self.in_features), given), given, None)
        return out.view(*x.shape[:-1], self.out_features)


class Stretch(nn.Module):
    """A run of layers that works on 8-bit numbers from its first to its last: float in, float out.

    steps: what each layer is; parts: "range" (scale, zero) of the input, and of layer i "i/q", "i/scale",
    "i/bias" and "i/range" of its output.
    """

    def __init__(self, steps: list[dict[str, Any]], parts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.parts = dict(parts)
        self.first = now = pair(parts["range"])
        self.run: list[Callable[[Tensor], Tensor]] = []
        for i, step in enumerate(steps):
            own = {name: parts[f"{i}/{name}"] for name in ("q", "scale", "bias") if f"{i}/{name}" in parts}
            out = None if i == len(steps) - 1 or not own else pair(parts[f"{i}/range"])
            self.run.append(_step(step, own, now, out))
            now = out or now
        self.last = None if steps[-1]["kind"] in WEIGHTY else now

    def numbers(self) -> list[Tensor]:
        """What it is made of."""
        return list(self.parts.values())

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        elif x.ndim > 2:
            x = x.reshape(-1, shape[-1])
        x = u8(x, self.first)
        for run in self.run:
            x = run(x)
        if self.last is not None:
            x = (x.to(torch.float32) - self.last[1]) * self.last[0]
        return x if x.ndim == 4 or len(shape) in (2, 4) else x.view(*shape[:-1], x.shape[-1])


def u8(x: Tensor, given: Range) -> Tensor:
    scale, zero = given
    return (x * (1.0 / scale)).add_(zero).round_().clamp_(0, TOP).to(torch.uint8)


def pair(kept: Tensor) -> Range:
    return float(kept[0]), int(kept[1])


def _step(
    step: Mapping[str, Any], parts: Mapping[str, Tensor], given: Range, out: Range | None
) -> Callable[[Tensor], Tensor]:
    kind = step["kind"]
    if kind in WEIGHTY:
        work = _Conv(parts, step, given) if kind == "conv2d" else _Linear(parts, step["relu"])
        return lambda x: work(x, given, out)
    if kind == "relu":
        return lambda x: x.clamp(min=given[1])
    if kind == "max_pool2d":
        return lambda x: largest(x, *step["pool"])
    if kind == "flatten":
        return lambda x: x.contiguous().flatten(1)
    return lambda x: x.to(torch.float32).mean(dim=(2, 3)).round_().to(torch.uint8)  # global average


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

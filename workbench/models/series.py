"""Layers of series as torch modules. Each stands by itself: exported code carries the classes as they are.

B windows, L steps of the past, S steps that come out, V variates.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class SeriesLinear(nn.Module):
    """Past to future along the steps, trend and rest apart (Zeng et al. 2023): (B, L, V) -> (B, S, V)."""

    def __init__(
        self,
        length: int,
        variates: int,
        steps: int,
        kernel_size: int = 25,
        individual: bool = False,
        normalize: str = "none",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.normalize = normalize
        own = variates if individual else 1
        self.rest = nn.ModuleList(nn.Linear(length, steps, bias=bias) for _ in range(own))
        self.trend = nn.ModuleList(
            nn.Linear(length, steps, bias=bias) for _ in range(own if kernel_size > 1 else 0)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        past = x.transpose(1, 2)  # (B, V, L)
        if self.normalize == "none":
            return self._told(past).transpose(1, 2)
        level = past[:, :, -1:] if self.normalize == "last" else past.mean(dim=2, keepdim=True)
        return (self._told(past - level) + level).transpose(1, 2)

    def _told(self, past: torch.Tensor) -> torch.Tensor:
        if self.kernel_size == 1:
            return self._led(self.rest, past)
        before = (self.kernel_size - 1) // 2
        wide = F.pad(past, (before, self.kernel_size - 1 - before), mode="replicate")
        trend = F.avg_pool1d(wide, self.kernel_size, stride=1)
        return self._led(self.rest, past - trend) + self._led(self.trend, trend)

    def _led(self, maps: nn.ModuleList, part: torch.Tensor) -> torch.Tensor:
        if len(maps) == 1:
            return maps[0](part)
        return torch.stack([one(part[:, i]) for i, one in enumerate(maps)], dim=1)


class WindowNorm(nn.Module):
    """Each window (B, L, V) on its own scale, and what the layers tell of it back on the series' scale.

    The layers give steps (B, S, V), or one vector (B, S · T) of the T variates at the places `told`, step by
    step. Kim et al. 2022, https://openreview.net/forum?id=cGDAkQo1C0p, without learned scales.
    """

    def __init__(
        self, layers: nn.Module, how: str = "standardize", told: tuple[int, ...] = (0,), eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.layers = layers
        self.how = how
        self.told = list(told)
        self.eps = eps  # added to the variance: a window that stands still has none

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = x[:, -1:] if self.how == "last" else x.mean(dim=1, keepdim=True)  # (B, 1, V)
        if self.how != "standardize":
            return self._back(self.layers(x - level), level, None)
        spread = (x.var(dim=1, keepdim=True, unbiased=False) + self.eps).sqrt()
        return self._back(self.layers((x - level) / spread), level, spread)

    def _back(self, out: torch.Tensor, level: torch.Tensor, spread: torch.Tensor | None) -> torch.Tensor:
        if out.ndim == 3:
            return out + level if spread is None else out * spread + level
        steps = out.unflatten(1, (-1, len(self.told)))
        if spread is not None:
            steps = steps * spread[:, :, self.told]
        return (steps + level[:, :, self.told]).flatten(1)

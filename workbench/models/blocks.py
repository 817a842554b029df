"""The blocks that torch.nn lacks. Each stands by itself: exported code carries the classes as they are."""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel: (B, C, H, W) -> the same shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """A learned factor per channel: (B, C, ...) -> the same shape."""

    def __init__(self, channels: int, init: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 3:  # a sequence (B, L, D): a factor per feature
            return x * self.weight
        return x * self.weight.view(-1, *[1] * (x.ndim - 2))


class SqueezeExcitation(nn.Module):
    """Channels weighed by what the whole image holds (Hu et al. 2018): (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


class Residual(nn.Module):
    """activation(layers(x) + shortcut(x)), the shortcut x itself where there is none (He et al. 2016)."""

    def __init__(
        self,
        layers: nn.Sequential,
        shortcut: nn.Sequential | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = x if self.shortcut is None else self.shortcut(x)
        total = self.layers(x) + around
        return total if self.activation is None else self.activation(total)


class Parallel(nn.Module):
    """Branches on the same input, concatenated over the channels ("concat") or added up ("sum")."""

    def __init__(self, *branches: nn.Sequential, join: str = "concat") -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.join = join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        results = [branch(x) for branch in self.branches]
        if self.join == "concat":
            return torch.cat(results, dim=1)
        return torch.stack(results).sum(dim=0)


class Skip(nn.Module):
    """The input beside what the layers make of it, (B, C, H, W) -> (B, C + C', H, W); what comes out a few
    pixels short is padded with zeros at its far edge, what is too long is cut there."""

    def __init__(self, layers: nn.Sequential, first: str = "input") -> None:
        super().__init__()
        self.layers = layers
        self.first = first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.layers(x)
        down, right = x.shape[2] - made.shape[2], x.shape[3] - made.shape[3]
        if down or right:
            made = F.pad(made, (0, right, 0, down))
        return torch.cat([x, made] if self.first == "input" else [made, x], dim=1)


class Reparameterize(nn.Module):
    """A code drawn from a normal distribution: (B, 2 C, ...) -> (B, C, ...), means first, then log-variances;
    in eval mode the means. divergence: of the last batch from the standard normal distribution, a scalar in
    nats per sample, sum over the code (Kingma & Welling 2014, appendix B)."""

    divergence: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, log_variance = x.unflatten(1, (2, -1)).unbind(1)
        log_variance = log_variance.clamp(-30.0, 20.0)  # exp of more is infinite in half precision
        distance = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)
        self.divergence = distance.flatten(1).sum(dim=1).mean()
        if not self.training:
            return mean
        return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()

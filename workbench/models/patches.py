"""Images cut into patches. It stands by itself: exported code carries the class as it is."""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import torch
from torch import nn


class PatchEmbedding(nn.Conv2d):
    """Each square patch as a step, row by row: (B, C, H, W) -> (B, L, D)."""

    def __init__(self, channels: int, width: int, patch_size: int = 4, bias: bool = True) -> None:
        super().__init__(channels, width, patch_size, stride=patch_size, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).flatten(2).transpose(1, 2)

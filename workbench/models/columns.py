"""Layers of tables as torch modules: rows (B, F) of numbers and codes of categories, numbers first.

Each stands by itself: exported code carries the classes as they are. B rows, N numbers, C columns of
categories, F = N + C, D features.
"""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import math

import torch
from torch import nn


class ColumnEmbedding(nn.Module):
    """(B, N + C) -> (B, N + the widths' sum): numbers as they are, categories as their vectors."""

    def __init__(self, numeric: int, categories: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.numeric = numeric
        self.tables = nn.ModuleList(
            nn.Embedding(n, width) for n, width in zip(categories, widths, strict=True)
        )
        for table in self.tables:  # as far from zero as the standardised numbers beside them
            nn.init.normal_(table.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        codes = x[:, self.numeric :].long()
        vectors = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        return torch.cat([x[:, : self.numeric], *vectors], dim=1)


class ColumnTokens(nn.Module):
    """(B, N + C) -> (B, N + C, D): each column a step."""

    def __init__(self, numeric: int, categories: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.numeric = numeric
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(numeric, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(numeric + len(categories), width).uniform_(-bound, bound))
        self.table = nn.Parameter(torch.empty(sum(categories), width).uniform_(-bound, bound))
        starts = torch.tensor([sum(categories[:i]) for i in range(len(categories))], dtype=torch.int64)
        self.register_buffer("starts", starts, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        numbers = x[:, : self.numeric].unsqueeze(2) * self.weight
        if not len(self.starts):
            return numbers + self.bias
        found = self.table[x[:, self.numeric :].long() + self.starts]
        return torch.cat([numbers, found], dim=1) + self.bias

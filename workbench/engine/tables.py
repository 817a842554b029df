"""Rows of a table as batches: x (B, F) float32; y (B,) int64 class numbers, or (B, K) float32.

The rows stay where they fit: on the device, or in the file's memory map, from which batches are read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.engine.batches import order
from workbench.engine.device import free_bytes
from workbench.specs.errors import DataError

SHARE = 0.25  # of the free memory that rows may take on the device
PIECE = 65_536  # rows copied at once


class TableFeed:
    """One split. near: whether its rows lie on the device."""

    width = 1

    def __init__(self, split: Any, device: torch.device, room_bytes: int | None = None) -> None:
        self.n = len(split)
        self.device = device
        self._host = split.x
        host_y = np.ascontiguousarray(split.y)
        self.mark = zlib.crc32(host_y.tobytes())
        self.y: Tensor | None = torch.from_numpy(host_y.copy()).to(device)
        free = free_bytes(device) if room_bytes is None else room_bytes
        self.is_near = split.x.nbytes <= SHARE * free
        self._near = torch.empty(0)
        if self.is_near:
            self._near = torch.empty(split.x.shape, dtype=torch.float32, device=device)
            for start in range(0, self.n, PIECE):  # in pieces: no second copy of the whole
                self._near[start : start + PIECE] = torch.from_numpy(np.array(split.x[start : start + PIECE]))

    @property
    def held_bytes(self) -> int:
        labels = 0 if self.y is None else self.y.numel() * self.y.element_size()
        return int(labels + (self._host.nbytes if self.is_near else 0))

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Tensor]:
        rows = order(self.n, seed, epoch)
        return list((rows.to(self.device) if self.is_near else rows).split(sizes))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        assert self.y is not None
        return self._x(rows), self.y.index_select(0, rows.to(self.device))

    def changed(self, rows: Tensor, augment: object, step: int) -> tuple[Tensor, Tensor]:
        raise DataError.of(
            "data.augment", "random changes are made to images", "this is a table", "Take the changes away."
        )

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        assert self.y is not None
        for start in range(0, self.n, batch):
            stop = min(start + batch, self.n)
            x = self._near[start:stop] if self.is_near else torch.from_numpy(np.array(self._host[start:stop]))
            yield x.to(self.device), self.y[start:stop]

    def as_stored(self, scores: Tensor) -> Tensor:
        """They come by in the order of the split's rows."""
        return scores

    def _x(self, rows: Tensor) -> Tensor:
        if self.is_near:
            return self._near.index_select(0, rows)
        return torch.from_numpy(self._host[rows.numpy()]).to(self.device)  # fancy indexing copies

"""Batches of images whose answer is an image: a mask of classes, or the image itself.

Notation: N samples, B rows asked for; x (B, C, H, W) float32 normalised; masks uint8 (N, H, W), 255 where a
pixel counts nowhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.engine.augment import Augment
from workbench.engine.batches import FLOAT_SHARE, Batches, order
from workbench.engine.device import free_bytes
from workbench.records import Data
from workbench.specs.errors import DataError


class OwnBatches(Batches):
    """Every image is its own answer: (x, x)."""

    y: Any = None

    def __init__(self, split: Any, data: Data, device: torch.device, room_bytes: int | None = None) -> None:
        super().__init__(split, data, device, room_bytes)
        self.y = None  # labels are not asked for
        self.pixels = int(np.prod(split.x.shape[2:]))

    @property
    def held_bytes(self) -> int:
        return int(self.x.numel() * self.x.element_size())

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Any]:
        return list(order(self.n, seed, epoch).to(self.device).split(sizes))

    def batch(self, pick: Any) -> tuple[Tensor, Tensor]:
        return self._answered(self.x_of(pick), pick)

    def changed(self, pick: Any, augment: Augment, step: int) -> tuple[Tensor, Tensor]:
        x, answer = self._answered(torch.empty(0, device=self.device), pick)
        pixels, answer = augment(self._raw(pick), answer, step)
        scale, shift = self._unit_norm
        x = (pixels * scale).add_(shift)
        return x, self._after(x, answer)

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self.n, batch):
            yield self.batch(torch.arange(start, min(start + batch, self.n), device=self.device))

    def _answered(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return x, x

    def _after(self, x: Tensor, answer: Tensor) -> Tensor:
        """The answer to images that were changed at random."""
        return x


class MaskedBatches(OwnBatches):
    """Every image has a mask: (x, masks (B, H, W) int64)."""

    def __init__(self, split: Any, data: Data, device: torch.device, room_bytes: int | None = None) -> None:
        super().__init__(split, data, device, room_bytes)
        if getattr(split, "masks", None) is None:
            raise DataError.of(
                data.name, "segmentation needs a mask of every image", "the set has none",
                "Add images with their masks.",
            )  # fmt: skip
        self._host = split.masks
        free = free_bytes(device) if room_bytes is None else room_bytes
        self._is_near = self._host.nbytes <= FLOAT_SHARE * free
        self._near = torch.from_numpy(np.array(self._host)).to(device) if self._is_near else None
        self.mark = zlib.crc32(np.ascontiguousarray(self._host[: 1 << 10]).tobytes(), self.mark)

    @property
    def held_bytes(self) -> int:
        return super().held_bytes + (int(self._near.numel()) if self._near is not None else 0)

    def _answered(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        if self._near is not None:
            return x, self._near.index_select(0, rows).long()
        picked = torch.from_numpy(np.array(self._host[rows.cpu().numpy()]))
        return x, picked.to(self.device).long()

    def _after(self, x: Tensor, answer: Tensor) -> Tensor:
        return answer

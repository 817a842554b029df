"""A split on the device, handed out by rows; the order of an epoch; the one normalisation.

Notation: N samples, B rows asked for; pixels uint8 (N, C, H, W); x float32; y int64 (N,).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from workbench.engine.augment import Augment
from workbench.engine.device import free_bytes
from workbench.records import Data, Split

Labelled = tuple[Tensor, Tensor]  # rows (B,) int64 and their labels (B,) int64, on the device
FLOAT_SHARE = 0.25  # of the free memory that normalised float32 pixels may take; uint8 is a quarter of it


def order(n: int, seed: int, epoch: int) -> Tensor:
    """The rows of an epoch, shuffled: (n,) int64, a pure function of its arguments."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(n))


def normalised(pixels: np.ndarray | Tensor, mean: np.ndarray, std: np.ndarray) -> Tensor:
    """(pixels / 255 - mean) / std per channel. pixels (B, C, H, W) uint8 -> (B, C, H, W) float32."""
    raw = _tensor(pixels) if isinstance(pixels, np.ndarray) else pixels
    return _apply(raw, *_scale_and_shift(mean, std, raw.device))


class Batches:
    """A split that stays where it fits best, and gives normalised batches of any rows.

    placed: "float" (normalised once, on the device), "bytes" (uint8 on the device, normalised per
    batch) or "host" (uint8 in the file's memory map, moved per batch). All three give equal bits.
    """

    width = 1

    def __init__(self, split: Split, data: Data, device: torch.device, room_bytes: int | None = None) -> None:
        self.n = len(split.y)
        self.device = device
        self.mark = zlib.crc32(np.asarray(split.y, dtype=np.int64).tobytes())
        # Labels are small; they always live on the device.
        self.y = _tensor(np.asarray(split.y, dtype=np.int64)).to(device)
        self._norm = _scale_and_shift(data.mean, data.std, device)
        self._unit_norm = 255.0 * self._norm[0], self._norm[1]  # for pixels that are 0..1 already
        free = free_bytes(device) if room_bytes is None else room_bytes
        size = int(np.prod(split.x.shape))
        if 4 * size <= FLOAT_SHARE * free:
            self.placed = "float"
        else:
            self.placed = "bytes" if size <= FLOAT_SHARE * free else "host"
        self._pixels = split.x
        self.x = self._place(split.x)

    def x_of(self, rows: Tensor) -> Tensor:
        """rows (B,) int64 on the device -> x (B, C, H, W) float32 on the device."""
        if self.placed == "float":
            return self.x.index_select(0, rows)
        if self.placed == "bytes":
            return _apply(self.x.index_select(0, rows), *self._norm)
        picked = torch.from_numpy(self._pixels[rows.cpu().numpy()])  # fancy indexing copies
        return _apply(picked.to(self.device), *self._norm)

    @property
    def held_bytes(self) -> int:
        """What stays on the device."""
        return sum(int(part.numel() * part.element_size()) for part in (self.x, self.y))

    def batch(self, pick: Labelled) -> tuple[Tensor, Tensor]:
        """(x (B, C, H, W), y (B,))."""
        return self.x_of(pick[0]), pick[1]

    def changed(self, pick: Labelled, augment: Augment, step: int) -> tuple[Tensor, Tensor]:
        """x and labels of a batch as `augment` leaves them at update `step`: its work is on pixels
        from 0 to 1, before they are normalised. Normalised pixels are given up for bytes at the first call,
        so that the bits do not depend on how much memory was free."""
        rows, y = pick
        pixels, y = augment(self._raw(rows), y, step)
        scale, shift = self._unit_norm
        return (pixels * scale).add_(shift), y

    def _raw(self, rows: Tensor) -> Tensor:
        """Pixels (B, C, H, W) from 0 to 1, not normalised."""
        if self.placed == "float":
            self.placed, self.x = "bytes", torch.empty(0)
            self.x = self._place(self._pixels)
        if self.placed == "bytes":
            raw = self.x.index_select(0, rows)
        else:
            raw = torch.from_numpy(self._pixels[rows.cpu().numpy()]).to(self.device)
        return raw.to(torch.float32).mul_(1.0 / 255.0)

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) batch by batch, first row to last: what an evaluation walks through."""
        rows = torch.arange(self.n, device=self.device) if self.placed == "host" else None
        for start in range(0, self.n, batch):
            stop = min(start + batch, self.n)
            if rows is not None:
                x = self.x_of(rows[start:stop])
            elif self.placed == "float":
                x = self.x[start:stop]
            else:
                x = _apply(self.x[start:stop], *self._norm)
            yield x, self.y[start:stop]

    def as_stored(self, scores: Tensor) -> Tensor:
        """They come by in the order of the split's rows."""
        return scores

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Labelled]:
        """Rows (B,) and labels (B,) of every batch of an epoch, on the device."""
        rows = order(self.n, seed, epoch).to(self.device)
        return list(zip(rows.split(sizes), self.y.index_select(0, rows).split(sizes), strict=True))

    def _place(self, pixels: np.ndarray) -> Tensor:
        if self.placed == "host":
            return torch.empty(0)
        kind = torch.uint8 if self.placed == "bytes" else torch.float32
        out = torch.empty(pixels.shape, dtype=kind, device=self.device)
        for start in range(0, self.n, 4096):  # in pieces: no second copy of the whole
            piece = _tensor(pixels[start : start + 4096]).to(self.device)
            out[start : start + 4096] = piece if self.placed == "bytes" else _apply(piece, *self._norm)
        return out


def batch_sizes(n: int, batch: int, join_single: bool = False) -> list[int]:
    """Sizes of an epoch's batches: the last one is what is left over. They sum to n.

    join_single: a last batch of one sample joins the one before, since batch norm cannot train on a
    single vector.
    """
    sizes = [batch] * (n // batch) + ([n % batch] if n % batch else [])
    if join_single and len(sizes) > 1 and sizes[-1] == 1 and batch > 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def _tensor(array: np.ndarray) -> Tensor:
    # torch wants memory that it could write to; a memory map opened for reading is copied.
    return torch.from_numpy(np.ascontiguousarray(array) if array.flags.writeable else np.array(array))


def _scale_and_shift(mean: np.ndarray, std: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    # x / 255 / std - mean / std as one multiplication and one addition.
    scale = 1.0 / (255.0 * np.asarray(std, dtype=np.float64))
    shift = -np.asarray(mean, dtype=np.float64) / np.asarray(std, dtype=np.float64)
    pair = (torch.from_numpy(v.astype(np.float32).reshape(1, -1, 1, 1)).to(device) for v in (scale, shift))
    first, second = pair
    return first, second


def _apply(raw: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return raw.to(torch.float32).mul_(scale).add_(shift)

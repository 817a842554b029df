"""Float pictures to uint8 tiles: the one place where values become pixels.

Notation: n tiles of h by w numbers, each scaled by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


class Scaled(NamedTuple):
    """pixels (n, h, w) or (n, h, w, 3) uint8; lows, highs (n,) float32: the values of 0 and 255."""

    pixels: np.ndarray
    lows: np.ndarray
    highs: np.ndarray


def scaled(values: Tensor, signed: bool = False, from_zero: bool = False) -> Scaled:
    """values (n, h, w) or (n, h, w, 3) -> uint8, per tile; one fetch from the device.

    signed: zero is put in the middle of the range, so low = -high. from_zero: of values that are never
    negative, low is zero.
    Check: low + pixel / 255 * (high - low) is within half a level of the value; a flat tile is 0 (or
    the middle, if signed) everywhere. What is not finite counts as zero.
    """
    n = len(values)
    flat = torch.nan_to_num(values.detach().float(), nan=0.0, posinf=0.0, neginf=0.0).reshape(n, -1)
    if signed:
        highs = flat.abs().amax(dim=1)
        lows = -highs
    else:
        lows, highs = flat.amin(dim=1), flat.amax(dim=1)
        lows = torch.zeros_like(lows) if from_zero else lows
    span = (highs - lows).clamp_min(torch.finfo(torch.float32).tiny)
    levels = ((flat - lows[:, None]) / span[:, None] * 255).round()
    if signed:
        levels = torch.where(highs[:, None] > 0, levels, torch.full_like(levels, 128))
    packed = torch.cat([lows, highs]).cpu().numpy()
    pixels = levels.clamp(0, 255).to(torch.uint8).reshape(values.shape).cpu().numpy()
    return Scaled(pixels, packed[:n], packed[n:])


def shrunk(maps: Tensor, side: int) -> Tensor:
    """(n, h, w) with both sides at most `side`, by averaging areas; smaller maps come back as they are."""
    h, w = maps.shape[-2:]
    longest = max(h, w)
    if longest <= side:
        return maps
    to = [max(1, round(h * side / longest)), max(1, round(w * side / longest))]
    return F.adaptive_avg_pool2d(maps.float(), to)

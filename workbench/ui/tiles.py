"""Small pictures of a data set, as pixels that are never smoothed."""

from __future__ import annotations

import math

import numpy as np

TILE_PX = 72


def enlarged(image: np.ndarray, side: int = TILE_PX) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8, each pixel repeated until `side` is reached: never smoothed."""
    times = max(1, math.ceil(side / image.shape[1]))
    return image.repeat(times, axis=0).repeat(times, axis=1)

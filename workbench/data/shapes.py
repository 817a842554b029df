"""Circles, squares and triangles in front of noise, with a mask of each: made by the same code anywhere.

What a pixel belongs to is told by form alone: colours are drawn anew for every thing. Things lie whole in
their picture and side by side.
"""

from __future__ import annotations

import numpy as np

from workbench.data.splits import TEST, TRAIN

N_TRAIN, N_TEST, SIDE = 1_000, 200, 48
CLASSES = ("background", "circle", "square", "triangle")
_SEED = 20_240_517
_MOST = 4  # things in a picture
_TRIES = 12  # to find a free place for one
_SMALLEST, _LARGEST = 6.0, 12.0  # pixels from a thing's middle to its edge, or to its corner
_APART = 60.0  # grey levels, at least, between a thing and what is behind it


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, 3, 48, 48) uint8, masks (N, 48, 48) uint8 of class numbers, splits (N,) int8."""
    draw = np.random.default_rng(_SEED)
    n = N_TRAIN + N_TEST
    images, masks = np.empty((n, 3, SIDE, SIDE), np.uint8), np.empty((n, SIDE, SIDE), np.uint8)
    for i in range(n):
        images[i], masks[i] = _picture(draw)
    splits = np.where(np.arange(n) < N_TRAIN, TRAIN, TEST).astype(np.int8)
    return images, masks, splits


def _picture(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    down, right = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    back = draw.uniform(30, 225, 3)
    slope = draw.uniform(-0.7, 0.7, (2, 3))  # grey levels a pixel: the ground is lit from one side
    lit = slope[0][:, None, None] * (down - SIDE / 2) + slope[1][:, None, None] * (right - SIDE / 2)
    image = back[:, None, None] + lit  # (3, H, W)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(int(draw.integers(1, _MOST + 1))):
        kind = int(draw.integers(1, len(CLASSES)))
        colour = draw.uniform(0, 255, 3)
        while np.abs(colour - back).max() < _APART:
            colour = draw.uniform(0, 255, 3)
        free = (_thing(kind, draw, down, right) for _ in range(_TRIES))
        inside = next((place for place in free if not mask[place].any()), None)
        if inside is None:
            continue
        image = np.where(inside, colour[:, None, None], image)
        mask[inside] = kind
    noisy = image + draw.normal(0, 12, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), mask


def _thing(kind: int, draw: np.random.Generator, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which pixels (H, W) lie in a thing of that class somewhere in the picture, turned anyhow."""
    size, angle = draw.uniform(_SMALLEST, _LARGEST), draw.uniform(0, 2 * np.pi)
    y, x = draw.uniform(size + 1, SIDE - size - 2, 2)
    dy, dx = down - y, right - x
    if kind == 1:
        return np.asarray(dy**2 + dx**2 <= size**2)
    u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    if kind == 2:
        return np.asarray(np.maximum(np.abs(u), np.abs(v)) <= 0.8 * size)
    edges = [np.cos(turn) * u + np.sin(turn) * v for turn in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    return np.asarray(np.maximum.reduce(edges) <= 0.55 * size)

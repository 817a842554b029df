"""Attention over the patches of an image: as much of it as a picture can show, and where it goes in all.

Notation: P images, H heads, L steps: those before the patches (a class token) and R rows of C patches.
"""

from __future__ import annotations

import time as clock
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.probes.attention import MOST_HEADS, MOST_TILES
from workbench.probes.tiles import scaled
from workbench.records import Tiles

MOST_BEFORE = 16  # steps before the patches: a class token, registers
QUERY_SIDE, KEY_SIDE = 8, 16  # patches of a side in a picture, of those that look and those looked at


class Grid(NamedTuple):
    """Rows and columns of the patches, of those that are looked at and of those that look, as pictures have
    them: those of many are summed over neighbours."""

    rows: int
    columns: int
    query_rows: int
    query_columns: int


def grid_of(patches: tuple[int, int]) -> Grid:
    """What a picture shows of (R, C) patches."""
    return Grid(*(min(n, KEY_SIDE) for n in patches), *(min(n, QUERY_SIDE) for n in patches))


def is_of_patches(weights: Tensor, patches: tuple[int, int], n_images: int) -> bool:
    """Whether weights are (P, H, L, L), or (P, H, 1, L), over the patches of the images."""
    if weights.ndim != 4 or len(weights) != n_images:
        return False
    before = weights.shape[3] - patches[0] * patches[1]
    return 0 <= before <= MOST_BEFORE and weights.shape[2] in (1, weights.shape[3])


def patch_tiles(
    layer: str,
    weights: Tensor,
    patches: tuple[int, int],
    *,
    step: int = 0,
    epoch: float = 0.0,
    time: float | None = None,
) -> Tiles:
    """weights (P, H, L, L) or (P, H, 1, L) -> a tile per head, image by image, as `attention_tiles`.

    Of more than 8×8 patches, neighbours that look are averaged, and of more than 16×16 those looked at are
    summed, by their place in the image; the class token stays by itself. The title says so.
    Check: rows of a tile still sum to 1.
    """
    n_images, n_heads = weights.shape[:2]
    shown = min(n_heads, MOST_HEADS, max(1, MOST_TILES // n_images))
    grid = grid_of(patches)
    before = weights.shape[3] - patches[0] * patches[1]
    maps = weights[:, :shown].float()
    share = patches[0] * patches[1] / (grid.rows * grid.columns)
    maps = _joined(maps, before, patches, (grid.rows, grid.columns), share)
    if maps.shape[2] > 1:
        turned = maps.transpose(2, 3)
        maps = _joined(turned, before, patches, (grid.query_rows, grid.query_columns), 1.0).transpose(2, 3)
    title = f"Attention of layer {layer}"
    if shown < n_heads:
        title += f" (the first {shown} of {n_heads} heads)"
    if maps.shape[2:] != weights.shape[2:]:
        title += f" (neighbours of {patches[0]}×{patches[1]} patches put together)"
    found = scaled(maps.reshape(-1, *maps.shape[2:]), from_zero=True)
    when = clock.time() if time is None else time
    return Tiles(f"attention/{layer}", step, epoch, when, *found, label="head", title=title, group=shown)


def _joined(maps: Tensor, before: int, patches: tuple[int, int], to: tuple[int, int], share: float) -> Tensor:
    """(P, H, L, K): the last axis with its patches averaged down to `to` and multiplied by `share`."""
    if to == patches:
        return maps
    rest = maps[..., before:].unflatten(3, patches)
    small = F.adaptive_avg_pool2d(rest.flatten(1, 2), to).unflatten(1, maps.shape[1:3]) * share
    return torch.cat([maps[..., :before], small.flatten(3)], dim=3)


def rollout(layers: list[Tensor]) -> Tensor:
    """Where the last layer's steps look in the end, through all layers: (P, H, L, L) each -> (P, L, L).

    Half of every layer's input goes around its attention (Abnar & Zuidema 2020); heads are averaged.
    Check: rows sum to 1.
    """
    total: Tensor | None = None
    for weights in layers:
        mean = weights.float().mean(dim=1)
        mixed = 0.5 * mean + 0.5 * torch.eye(mean.shape[1], device=mean.device)
        total = mixed if total is None else mixed @ total
    assert total is not None, "a model that attends has a layer that does"
    return total

"""Masks of images: a class number for every pixel, beside the images of a prepared set.

masks.npy (N, H, W) uint8 holds, for row n of the set, the class of every pixel of image n; 255 is a pixel
that counts nowhere. labels.npy then holds each image's largest thing, by which splits are drawn evenly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.data.prepared import open_arrays
from workbench.specs.errors import DataError

FILE = "masks.npy"
VOID = 255  # of a pixel that counts nowhere: neither in the loss nor in a score
MOST_CLASSES = 64


def open_masks(folder: Path) -> np.ndarray:
    """The masks (N, H, W) uint8 of a prepared set, memory-mapped. Raises DataError."""
    try:
        masks = np.load(folder / FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _broken(folder, str(error)) from None
    images = open_arrays(folder).images
    if masks.dtype != np.uint8 or masks.shape != (len(images), *images.shape[2:]):
        raise _broken(folder, f"masks are {masks.shape} and images {images.shape}")
    return np.asarray(masks)


def taken_masks(masks: np.ndarray, rows: np.ndarray, height: int, width: int) -> np.ndarray:
    """The masks of `rows`, (n, height, width) uint8; another size by the nearest pixel."""
    picked = np.ascontiguousarray(masks[rows])
    return picked if picked.shape[1:] == (height, width) else nearest(picked, height, width)


def nearest(masks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks (..., H, W) in another size: each pixel is that whose middle is nearest."""
    down, right = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in zip((height, width), masks.shape[-2:], strict=True)
    )
    return np.ascontiguousarray(masks[..., down[:, None], right])


def largest_thing(masks: np.ndarray, n_classes: int) -> np.ndarray:
    """The class with most pixels in each mask but the first (the ground); the first where it is alone.

    Shapes: (n, H, W) uint8 -> (n,) int64.
    """
    found = np.zeros(len(masks), np.int64)
    for i, mask in enumerate(masks):
        counts = np.bincount(mask.reshape(-1), minlength=VOID + 1)[:n_classes]
        if n_classes > 1 and counts[1:].any():
            found[i] = 1 + int(np.argmax(counts[1:]))
    return found


def _broken(folder: Path, fact: str) -> DataError:
    return DataError.of(
        str(folder), "a set for segmentation needs masks.npy that fits its images", fact,
        "Add the data set again.",
    )  # fmt: skip

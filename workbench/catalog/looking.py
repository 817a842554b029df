"""A data set for the eye: pages of sample images, and how many images each class has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.catalog.sets import with_shipped
from workbench.data.prepared import open_arrays
from workbench.data.splits import SPLITS
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.store import Store


@dataclass(frozen=True)
class Samples:
    """One page of images: (n, H, W) uint8 grey or (n, H, W, 3) colour; labels and rows (n,) int64.

    rows: numbers in the set; total: images of this class and split on all pages together.
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    total: int
    page: int
    pages: int


def samples(
    store: Store,
    name: str,
    class_index: int | None = None,
    split: str | None = None,
    page: int = 0,
    per_page: int = 48,
) -> Samples:
    """Page `page` (from 0) of the images of one class or all, of one split or all; reads only these.

    All classes together are shown one of each in turn, so that a page is not of one class. A page
    beyond the last gives the last. Raises DataError for an unknown set, class or split.
    """
    row = with_shipped(store, name)
    arrays = open_arrays(row.path)
    chosen = np.ones(len(arrays.labels), dtype=bool)
    if split is not None:
        chosen &= arrays.splits == _split_code(split)
    if class_index is not None:
        if not 0 <= class_index < len(row.schema.classes):
            raise DataError.of(
                f"data set `{name}`",
                f"classes are numbered 0 to {len(row.schema.classes) - 1}",
                f"{class_index=}",
            )
        chosen &= arrays.labels == class_index
    rows = np.flatnonzero(chosen)
    if class_index is None:
        rows = rows[_in_turn(arrays.labels[rows])]
    per_page = min(max(1, per_page), 500)
    pages = max(1, -(-len(rows) // per_page))
    page = min(max(0, page), pages - 1)
    here = rows[page * per_page : (page + 1) * per_page]
    images = arrays.images[here].transpose(0, 2, 3, 1)  # (n, H, W, C)
    images = np.ascontiguousarray(images[..., 0] if images.shape[3] == 1 else images)
    return Samples(images, arrays.labels[here], here, len(rows), page, pages)


def class_balance(store: Store, name: str) -> dict[str, list[int]]:
    """Images per class for each split the set brings, in the order of its classes. Raises DataError."""
    row = with_shipped(store, name)
    arrays = open_arrays(row.path)
    return {
        split: np.bincount(arrays.labels[arrays.splits == code], minlength=len(row.schema.classes)).tolist()
        for code, split in enumerate(SPLITS)
        if split in row.splits
    }


def _in_turn(labels: np.ndarray) -> np.ndarray:
    """An order that takes the first of each class, then the second of each. Shapes: (n,) -> (n,) int64."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.lexsort((labels, rank))


def _split_code(split: str) -> int:
    if split not in SPLITS:
        raise DataError.of(
            "split", f"a split is one of {', '.join(SPLITS)}", f"it is {split!r}", did_you_mean(split, SPLITS)
        )
    return SPLITS.index(split)

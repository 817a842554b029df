"""A data set for the eye: pages of sample images, images per class, statistics, and copies."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.catalog.sets import with_shipped
from workbench.data.copies import Copies, copies_of
from workbench.data.dataset import mean_std
from workbench.data.masks import open_masks
from workbench.data.prepared import open_arrays, read_labels
from workbench.data.splits import SPLITS
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.store import Store
from workbench.store.datasets import DatasetRow


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
    masks: np.ndarray | None = None  # (n, H, W) uint8, of a set for segmentation


@dataclass(frozen=True)
class Statistics:
    """mean, std (C,) of all pixels on the 0..1 scale; brightness: images by their mean grey, in 64 bins of
    4 grey levels. sizes, modes, forms: of the files, [(value, files)], commonest
    first; empty where the set did not come as image files.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    brightness: tuple[int, ...]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    modes: tuple[tuple[str, int], ...]
    forms: tuple[tuple[str, int], ...]


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
    row = _images(store, name)
    arrays = open_arrays(row.path)
    chosen = np.ones(len(arrays.labels), dtype=bool)
    if split is not None:
        chosen &= arrays.splits == split_code(split)
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
        rows = rows[in_turn(arrays.labels[rows])]
    per_page = min(max(1, per_page), 500)
    pages = max(1, -(-len(rows) // per_page))
    page = min(max(0, page), pages - 1)
    here = rows[page * per_page : (page + 1) * per_page]
    images = arrays.images[here].transpose(0, 2, 3, 1)  # (n, H, W, C)
    images = np.ascontiguousarray(images[..., 0] if images.shape[3] == 1 else images)
    masks = open_masks(row.path)[here] if row.schema.task == "segmentation" else None
    return Samples(images, arrays.labels[here], here, len(rows), page, pages, masks)


def class_balance(store: Store, name: str) -> dict[str, list[int]]:
    """Images or texts per class for each split the set brings, in the order of its classes; nothing for a set
    without classes. Raises DataError."""
    row = with_shipped(store, name)
    if not row.schema.classes:
        return {}
    labels, splits = read_labels(row.path)
    return {
        split: np.bincount(labels[splits == code], minlength=len(row.schema.classes)).tolist()
        for code, split in enumerate(SPLITS)
        if split in row.splits
    }


def _images(store: Store, name: str) -> DatasetRow:
    row = with_shipped(store, name)
    if row.schema.kind != "images":
        raise DataError.of(
            f"data set `{name}`", "it must be one of images", f"it is one of {row.schema.kind}"
        )
    return row


def copies(store: Store, name: str) -> Copies:
    """Samples that occur more than once, identical or nearly; looked for once. Raises DataError."""
    return copies_of(with_shipped(store, name).path)


def statistics(store: Store, name: str) -> Statistics:
    """Mean, spread and brightness of the pixels, and what the files were; kept once found.

    Raises DataError.
    """
    row = _images(store, name)
    path = row.path / "statistics.json"
    kept: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="ascii"))
    if kept.get("fingerprint") != row.fingerprint:
        images = open_arrays(row.path).images
        mean, std = mean_std(images)
        step = max(1, (4 << 20) // max(1, images[0].size))
        bins = np.zeros(64, np.int64)
        for at in range(0, len(images), step):
            grey = images[at : at + step].mean((1, 2, 3), dtype=np.float32)
            bins += np.bincount(np.minimum((grey / 4).astype(int), 63), minlength=64)
        kept = {
            "fingerprint": row.fingerprint, "mean": mean.tolist(), "std": std.tolist(),
            "brightness": bins.tolist(),
        }  # fmt: skip
        with contextlib.suppress(OSError):
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(kept), encoding="ascii")
            os.replace(draft, path)
    source: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        source = json.loads((row.path / "source.json").read_text(encoding="utf-8"))
    told = {kind: tuple((value, n) for value, n in source.get(kind, [])) for kind in ("mode", "form")}
    return Statistics(
        tuple(kept["mean"]), tuple(kept["std"]), tuple(kept["brightness"]),
        tuple(((size[0], size[1]), n) for size, n in source.get("size", [])), told["mode"], told["form"],
    )  # fmt: skip


def in_turn(labels: np.ndarray) -> np.ndarray:
    """An order that takes the first of each class, then the second of each. Shapes: (n,) -> (n,) int64."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.lexsort((labels, rank))


def split_code(split: str) -> int:
    if split not in SPLITS:
        raise DataError.of(
            "split", f"a split is one of {', '.join(SPLITS)}", f"it is {split!r}", did_you_mean(split, SPLITS)
        )
    return SPLITS.index(split)

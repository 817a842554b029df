"""A prepared set as a run sees it: split, resized, and with its mean and spread.

Images are uint8 (n, C, H, W), labels int64 (n,). Knows the folder format and DataSpec, no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from workbench.data.cutting import SplitRows, groups_of, prefix, split_rows
from workbench.data.masks import open_masks, taken_masks
from workbench.data.pictures import to_array
from workbench.data.prepared import (
    Arrays,
    open_arrays,
    read_fingerprint,
    read_schema,
)
from workbench.data.series import dataset as series
from workbench.data.series.dataset import SeriesData, SeriesRows
from workbench.data.table import dataset as tables
from workbench.data.table.dataset import TableData
from workbench.data.text import dataset as texts
from workbench.data.text.dataset import TextData, TextRows
from workbench.specs.base import Shape
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import DataError

__all__ = [
    "Dataset",
    "Split",
    "SplitRows",
    "load",
    "load_some",
    "mean_std",
    "prefix",
    "rows_of",
    "split_rows",
    "taken",
]
_CACHE_FROM = 16 << 20  # bytes of training images above which mean and std are kept beside the set
_PIECE = 4 << 20  # bytes worked on at once


@dataclass(frozen=True)
class Split:
    """x (n, C, H, W) uint8 C-contiguous, y (n,) int64, index (n,) int64: the row in the set, ascending. Of
    segmentation also masks (n, H, W) uint8, and y is the class of the largest thing."""

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        masks = 0 if self.masks is None else self.masks.nbytes
        return int(self.x.nbytes + self.y.nbytes + self.index.nbytes + masks)


@dataclass(frozen=True)
class Dataset:
    """What a run trains on. shape (C, H, W) as the model sees it.

    mean, std (C,) float32 of the training images on the 0..1 scale; 0 and 1 for normalize="unit", so
    that (x / 255 - mean) / std is always what the model gets. test may be empty.
    """

    name: str
    schema: DataSchema
    shape: Shape
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: np.ndarray
    std: np.ndarray
    fingerprint: str
    kind: Literal["images"] = field(default="images", init=False)


def load(folder: Path, spec: DataSpec) -> Dataset | TextData | SeriesData | TableData:
    """The set in `folder`, of whichever kind, cut and shaped as `spec` says. Raises DataError."""
    if is_series(folder):
        return series.load(folder, spec)
    if is_table(folder):
        return tables.load(folder, spec)
    return texts.load(folder, spec) if is_text(folder) else load_images(folder, spec)


def is_series(folder: Path) -> bool:
    """Whether a prepared set is a series."""
    return read_schema(folder).kind == "series"


def is_text(folder: Path) -> bool:
    """Whether a prepared set is one of texts."""
    return read_schema(folder).kind == "text"


def is_table(folder: Path) -> bool:
    """Whether a prepared set is a table."""
    return read_schema(folder).kind == "table"


def load_images(folder: Path, spec: DataSpec) -> Dataset:
    """The set of images in `folder`, cut and shaped as `spec` says. The same spec gives the same arrays.

    Check: no row is in two splits; a split the set brings is taken as it is.
    Raises DataError for a broken folder, or a set too small to be split.
    """
    arrays = open_arrays(folder)
    schema = read_schema(folder)
    highest = arrays.labels.max(initial=-1)
    if schema.shape != arrays.images.shape[1:] or highest >= max(1, len(schema.classes)):
        raise DataError.of(
            spec.name,
            "a prepared set fits its schema",
            f"images are {arrays.images.shape[1:]} with labels up to {highest}, "
            f"the schema says {schema.shape} and {len(schema.classes)} classes",
            "Add the data set again.",
        )
    rows = split_rows(arrays.labels, arrays.splits, spec, groups_of(folder, spec))
    shape = schema.shape_for(spec)
    parts = (rows.train, rows.validation, rows.test)
    cut = (masked(folder, schema, taken(arrays, part, shape)) for part in parts)
    train, validation, test = cut
    channels = shape[0]
    if spec.normalize != "standardize":
        mean, std = fixed_mean_std(spec, channels)
    else:
        mean, std = _kept_mean_std(folder, spec, train.x)
    return Dataset(
        name=spec.name,
        schema=schema,
        shape=shape,
        classes=schema.classes,
        train=train,
        validation=validation,
        test=test,
        mean=mean,
        std=std,
        fingerprint=read_fingerprint(folder),
    )


def load_some(folder: Path, spec: DataSpec, most: Mapping[str, int]) -> tuple[Any, Any, np.ndarray | None]:
    """The set as `load` gives it, with at most so many images of each split, evenly drawn; the rows of the
    whole splits; and the labels of the whole training split. mean and std are those of the images drawn.

    Texts and tables come whole: they lie in a memory map. Raises DataError.
    """
    if is_series(folder):
        return series.load(folder, spec), series.rows_of(folder, spec), None
    if is_text(folder):
        found_texts = texts.load(folder, spec)
        return found_texts, texts.rows_of(folder, spec), found_texts.train.y
    if is_table(folder):
        found_table = tables.load(folder, spec)
        return found_table, tables.rows_of(folder, spec), found_table.train.y
    arrays, schema = open_arrays(folder), read_schema(folder)
    rows = split_rows(arrays.labels, arrays.splits, spec, groups_of(folder, spec))
    shape = schema.shape_for(spec)
    splits = {}
    for name, n in most.items():
        part = getattr(rows, name)
        some = part[np.arange(n) * len(part) // n] if n < len(part) else part
        splits[name] = masked(folder, schema, taken(arrays, some, shape))
    mean, std = fixed_mean_std(spec, shape[0])
    if spec.normalize == "standardize":
        mean, std = mean_std(splits["train"].x)
    found = Dataset(
        name=spec.name, schema=schema, shape=shape, classes=schema.classes, mean=mean, std=std,
        fingerprint=read_fingerprint(folder), **splits,
    )  # fmt: skip
    return found, rows, arrays.labels[rows.train]


def rows_of(folder: Path, spec: DataSpec) -> SplitRows | TextRows | SeriesRows:
    """The rows of each split as `load` would cut the set; reads no pixels. Raises DataError."""
    if is_series(folder):
        return series.rows_of(folder, spec)
    if is_text(folder):
        return texts.rows_of(folder, spec)
    if is_table(folder):
        return tables.rows_of(folder, spec)
    arrays = open_arrays(folder)
    return split_rows(arrays.labels, arrays.splits, spec, groups_of(folder, spec))


def mean_std(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel on the 0..1 scale; std is never 0.

    Shapes: x (n, C, H, W) uint8 -> (C,) float32, (C,) float32.
    Check: equal to (x / 255).mean and .std over axes 0, 2, 3: sums are exact integers.
    """
    n, channels = x.shape[:2]
    total = np.zeros(channels, np.float64)
    squares = np.zeros(channels, np.float64)
    step = max(1, _PIECE // max(1, x[0].size))
    for at in range(0, n, step):
        part = x[at : at + step].astype(np.float32)
        for c in range(channels):
            # Per image a float32 sum of squares would round; float64 accumulates exactly below 2**53.
            flat = part[:, c].reshape(len(part), -1)
            total[c] += flat.sum(dtype=np.float64)
            squares[c] += np.einsum("ij,ij->", flat, flat, dtype=np.float64)
    count = n * x.shape[2] * x.shape[3]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    std[std < 1e-6] = 255.0  # a constant channel stays as it is
    return (mean / 255).astype(np.float32), (std / 255).astype(np.float32)


def taken(arrays: Arrays, rows: np.ndarray, shape: Shape) -> Split:
    """The images of `rows` in `shape`; one contiguous copy, made in pieces."""
    stored = arrays.images.shape[1:]
    y = arrays.labels[rows]
    if stored == shape:
        # A run of rows is a plain copy, many times faster than picking.
        is_run = len(rows) > 0 and int(rows[-1]) - int(rows[0]) + 1 == len(rows)
        x = np.array(arrays.images[rows[0] : rows[-1] + 1]) if is_run else arrays.images[rows]
        return Split(np.ascontiguousarray(x), y, rows)
    out = np.empty((len(rows), *shape), np.uint8)
    for i, row in enumerate(rows):
        chw = arrays.images[row]
        image = Image.fromarray(chw[0] if len(chw) == 1 else np.ascontiguousarray(chw.transpose(1, 2, 0)))
        out[i] = to_array(image, shape[1], shape[2], shape[0])
    return Split(out, y, rows)


def masked(folder: Path, schema: DataSchema, split: Split) -> Split:
    """The split with its masks, where the set has some. Raises DataError."""
    if schema.task != "segmentation":
        return split
    masks = taken_masks(open_masks(folder), split.index, *split.x.shape[2:])
    return Split(split.x, split.y, split.index, masks)


def fixed_mean_std(spec: DataSpec, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """What brings pixels to 0..1 (unit) or -1..1 (symmetric) as (x / 255 - mean) / std: (C,) float32 each."""
    low, span = (0.5, 0.5) if spec.normalize == "symmetric" else (0.0, 1.0)
    return np.full(channels, low, np.float32), np.full(channels, span, np.float32)


def _kept_mean_std(folder: Path, spec: DataSpec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mean_std, kept beside a large set per way of cutting it."""
    if x.nbytes < _CACHE_FROM:
        return mean_std(x)
    cut = spec.model_dump(mode="json", exclude={"name", "normalize", "augment"})
    text = json.dumps(cut, sort_keys=True) + read_fingerprint(folder)
    path = folder / f"spread-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = json.loads(path.read_text(encoding="ascii"))
        mean, std = np.array(kept["mean"], np.float32), np.array(kept["std"], np.float32)
        if mean.shape == std.shape == (x.shape[1],) and np.isfinite([mean, std]).all() and (std > 0).all():
            return mean, std
    mean, std = mean_std(x)
    with contextlib.suppress(OSError):  # a set on a read-only disk is measured each time
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"mean": mean.tolist(), "std": std.tolist()}), encoding="ascii")
        os.replace(draft, path)
    return mean, std

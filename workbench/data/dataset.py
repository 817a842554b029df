"""A prepared set as a run sees it: split, resized, and with its mean and spread.

Images are uint8 (n, C, H, W), labels int64 (n,). Knows the folder format and DataSpec, no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from workbench.data.pictures import to_array
from workbench.data.prepared import Arrays, open_arrays, read_fingerprint, read_schema
from workbench.data.splits import TEST, TRAIN, VALIDATION, draw
from workbench.specs.base import Shape
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import DataError

_TEST_STREAM, _VALIDATION_STREAM, _LIMIT_STREAM = 0, 1, 2  # independent draws from one seed
_CACHE_FROM = 16 << 20  # bytes of training images above which mean and std are kept beside the set
_PIECE = 4 << 20  # bytes worked on at once


@dataclass(frozen=True)
class Split:
    """x (n, C, H, W) uint8 C-contiguous, y (n,) int64, index (n,) int64: the row in the set, ascending."""

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


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


@dataclass(frozen=True)
class SplitRows:
    """Row numbers per split, ascending, pairwise disjoint; each (n,) int64."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def load(folder: Path, spec: DataSpec) -> Dataset:
    """The set in `folder`, cut and shaped as `spec` says. The same spec gives the same arrays.

    Check: no row is in two splits; a split the set brings is taken as it is.
    Raises DataError for a broken folder, or a set too small to be split.
    """
    arrays = open_arrays(folder)
    schema = read_schema(folder)
    highest = arrays.labels.max(initial=-1)
    if schema.shape != arrays.images.shape[1:] or highest >= len(schema.classes):
        raise DataError.of(
            spec.name,
            "a prepared set fits its schema",
            f"images are {arrays.images.shape[1:]} with labels up to {highest}, "
            f"the schema says {schema.shape} and {len(schema.classes)} classes",
            "Add the data set again.",
        )
    rows = split_rows(arrays.labels, arrays.splits, spec)
    shape = schema.shape_for(spec)
    cut = (_taken(arrays, part, shape) for part in (rows.train, rows.validation, rows.test))
    train, validation, test = cut
    channels = shape[0]
    if spec.normalize == "unit":
        mean, std = np.zeros(channels, np.float32), np.ones(channels, np.float32)
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


def split_rows(labels: np.ndarray, splits: np.ndarray, spec: DataSpec) -> SplitRows:
    """Rows of train, validation and test: the set's own where it brings them, else drawn.

    Shapes: labels (N,) int64, splits (N,) int8. Test is drawn before validation, so that neither
    `validation` nor `limit` moves a test row.
    Raises DataError where a split that is needed would be empty.
    """
    rows = np.arange(len(labels))
    train, validation, test = (rows[splits == code] for code in (TRAIN, VALIDATION, TEST))
    if not len(test) and spec.test > 0:
        train, test = _hold_out(labels, train, spec.test, spec.split_seed, _TEST_STREAM)
    if not len(validation):
        train, validation = _hold_out(labels, train, spec.validation, spec.split_seed, _VALIDATION_STREAM)
    for name, part in (("training", train), ("validation", validation)):
        if not len(part):
            raise DataError.of(
                spec.name,
                f"a set must leave images for {name}",
                f"none are left of {len(labels)}",
                "Add images, two or more of each class.",
            )
    if spec.limit is not None and spec.limit < len(train):
        chosen = draw(labels[train], train, spec.limit, seed=spec.split_seed, stream=_LIMIT_STREAM, leave=0)
        train = train[chosen]
    return SplitRows(train, validation, test)


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


def _hold_out(
    labels: np.ndarray, rows: np.ndarray, share: float, seed: int, stream: int
) -> tuple[np.ndarray, np.ndarray]:
    n = max(1, round(share * len(rows)))
    held = draw(labels[rows], rows, n, seed=seed, stream=stream)
    return rows[~held], rows[held]


def _taken(arrays: Arrays, rows: np.ndarray, shape: Shape) -> Split:
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


def _kept_mean_std(folder: Path, spec: DataSpec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mean_std, kept beside a large set per way of cutting it."""
    if x.nbytes < _CACHE_FROM:
        return mean_std(x)
    cut = spec.model_dump(mode="json", exclude={"name", "normalize"})
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

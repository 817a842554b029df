"""Summaries of long histories, so that a million steps open as quickly as a thousand.

A fold is made of FOLD consecutive points of one key, cut into buckets of FINE points and again into
buckets of COARSE points. A bucket keeps the extremes with the steps at which they stand, the last
value, and where a value was not finite: all that a column of pixels can show. Nothing is sampled.

Notation: n points, b buckets; a bucket is one row of COLUMNS float64 numbers (NaN: there is none).
"""

from __future__ import annotations

import numpy as np

from workbench.records import Scalars

FINE = 16
COARSE = 256
FOLD = 4096

# What a bucket holds, in order.
FIELDS = (
    "first_step", "last_step", "first_epoch", "last_epoch", "first_time", "last_time",
    "low", "low_step", "high", "high_step", "last", "odd", "odd_step",
)  # fmt: skip
COLUMNS = len(FIELDS)
AT = {name: place for place, name in enumerate(FIELDS)}


def summarise(part: Scalars, size: int) -> np.ndarray:
    """Buckets (b, COLUMNS) of `size` points each; the last bucket may hold fewer.

    low and high are the extremes of the finite values, last is the last value whatever it is, odd is
    the first value that is not finite.
    """
    n = len(part)
    if n == 0:
        return np.empty((0, COLUMNS))
    b = -(-n // size)
    fill = b * size - n

    def rows(values: np.ndarray) -> np.ndarray:  # (n,) -> (b, size), the last point repeated at the end
        whole = np.concatenate([values, np.repeat(values[-1:], fill)]) if fill else values
        return np.asarray(whole, np.float64).reshape(b, size)

    steps, values = rows(part.steps), rows(part.values)
    finite = np.isfinite(values)
    line = np.arange(b)
    low = np.where(finite, values, np.inf).argmin(1)
    high = np.where(finite, values, -np.inf).argmax(1)
    odd = finite.argmin(1)  # the first that is not finite, or 0 when all are
    some, strange = finite.any(1), ~finite.all(1)
    none = np.nan
    columns = [
        steps[:, 0], steps[:, -1], rows(part.epochs)[:, 0], rows(part.epochs)[:, -1],
        rows(part.times)[:, 0], rows(part.times)[:, -1],
        np.where(some, values[line, low], none), np.where(some, steps[line, low], none),
        np.where(some, values[line, high], none), np.where(some, steps[line, high], none),
        values[:, -1], np.where(strange, values[line, odd], none), np.where(strange, steps[line, odd], none),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def merge(buckets: np.ndarray, size: int) -> np.ndarray:
    """Every `size` consecutive buckets as one: (b, COLUMNS) -> (ceil(b / size), COLUMNS)."""
    b = len(buckets)
    groups = -(-b // size)
    if size == 1 or groups == 0:
        return buckets
    fill = groups * size - b
    padded = np.concatenate([buckets, np.repeat(buckets[-1:], fill, axis=0)]) if fill else buckets
    cube = padded.reshape(groups, size, COLUMNS)
    line = np.arange(groups)
    low = np.where(np.isnan(cube[:, :, AT["low"]]), np.inf, cube[:, :, AT["low"]]).argmin(1)
    high = np.where(np.isnan(cube[:, :, AT["high"]]), -np.inf, cube[:, :, AT["high"]]).argmax(1)
    odd = (~np.isnan(cube[:, :, AT["odd_step"]])).argmax(1)
    merged = cube[:, 0].copy()
    for name in ("last_step", "last_epoch", "last_time", "last"):
        merged[:, AT[name]] = cube[:, -1, AT[name]]
    for place, names in (
        (low, ("low", "low_step")),
        (high, ("high", "high_step")),
        (odd, ("odd", "odd_step")),
    ):
        for name in names:
            merged[:, AT[name]] = cube[line, place, AT[name]]
    return merged


def points(key: str, buckets: np.ndarray) -> Scalars:
    """The points that draw these buckets: first odd, low, high and last of each, in step order.

    Epochs and times of points inside a bucket are placed by the step, between its first and last.
    """
    if len(buckets) == 0:
        empty = np.empty(0)
        return Scalars(key, empty.astype(np.int64), empty, empty, empty)
    marks = (("low_step", "low"), ("high_step", "high"), ("odd_step", "odd"), ("last_step", "last"))
    steps = np.stack([buckets[:, AT[step]] for step, _ in marks], axis=1)  # (b, 4)
    values = np.stack([buckets[:, AT[value]] for _, value in marks], axis=1)
    first, last = buckets[:, [AT["first_step"]]], buckets[:, [AT["last_step"]]]
    part = np.divide(steps - first, last - first, out=np.zeros_like(steps), where=last > first)

    def between(name: str) -> np.ndarray:
        begin, end = buckets[:, [AT[f"first_{name}"]]], buckets[:, [AT[f"last_{name}"]]]
        return np.ravel(begin + part * (end - begin))

    flat = steps.ravel()
    kept = np.flatnonzero(~np.isnan(flat))
    order = kept[np.argsort(flat[kept], kind="stable")]
    order = order[np.concatenate([[True], np.diff(flat[order]) > 0])]  # one point a step
    return Scalars(
        key,
        flat[order].astype(np.int64),
        between("epoch")[order],
        between("time")[order],
        values.ravel()[order],
    )


def fit(key: str, buckets: np.ndarray, columns: int) -> Scalars:
    """At most `columns` groups of equal numbers of buckets, as the points that draw them."""
    return points(key, merge(buckets, max(1, -(-len(buckets) // max(1, columns)))))

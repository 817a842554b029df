"""Fewer points, same picture: what must be kept so that a drawn curve cannot lie.

Of every bucket the first, the lowest, the highest and the last point stay, and the first and last
NaN, +inf and -inf. A line drawn through them covers the same pixels as the line through all points
whenever a bucket is no wider than a pixel column. Points are never averaged and never invented.
"""

from __future__ import annotations

import numpy as np


def even_starts(n: int, buckets: int) -> np.ndarray:
    """First indices of at most `buckets` runs of nearly equal length over n points; (m,) int64."""
    return np.unique(np.linspace(0, n, min(buckets, n), endpoint=False).astype(np.int64))


def column_starts(x: np.ndarray, lo: float, hi: float, columns: int) -> np.ndarray:
    """First indices of the non-empty pixel columns of ascending x between lo and hi.

    The last entry is the index after the last point, so (m + 1,) int64 for m non-empty columns.
    """
    edges = lo + (hi - lo) * np.arange(columns + 1) / columns
    edges[-1] = hi  # exactly, whatever the rounding
    cuts = np.searchsorted(x, edges, side="left")
    cuts[-1] = np.searchsorted(x, hi, side="right")
    return np.unique(cuts)


def keep(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Indices to keep, ascending: first, lowest, highest, last and non-finite points of each bucket.

    Shapes: values (n,), starts (m,) strictly ascending from 0 -> (k,) int64, k <= 10 m.
    """
    n = len(values)
    if n == 0:
        return np.empty(0, np.int64)
    lengths = np.diff(starts, append=n)
    bucket = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
    finite = np.isfinite(values)
    whole = bool(finite.all())
    low = values if whole else np.where(finite, values, np.inf)
    high = values if whole else np.where(finite, values, -np.inf)
    kept = [
        starts,
        starts + lengths - 1,
        _ends(low == np.minimum.reduceat(low, starts)[bucket], bucket)[0],
        _ends(high == np.maximum.reduceat(high, starts)[bucket], bucket)[0],
    ]
    if not whole:
        for odd in (np.isnan(values), np.isposinf(values), np.isneginf(values)):
            kept += _ends(odd, bucket)
    return np.unique(np.concatenate(kept))


def _ends(mask: np.ndarray, bucket: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last marked index of every bucket that has one."""
    at = np.flatnonzero(mask)
    if not len(at):
        return at, at
    owner = bucket[at]
    change = owner[1:] != owner[:-1]
    return at[np.concatenate(([True], change))], at[np.concatenate((change, [True]))]

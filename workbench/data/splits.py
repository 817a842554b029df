"""Which rows are held out: seeded, stratified, and the same on every machine and NumPy version.

Each row gets a key from (seed, stream, row) by splitmix64; the rows with the smallest keys of each
class are drawn. So a row's fate depends on nothing but the seed, its class and the class's members.
"""

from __future__ import annotations

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")  # by code, as in splits.npy


def keys(rows: np.ndarray, seed: int, stream: int) -> np.ndarray:
    """A pseudo-random uint64 per row number.

    Shapes: rows (n,) int64 -> (n,) uint64.
    Source: splitmix64, Steele, Lea & Flood 2014, https://doi.org/10.1145/2660193.2660195
    """
    with np.errstate(over="ignore"):  # the arithmetic is meant to wrap
        start = _mix(np.array([seed * 8 + stream], dtype=np.uint64))
        return _mix(rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start)


def quotas(counts: np.ndarray, n: int, leave: int) -> np.ndarray:
    """How many of each class to draw so that the classes keep their shares.

    Shapes: counts (K,) int64 -> (K,) int64, each within 1 of n · counts / sum(counts).
    `leave`: at least this many of each class stay behind (1 keeps every class trainable).
    """
    total = int(counts.sum())
    if total == 0:
        return np.zeros_like(counts)
    exact = counts * (min(n, total) / total)
    drawn = np.floor(exact + 1e-9).astype(np.int64)
    # Largest remainders first; among equals the lower class, so that the result is one and the same.
    for k in np.argsort(-(exact - drawn), kind="stable")[: max(0, min(n, total) - int(drawn.sum()))]:
        drawn[k] += 1
    return np.clip(drawn, 0, np.maximum(counts - leave, 0))


def draw(
    labels: np.ndarray, rows: np.ndarray, n: int, *, seed: int, stream: int, leave: int = 1
) -> np.ndarray:
    """True for about `n` of the rows, drawn evenly over the classes.

    Shapes: labels (m,) int64 and rows (m,) int64 (row numbers in the set) -> (m,) bool.
    Check: per class, the number drawn is within 1 of the class's share; same arguments, same rows.
    """
    mask = np.zeros(len(rows), dtype=bool)
    if n <= 0 or len(rows) == 0:
        return mask
    counts = np.bincount(labels)
    drawn = quotas(counts, n, leave)
    order = np.lexsort((rows, keys(rows, seed, stream), labels))  # by class, then key
    starts = np.cumsum(counts) - counts
    place = np.arange(len(rows)) - starts[labels[order]]  # rank within the class
    mask[order[place < drawn[labels[order]]]] = True
    return mask


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))

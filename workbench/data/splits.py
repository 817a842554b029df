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


def draw_groups(labels: np.ndarray, groups: np.ndarray, n: int, *, seed: int, stream: int) -> np.ndarray:
    """True for the rows of whole groups, about `n` of them, drawn evenly over the classes.

    Shapes: labels (m,) int64, groups (m,) int64 -> (m,) bool.
    Check: no group is on both sides, and at least one stays behind. A group counts for the class most of
    its images have, so shares are as near as the groups allow.
    """
    if n <= 0 or len(labels) == 0:
        return np.zeros(len(labels), dtype=bool)
    ids, member, size, major = _grouped(labels, groups)
    wanted = quotas(np.bincount(major, weights=size).astype(np.int64), n, leave=0)
    order = np.lexsort((ids, keys(ids, seed, stream), major))
    before = np.cumsum(size[order]) - size[order]
    first = np.searchsorted(major[order], np.arange(len(wanted)))
    first = np.minimum(first, len(order) - 1)
    before = before - before[first][major[order]]  # rows of the same class drawn before this group
    drawn = np.zeros(len(ids), dtype=bool)
    drawn[order] = before + size[order] / 2 <= wanted[major[order]]
    if not drawn.any() and len(ids) > 1:
        drawn[order[0]] = True
    if drawn.all():
        drawn[order[-1]] = False
    return np.asarray(drawn[member])


def folds_of(
    labels: np.ndarray, rows: np.ndarray, folds: int, *, seed: int, stream: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Which of `folds` parts each row belongs to. Shapes: labels, rows, groups (m,) int64 -> (m,) int64.

    Check: parts are of equal size within one row, and so is each class in them; with groups, no group is
    in two parts, and sizes are as near as the groups allow.
    """
    out = np.empty(len(labels), dtype=np.int64)
    if groups is None:
        out[np.lexsort((rows, keys(rows, seed, stream), labels))] = np.arange(len(labels)) % folds
        return out
    ids, member, size, major = _grouped(labels, groups)
    filled = np.zeros((folds, int(labels.max(initial=0)) + 1), dtype=np.int64)
    part = np.empty(len(ids), dtype=np.int64)
    for g in np.lexsort((keys(ids, seed, stream), -size)):  # large groups first: the small ones even out
        k = major[g]
        part[g] = np.lexsort((filled.sum(1), filled[:, k]))[0]
        filled[part[g], k] += size[g]
    return np.asarray(part[member])


def _grouped(labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Group numbers (G,); each row's place among them (m,); sizes (G,); each group's commonest label (G,)."""
    ids, member = np.unique(groups, return_inverse=True)
    member = member.reshape(-1)
    n_classes = int(labels.max()) + 1
    pairs, counts = np.unique(member * n_classes + labels, return_counts=True)
    order = np.lexsort((counts, pairs // n_classes))
    last = np.flatnonzero(np.diff(pairs[order] // n_classes, append=len(ids)))
    return ids, member, np.bincount(member), pairs[order][last] % n_classes


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))

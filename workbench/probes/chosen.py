"""Which samples stand for a split."""

from __future__ import annotations

import numpy as np


def one_per_class(y: np.ndarray, n: int) -> np.ndarray:
    """Rows (m,) int64 of the first n classes' first samples, then second ones, ...; m = min(n, N)."""
    order = np.argsort(y, kind="stable")
    ranked = y[order]
    starts = np.searchsorted(ranked, ranked, side="left")  # where each one's class begins
    turn = np.arange(len(y)) - starts  # how many of its class came before
    return order[np.lexsort((ranked, turn))[:n]]

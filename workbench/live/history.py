"""One key's history in memory, and the two ways out of it: thinned, or exact in a range.

A long history is whole only near its end; what lies before is kept thinned (with every extreme), and
a range that reaches into it is answered by the store.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from workbench.live.decimate import column_starts, even_starts, keep
from workbench.records import Scalars

Axis = Literal["step", "epoch", "time"]
ROW = {"step": 0, "epoch": 1, "time": 2}
VALUE = 3


class History:
    """Columns (4, n) float64: steps, epochs, times (s since the run's start), values.

    Appending never moves points that a reader holds: the buffer grows by copying, so views taken
    before stay valid and may be read in another thread.
    """

    def __init__(self) -> None:
        self._columns = np.empty((4, 1024))
        self.n = 0
        self.left_out = 0  # points of the run that are not here, because the early part is thinned
        self.n_thin = 0  # how many of the points here stand for that early part

    @property
    def points(self) -> np.ndarray:
        """(4, n) view."""
        return self._columns[:, : self.n]

    @property
    def total(self) -> int:
        """Points the run has."""
        return self.n + self.left_out

    def begin(self, drawn: Scalars, t0: float, total: int) -> None:
        """Start anew from the points that draw a long history of `total` points."""
        kept = self.points[:, self.n_thin :]
        self._columns, self.n = np.empty((4, max(1024, len(drawn)))), 0
        self.append(drawn, t0)
        self.n_thin = self.n
        kept = kept[:, kept[0] > (self.points[0, -1] if self.n else -np.inf)]
        whole = np.concatenate([self.points, kept], axis=1)
        self._columns, self.n = whole, whole.shape[1]
        self.left_out = total - self.n

    def is_whole(self, axis: Axis, lo: float) -> bool:
        """Whether every point from `lo` on is here."""
        return self.n_thin == 0 or bool(lo > self.points[ROW[axis], self.n_thin - 1])

    def append(self, part: Scalars, t0: float) -> None:
        """Add a chunk. Epochs and times are kept ascending, should a clock have jumped back."""
        n = self.n + len(part)
        if n > self._columns.shape[1]:
            grown = np.empty((4, max(n, 2 * self._columns.shape[1])))
            grown[:, : self.n] = self.points
            self._columns = grown
        new = self._columns[:, self.n : n]
        new[0], new[1], new[2], new[3] = part.steps, part.epochs, part.times - t0, part.values
        for row in (1, 2):
            if self.n:
                new[row, :1] = np.maximum(new[row, :1], self._columns[row, self.n - 1])
            np.maximum.accumulate(new[row], out=new[row])
        self.n = n

    def cut(self, step: float) -> None:
        """Forget the points beyond `step`. What readers hold stays as it was."""
        self.n = int(np.searchsorted(self.points[0], step, side="right"))
        self.n_thin = min(self.n_thin, self.n)
        self._columns = self._columns.copy()

    def thinned(self, start: int, whole: int, buckets: int) -> np.ndarray:
        """Points from index `start` on: all while there are at most `whole`, else thinned; (4, k)."""
        points = self.points[:, start:]
        n = points.shape[1]
        if n <= whole:
            return points
        return points[:, keep(points[VALUE], even_starts(n, buckets))]

    def between(self, axis: Axis, lo: float, hi: float, columns: int) -> tuple[np.ndarray, int]:
        """Points with lo <= x <= hi, exact per pixel column, and how many there are in truth.

        One neighbour on each side comes with them, so that the line runs to the edges.
        """
        points = self.points
        x = points[ROW[axis]]
        cuts = column_starts(x, lo, hi, columns)
        first, last = int(cuts[0]), int(cuts[-1])
        total = last - first
        kept = np.arange(first, last)
        if total > 2 * columns:
            kept = first + keep(points[VALUE, first:last], cuts[:-1] - first)
        edges = [i for i in (first - 1, last) if 0 <= i < points.shape[1]]
        return points[:, np.unique(np.concatenate((kept, np.array(edges, np.int64))))], total

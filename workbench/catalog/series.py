"""A series for the eye: its curves, thinned so that every extreme stays, its gaps, and where it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workbench.catalog.sets import with_shipped
from workbench.data.series.dataset import cut
from workbench.data.series.stored import Stored
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.store import Store

BUCKETS = 700  # of a curve: each keeps its least and its greatest value
MOST_GAPS = 200


@dataclass(frozen=True)
class Curve:
    """One variate: at (n,) int64 steps in order, value (n,) float64."""

    name: str
    at: np.ndarray
    value: np.ndarray
    missing: int  # values that were made up from their neighbours
    mean: float
    std: float
    least: float
    greatest: float


@dataclass(frozen=True)
class SeriesView:
    """curves: of the variates asked for; moments: of every step, datetime64[ms], or its number where it has
    none; gaps: (first step, steps) of values that were made up in all variates; borders: where training,
    validation and test end; labels of a step: `label`."""

    curves: tuple[Curve, ...]
    moments: np.ndarray
    has_moments: bool
    frequency: str
    season: int
    steps: int
    gaps: tuple[tuple[int, int], ...]
    borders: tuple[int, int, int]
    first: str
    last: str
    ends: tuple[str, str, str]  # the last step of each split, as people write it


def series(
    store: Store, name: str, spec: DataSpec | None = None, most: int = 8, first: int = 0
) -> SeriesView:
    """The curves of variates `first` to `first + most`, with the borders of `spec`. Raises DataError."""
    row = with_shipped(store, name)
    if row.schema.kind != "series":
        raise DataError.of(f"data set `{name}`", "it must be a series", f"it is one of {row.schema.kind}")
    stored = Stored(row.path)
    spec = spec or DataSpec(name=name)
    n = min(len(stored), spec.series.rows or len(stored))
    borders = cut(n, spec)
    names = row.schema.variates
    curves = tuple(_curve(stored, v, names[v]) for v in range(first, min(len(names), first + most)))
    moments = np.asarray(stored.moments)
    return SeriesView(
        curves=curves, moments=moments.astype("datetime64[ms]") if stored.has_moments else moments + 1,
        has_moments=stored.has_moments, frequency=row.schema.frequency,
        season=spec.series.season or (stored.frequency.season if stored.frequency else 1), steps=len(stored),
        gaps=_gaps(np.asarray(np.asarray(stored.filled).all(axis=1))), borders=borders, first=stored.label(0),
        last=stored.label(len(stored) - 1),
        ends=(_last(stored, borders[0]), _last(stored, borders[1]), _last(stored, borders[2])),
    )  # fmt: skip


def _last(stored: Stored, end: int) -> str:
    return stored.label(max(0, end - 1))


def _curve(stored: Stored, v: int, name: str) -> Curve:
    values = np.asarray(stored.values[:, v])
    at = thinned(values, BUCKETS)
    return Curve(
        name, at, values[at], int(np.asarray(stored.filled[:, v]).sum()), float(values.mean()),
        float(values.std()), float(values.min()), float(values.max()),
    )  # fmt: skip


def thinned(values: np.ndarray, buckets: int) -> np.ndarray:
    """Places (m,) int64 in order, of the first and last value and of the least and greatest of each bucket.

    Check: least and greatest of all are among them; a short series stays whole.
    """
    n = len(values)
    if n <= 2 * buckets:
        return np.arange(n)
    edges = np.linspace(0, n, buckets + 1).astype(np.int64)
    places = [0, n - 1]
    for start, stop in pairwise(edges.tolist()):
        part = values[start:stop]
        places += [int(start + part.argmin()), int(start + part.argmax())]
    return np.unique(places)


def _gaps(made_up: np.ndarray) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], made_up.astype(np.int8), [0]])))
    pairs = edges.reshape(-1, 2)[:MOST_GAPS]
    return tuple((int(start), int(stop - start)) for start, stop in pairs)

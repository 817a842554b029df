"""Curves of one metric of several runs, on a common axis, with mean and band over seeds.

`compare_info` does the sums; `compare_figure` is what the browser draws (live/assets/compare.js): a
canvas, because fifty runs of a thousand points are too many for SVG, and because zoom must survive.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from workbench.records import Scalars

Axis = Literal["step", "epoch", "samples", "time"]
# Each 3:1 or better on both backgrounds; beyond twelve runs the dashes tell them apart.
COLOURS = (
    "#2f7ae5", "#e8710a", "#1a9c5b", "#8b5cf6", "#e5484d", "#0891b2",
    "#b87d02", "#c026d3", "#64748b", "#6d8f12", "#d6478c", "#a0683c",
)  # fmt: skip
DASHES: tuple[tuple[int, ...], ...] = ((), (7, 4), (2, 3), (9, 3, 2, 3), (14, 5))
SPARSE = 2000  # points a run; up to here means are taken at every point, beyond in columns
BINS = 400


class Source(NamedTuple):
    """One run's points of the metric, and what places them: Unix s of its start, images a step."""

    part: Scalars
    start: float
    batch: int


class Curve(NamedTuple):
    """x (n,) on the axis, y (n,) values as logged, steps (n,), all float64."""

    run: str
    x: np.ndarray
    y: np.ndarray
    steps: np.ndarray


class Band(NamedTuple):
    """What runs that differ only in the seed have in common, each (m,): x, mean over the runs that have
    a value there, lowest, highest, standard deviation (n - 1; 0 for one run), number of runs."""

    runs: tuple[str, ...]
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sd: np.ndarray
    n: np.ndarray


class CompareInfo(NamedTuple):
    curves: tuple[Curve, ...]
    bands: tuple[Band, ...]


class Style(NamedTuple):
    colour: str
    dash: tuple[int, ...]


def along(source: Source, axis: Axis) -> np.ndarray:
    """Where the points lie on the axis (n,): steps, epochs, samples seen, or seconds since the start.

    Samples are steps times the batch size: the last batch of an epoch counts as a whole one.
    """
    part = source.part
    if axis == "epoch":
        return np.asarray(part.epochs, np.float64)
    if axis == "time":
        return np.maximum.accumulate(part.times - source.start) if len(part) else np.empty(0)
    return part.steps * float(source.batch if axis == "samples" else 1)


def compare_info(
    sources: Mapping[str, Source], axis: Axis, groups: Iterable[Sequence[str]] = ()
) -> CompareInfo:
    """Curves of the runs that have points, and a band for every group of which two or more have some."""
    curves = {
        run: Curve(run, along(source, axis), source.part.values, source.part.steps.astype(np.float64))
        for run, source in sources.items()
        if len(source.part)
    }
    present = [[curves[run] for run in group if run in curves] for group in groups]
    return CompareInfo(tuple(curves.values()), tuple(band(group) for group in present if len(group) > 1))


def band(curves: Sequence[Curve]) -> Band:
    """Mean and spread. Few points: at every x of any run, straight lines between a run's own points and
    none beyond them. Many: in columns, of each run's mean, lowest and highest value there.

    Values that are not finite are left out.
    """
    finite = [(c.x[np.isfinite(c.y)], c.y[np.isfinite(c.y)]) for c in curves]
    finite = [pair for pair in finite if len(pair[0])]
    runs = tuple(c.run for c in curves)
    if not finite:
        return Band(runs, *(np.empty(0) for _ in range(6)))
    if max(len(x) for x, _ in finite) <= SPARSE:
        grid = np.unique(np.concatenate([x for x, _ in finite]))
        middle = np.stack([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in finite])
        low = high = middle
    else:
        edges = np.linspace(min(x[0] for x, _ in finite), max(x[-1] for x, _ in finite), BINS + 1)
        grid = (edges[:-1] + edges[1:]) / 2
        middle, low, high = (np.full((len(finite), BINS), np.nan) for _ in range(3))
        for row, (x, y) in enumerate(finite):
            column = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, BINS - 1)
            starts = np.flatnonzero(np.concatenate([[True], np.diff(column) > 0]))
            at = column[starts]
            counts = np.diff(np.append(starts, len(column)))
            middle[row, at] = np.add.reduceat(y, starts) / counts
            low[row, at] = np.minimum.reduceat(y, starts)
            high[row, at] = np.maximum.reduceat(y, starts)
    n = np.isfinite(middle).sum(0)
    kept = n > 0
    grid, middle, low, high, n = grid[kept], middle[:, kept], low[:, kept], high[:, kept], n[kept]
    mean = np.nansum(middle, axis=0) / n
    spread = np.nansum((middle - mean) ** 2, axis=0) / np.maximum(1, n - 1)
    return Band(runs, grid, mean, np.nanmin(low, axis=0), np.nanmax(high, axis=0), np.sqrt(spread), n)


def styles(runs: Iterable[str]) -> dict[str, Style]:
    """A colour for every run that hangs on its id, so that it stays when others come and go.

    Two runs never look alike: where a place is taken the next free one serves.
    """
    given: dict[str, Style] = {}
    taken: set[int] = set()
    n = len(COLOURS)
    for run in sorted(set(runs)):
        layer = n * min(len(taken) // n, len(DASHES) - 1)
        first = zlib.crc32(run.encode()) % n
        places = [layer + (first + i) % n for i in range(n)]
        place = next((p for p in places if p not in taken), places[0])
        taken.add(place)
        given[run] = Style(COLOURS[place % n], DASHES[place // n])
    return given


def compare_figure(
    info: CompareInfo, names: Mapping[str, str], spread: Literal["", "range", "sd"]
) -> dict[str, Any]:
    """Lines and bands as JSON: columns are base64 of little-endian float64, so that NaN travels too."""
    look = styles(names)
    grouped = {run for band in info.bands for run in band.runs} if spread else set()
    lines = [
        {
            "run": c.run, "name": names[c.run], "colour": look[c.run].colour, "dash": look[c.run].dash,
            "faint": c.run in grouped, "x": packed(c.x), "y": packed(c.y), "steps": packed(c.steps),
        }
        for c in info.curves
    ]  # fmt: skip
    bands = [
        {
            "runs": b.runs, "name": f"mean of {len(b.runs)} seeds: {names[b.runs[0]]}",
            "colour": look[b.runs[0]].colour, "x": packed(b.x), "mean": packed(b.mean),
            "low": packed(b.low if spread == "range" else b.mean - b.sd),
            "high": packed(b.high if spread == "range" else b.mean + b.sd),
        }
        for b in (info.bands if spread else ())
    ]  # fmt: skip
    return {"lines": lines, "bands": bands}


def packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode("ascii")

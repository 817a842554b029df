"""A prepared series as a run sees it: cut by time, scaled by its training steps, and walked in windows.

A sample is a window: L steps that are seen, and the H that follow and are told. Training comes first in
time, then validation, then test. What is told of validation and test lies in their own stretch alone; what is
seen of their first windows reaches back before it, as in use. Notation: T steps, V variates, N windows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from workbench.data.prepared import read_fingerprint
from workbench.data.series.frequency import Frequency
from workbench.data.series.stored import Stored, label
from workbench.specs.base import Window
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import DataError

SPLITS = ("train", "validation", "test")


class SeriesRows(NamedTuple):
    """The first step that is told by each window of a split, (n,) int64 each."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Windows:
    """One split. values (T, V) float32, scaled, are those of the whole series: all splits share them. index
    (N,) int64: the first step that each window tells; it sees the `look_back` steps before that.

    A value that was filled along a line is made of the one that follows it: a window that ends before that
    one sees the value before the gap (`held`) instead, as in use.
    """

    values: np.ndarray
    index: np.ndarray
    look_back: int
    horizon: int
    targets: np.ndarray  # places of the variates that are told
    known: np.ndarray | None = None  # (T, V) bool: values that were given; None where none was filled
    held: np.ndarray | None = None  # (T, V): what was filled is the value before it; None where it is anyway

    def __len__(self) -> int:
        return len(self.index)

    @property
    def y(self) -> None:
        """Windows have no labels: what they tell are numbers."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory; the series itself counts with the training split alone."""
        return int(self.index.nbytes)

    def seen(self, i: int) -> np.ndarray:
        """What window i sees, (L, V)."""
        at = int(self.index[i])
        steps = slice(at - self.look_back, at)
        if self.held is None or self.known is None:
            return self.values[steps]
        followed = np.maximum.accumulate(self.known[steps][::-1], axis=0)[::-1]
        return np.where(followed, self.values[steps], self.held[steps])

    def truth(self, steps: np.ndarray) -> np.ndarray:
        """Values of the targets at steps (...), (..., targets): NaN where they were filled."""
        found = self.values[steps][..., self.targets]
        return found if self.known is None else np.where(self.known[steps][..., self.targets], found, np.nan)

    @property
    def measured(self) -> np.ndarray:
        """Whether a window tells a value that was given, (N,) bool."""
        if self.known is None:
            return np.ones(len(self), bool)
        until = np.concatenate([[0], self.known[:, self.targets].any(axis=1).cumsum()])  # steps that have one
        return np.asarray(until[self.index + self.horizon] > until[self.index])

    def of(self, values: np.ndarray, filled: np.ndarray) -> Windows:
        """The same windows on other values (T, V) float32, of which `filled` (T, V) were made up."""
        known, held = _holes(values, filled)
        return replace(self, values=values, known=known, held=held)


@dataclass(frozen=True)
class SeriesData:
    """What a run on a series trains on. mean, std (V,) float64 of the training steps: (value - mean) / std is
    what the model sees. naive (V,): the mean error of telling the value of a season before, on the training
    steps in the series' own units; season: its steps."""

    name: str
    schema: DataSchema
    shape: Window
    train: Windows
    validation: Windows
    test: Windows
    mean: np.ndarray
    std: np.ndarray
    naive: np.ndarray
    season: int
    borders: tuple[int, int, int]  # where training, validation and test end
    moments: np.ndarray
    frequency: Frequency | None
    fingerprint: str
    classes: tuple[str, ...] = ()
    kind: Literal["series"] = field(default="series", init=False)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the variates that are told."""
        return tuple(self.schema.variates[v] for v in self.train.targets)

    @property
    def columns(self) -> int:
        """Numbers that are told: steps ahead times variates."""
        return self.train.horizon * len(self.train.targets)

    @property
    def carried(self) -> dict[str, list[float]]:
        """What a model needs to be used again: the scale that it was trained on."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def scaled_as(self, carried: dict[str, list[float]]) -> SeriesData:
        """The same under the scale that a model was trained on."""
        mean, std = np.array(carried["mean"]), np.array(carried["std"])
        if mean.shape != self.mean.shape or (
            np.array_equal(mean, self.mean) and np.array_equal(std, self.std)
        ):
            return self
        raw = self.train.values.astype(np.float64) * self.std + self.mean
        values = ((raw - mean) / std).astype(np.float32)
        train = self.train.of(values, self.filled)
        parts = {
            name: replace(getattr(self, name), values=values, known=train.known, held=train.held)
            for name in SPLITS
        }
        return replace(self, mean=mean, std=std, **parts)

    @property
    def filled(self) -> np.ndarray:
        """Values that were made up, (T, V) bool."""
        known = self.train.known
        return np.zeros(self.train.values.shape, bool) if known is None else ~known

    def label(self, row: int) -> str:
        """The moment of a step, also of one behind the end, as people write it."""
        known = len(self.moments)
        has_moments = bool(self.schema.columns.get("time"))
        if row < known:
            return label(int(self.moments[row]), self.frequency, has_moments)
        ahead = row - known + 1
        if self.frequency is None or not has_moments:
            return str(row + 1) if not has_moments else f"+{ahead}"
        return label(int(self.frequency.after(int(self.moments[-1]), ahead)[-1]), self.frequency, has_moments)


def load(folder: Path, spec: DataSpec) -> SeriesData:
    """The series in `folder`, cut and scaled as `spec` says. The same spec gives the same numbers.

    Values that were filled are neither in the scale nor in what MASE divides by.

    Check: the scale is that of scikit-learn's StandardScaler on the training steps alone.
    Raises DataError for a broken folder, where no window fits, and where all that a split tells was filled.
    """
    stored = Stored(folder)
    series = spec.series
    n = _length(stored, spec)
    values, filled = np.asarray(stored.values[:n]), np.asarray(stored.filled[:n])
    borders = cut(n, spec)
    rows = _rows(borders, spec)
    learned = np.where(filled, np.nan, values)[: borders[0]]
    mean, std = scale(learned, series.scaling)
    scaled = ((values - mean) / std).astype(np.float32)
    targets = targets_of(stored.schema, spec)
    for name, first in zip(SPLITS, rows, strict=True):
        if len(first) and filled[first[0] : first[-1] + series.horizon][:, targets].all():
            raise DataError.of(
                f"{spec.name}, {name}", "a split has values that were measured", "all of them were filled",
                f"Set data.series.rows, data.validation or data.test so that {name} lies elsewhere.",
            )  # fmt: skip
    season = series.season or (stored.frequency.season if stored.frequency else 1)
    known, held = _holes(scaled, filled)
    train, validation, test = (
        Windows(scaled, part, series.look_back, series.horizon, targets, known, held) for part in rows
    )
    return SeriesData(
        name=spec.name, schema=stored.schema,
        shape=Window(series.look_back, len(stored.schema.variates), targets),
        train=train, validation=validation, test=test, mean=mean, std=std,
        naive=naive_error(learned, season), season=season, borders=borders,
        moments=np.asarray(stored.moments[:n]), frequency=stored.frequency,
        fingerprint=read_fingerprint(folder),
    )  # fmt: skip


def shape(folder: Path, spec: DataSpec) -> tuple[Window, int]:
    """What a model sees, and how many numbers it tells of it. Raises DataError."""
    stored = Stored(folder)
    targets = targets_of(stored.schema, spec)
    names = stored.schema.variates
    return Window(spec.series.look_back, len(names), targets), spec.series.horizon * len(targets)


def rows_of(folder: Path, spec: DataSpec) -> SeriesRows:
    """The windows of each split as `load` cuts the series; reads none of its values. Raises DataError."""
    stored = Stored(folder)
    targets_of(stored.schema, spec)
    return _rows(cut(_length(stored, spec), spec), spec)


def targets_of(schema: DataSchema, spec: DataSpec) -> np.ndarray:
    """Places of the variates that are told, (n,) int64. Raises DataError for a name that is none."""
    names = list(schema.variates)
    if not spec.series.target:
        return np.arange(len(names))
    if spec.series.target not in names:
        known = ", ".join(f"`{name}`" for name in names[:12])
        raise DataError.of(
            "data.series.target", f"it names a variate of {spec.name}", f"`{spec.series.target}` is none",
            f"Known: {known}.",
        )  # fmt: skip
    return np.array([names.index(spec.series.target)])


def cut(n: int, spec: DataSpec) -> tuple[int, int, int]:
    """Where training, validation and test end, of n steps. With a fold, training grows from fold to fold and
    the part behind it is validated on.

    Check: 14,400 steps with shares of 0.2 and 0.2 are cut at 8,640 and 11,520, as ETTh1 is in papers; folds
    are those of scikit-learn's TimeSeriesSplit.
    """
    n_test = round(spec.test * n)
    rest = n - n_test
    if spec.fold is None:
        return rest - round(spec.validation * n), rest, n
    part = rest // (spec.folds + 1)
    end = rest - (spec.folds - spec.fold) * part
    return end - part, end, n if spec.fold == spec.folds else end


def _rows(borders: tuple[int, int, int], spec: DataSpec) -> SeriesRows:
    look_back, horizon = spec.series.look_back, spec.series.horizon
    train, validation, test = borders
    first = np.arange(look_back, train - horizon + 1, spec.series.stride, dtype=np.int64)
    if spec.limit is not None:
        first = first[max(0, len(first) - spec.limit) :]  # the latest: what comes next is like them
    held = [
        np.arange(max(start, look_back), end - horizon + 1, dtype=np.int64)
        for start, end in ((train, validation), (validation, test))
    ]
    found = SeriesRows(first, *held)
    wanted = {"train": look_back + horizon, "validation": horizon, "test": horizon}
    sizes = {"train": train, "validation": validation - train, "test": test - validation}
    for name in SPLITS:
        if not len(getattr(found, name)) and (name == "train" or sizes[name] > 0):
            raise _too_short(spec, name, wanted[name], sizes[name])
    return found


def _too_short(spec: DataSpec, name: str, wanted: int, size: int) -> DataError:
    look_back, horizon = spec.series.look_back, spec.series.horizon
    what = f"a look-back of {look_back:,} and a horizon of {horizon:,}" if name == "train" else (
        f"a horizon of {horizon:,}"
    )  # fmt: skip
    if name != "train":
        fits = f"Set data.series.horizon to {max(1, size):,} or less, or data.{name} to a larger share."
    elif horizon < size:
        fits = f"Set data.series.look_back to {max(1, (size - horizon) // 2):,} or less."
    else:
        part = max(1, size // 4)
        fits = f"Set data.series.horizon to {part:,} and data.series.look_back to {part:,}."
    return DataError.of(
        f"{spec.name}, {name}", f"a split holds a window at least: {what} take {wanted:,} steps",
        f"it has {size:,}", fits,
    )  # fmt: skip


def scale(values: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """mean and std (V,) float64 of training steps (n, V), NaN where there is none; 0 and 1 where they are
    left as they are, and of a variate that has no value there."""
    if how == "none":
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - takes a second, and pages need it not

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of a variate without values
        fitted = StandardScaler().fit(values)
    mean, std = np.asarray(fitted.mean_, np.float64), np.asarray(fitted.scale_, np.float64)
    return np.where(np.isnan(mean), 0.0, mean), np.where(np.isnan(std), 1.0, std)


def naive_error(values: np.ndarray, season: int) -> np.ndarray:
    """Mean absolute error (V,) of telling the value of a season before, on training steps (n, V): what MASE
    divides by. Steps that are NaN count in neither; 0 where none are left.

    Source: Hyndman and Koehler 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, section 3.
    """
    gap = season if season < len(values) else 1
    errors = np.abs(values[gap:] - values[:-gap])
    if not np.isnan(errors).any():
        return np.asarray(errors.mean(axis=0))
    return np.asarray(np.nansum(errors, axis=0) / np.maximum(1, (~np.isnan(errors)).sum(axis=0)))


def _holes(values: np.ndarray, filled: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """`known` and `held` of windows on values (T, V) of which `filled` were made up. Before the first value
    that was given `held` is 0, the training's mean where values are scaled."""
    if not filled.any():
        return None, None
    steps = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(filled, -1, steps), axis=0)
    held = np.where(last < 0, 0, np.take_along_axis(values, np.maximum(last, 0), axis=0)).astype(values.dtype)
    return ~filled, None if np.array_equal(held, values) else held


def _length(stored: Stored, spec: DataSpec) -> int:
    """Steps of the series that are used."""
    return min(len(stored), spec.series.rows or len(stored))

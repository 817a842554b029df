"""The folder format of a prepared series.

values.npy (T, V) float64; moments.npy (T,) int64 milliseconds since 1970, or numbers of the steps where there
are none; filled.npy (T, V) bool: values that were made up; labels.npy and splits.npy (T,), all of
them zero: a series is cut by time when it is used; schema.json (variates, frequency); fingerprint.txt.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from workbench.data.prepared import Prepared, finish_folder, read_schema
from workbench.data.report import Report
from workbench.data.series.frequency import Frequency, parse, text_of
from workbench.data.series.regular import Regular
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

FEWEST = 8  # steps


def write(folder: Path, schema: DataSchema, series: Regular, report: Report, where: str) -> Prepared:
    """Write a series into `folder`. schema: with its variates. Raises DataError where it is too short."""
    n = len(series.values)
    if n < FEWEST:
        raise DataError.of(
            where, f"a series needs {FEWEST} steps at least", f"this one has {n}", "Add the rest of it."
        )
    frequency = str(series.frequency) if series.frequency else ""
    schema = schema.model_copy(
        update={"kind": "series", "task": "forecasting", "shape": (), "frequency": frequency}
    )
    digest = hashlib.sha256()
    for name, array in (
        ("values", np.ascontiguousarray(series.values, np.float64)),
        ("moments", np.ascontiguousarray(series.moments, np.int64)),
        ("filled", np.ascontiguousarray(series.filled, bool)),
    ):  # fmt: skip
        np.save(folder / f"{name}.npy", array)
        digest.update(array.tobytes())
    digest.update(repr((schema.variates, frequency)).encode())
    labels, splits = np.zeros(n, np.int64), np.zeros(n, np.int8)
    fingerprint, rows = finish_folder(folder, schema, labels, splits, digest, files=None, groups=None)
    return Prepared(schema, rows, report.rows(), fingerprint)


class Stored:
    """A prepared series, its arrays memory-mapped. Raises DataError for a broken folder."""

    def __init__(self, folder: Path) -> None:
        self.schema = read_schema(folder)
        try:
            self.values, self.moments, self.filled = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in ("values", "moments", "filled")
            )
        except (OSError, ValueError, EOFError) as error:
            raise _broken(folder, str(error)) from None
        width = len(self.schema.variates)
        fits = self.values.shape == self.filled.shape == (len(self.moments), width) and width > 0
        if not fits or (self.values.dtype, self.moments.dtype, self.filled.dtype) != (
            np.float64,
            np.int64,
            bool,
        ):
            raise _broken(
                folder, f"their shapes are {self.values.shape}, {self.moments.shape}, {self.filled.shape}"
            )

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def frequency(self) -> Frequency | None:
        return parse(self.schema.frequency) if self.schema.frequency else None

    @property
    def has_moments(self) -> bool:
        """Whether its steps are moments, and no mere numbers."""
        return bool(self.schema.columns.get("time"))

    def label(self, row: int) -> str:
        """The moment of a step as people write it, or its number from 1."""
        return label(int(self.moments[row]), self.frequency, self.has_moments)


def label(moment: int, frequency: Frequency | None, has_moments: bool) -> str:
    """A moment as people write it, or the number of a step, from 1."""
    return text_of(moment, frequency) if has_moments else str(moment + 1)


def _broken(folder: Path, fact: str) -> DataError:
    return DataError.of(
        str(folder), "a prepared series needs values.npy, moments.npy, filled.npy and schema.json that fit",
        fact,
        "Add the data set again.",
    )  # fmt: skip

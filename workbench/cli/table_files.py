"""A run's metrics as a table: CSV, JSON or Parquet, columns key, step, epoch, wall_time, value."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from workbench.records import Scalars
from workbench.specs.base import did_you_mean
from workbench.specs.errors import RunError
from workbench.store import RunRow, Store

COLUMNS = ("key", "step", "epoch", "wall_time", "value")
FORMATS = ("csv", "json", "parquet")


def write_metrics(store: Store, row: RunRow, keys: Sequence[str], format: str, output: str | None) -> None:
    """Write the histories of `keys` (all when empty) to a file or standard output. Raises RunError."""
    if format not in FORMATS:
        raise RunError.of(
            "--format", "the format is csv, json or parquet", f"it is {format}", did_you_mean(format, FORMATS)
        )
    known = store.scalars.keys(row.id)
    for key in keys:
        if key not in known:
            hint = did_you_mean(key, known) if known else "The run has measured nothing yet."
            raise RunError.of(
                f"run `{row.name}`", "the metric must have been measured", f"`{key}` was not", hint
            )
    history = store.scalars.read(row.id, list(keys) or None)
    parts = [history[key] for key in (list(dict.fromkeys(keys)) or sorted(history)) if key in history]
    if format == "parquet":
        _parquet(parts, output)
        return
    try:
        target: IO[str] = open(output, "w", encoding="utf-8", newline="") if output else sys.stdout  # noqa: SIM115
    except OSError as error:
        raise _unwritable(str(output), error) from None
    try:
        (_csv if format == "csv" else _json)(parts, target)
    finally:
        if output:
            target.close()


def _csv(parts: Sequence[Scalars], target: IO[str]) -> None:
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    for part in parts:
        columns = (part.steps.tolist(), part.epochs.tolist(), part.times.tolist(), part.values.tolist())
        writer.writerows((part.key, *point) for point in zip(*columns, strict=True))


def _json(parts: Sequence[Scalars], target: IO[str]) -> None:
    """A list of objects. JSON has no NaN: such values are the texts "NaN", "Infinity", "-Infinity"."""
    rows = [
        dict(zip(COLUMNS, (part.key, step, epoch, moment, _number(value)), strict=True))
        for part in parts
        for step, epoch, moment, value in zip(
            part.steps.tolist(), part.epochs.tolist(), part.times.tolist(), part.values.tolist(), strict=True
        )
    ]
    json.dump(rows, target)
    target.write("\n")


def _number(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _parquet(parts: Sequence[Scalars], output: str | None) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if output is None and sys.stdout.isatty():
        raise RunError.of(
            "--format parquet", "a binary table needs a file", "none is named", "Add -o metrics.parquet."
        )
    empty = Scalars("", np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
    whole = [*parts] or [empty]
    made = pa.table(
        {
            "key": pa.array([part.key for part in whole for _ in range(len(part))], pa.string()),
            "step": np.concatenate([part.steps for part in whole]),
            "epoch": np.concatenate([part.epochs for part in whole]),
            "wall_time": np.concatenate([part.times for part in whole]),
            "value": np.concatenate([part.values for part in whole]),
        }
    )
    if output is None:
        pq.write_table(made, sys.stdout.buffer)
        return
    try:
        pq.write_table(made, Path(output))
    except OSError as error:
        raise _unwritable(output, error) from None


def _unwritable(path: str, error: OSError) -> RunError:
    return RunError.of(
        path, "the file must be writable", error.strerror or str(error), "Choose another with -o."
    )

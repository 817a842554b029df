"""A prepared table with other labels, other names of classes or fewer rows; and which rows are alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, classes_left, new_folder, read_groups
from workbench.data.report import Report
from workbench.data.table.stored import StoredTable, TableWriter
from workbench.specs.errors import DataError
from workbench.specs.tables import INPUTS


def rewrite_table(
    folder: Path, out: Path, *, name: str, labels: np.ndarray, classes: Sequence[str], keep: np.ndarray
) -> Prepared:
    """Write the table in `folder` into the new folder `out`, with `labels` (N,) int64 into `classes` and the
    rows of `keep` (N,) bool. Cells stay as they were read, those of the target too.

    Classes without rows are dropped. Raises DataError where fewer than two classes are left.
    """
    stored = StoredTable(folder)
    schema, rows = stored.schema, np.flatnonzero(keep)
    targets = stored.targets if stored.targets is not None else labels[:, None]
    if schema.task == "classification":
        present = classes_left(labels[rows], name)
        targets = np.searchsorted(present, labels)[:, None]
        schema = schema.model_copy(update={"classes": tuple(classes[k] for k in present)})
    elif not len(rows):
        raise DataError.of(f"data set `{name}`", "rows can be left out, but not all", "none would be left")
    groups = read_groups(folder)
    inputs = [own.name for own in schema.fields if own.role in INPUTS]
    with new_folder(out, name) as draft:
        kinds = {own.name: own.kind for own in schema.fields}
        writer = TableWriter(draft, kinds, Limits(bytes=2**62, rows=2**62), name)
        try:
            for first, columns in stored.pieces(list(kinds)):
                n = len(next(iter(columns.values())))
                here = np.flatnonzero(keep[first : first + n])
                if len(here):
                    at = first + here
                    writer.append(
                        {column: values[here] for column, values in columns.items()},
                        np.asarray(targets[at], np.float64), stored.splits[at], inputs,
                        None if groups is None else groups[at],
                    )  # fmt: skip
            return writer.finish(schema, Report())
        finally:
            writer.close()


def row_digests(folder: Path) -> np.ndarray:
    """A number per row that only rows with equal cells share, the target left out: (N,) uint64."""
    stored = StoredTable(folder)
    inputs = [own.name for own in stored.schema.fields if own.role in INPUTS]
    parts = [
        pd.util.hash_pandas_object(
            pd.DataFrame({name: pd.Series(v) for name, v in columns.items()}), index=False
        )
        for _, columns in stored.pieces(inputs)
    ]
    return np.concatenate([np.asarray(part, np.uint64) for part in parts])

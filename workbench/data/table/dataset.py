"""A prepared table as a run sees it: split, encoded, and with the encoder it was encoded by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.data.cutting import SplitRows
from workbench.data.prepared import read_fingerprint
from workbench.data.splits import SPLITS
from workbench.data.table import kept
from workbench.data.table.asked import nothing
from workbench.data.table.encoder import Encoder
from workbench.data.table.stored import StoredTable
from workbench.specs.base import Shape, did_you_mean
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import DataError
from workbench.specs.tables import INPUTS

CELLS = 8  # of a row that is told in a line


@dataclass(frozen=True)
class TableSplit:
    """One split. x (n, F) float32, memory-mapped; y: (n,) int64 class numbers, or (n, K) float32 of several
    labels, of regression as the model learns it; index (n,) int64: rows in the table."""

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    stored: StoredTable

    def __len__(self) -> int:
        return len(self.index)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: memory-mapped numbers take none of their own."""
        return int(self.y.nbytes + self.index.nbytes)

    def cells(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """The cells of some rows of the split as they were read."""
        return self.stored.rows(self.index[np.asarray(rows)])

    def text(self, i: int) -> str:
        """The i-th row of the split in a line: the first columns that a model sees."""
        row = self.cells(np.array([i]))[0]
        names = [own.name for own in self.stored.schema.fields if own.role in INPUTS]
        told = [f"{name} {'?' if row[name] is None else row[name]}" for name in names[:CELLS]]
        return ", ".join(told) + (f", and {len(names) - CELLS} more" if len(names) > CELLS else "")


@dataclass(frozen=True)
class TableData:
    """What a run on a table trains on. shape: (F,), or `Columns` where categories are embedded."""

    name: str
    schema: DataSchema
    shape: Shape
    classes: tuple[str, ...]
    train: TableSplit
    validation: TableSplit
    test: TableSplit
    encoder: Encoder
    fingerprint: str
    kind: Literal["table"] = field(default="table", init=False)

    @property
    def columns(self) -> int:
        """Columns of the scores."""
        return scores_of(self.schema)

    @property
    def unit(self) -> str:
        """Of the target of regression."""
        return next((own.unit for own in self.schema.fields if own.role == "target"), "")


def load(
    folder: Path, spec: DataSpec, progress: Callable[[str, float], None] = lambda words, share: None
) -> TableData:
    """The table in `folder`, cut and encoded as `spec` says. The same spec gives the same numbers.

    Raises DataError for a broken folder, or a table too small to be split.
    """
    stored = StoredTable(folder)
    rows = kept.rows_of(stored, spec)
    x = kept.encoded(stored, spec, progress)
    encoder = kept.encoder_of(stored, spec, progress)
    train, validation, test = (
        TableSplit(x[name], _targets(stored, part, encoder), part, stored)
        for name, part in zip(SPLITS, (rows.train, rows.validation, rows.test), strict=True)
    )
    return TableData(
        name=spec.name, schema=stored.schema, shape=encoder.shape, classes=stored.schema.classes, train=train,
        validation=validation, test=test, encoder=encoder, fingerprint=read_fingerprint(folder),
    )  # fmt: skip


def shape(folder: Path, spec: DataSpec) -> tuple[Shape, int]:
    """What a model sees of a row, and the columns of its scores. Fits the encoder at the first time."""
    stored = StoredTable(folder)
    return kept.encoder_of(stored, spec).shape, scores_of(stored.schema)


def rows_of(folder: Path, spec: DataSpec) -> SplitRows:
    """The rows of each split as `load` cuts the table. Raises DataError."""
    return kept.rows_of(StoredTable(folder), spec)


def whole(folder: Path, data: TableData, where: str) -> tuple[TableSplit, dict[str, tuple[int, str]]]:
    """All rows of another table with this one's columns, encoded as it is; and of its columns of categories
    those with words that were not learned (`Encoder.unlearned`). where: its name, for people.

    Raises DataError where a column is not there, or holds something else than the run's.
    """
    stored = StoredTable(folder)
    _alike(stored, data, where)
    if stored.schema.task != data.schema.task:
        raise DataError.of(
            where, f"the run's table is for {data.schema.task}", f"this one is for {stored.schema.task}"
        )
    like = {own.name: own for own in data.schema.fields}
    parts, odd = [], dict[str, tuple[int, str]]()
    for _, columns in stored.pieces(data.encoder.columns):
        # A column without any cell has no kind: it came as words.
        fit = {
            name: cells if _kind(cells) == like[name].kind or like[name].role == "category"
            else nothing(len(cells), like[name])
            for name, cells in columns.items()
        }  # fmt: skip
        parts.append(data.encoder.encode(fit))
        for name, (n, word) in data.encoder.unlearned(fit).items():
            odd[name] = (odd[name][0] + n, odd[name][1]) if name in odd else (n, word)
    index = np.arange(len(stored))
    y = _targets(stored, index, data.encoder)
    if data.schema.task != "regression":
        ours = {name: k for k, name in enumerate(data.classes)}
        for name in stored.schema.classes:
            if name not in ours:
                raise DataError.of(
                    where, "every class must be one the model knows", f"`{name}` is not",
                    did_you_mean(name, ours),
                )  # fmt: skip
        places = np.array([ours[name] for name in stored.schema.classes])
        y = places[y] if stored.targets is None else y[:, np.argsort(places)]
    return TableSplit(np.concatenate(parts), y, index, stored), odd


def _alike(stored: StoredTable, data: TableData, where: str) -> None:
    """Raises DataError unless each column that the model reads is there, of the run's kind and unit."""
    theirs, ours = ({own.name: own for own in one.fields} for one in (stored.schema, data.schema))
    targets = [own.name for own in data.schema.fields if own.role == "target" and own.name in theirs]
    for name in [*data.encoder.columns, *targets]:
        if name not in theirs:
            raise DataError.of(
                where, "a table to judge on has the columns of the run's", f"it has no `{name}`",
                "Name its columns alike.",
            )  # fmt: skip
        own, other = ours[name], theirs[name]
        if own.role not in ("category", "target") and own.kind != other.kind and other.missing < len(stored):
            fact, rule = f"it holds {other.kind}s", f"it holds {own.kind}s in the run's table"
        elif own.unit and other.unit and own.unit != other.unit:
            fact, rule = f"they are in `{other.unit}`", f"its numbers are in `{own.unit}` in the run's table"
        else:
            continue
        raise DataError.of(
            f"{where}, column `{name}`", rule, fact,
            "Judge on its file instead of the set, which is then read as the run's table was.",
        )  # fmt: skip


def _kind(cells: np.ndarray) -> str:
    return {"f": "number", "M": "moment"}.get(cells.dtype.kind, "word")


def scores_of(schema: DataSchema) -> int:
    """Classes, labels, or one number."""
    return 1 if schema.task == "regression" else len(schema.classes)


def _targets(stored: StoredTable, rows: np.ndarray, encoder: Encoder) -> np.ndarray:
    if stored.targets is None:
        return np.asarray(stored.labels[rows])
    found = np.asarray(stored.targets[rows])
    if stored.schema.task == "regression":
        found = (found - encoder.target_mean) / encoder.target_scale
    return found.astype(np.float32)

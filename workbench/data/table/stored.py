"""The folder format of a prepared table, written in one stream and read by memory map.

table.arrow: its columns as they were read, by their names: float64, timestamp[us] or large strings, missing
cells null; labels.npy (N,) int64, of classification, else zeros; targets.npy (N, K) float32 of several labels
and (N, 1) float64 of regression, else absent; splits.npy (N,) int8 (0 train, 1 validation, 2 test; only what
the source brought); schema.json (DataSchema, with `fields`); fingerprint.txt; groups.npy where it has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.data.limits import Limits, human
from workbench.data.prepared import Prepared, finish_folder, read_schema, report_copies
from workbench.data.report import Report
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

FILE = "table.arrow"
TYPES = {"number": pa.float64(), "moment": pa.timestamp("us"), "word": pa.large_string()}


class TableWriter:
    """Appends rows to a table, some at a time. Targets and splits are kept until the end."""

    def __init__(self, folder: Path, kinds: Mapping[str, str], limits: Limits, where: str) -> None:
        """kinds: number, moment or word by column."""
        self.folder, self.kinds, self.limits, self.where = folder, dict(kinds), limits, where
        self._schema = pa.schema([(name, TYPES[kind]) for name, kind in kinds.items()])
        self._sink = pa.OSFile(str(folder / FILE), "wb")
        self._writer = pa.ipc.new_stream(self._sink, self._schema)
        self._targets: list[np.ndarray] = []
        self._splits: list[np.ndarray] = []
        self._groups: list[np.ndarray] = []
        self._digests: list[np.ndarray] = []
        self._hash = hashlib.sha256()
        self._bytes = self.n = 0

    def append(
        self, columns: Mapping[str, np.ndarray], targets: np.ndarray, splits: np.ndarray,
        inputs: Sequence[str], groups: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """columns: (n,) each, in their kinds; targets (n, K) float64; inputs: names of what a model sees, by
        which copies are told. Raises DataError beyond the limits."""
        arrays = [_array(columns[name], kind) for name, kind in self.kinds.items()]
        self._bytes += sum(array.nbytes for array in arrays)
        if self._bytes > self.limits.bytes:
            raise DataError.of(
                self.where, f"a table may take {human(self.limits.bytes)}", "it takes more",
                "Take fewer rows, or raise WORKBENCH_LIMIT_BYTES.",
            )  # fmt: skip
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        for name, kind in self.kinds.items():
            self._hash.update(_bytes(columns[name], kind))
        self._targets.append(targets)
        self._splits.append(np.asarray(splits, np.int8))
        if groups is not None:
            self._groups.append(groups)
        frame = pd.DataFrame({name: pd.Series(columns[name]) for name in inputs})
        self._digests.append(pd.util.hash_pandas_object(frame, index=False).to_numpy(np.uint64))
        self.n += len(targets)

    def finish(self, schema: DataSchema, report: Report) -> Prepared:
        """Write the rest; of classification the targets are class numbers. Raises DataError."""
        self._writer.close()
        self._sink.close()
        targets = np.concatenate(self._targets) if self._targets else np.zeros((0, 1))
        splits = np.concatenate(self._splits) if self._splits else np.zeros(0, np.int8)
        labels = np.zeros(len(splits), np.int64)
        if schema.task == "classification":
            labels = targets[:, 0].astype(np.int64)
        else:
            kind = np.float64 if schema.task == "regression" else np.float32
            np.save(self.folder / "targets.npy", targets.astype(kind))
            self._hash.update(targets.tobytes())
        self._hash.update(repr((schema.task, [(f.name, f.role) for f in schema.fields])).encode())
        digests = np.concatenate(self._digests) if self._digests else np.zeros(0, np.uint64)
        report_copies(digests, labels, splits, report, "rows")
        groups = np.concatenate(self._groups) if self._groups else None
        schema = schema.model_copy(update={"kind": "table", "shape": ()})
        fingerprint, rows = finish_folder(
            self.folder, schema, labels, splits, self._hash, files=None, groups=groups
        )
        return Prepared(schema, rows, report.rows(), fingerprint)

    def close(self) -> None:
        """Let go of the file; the folder is the caller's to remove."""
        if not self._sink.closed:
            self._sink.close()


class StoredTable:
    """A prepared table: labels (N,) int64, targets (N, K) or None, splits (N,) int8, and its cells by column
    or by row, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.schema = read_schema(folder)
        try:
            self._map = pa.memory_map(str(folder / FILE), "r")
            self._table = pa.ipc.open_stream(self._map).read_all()  # no copy: its columns lie in the map
            self.labels = np.load(folder / "labels.npy", allow_pickle=False)
            self.splits = np.load(folder / "splits.npy", allow_pickle=False)
            path = folder / "targets.npy"
            self.targets = np.load(path, mmap_mode="r", allow_pickle=False) if path.exists() else None
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            raise _broken(folder, str(error).splitlines()[0]) from None
        if not self._table.num_rows == len(self.labels) == len(self.splits):
            raise _broken(folder, f"{self._table.num_rows} rows, {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, name: str) -> np.ndarray:
        """One column, (N,) float64, datetime64[us] or objects, in its kind."""
        return _numpy(self._table.column(name))

    def pieces(self, names: Sequence[str]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """(first row, columns) of some rows after the other, for tables larger than the memory."""
        at = 0
        for batch in self._table.select(list(names)).to_batches():
            yield at, {name: _numpy(batch.column(c)) for c, name in enumerate(names)}
            at += batch.num_rows

    def rows(self, index: np.ndarray) -> list[dict[str, Any]]:
        """Rows as they were read, as plain values by name; None where there is none."""
        found = self._table.take(pa.array(np.asarray(index, np.int64))).to_pylist()
        return [{name: plain(value) for name, value in row.items()} for row in found]


def plain(value: Any) -> Any:
    """A cell as people read it and JSON takes it: whole numbers without decimals, dates as ISO."""
    if isinstance(value, float):
        if value != value:
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if hasattr(value, "isoformat"):
        text = str(value.isoformat(" "))
        return text.removesuffix(" 00:00:00")
    return value


def _array(values: np.ndarray, kind: str) -> pa.Array:
    if kind == "number":
        return pa.array(values, pa.float64(), from_pandas=True)  # NaN is null
    return pa.array(values, TYPES[kind])


def _numpy(column: Any) -> np.ndarray:
    if pa.types.is_floating(column.type):
        return np.asarray(pc.fill_null(column, float("nan")).to_numpy(), np.float64)
    return np.asarray(
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    )


def _bytes(values: np.ndarray, kind: str) -> bytes:
    if kind == "word":
        return "\0".join("\1" if value is None else value for value in values).encode("utf-8", "replace")
    return np.ascontiguousarray(values).tobytes()


def _broken(folder: Path, fact: str) -> DataError:
    return DataError.of(
        str(folder), f"a prepared table needs {FILE}, labels.npy, splits.npy and schema.json that fit", fact,
        "Add the data set again.",
    )  # fmt: skip

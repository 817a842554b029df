"""The folder format of a prepared set of texts, written in one stream and read by memory map.

texts.arrow: columns `text` and, of pairs, `target` (large strings); labels.npy (N,) int64, zeros where there
are no classes; splits.npy (N,) int8 (0 train, 1 validation, 2 test; only what the source brought);
schema.json (DataSchema); fingerprint.txt. Where the source tells them: files.txt (a file per row) and
groups.npy (N,) int64, -1 for none. A language model's text lies in pieces of some kilobytes, in order.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.data.limits import Limits, human
from workbench.data.prepared import Prepared, finish_folder, read_schema, refuse_set, report_copies
from workbench.data.report import Report, class_names
from workbench.data.splits import TRAIN
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

FILE = "texts.arrow"
ROWS = 2_000  # of a record batch, at most
CHARACTERS = 1 << 20  # and so many, where texts are long


class TextWriter:
    """Appends texts to a set. Labels and splits are kept until the end; texts go to the disk."""

    def __init__(self, folder: Path, limits: Limits, where: str, paired: bool = False) -> None:
        self.folder, self.limits, self.where, self.paired = folder, limits, where, paired
        names = ("text", "target") if paired else ("text",)
        self._schema = pa.schema([(name, pa.large_string()) for name in names])
        self._sink = pa.OSFile(str(folder / FILE), "wb")
        self._writer = pa.ipc.new_stream(self._sink, self._schema)  # as the `datasets` library reads it
        self._waiting: list[tuple[str, ...]] = []
        self._characters = 0
        self._labels, self._splits = array("q"), array("b")
        self._files: list[str] = []
        self._groups = array("q")
        self._digests = array("Q")
        self._hash = hashlib.sha256()
        self._bytes = 0

    @property
    def n(self) -> int:
        return len(self._splits)

    def append(
        self, text: str, label: int = 0, split: int = TRAIN, target: str | None = None,
        file: str | None = None, group: int | None = None,
    ) -> None:  # fmt: skip
        """One text. file, group: for every text alike, or for none. Raises DataError beyond the limits."""
        if file is not None:
            self._files.append(file)
        if group is not None:
            self._groups.append(group)
        if len(self._splits) >= self.limits.texts:
            raise DataError.of(
                self.where, f"a set may hold {self.limits.texts:,} texts", "this one has more",
                "Take fewer, or raise WORKBENCH_LIMIT_TEXTS.",
            )  # fmt: skip
        self._waiting.append((text,) if target is None else (text, target))
        self._characters += len(text) + (len(target) if target else 0)
        self._labels.append(label)
        self._splits.append(split)
        if len(self._waiting) >= ROWS or self._characters >= CHARACTERS:
            self._write()

    def renumber(self, new: Sequence[int]) -> None:
        """Label k becomes new[k]."""
        self._labels = array("q", np.asarray(new, np.int64)[np.frombuffer(self._labels, np.int64)].tobytes())

    def finish(self, schema: DataSchema, report: Report, classes: Sequence[str] = ()) -> Prepared:
        """Write the rest. classes: by label; those without a text are dropped. Raises DataError."""
        self.seal()
        labels = np.array(self._labels, np.int64)
        splits = np.array(self._splits, np.int8)
        if not self.n:
            refuse_set(self.where, report, "a set needs texts", "none could be read", "Check the files.")
        if schema.task == "classification":
            present = np.unique(labels)
            kept = class_names(classes[k] for k in present)
            if len(kept) < 2:
                refuse_set(
                    self.where, report, "a classifier needs at least two classes",
                    f"only `{kept[0]}` has texts", "Add texts of another class, or choose another task.",
                )  # fmt: skip
            if len(kept) > self.limits.classes:
                refuse_set(
                    self.where, report, f"a set may have {self.limits.classes:,} classes",
                    f"the labels are {len(kept):,} different ones", "Choose another column of labels.",
                )  # fmt: skip
            labels = np.searchsorted(present, labels).astype(np.int64)
            schema = schema.model_copy(update={"classes": kept})
        schema = schema.model_copy(update={"kind": "text", "shape": ()})
        self._hash.update(schema.task.encode())
        if schema.task != "language_model":
            digests = np.frombuffer(self._digests, np.uint64)
            report_copies(digests, labels, splits, report, "texts")
        files = self._files if len(self._files) == self.n else None
        groups = np.array(self._groups, np.int64) if len(self._groups) == self.n else None
        fingerprint, rows = finish_folder(
            self.folder, schema, labels, splits, self._hash, files=files, groups=groups
        )
        return Prepared(schema, rows, report.rows(), fingerprint)

    def seal(self) -> Any:
        """Write the rest of the texts alone; the hash of them all."""
        self._write()
        self._writer.close()
        self._sink.close()
        return self._hash

    def close(self) -> None:
        """Let go of the file; the folder is the caller's to remove."""
        if not self._sink.closed:
            self._sink.close()

    def _write(self) -> None:
        if not self._waiting:
            return
        coded = [[part.encode("utf-8") for part in row] for row in self._waiting]
        self._bytes += sum(len(data) for row in coded for data in row)
        if self._bytes > self.limits.bytes:
            raise DataError.of(
                self.where, f"the texts may take {human(self.limits.bytes)}", "they take more",
                "Take fewer, or raise WORKBENCH_LIMIT_BYTES.",
            )  # fmt: skip
        hashed(self._hash, self._waiting)
        self._digests.frombytes(b"".join(hashlib.blake2b(row[0], digest_size=8).digest() for row in coded))
        columns = [pa.array(column, pa.large_string()) for column in zip(*self._waiting, strict=True)]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._waiting, self._characters = [], 0


def hashed(digest: Any, rows: Sequence[Sequence[str]]) -> None:
    """Add texts to the fingerprint of their set, in the order of their rows."""
    coded = (part.encode("utf-8") for row in rows for part in row)
    digest.update(b"".join(len(data).to_bytes(8, "little") + data for data in coded))


def is_stream(folder: Path) -> bool:
    """Whether the texts are an Arrow stream; at first they were written as an Arrow file. Raises OSError."""
    with open(folder / FILE, "rb") as file:
        return file.read(6) != b"ARROW1"


class Stored:
    """A prepared set of texts: labels (N,) int64, splits (N,) int8, and its texts by row, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.schema = read_schema(folder)
        try:
            self._map = pa.memory_map(str(folder / FILE), "r")
            opened = (pa.ipc.open_stream if is_stream(folder) else pa.ipc.open_file)(self._map)
            self.table = table = opened.read_all()  # no copy: its columns lie in the map
            self.labels = np.load(folder / "labels.npy", allow_pickle=False)
            self.splits = np.load(folder / "splits.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            raise _broken(folder, str(error).splitlines()[0]) from None
        if not table.num_rows == len(self.labels) == len(self.splits):
            raise _broken(folder, f"{table.num_rows} texts, {len(self.labels)} labels")
        self._columns = {name: table.column(name) for name in table.column_names}
        chunks = self._columns["text"].chunks
        self._starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])  # of each chunk, its first row

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> np.ndarray:
        """Characters of each text, (N,) int64."""
        return self.sizes_of("text")

    def sizes_of(self, column: str) -> np.ndarray:
        """Characters of each text of a column, (N,) int64."""
        return np.asarray(pc.utf8_length(self._columns[column]).to_numpy(), np.int64)

    def text(self, row: int, column: str = "text") -> str:
        """One text as it was read."""
        return str(self._columns[column][int(row)].as_py())

    def texts(self, rows: np.ndarray, column: str = "text") -> list[str]:
        """Several, in the order asked for. Reads them chunk by chunk: taken from a whole column at once, they
        could cost a copy of it."""
        rows = np.asarray(rows, np.int64)
        order = np.argsort(rows, kind="stable")
        chunk_of = np.searchsorted(self._starts, rows[order], side="right") - 1
        found: list[str] = [""] * len(rows)
        for chunk in np.unique(chunk_of):
            mine = order[chunk_of == chunk]
            local = pa.array(rows[mine] - self._starts[chunk])
            values = self._columns[column].chunk(int(chunk)).take(local).to_pylist()
            for place, value in zip(mine.tolist(), values, strict=True):
                found[place] = value
        return found


def _broken(folder: Path, fact: str) -> DataError:
    return DataError.of(
        str(folder), f"a prepared set needs {FILE}, labels.npy, splits.npy and schema.json that fit", fact,
        "Add the data set again.",
    )  # fmt: skip

"""Records of JSON and Parquet as rows of plain cells, under names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from workbench.data.report import shown
from workbench.data.text.records import SAMPLE_ROWS, Record

BATCH = 1_000  # rows of a Parquet file read at once


def json_lines(
    lines: Iterable[str], refused: Callable[[int, str], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line from 1, cells by name) of a file with an object per line. refused(line, reason) for others."""
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            tree = json.loads(line)
        except (ValueError, RecursionError) as error:
            refused(n, f"it is no JSON: {shown(str(error), 80)}")
            continue
        if not isinstance(tree, dict):
            refused(n, "it is no JSON object")
            continue
        yield n, flat(tree)


def json_objects(text: str) -> list[dict[str, str]]:
    """The records of one JSON document: a list of objects, alone or under a name, or a list per column.

    Raises ValueError where it is none of these.
    """
    try:
        tree = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if isinstance(tree, dict):
        lists = [v for v in tree.values() if isinstance(v, list) and v]
        if (
            len(lists) == len(tree)
            and len({len(v) for v in lists}) == 1
            and not isinstance(lists[0][0], dict)
        ):
            return [flat(dict(zip(tree, row, strict=True))) for row in zip(*lists, strict=True)]
        inner = [v for v in lists if all(isinstance(item, dict) for item in v)]
        tree = max(inner, key=len, default=tree)
    if not isinstance(tree, list):
        raise ValueError("it holds no list of records")
    return [flat(item) for item in tree if isinstance(item, dict)]


def flat(tree: Mapping[str, Any]) -> dict[str, str]:
    """One record as text by name; `{"translation": {"en": …}}` as `translation.en`."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": cell(v) for inner, v in value.items()}
        else:
            found[str(name)] = cell(value)
    return found


def cell(value: Any) -> str:
    """A value as a cell: nothing as "", lists of words joined by blanks, whole floats as whole numbers."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return (
            ""
            if value != value
            else str(int(value))
            if value.is_integer() and abs(value) < 1e15
            else str(value)
        )
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return " ".join(cell(item) for item in value)
    return str(value)


def as_record(line: int, cells: Mapping[str, str], names: Sequence[str]) -> Record:
    """The cells in the order of `names`; what is missing is empty."""
    return Record(line, [cells.get(name, "") for name in names])


def names_of(sample: Iterable[Mapping[str, str]]) -> list[str]:
    """All names of some records, in the order of their first use."""
    found: dict[str, None] = {}
    for record in sample:
        found.update(dict.fromkeys(record))
        if len(found) > 1_000:
            break
    return list(found)[:1_000]


class Parquet:
    """A Parquet file read in batches. Raises ValueError or OSError where it is damaged."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - 20 MB that only Parquet files need

        self._file = pq.ParquetFile(file, pre_buffer=False)
        self.rows = int(self._file.metadata.num_rows)
        self.names: list[str] = list(self._file.schema_arrow.names)
        self._coded = _coded(self._file.schema_arrow.metadata)

    def records(self) -> Iterator[dict[str, str]]:
        """Cells by name; numbers of classes become their names where the file tells them."""
        for batch in self._file.iter_batches(batch_size=BATCH):
            for tree in batch.to_pylist():
                for name, words in self._coded.items():
                    value = tree.get(name)
                    if isinstance(value, int) and 0 <= value < len(words):
                        tree[name] = words[value]
                yield flat(tree)

    def batches(self, rows: int) -> Iterator[list[Any]]:
        """Columns as Arrow arrays, at most `rows` of each; lists and structures as text."""
        import pyarrow as pa  # noqa: PLC0415

        for batch in self._file.iter_batches(batch_size=rows):
            found = []
            for name, column in zip(self.names, batch.columns, strict=True):
                words = self._coded.get(name)
                if pa.types.is_nested(column.type) or words:
                    values = [
                        words[v] if words and isinstance(v, int) and 0 <= v < len(words) else v
                        for v in column.to_pylist()
                    ]
                    column = pa.array([None if v is None else cell(v) for v in values], pa.large_string())
                found.append(column)
            yield found

    def sample(self) -> list[dict[str, str]]:
        """Some of the first records and of the last."""
        groups = self._file.num_row_groups
        found: list[dict[str, str]] = []
        for group in dict.fromkeys([0, groups - 1] if groups else []):
            for batch in self._file.iter_batches(batch_size=SAMPLE_ROWS // 2, row_groups=[group]):
                found += [flat(tree) for tree in batch.to_pylist()]
                break
        return found


def _coded(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of classes by column, as the `datasets` library notes them in a file."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: [str(n) for n in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}

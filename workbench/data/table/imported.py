"""From files to a prepared table: each row is kept, mended or refused; each column gets its role."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.layout import split_of
from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, refuse_set
from workbench.data.report import Report, class_names, shown
from workbench.data.sources import Source, natural
from workbench.data.splits import SPLITS
from workbench.data.table.reading import ReadColumn, ReadTable, Rows, open_table
from workbench.data.table.roles import Roles, measured_targets, roles_of, tell
from workbench.data.table.stored import TableWriter, plain
from workbench.data.text.sniffed import Sniffed
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError
from workbench.specs.tables import INPUTS, TableColumn, TableImport

BINS = 20
COMMON = 20  # words of a column that are told
YES = {"1", "true", "yes", "y", "t", "1.0"}
EXAMPLES = 5


def import_table(
    source: Source, files: Sequence[Sniffed], folder: Path, *, asked: TableImport, schema: DataSchema,
    limits: Limits, report: Report, tick: Callable[[str, float], None],
    known: Mapping[str, TableColumn] | None = None,
) -> Prepared:  # fmt: skip
    """Write a table into `folder`. Raises DataError; what cannot be used is reported instead.

    Check: rows of all splits add up to the rows kept; the same source gives the same fingerprint.
    """
    progress = _Progress(files, tick)
    whole = partial(measured_targets, asked=asked, where=source.where)
    with open_table(source, files, asked, limits, report, progress.read, known, whole) as table:
        tick("Understanding the columns", 0.6)
        found = roles_of(table, asked, source.where)
        tell(found, table, report)
        labels = _Labels(table, found, limits, source.where, report)
        kinds = {column.name: column.kind for column in table.columns}
        inputs = [c.name for c, role in zip(table.columns, found.roles, strict=True) if role in INPUTS]
        sums = [_Summed(column) for column in table.columns]
        writer = TableWriter(folder, kinds, limits, source.where)
        groups: dict[str, int] = {}
        try:
            for rows in table:
                targets, kept = labels.of(rows)
                if not kept.any():
                    continue
                columns = {name: values[kept] for name, values in rows.columns.items()}
                splits = _splits(table, found, rows)[kept]
                writer.append(columns, targets[kept], splits, inputs, _groups(table, found, columns, groups))
                for one in sums:
                    one.add(columns[one.column.name])
                labels.count(targets[kept], splits)
                tick(f"Reading rows: {writer.n:,}", 0.6 + 0.35 * writer.n / max(1, len(table)))
            if not writer.n:
                refuse_set(source.where, report, "a table needs rows with a target", "none has one")
            labels.finish(table, report)
            fields = tuple(
                one.told(role, found.reasons.get(c, ""))
                for c, (one, role) in enumerate(zip(sums, found.roles, strict=True))
            )
            told = {"target": ", ".join(table.names[c] for c in found.target)}
            schema = schema.model_copy(
                update={
                    "kind": "table", "task": found.task, "classes": labels.classes, "columns": told,
                    "fields": fields,
                }
            )  # fmt: skip
            for file in table.files:
                report.kept(
                    shown(file.path), f"read as {SPLITS[file.split]}" if len(table.files) > 1 else "read"
                )
            return writer.finish(schema, report)
        finally:
            writer.close()


def guessed(source: Source, files: Sequence[Sniffed], asked: TableImport, limits: Limits) -> dict[str, Any]:
    """What an import would make of a table, without one: task, target, each column with its role, examples.

    Raises DataError where the target cannot be told.
    """
    report = Report(limits.report_rows)
    whole = partial(measured_targets, asked=asked, where=source.where)
    with open_table(source, files, asked, limits, report, whole=whole) as table:
        found = roles_of(table, asked, source.where)
        first = next(iter(table))
        examples = [
            [_shown(first.columns[name][i]) for name in table.names] for i in range(min(EXAMPLES, len(first)))
        ]
        return {
            "task": found.task, "form": "table", "names": table.names, "examples": examples,
            "columns": {"target": ", ".join(table.names[c] for c in found.target)},
            "target": [table.names[c] for c in found.target], "rows": len(table),
            "roles": dict(zip(table.names, found.roles, strict=True)),
            "kinds": {column.name: column.kind for column in table.columns},
            "missing": {column.name: column.missing for column in table.columns},
            "distinct": {column.name: column.distinct for column in table.columns},
            "unsure": [column.name for column in table.columns if column.unsure],
            "reasons": {table.names[c]: reason for c, reason in found.reasons.items()},
            "files": [file.path for file in table.files], "report": report.rows(),
        }  # fmt: skip


class _Labels:
    """Targets as numbers: class numbers, values, or 0 and 1 for each of several labels."""

    def __init__(self, table: ReadTable, found: Roles, limits: Limits, where: str, report: Report) -> None:
        self.task = found.task
        self.names = [table.names[c] for c in found.target]
        self.classes: tuple[str, ...] = ()
        self._columns = [table.columns[c] for c in found.target]
        self._files = [file.path for file in table.files]
        self._lacking: Counter[int] = Counter()
        self._counts: Counter[tuple[int, int]] = Counter()
        self._dotted = False
        self._place: dict[str, int] = {}
        if self.task == "classification":
            self._know(table, limits, where, report)
        elif self.task == "multi_label":
            self.classes = class_names(self.names)
            self._yes = [_yes_of(table, column) for column in self._columns]

    def of(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """(n, K) float64 and which rows have a target (n,) bool."""
        if self.task == "classification":
            words = _as_words(rows.columns[self.names[0]], self._columns[0])
            codes = np.array([-1 if w is None else self._place[self._clean(w)] for w in words], np.float64)
            targets = codes[:, None]
            kept = codes >= 0
        elif self.task == "regression":
            targets = rows.columns[self.names[0]][:, None]
            kept = np.isfinite(targets[:, 0])
        else:
            found = [
                np.array(
                    [np.nan if w is None else float(w == yes) for w in _as_words(rows.columns[name], column)]
                )
                for name, column, yes in zip(self.names, self._columns, self._yes, strict=True)
            ]
            targets = np.stack(found, axis=1)
            kept = np.asarray(np.isfinite(targets).all(axis=1))
        for file in rows.file[~kept]:
            self._lacking[int(file)] += 1
        return targets, kept

    def count(self, targets: np.ndarray, splits: np.ndarray) -> None:
        if self.task == "classification":
            pairs, times = np.unique(np.stack([targets[:, 0], splits], axis=1), axis=0, return_counts=True)
            for (k, split), n in zip(pairs.astype(int).tolist(), times.tolist(), strict=True):
                self._counts[k, split] += n

    def finish(self, table: ReadTable, report: Report) -> None:
        """The classes with their rows, and what had no target, in the report."""
        for file, n in self._lacking.items():
            whole = n == sum(f == file for rows in table for f in rows.file.tolist())
            fact = "it has no target: predict with it" if whole else f"{n:,} rows without a target left out"
            report.refused(shown(self._files[file]), fact)
        for k, name in enumerate(self.classes[:200] if self.task == "classification" else ()):
            parts = [(SPLITS[s], self._counts[k, s]) for s in range(3) if self._counts[k, s]]
            text = f"{sum(n for _, n in parts):,} rows"
            if len(parts) > 1:
                text += f" ({', '.join(f'{n:,} {split}' for split, n in parts)})"
            report.kept(name, text)

    def _know(self, table: ReadTable, limits: Limits, where: str, report: Report) -> None:
        seen: Counter[str] = Counter()
        for rows in table:
            seen.update(w for w in _as_words(rows.columns[self.names[0]], self._columns[0]) if w is not None)
        bare = {word.rstrip(".") for word in seen}
        if len(bare) < len(seen) and all(word.endswith(".") or word + "." in seen for word in seen):
            self._dotted = True
            n = sum(times for word, times in seen.items() if word.endswith("."))
            report.repaired(
                f"column `{shown(self.names[0], 60)}`", f"a point at the end of {n:,} labels left out"
            )
        order = sorted({self._clean(word) for word in seen}, key=natural)
        if len(order) > limits.classes:
            raise DataError.of(
                where, f"a set may have {limits.classes:,} classes", f"its labels take {len(order):,} values",
                "Choose another target, or the task regression.",
            )  # fmt: skip
        if len(order) < 2:
            raise DataError.of(
                where,
                "a classifier needs at least two classes",
                f"the target is always `{order[0] if order else ''}`",
            )
        self._place = {word: k for k, word in enumerate(order)}
        self.classes = class_names(order)

    def _clean(self, word: str) -> str:
        return word.rstrip(".") if self._dotted else word


class _Summed:
    """A column's distribution, for people, while its rows come by."""

    def __init__(self, column: ReadColumn) -> None:
        self.column = column
        self._words: Counter[str] = Counter()
        self._missing = 0
        self._edges = np.zeros(0)
        if column.kind == "number" and np.isfinite(column.least):
            high = column.greatest if column.greatest > column.least else column.least + 1
            self._edges = np.linspace(column.least, high, BINS + 1)
        self._counts = np.zeros(BINS, np.int64)

    def add(self, values: np.ndarray) -> None:
        if self.column.kind == "number":
            held = values[np.isfinite(values)]
            self._missing += len(values) - len(held)
            if len(self._edges):
                self._counts += np.histogram(held, self._edges)[0]
        elif self.column.kind == "moment":
            self._missing += int(np.isnat(values).sum())
        else:
            self._missing += sum(v is None for v in values)
            if len(self._words) < 200_000:
                self._words.update(v for v in values if v is not None)

    def told(self, role: Any, reason: str) -> TableColumn:
        c = self.column
        least, greatest = (None if x != x else float(x) for x in (c.least, c.greatest))
        return TableColumn(
            name=c.name, role=role, kind=c.kind, reason=reason, unit=c.unit, way=c.way,
            decimal=c.grammar.decimal, scaled=c.grammar.scaled, sentinels=c.sentinels,
            missing=self._missing, distinct=c.distinct, is_whole=c.is_whole, least=least, greatest=greatest,
            edges=tuple(float(e) for e in self._edges),
            counts=tuple(int(n) for n in self._counts) if len(self._edges) else (),
            common=tuple((shown(w, 60), n) for w, n in self._words.most_common(COMMON)),
        )  # fmt: skip


class _Progress:
    """How far the bytes of the files are read; they are read twice."""

    def __init__(self, files: Sequence[Sniffed], tick: Callable[[str, float], None]) -> None:
        self._all = max(1, 2 * sum(max(1, file.member.size) for file in files))
        self._tick, self._n, self._told = tick, 0, 0

    def read(self, n: int) -> None:
        self._n += n
        if self._n - self._told >= min(1 << 22, self._all // 50 + 1):
            self._told = self._n
            self._tick("Looking at the table", min(0.6, 0.6 * self._n / self._all))


def _splits(table: ReadTable, found: Roles, rows: Rows) -> np.ndarray:
    """(n,) int8: what a column says, else what the file's name does; a test alone is to learn from."""
    known = {file.split for file in table.files}
    base = np.array([file.split if 0 in known else 0 for file in table.files], np.int8)
    out = np.asarray(base[rows.file])
    if found.split is not None:
        words = rows.columns[table.names[found.split]]
        told = {word: split_of(word) for word in set(words) if word is not None}
        out = np.array(
            [told.get(w) if told.get(w) is not None else s for w, s in zip(words, out, strict=True)], np.int8
        )
    return out


def _groups(
    table: ReadTable, found: Roles, columns: dict[str, np.ndarray], known: dict[str, int]
) -> np.ndarray | None:
    if found.group is None:
        return None
    column = table.columns[found.group]
    words = _as_words(columns[column.name], column)
    return np.array([-1 if w is None else known.setdefault(w, len(known)) for w in words], np.int64)


def _as_words(values: np.ndarray, column: ReadColumn) -> list[str | None]:
    if column.kind == "word":
        return list(values)
    return [None if value is None else str(value) for value in (plain(v) for v in values.tolist())]


def _yes_of(table: ReadTable, column: ReadColumn) -> str:
    """The value that means yes: 1, true, yes; else the second in order."""
    seen = sorted(
        {w for rows in table for w in _as_words(rows.columns[column.name], column) if w is not None},
        key=natural,
    )
    return next((word for word in seen if word.lower() in YES), seen[-1])


def _shown(value: Any) -> str:
    found = plain(value.item() if isinstance(value, np.generic) else value)
    return "" if found is None else shown(re.sub(r"\s+", " ", str(found)), 60)

"""The cells of a table as values: numbers, moments and words, piece by piece from the disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.data.report import Report, shown
from workbench.data.table.moments import moments
from workbench.data.table.numbers import PLAIN, Extremes, Grammar, Why, as_numbers
from workbench.specs.tables import TableReading

Kind = Literal["number", "moment", "word"]
LARGEST = 1e30  # of a number that a model sees: float32 holds no more than 1e38
EXACT = 2**53  # up to which every whole number is held as it is
DISTINCT = 100_000  # distinct values of a column that are counted; more are not told apart from many

WHY: dict[Why, str] = {
    "far": "lies far from all others", "alone": "is alone below 0, apart from all others",
    "near": "lies below all others and near them",
}  # fmt: skip


@dataclass(frozen=True)
class ReadColumn:
    """What a column holds. missing: cells without a value; distinct: values, at most DISTINCT; unit: cut
    off its numbers; way: how its moments are written; sentinels: numbers that mean that nothing is known;
    is_code: whether its words are codes of digits; is_whole: whether its numbers have no decimals; least,
    greatest: of moments, in microseconds since 1970."""

    name: str
    kind: Kind
    missing: int = 0
    distinct: int = 0
    unit: str = ""
    way: str = ""
    grammar: Grammar = PLAIN
    sentinels: tuple[float, ...] = ()
    is_code: bool = False
    is_whole: bool = False
    least: float = float("nan")
    greatest: float = float("nan")
    unsure: bool = False  # nothing tells whether its dates have the day or the month first


class Rows(NamedTuple):
    """Some rows: a column each, (n,) of float64, datetime64[us] or objects; file and line of each, (n,)."""

    columns: dict[str, np.ndarray]
    file: np.ndarray
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.line)

    def frame(self) -> pd.DataFrame:
        """The columns as a frame."""
        # As they are: pandas would make strings of the objects, and their missing cells numbers.
        return pd.DataFrame({name: pd.Series(own, dtype=own.dtype) for name, own in self.columns.items()})


@dataclass
class Decided:
    """A column whose kind is known, and what its values were found to be."""

    name: str
    kind: Kind
    markers: frozenset[str]
    grammar: Grammar = PLAIN
    way: str = ""
    is_code: bool = False
    sentinels: tuple[float, ...] = ()
    missing: int = 0
    odd: int = 0  # cells that hold something that is none of its kind
    beyond: int = 0  # numbers that are too large to be reckoned with
    reading: int = 0  # the same, as counted while the table is read
    words: set[str] = field(default_factory=set)
    is_whole: bool = True
    unsure: bool = False
    least: float = float("inf")
    greatest: float = float("-inf")
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0))
    guessed: dict[float, tuple[Why, int]] = field(default_factory=dict)  # what may stand for nothing; cells
    is_restored: bool = False  # whether none of them is taken for missing after all

    def told(self) -> ReadColumn:
        ends = (self.least, self.greatest) if self.least <= self.greatest else (float("nan"),) * 2
        return ReadColumn(
            self.name, self.kind, self.missing, len(self.words) or len(self.numbers), self.grammar.unit,
            self.way, self.grammar, self.sentinels, self.is_code, self.kind == "number" and self.is_whole,
            *ends, self.unsure,
        )  # fmt: skip


def typed(spool: Any, decided: Sequence[Decided]) -> Iterator[Rows]:
    spool.seek(0)
    while size := spool.read(8):
        with pa.ipc.open_stream(spool.read(int.from_bytes(size, "little"))) as reader:
            for batch in reader:
                columns = {}
                for c, own in enumerate(decided):
                    columns[own.name], odd = _values(batch.column(c), own)
                    own.reading += odd
                yield Rows(
                    columns, batch.column(len(decided)).to_numpy(), batch.column(len(decided) + 1).to_numpy()
                )


def measured(table: Iterable[Rows], decided: Sequence[Decided], asked: TableReading) -> None:
    """Missing cells, distinct words and ends of each column; numbers that stand for nothing are found."""
    extremes = {
        own.name: Extremes()
        for own in decided
        if own.kind == "number" and not asked.missing and not own.sentinels
    }
    for own in decided:
        if own.kind == "number" and not own.sentinels:
            own.sentinels = tuple(float(m) for m in asked.missing if _is_float(m))
    if extremes:
        for rows in table:
            for name, one in extremes.items():
                one.add(rows.columns[name])
        for own in decided:
            if own.name in extremes and (found := extremes[own.name].judged()):
                own.guessed = {v: (why, extremes[own.name].suspects[v]) for v, why in found.items()}
                own.sentinels = tuple(sorted(v for v, why in found.items() if why != "near"))
    _count(table, decided, decided)


def restored(table: Iterable[Rows], decided: Sequence[Decided], names: Collection[str]) -> bool:
    """Give back what a guess took for missing in the columns of these names; whether there was any."""
    found = [own for own in decided if own.name in names and own.guessed and own.sentinels]
    for own in found:
        own.sentinels, own.is_restored = (), True
    if found:
        _count(table, decided, found)
    return bool(found)


def tell(decided: Sequence[Decided], report: Report) -> None:
    """What was mended in the columns, in the report."""
    for own in decided:
        where = f"column `{shown(own.name, 60)}`"
        _tell_markers(own, where, report)
        if own.beyond:
            report.repaired(
                where, f"{own.beyond:,} numbers that are infinite or beyond {LARGEST:g} are missing"
            )
        if own.kind == "number" and own.is_whole and max(own.greatest, -own.least) > EXACT:
            report.repaired(
                where, "whole numbers beyond 9,007,199,254,740,992 are rounded to 16 digits: name it as a "
                "column of categories (categorical, --categorical) to keep them",
            )  # fmt: skip
        if own.odd:
            unit = f" in `{shown(own.grammar.unit, 20)}`" if own.grammar.unit else ""
            kind = f"number{unit}" if own.kind == "number" else "date"
            report.repaired(where, f"{own.odd:,} cells that are no {kind} are missing")


def _tell_markers(own: Decided, where: str, report: Report) -> None:
    """Numbers that may stand for nothing: those that are taken so, and those that are not and could be."""
    for why, words in WHY.items():
        found = {v: n for v, (reason, n) in own.guessed.items() if reason == why}
        if not found:
            continue
        told, n = ", ".join(f"{v:g}" for v in sorted(found)), sum(found.values())
        if why != "near" and not own.is_restored:
            report.repaired(where, f"{told} {words} and is taken for missing in {n:,} cells")
            continue
        what = "is a value of the target" if own.is_restored else "is kept as a value"
        report.repaired(
            where, f"{told} {words} and {what} in {n:,} cells: where it means that nothing is known, say so "
            f"(missing, {' '.join(f'--missing {v:g}' for v in sorted(found))})",
        )  # fmt: skip


def _values(column: pa.Array, own: Decided) -> tuple[np.ndarray, int]:
    """A piece of a column in its kind; and how many cells hold something that is none of it."""
    if own.kind == "word":
        return _words(column, own), 0
    if pa.types.is_floating(column.type) and own.kind == "number":
        values = column.to_numpy(zero_copy_only=False)
        return _without(values, own), 0
    if pa.types.is_timestamp(column.type) and own.kind == "moment":
        return np.asarray(column.to_numpy(zero_copy_only=False), "datetime64[us]"), 0
    if not pa.types.is_large_string(column.type):
        column = pa.array(_words(column, own), pa.large_string())
    markers = pa.array(sorted(own.markers), pa.large_string())
    texts = pc.if_else(pc.is_in(column, value_set=markers), None, column)
    empty = texts.null_count
    if own.kind == "number":
        if own.grammar == PLAIN:
            try:
                return _without(pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False), own), 0
            except pa.ArrowInvalid:
                pass
        values = _by_distinct(texts, lambda cells: as_numbers(cells, own.grammar), np.float64, np.nan)
        return _without(values, own), int(np.isnan(values).sum()) - empty
    found = _by_distinct(texts, lambda cells: moments(cells, own.way), "datetime64[us]", np.datetime64("NaT"))
    return found, int(np.isnat(found).sum()) - empty


def _without(values: np.ndarray, own: Decided) -> np.ndarray:
    beyond = ~np.isnan(values) & ~(np.abs(values) <= LARGEST)  # infinite ones too
    own.beyond += int(beyond.sum())
    values = np.where(beyond, np.nan, values)
    return np.where(np.isin(values, own.sentinels), np.nan, values) if own.sentinels else values


def _by_distinct(texts: pa.Array, turn: Any, kind: Any, nothing: Any) -> np.ndarray:
    """Each distinct cell is turned once."""
    coded = texts.dictionary_encode()
    table = np.append(np.asarray(turn(coded.dictionary.to_pylist()), kind), np.array([nothing], kind))
    places = coded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(table[places])


def _words(column: pa.Array, own: Decided) -> np.ndarray:
    if pa.types.is_floating(column.type):
        cells: list[str | None] = [
            None if v is None or v != v else str(int(v)) if float(v).is_integer() else repr(v)
            for v in column.to_pylist()
        ]
    elif pa.types.is_timestamp(column.type):
        cells = [None if v is None else v.isoformat(" ") for v in column.to_pylist()]
    else:
        cells = column.to_pylist()
    out = np.empty(len(cells), object)
    out[:] = [None if cell is None or cell in own.markers else cell for cell in cells]
    return out


def _count(table: Iterable[Rows], decided: Sequence[Decided], some: Sequence[Decided]) -> None:
    """Count some of the columns afresh; all that were decided are read."""
    for own in decided:
        own.reading = own.beyond = 0
    for own in some:
        own.missing, own.is_whole, own.words, own.numbers = 0, True, set(), np.zeros(0)
        own.least, own.greatest = float("inf"), float("-inf")
    for rows in table:
        for own in some:
            values = rows.columns[own.name]
            if own.kind == "number":
                held = values[~np.isnan(values)]
                own.missing += len(values) - len(held)
                if len(held):
                    own.is_whole = own.is_whole and bool((held == np.floor(held)).all())
                    own.least, own.greatest = min(own.least, held.min()), max(own.greatest, held.max())
                if len(own.numbers) < DISTINCT:
                    own.numbers = np.union1d(own.numbers, held)[:DISTINCT]
            elif own.kind == "moment":
                held = values[~np.isnat(values)].astype(np.int64)
                own.missing += len(values) - len(held)
                if len(held):
                    own.least, own.greatest = min(own.least, held.min()), max(own.greatest, held.max())
                if len(own.numbers) < DISTINCT:
                    own.numbers = np.union1d(own.numbers, held)[:DISTINCT]
            else:
                own.missing += sum(v is None for v in values)
                if len(own.words) < DISTINCT:
                    own.words |= {v for v in values if v is not None}
    for own in decided:
        own.odd = own.reading


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""Cells of a table on their way to the disk, looked at: the kind of each column, and how it is written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.table.moments import NAMED, OR, MomentLook, leads
from workbench.data.table.names import named, wanted_names
from workbench.data.table.numbers import MISSING, Grammar, Look
from workbench.data.table.raw import Raw
from workbench.data.table.typed import Decided
from workbench.specs.errors import DataError
from workbench.specs.tables import TableColumn, TableReading

_LOOKED_AT = 20_000  # distinct cells of a piece that are looked at


@dataclass
class Seen:
    """A column while its cells are looked at."""

    name: str
    look: Look = field(default_factory=Look)
    when: MomentLook = field(default_factory=MomentLook)
    trimmed: int = 0
    native: set[str] = field(default_factory=set)  # number, moment: what a file's own format says
    has_zone: bool = False  # whether its format's moments tell a zone
    sure: bool = False  # words that cannot be numbers or moments any more


def spooled_pieces(raw: Raw, spool: Any, limits: Limits, asked: TableReading) -> tuple[list[Seen], int]:
    """All pieces to the disk, each looked at on its way."""
    markers = pa.array(markers_of(asked), pa.large_string())
    seen = [Seen(name) for name in raw.names]
    n = 0
    for piece in raw.pieces():
        n += len(piece.lines)
        if n > limits.rows:
            raise DataError.of(
                raw.source.where, f"a table may hold {limits.rows:,} rows", "this one has more",
                "Take fewer, or raise WORKBENCH_LIMIT_ROWS.",
            )  # fmt: skip
        columns = [_plain(column, own, markers) for column, own in zip(piece.columns, seen, strict=True)]
        batch = [
            *columns, pa.array(np.full(len(piece.lines), piece.file, np.int32)),
            pa.array(np.array(piece.lines, np.int64)),
        ]  # fmt: skip
        names = [str(c) for c in range(len(batch))]
        data = pa.record_batch(batch, names=names)
        # Columns of Parquet differ in type from file to file: each piece is a stream of its own.
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, data.schema) as writer:
            writer.write_batch(data)
        blob = sink.getvalue()
        spool.write(len(blob).to_bytes(8, "little"))
        spool.write(blob)
    return seen, n


def decide(
    raw: Raw,
    seen: list[Seen],
    asked: TableReading,
    report: Report,
    known: Mapping[str, TableColumn],
) -> list[Decided]:
    """The kind of each column, by all of its cells and by what a person says. Raises DataError."""
    names = list(raw.names)
    numeric = {named(name, names, "numeric") for name in asked.numeric}
    words = {named(name, names, "categorical") for name in asked.categorical}
    if numeric & words:
        name = names[min(numeric & words)]
        raise DataError.of(
            f"column `{shown(name, 40)}`", "a column is numbers or words", "it is named as both"
        )
    for name in wanted_names(asked):
        named(name, names, "a column that was asked for")
    votes = [own.look.decides() for own in seen if own.look.cells and own.look.grammar(".") is not None]
    commas, points = votes.count(","), votes.count(".")
    if asked.decimal is not None:
        fallback = "." if asked.decimal == "point" else ","
    elif commas != points:
        fallback = "," if commas > points else "."
    else:
        fallback = "," if raw.mark == ";" and any(own.look.ties for own in seen) and not points else "."
    markers = frozenset(markers_of(asked))
    found = []
    trimmed = [own for own in seen if own.trimmed]
    if trimmed:
        cells = sum(own.trimmed for own in trimmed)
        report.repaired("cells", f"blanks around {cells:,} cells of {len(trimmed):,} columns left out")
    for c, own in enumerate(seen):
        name = shown(own.name, 60)
        like = known[own.name].way if own.name in known else ""
        way = own.when.way(asked.dates, like) if c not in numeric and c not in words else None
        grammar = own.look.grammar(fallback, c in numeric) if c not in words else None
        if asked.decimal is not None and grammar is not None:
            grammar = grammar._replace(decimal=fallback)
        native = own.native if not own.look.cells else set()
        if own.name in known:
            found.append(_as_known(own, known[own.name], way, fallback, markers))
        elif c in words:
            found.append(Decided(own.name, "word", markers, is_code=True))
        elif way is not None or native == {"moment"}:
            plainly = "%Y-%m-%d %H:%M:%S" + ("%z" if own.has_zone else "")
            found.append(Decided(own.name, "moment", markers, way=way or plainly))
            if way is not None and OR in way:
                one, _, other = way.partition(OR)
                report.repaired(f"column `{name}`", f"dates are written in two ways: {one} and {other}")
            if way is not None and leads(way):
                found[-1].unsure = not own.when.why
                _tell_order(own, way, name, report)
        elif native == {"number"} or (grammar is not None and (own.look.cells or c in numeric)):
            grammar = grammar or Grammar(fallback)
            found.append(Decided(own.name, "number", markers, grammar))
            _tell_grammar(own, grammar, name, report)
        else:
            found.append(Decided(own.name, "word", markers, is_code=own.look.is_code()))
            if c not in words:
                _tell_why_words(own, name, report)
            if own.look.is_code() and own.look.point == own.look.cells:
                report.kept(f"column `{name}`", "numbers that begin with 0 are taken for codes")
    return found


def _tell_why_words(own: Seen, name: str, report: Report) -> None:
    """What a column of words would have been but for one thing."""
    if own.when.mixes_zones():
        fact = "some of its moments tell a zone and others none"
        report.refused(f"column `{name}`", f"{fact}, so they stay words: write all of them alike")
    elif units := own.look.mixed_units():
        told = ", ".join(f"`{shown(unit, 20)}`" for unit in units[:4])
        fact = f"its numbers have different units ({told})"
        report.refused(f"column `{name}`", f"{fact}, so they stay words: bring them to one")


def _tell_order(own: Seen, way: str, name: str, report: Report) -> None:
    order, other = ("day", "month") if leads(way) == "day" else ("month", "day")
    if own.when.why:
        report.kept(f"column `{name}`", f"dates are read with the {order} first: {own.when.why}")
        return
    example = shown(own.when.of_both(way), 40)
    report.repaired(
        f"column `{name}`",
        f"nothing tells whether `{example}` has the day or the month first: the {order} is taken; choose the "
        f"{other} (dates, --dates {other}) where that is wrong",
    )


def _as_known(
    own: Seen, column: TableColumn, way: str | None, fallback: str, markers: frozenset[str]
) -> Decided:
    """A column of a registered table, in the kind that it has there."""
    if column.kind == "number":
        told = own.look.decides() if own.look.cells else None
        grammar = Grammar(told or column.decimal or fallback, column.unit, column.scaled)
        return Decided(own.name, "number", markers, grammar, sentinels=column.sentinels)
    if column.kind == "moment":
        return Decided(own.name, "moment", markers, way=way or column.way)
    return Decided(own.name, "word", markers)


def _tell_grammar(own: Seen, grammar: Grammar, name: str, report: Report) -> None:
    where = f"column `{name}`"
    if grammar.decimal == "," and own.look.comma and (own.look.decides() == "," or own.look.ties):
        report.repaired(where, "its numbers are read with a decimal comma")
    elif grammar.decimal == "." and own.look.grouped:
        report.repaired(where, f"signs between the thousands of {own.look.grouped:,} numbers left out")
    if grammar.unit:
        report.repaired(where, f"`{shown(grammar.unit, 20)}` is cut off its numbers")
    if grammar.scaled:
        report.repaired(where, "k, M and their kin are read as factors")


def markers_of(asked: TableReading) -> list[str]:
    """Cells that say nothing. A person's own take the place of the usual ones, blanks aside."""
    return list(dict.fromkeys(["", *asked.missing])) if asked.missing else list(MISSING)


def _plain(column: pa.Array, seen: Seen, markers: pa.Array) -> pa.Array:
    """A raw column as text without blanks around, as float64 or as moments; looked at."""
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_string())
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_boolean(kind):
        column = pc.if_else(column, "true", "false")
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        seen.native.add("number")
        return pc.cast(column, pa.float64(), safe=False)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seen.native.add("moment")
        seen.has_zone = seen.has_zone or (pa.types.is_timestamp(kind) and kind.tz is not None)
        return pc.cast(
            pc.cast(column, pa.timestamp("us")) if pa.types.is_date(kind) else column,
            pa.timestamp("us"),
            safe=False,
        )
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        values = column.to_pylist()
        column = pa.array([None if v is None else str(v) for v in values], pa.large_string())
    column = pc.cast(column, pa.large_string())
    trimmed = pc.utf8_trim_whitespace(column)
    seen.trimmed += pc.sum(pc.not_equal(trimmed, column)).as_py() or 0
    filled = pc.if_else(pc.is_in(trimmed, value_set=markers), None, trimmed).drop_null()
    if len(filled) and not seen.sure:
        _look(filled, seen)
    return trimmed


def _look(filled: pa.Array, seen: Seen) -> None:
    """Cells that hold something: as numbers, at once where a computer wrote them; and as moments."""
    n = len(filled)
    may_be_day = NAMED.fullmatch(seen.name) is not None
    try:
        numbers = pc.cast(filled, pa.float64())
    except pa.ArrowInvalid:
        numbers = None
    if numbers is not None:
        dotted = pc.sum(pc.match_substring(filled, ".")).as_py()
        tied = pc.sum(pc.match_substring_regex(filled, r"^[-+]?\d{1,3}\.\d{3}$")).as_py() if dotted else 0
        codes = pc.sum(pc.match_substring_regex(filled, r"^[-+]?0\d+$")).as_py()
        sizes = set(pc.unique(pc.utf8_length(filled)).to_pylist())
        seen.look.add_plain(n, dotted, tied, codes, sizes)
        if not (may_be_day and sizes <= {6, 8, 14}):
            seen.when.cells += n
            seen.when.never += n
            return
    counts = pc.value_counts(filled)
    texts, times = counts.field(0).to_pylist()[:_LOOKED_AT], counts.field(1).to_pylist()[:_LOOKED_AT]
    pairs = list(zip(texts, times, strict=True))
    if numbers is None:
        seen.look.add(pairs)
    seen.when.add(pairs)
    look, when = seen.look, seen.when
    if (
        look.cells > 50_000
        and max(look.point, look.comma) < 0.3 * look.cells
        and when.never > 0.3 * look.cells
    ):
        seen.sure = True  # words: there is no need to look at the rest of a long file

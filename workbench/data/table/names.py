"""Names of the columns of a table: whether the first row holds them, and which one a person means."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise

from workbench.data.report import Report, shown
from workbench.data.table.numbers import MISSING, parts
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.specs.tables import TableReading


def is_header(rows: Sequence[Sequence[str]], asked: TableReading, known: Collection[str] = ()) -> bool:
    """Whether the first row names the columns: words above numbers, or words that no row below has.

    rows: some of the first, all of one width.
    """
    if asked.header is not None:
        return asked.header
    first = [cell.strip() for cell in rows[0]]
    wanted = {name.casefold() for name in (*asked.numeric, *asked.categorical, *wanted_names(asked), *known)}
    if wanted & {cell.casefold() for cell in first}:
        return True
    body = rows[1:500]
    if not body or not any(first):
        return all(cell and cell not in MISSING and parts(cell) is None for cell in first)
    years = [int(cell) for cell in first if re.fullmatch(r"(19|20)\d\d", cell)]
    if len(years) >= 2 and all(b == a + 1 for a, b in pairwise(years)):
        return True
    above = below = seen = 0  # words above numbers; numbers; words that occur below
    for c, cell in enumerate(first):
        column = [row[c].strip() for row in body]
        filled = [v for v in column if v not in MISSING]
        is_number = parts(cell) is not None
        numeric = bool(filled) and sum(parts(v) is not None for v in filled) >= 0.9 * len(filled)
        below += is_number
        above += numeric and not is_number and cell not in MISSING[1:]
        seen += bool(cell) and not is_number and cell in column
    if above:
        return above > seen and below <= len(first) / 2 + above
    words = sum(bool(cell) for cell in first) - below
    if below > words:
        return False
    return seen == 0 and len({c.casefold() for c in first if c}) == sum(bool(c) for c in first)


def named(name: str, names: Sequence[str], field: str = "a column") -> int:
    """The place of a column by its name, or by its number from 1. Raises DataError."""
    plain = name.strip().casefold()
    for wanted, spelt in ((name, str), (plain, str.casefold)):
        for c, own in enumerate(names):
            if spelt(own) == wanted:
                return c
    digits = plain.removeprefix("column ")
    if digits.isdecimal() and len(digits) <= 4 and 1 <= int(digits) <= len(names):
        return int(digits) - 1
    raise DataError.of(
        field, "it names a column of the table", f"`{shown(name, 40)}` is none",
        did_you_mean(name, [shown(own, 40) for own in names[:40]]),
    )  # fmt: skip


def wanted_names(asked: TableReading) -> list[str]:
    """Every column that a person named."""
    found: list[str] = []
    for name in ("target", "ignored", "timestamp", "group"):
        value = getattr(asked, name, None)
        found += [value] if isinstance(value, str) else list(value or ())
    return found


def unique(names: Sequence[str], report: Report, path: str) -> tuple[str, ...]:
    """Names fit for a page; blank ones by their number, and no two alike."""
    found: dict[str, None] = {}
    for c, raw in enumerate(names):
        name = shown(" ".join(str(raw).lstrip("\ufeff").split()), 80) or f"column {c + 1}"
        n, free = 1, name
        while free in found:
            n += 1
            free = f"{name}_{n}"
        if free != name:
            report.repaired(path, f"a second column `{shown(name, 40)}` is called `{shown(free, 40)}`")
        found[free] = None
    return tuple(found)

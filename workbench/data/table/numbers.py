"""Cells as numbers: decimal commas, thousands, units, percent, currencies; and what means that none is there.

A column is looked at by its distinct cells. `Look` counts, over all of its pieces, how often each way of
reading fits; `Look.grammar` then says which way the whole column is read, and `number` reads one cell so.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

MISSING = (
    "", "?", "NA", "N/A", "n/a", "na", "#N/A", "#NA", "NaN", "nan", "NAN", "-nan", "null", "NULL", "Null",
    "None", "none", "NONE", "nil", "missing", "Missing", "-", "--", "---", ".", "..", "\\N", "<NA>", "NaT",
    "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "(blank)", "undefined", "N.A.", "n.a.",
)  # fmt: skip
SENTINELS = (-1, -9, -99, -200, -999, -9999, -99999, -999999, 999, 9999, 99999, 999999, 9999999)
OFTEN = 3  # times that one of them occurs where it is no value
LOWEST = 1_000  # of a column's least values that are looked at for the gaps between them
ENOUGH = 0.95  # share of a column's cells that must be numbers, unless the rest is one word or two
SCALES = {"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6, "mn": 1e6, "B": 1e9, "bn": 1e9}
_MOST_ODD = 50
_GAPS = " \u00a0\u202f\u2009'’"  # signs that part thousands, besides the comma or the point
_MONEY = "€$£¥₹₽₩₺"
_SHAPE = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+−–]?)\s*(?P<money>[{_MONEY}]|(?:USD|EUR|GBP|CHF|US\$|R\$|Rs\.?)\s?)?\s*"
    rf"(?P<sign2>[-+−–]?)(?P<body>\d[\d.,{_GAPS}]*|[.,]\d+)(?P<exp>[eE][-+]?\d{{1,3}})?\s*"
    r"(?P<unit>(?:[^\W\d_]|[%°$€£¥µ‰/²³·\"'])[^\d,;:()]{0,18}(?:[23](?!\d))?)?\s*\)?"
)
_CODE = re.compile(r"[-+]?0\d+")


Why = Literal["far", "alone", "near", "value"]


class Grammar(NamedTuple):
    """How the cells of one column become numbers. unit: what is cut off; a number
    of another one is none of the column."""

    decimal: str = "."
    unit: str = ""
    scaled: bool = False  # units such as 1.2k and 3M are factors


PLAIN = Grammar()


class Parts(NamedTuple):
    """A cell that looks like a number, taken apart."""

    negative: bool
    body: str
    exponent: str
    unit: str


def parts(text: str) -> Parts | None:
    """The cell taken apart, or None where it is no number in any way of writing."""
    found = _SHAPE.fullmatch(text)
    if found is None or (found["open"] is not None) != text.rstrip().endswith(")"):
        return None
    signs = (found["sign"] or "") + (found["sign2"] or "")
    if len(signs) > 1:
        return None
    body = found["body"].rstrip(_GAPS)
    if body[-1] in ".," and found["unit"] is None and len(body) > 1 and body[-1] == ",":
        return None
    unit = (found["unit"] or "").strip() or (found["money"] or "").strip()
    return Parts(found["open"] is not None or signs in ("-", "−", "–"), body, found["exp"] or "", unit)


def value(body: str, decimal: str) -> float | None:
    """The digits under a decimal sign, or None: `1.234,5` under a comma is 1234.5.

    Check: under either sign, digits without any sign are themselves.
    """
    other = "," if decimal == "." else "."
    whole, dot, rest = body.partition(decimal)
    if dot and not (rest == "" or rest.isdecimal()):
        return None
    if whole.isdecimal():
        return float(f"{whole}.{rest}") if dot else float(whole)
    if whole == "":
        return float(f"0.{rest}") if rest else None
    groups = re.split(rf"[{other}{_GAPS}]", whole)
    if not all(group.isdecimal() for group in groups):
        return None
    if len({c for c in whole if not c.isdecimal()}) > 1 or groups[0].startswith("0"):
        return None
    inner = groups[1:-1]
    indian = other == "," and len(groups) > 2 and all(len(group) == 2 for group in inner)
    if not 1 <= len(groups[0]) <= 3 or len(groups[-1]) != 3:
        return None
    if not indian and any(len(group) != 3 for group in inner):
        return None
    return float(f"{''.join(groups)}.{rest}")


def number(text: str, grammar: Grammar) -> float:
    """One cell, not a number (NaN) where it is none, or one of another unit than the column's."""
    found = parts(text)
    if found is None:
        return math.nan
    got = value(found.body, grammar.decimal)
    if got is None:
        return math.nan
    if found.exponent:
        got *= 10.0 ** int(found.exponent[1:]) if abs(int(found.exponent[1:])) < 300 else math.inf
    if found.unit and not grammar.scaled:
        strange = found.unit != grammar.unit if grammar.unit else found.unit in SCALES
        if strange:
            return math.nan  # 155 lb are not 155 kg
    if grammar.scaled and found.unit:
        factor = SCALES.get(found.unit)
        if factor is None:
            return math.nan
        got *= factor
    return -got if found.negative else got


@dataclass
class Look:
    """What the cells of a column are, counted over its pieces. Cells that say nothing are not counted."""

    cells: int = 0
    point: int = 0  # cells that are numbers with a decimal point, or without decimals
    comma: int = 0
    ties: int = 0  # those that are numbers either way but not the same one
    grouped: int = 0  # cells with a comma or a blank that parts thousands
    codes: int = 0
    widths: set[int] = field(default_factory=set)  # lengths of the cells that begin with 0
    units: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)  # cells that are no number
    odd_more: int = 0

    def add(self, counted: Iterable[tuple[str, int]]) -> None:
        """Distinct cells of a piece and how often each occurs."""
        for text, n in counted:
            self.cells += n
            found = parts(text)
            one = value(found.body, ".") if found else None
            other = value(found.body, ",") if found else None
            if found is None or (one is None and other is None):
                self._strange(text, n)
                continue
            self.point += n if one is not None else 0
            self.comma += n if other is not None else 0
            self.ties += n if one is not None and other is not None and one != other else 0
            if one is not None and not found.body.replace(".", "").isdecimal():
                self.grouped += n
            if found.unit not in self.units and len(self.units) > 20:
                self.units["…"] += n
            else:
                self.units[found.unit] += n
            if _CODE.fullmatch(text):
                self.codes += n
                self.widths.add(len(text))
            elif found.body.isdecimal():
                self.widths.add(len(text))

    def add_plain(self, n: int, dotted: int, tied: int, codes: int, widths: set[int]) -> None:
        """`n` cells as a computer writes numbers; of them with a point, like 1.234, and like 007."""
        self.cells += n
        self.point += n
        self.comma += n - dotted + tied
        self.ties += tied
        self.units[""] += n
        self.codes += codes
        if len(self.widths) < 20:
            self.widths |= widths

    def decides(self) -> str | None:
        """The decimal sign that its cells alone tell, or None."""
        if self.point == self.comma:
            return None
        return "." if self.point > self.comma else ","

    def is_code(self) -> bool:
        """Whether its numbers are codes, such as 02139: of one width, some with a leading zero."""
        return self.codes > 0 and len(self.widths) == 1

    def grammar(self, fallback: str, forced: bool = False) -> Grammar | None:
        """How the column is read as numbers; None where it is one of words.

        fallback: the decimal sign where its own cells do not tell. forced: a person says it is numbers.
        """
        decimal = self.decides() or fallback
        hits = self.point if decimal == "." else self.comma
        if not hits:
            return Grammar(decimal) if forced else None
        units = [unit for unit in self.units if unit]
        scaled = bool(units) and all(unit in SCALES for unit in units)
        if len(units) > 1 and not scaled and not forced:
            main, n = max(((u, self.units[u]) for u in units), key=lambda item: item[1])
            if n < ENOUGH * sum(self.units[u] for u in units):
                return None
            units = [main]
        if self.is_code() and not forced:
            return None
        share = hits / max(1, self.cells)
        few = len(self.odd) <= 2 and not self.odd_more and share >= 0.5 and hits > 20
        if share < ENOUGH and not few and not forced:
            return None
        return Grammar(decimal, "" if scaled else max(units, key=lambda u: self.units[u], default=""), scaled)

    def mixed_units(self) -> list[str]:
        """The units of a column that would be numbers if it had but one, the commonest first."""
        units = [unit for unit, _ in self.units.most_common() if unit]
        if len(units) < 2 or all(unit in SCALES for unit in units):
            return []
        return units if max(self.point, self.comma) >= ENOUGH * self.cells else []

    def _strange(self, text: str, n: int) -> None:
        if text in self.odd or len(self.odd) < _MOST_ODD:
            self.odd[text] += n
        else:
            self.odd_more += n


@dataclass
class Extremes:
    """The least and greatest values of a column, apart from those that may stand for nothing."""

    least: float = math.inf
    greatest: float = -math.inf
    lowest: np.ndarray = field(default_factory=lambda: np.zeros(0))  # the least distinct ones, rising
    suspects: Counter[float] = field(default_factory=Counter)

    def add(self, values: np.ndarray) -> None:
        """values (n,) float64, NaN where there is none."""
        values = values[np.isfinite(values)]
        odd = np.isin(values, SENTINELS)
        for one, n in zip(*np.unique(values[odd], return_counts=True), strict=True):
            self.suspects[float(one)] += int(n)
        rest = values[~odd]
        if len(rest):
            self.least = min(self.least, float(rest.min()))
            self.greatest = max(self.greatest, float(rest.max()))
            rest = rest if len(self.lowest) < LOWEST else rest[rest < self.lowest[-1]]
            self.lowest = np.union1d(self.lowest, rest)[:LOWEST]

    def judged(self) -> dict[float, Why]:
        """Numbers such as -200 and 9999 that occur again and again, and what they are taken for.

        far: for missing, farther from all others than those reach; alone: for missing, the only ones below 0,
        and farther from the others than the low ones lie apart; near: for values, though nothing is less.

        Check: those within the reach of the others, and all where the others are one value, are values.
        """
        found: dict[float, Why] = {}
        marks = {one for one, n in self.suspects.items() if n >= OFTEN and (one <= -99 or one >= 999)}
        others = np.union1d(self.lowest, [one for one in self.suspects if one not in marks])
        while marks:  # what turns out to be a value may have another one near it
            least, greatest = min([self.least, *others]), max([self.greatest, *others])
            why = {one: _why(one, least, greatest, others) for one in marks}
            values = {one for one in marks if why[one] not in ("far", "alone")}
            found |= {one: "near" for one in values if why[one] == "near"}
            marks -= values
            others = np.union1d(others, sorted(values))
            if not values:
                return found | {one: why[one] for one in sorted(marks)}
        return found


def _why(one: float, least: float, greatest: float, lowest: np.ndarray) -> Why:
    spread = greatest - least
    if spread <= 0 or least <= one <= greatest:
        return "value"
    if one > greatest:
        return "far" if one - greatest > 2 * spread else "value"
    if least - one > spread:
        return "far"
    low = lowest[: max(3, (len(lowest) + 1) // 2)]  # the high ones may lie apart as they like
    return "alone" if least >= 0 and least - one > 2 * np.diff(low).max() else "near"


def as_numbers(texts: Sequence[str], grammar: Grammar) -> np.ndarray:
    """Cells (n,) as float64, NaN where they are none."""
    return np.array([number(text, grammar) for text in texts], np.float64)

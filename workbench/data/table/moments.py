"""Cells as dates and times: which way of writing fits a column, and its cells as moments.

Moments are without a zone: where the cells tell one they are turned to UTC. Day and month are told apart by
what a person says, by the cells that can be read one way only, or by moments that rise, fall or lie evenly in
one of the two readings; where nothing tells, the day comes first.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

ENOUGH = 0.95
_MOST = 3_000  # distinct cells that are looked at
_TIMES = (
    "", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", " %I:%M:%S %p", " %I:%M %p", " %H.%M.%S", " %H.%M",
    " %H:%M:%S.%f", "T%H:%M:%S.%f", " %H",
)  # fmt: skip
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %d %Y", "%Y-%b-%d", "%d%b%Y", "%Y%m%d",
)  # fmt: skip
_ALONE = ("%Y-%m", "%Y/%m", "%b-%Y", "%b %Y", "%B %Y", "%Y-%b", "%m/%Y", "%Y%m%d%H%M%S")
_NUMERIC = re.compile(r"%[dm][./-]%[dm][./-]%[Yy]")
LEAST_PART = 0.05  # of the cells of a column that a second way of writing must fit
EVEN = 0.8  # of the time that the steps of a series fill; as many may be missing
LONG_ORDER = 4  # steps in one direction that tell which way of reading is meant
_TIME = re.compile(r"[ T]%[HI].*$")
OR = " | "  # between two ways of writing in one column
_WEEK = re.compile(r"(\d{4})-?W(\d{2})(?:-?([1-7]))?", re.IGNORECASE)
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:.*)?")
NEVER = np.datetime64("NaT", "us")
_MAY_BE = re.compile(r"(?=.{6,40}$)(?=(?:.*\d){3})[\w.,:/+ \-]+")
NAMED = re.compile(r".*(date|time|day|datum|zeit|fecha|timestamp|dt|ts)\b.*|date|ds", re.IGNORECASE)


def formats() -> tuple[str, ...]:
    """Every way of writing a moment that is tried, the commonest first."""
    return (*(day + time for time in _TIMES for day in _DAYS), *_ALONE)


def plain(text: str) -> str:
    """A cell with quarters as months and weeks of ISO 8601 as the day they begin with; see `moments`."""
    week = _WEEK.fullmatch(text)
    if week is not None:
        try:
            return date.fromisocalendar(int(week[1]), int(week[2]), int(week[3] or 1)).isoformat()
        except ValueError:
            return text
    quarter = _QUARTER.fullmatch(text)
    return f"{quarter[1]}-{3 * int(quarter[2]) - 2:02d}" if quarter else text


@dataclass
class MomentLook:
    """The distinct cells of a column, as far as they may be dates."""

    seen: dict[str, int] = field(default_factory=dict)
    never: int = 0
    cells: int = 0
    why: str = ""  # what told whether the day or the month comes first; empty where nothing did

    def add(self, counted: Iterable[tuple[str, int]]) -> None:
        """Distinct cells of a piece and how often each occurs."""
        for text, n in counted:
            self.cells += n
            if not _MAY_BE.fullmatch(text) or text.count(" ") > 4:
                self.never += n
            elif text in self.seen or len(self.seen) < _MOST:
                self.seen[text] = self.seen.get(text, 0) + n

    def way(self, first: str | None = None, like: str = "") -> str | None:
        """The format that fits the column, in `strptime`'s signs; with `%z` where cells tell a zone.

        first: "day" or "month", where a person says which comes first; it counts where cells can be read
        so. like: the format of a column of the same kind, which counts wherever it fits as well. What told
        the two apart stands in `why`.
        """
        best = self._fitting()
        self.why = ""
        if best is None:
            return self._two(leads(like) or first, like)
        other = swapped(best)
        if other is None:
            return best
        texts = list(self.seen)
        fits = {way: _share(texts, way) for way in (best, other)}
        known = next((way for way in like.split(OR) if way in fits), "")
        if known and fits[known] >= max(fits.values()) - 1e-9:
            return known
        asked = next((way for way in fits if leads(way) == first), None)
        if asked is not None and fits[asked] >= ENOUGH:
            self.why = "as asked for"
            return asked
        against = f", though the {first} was asked for" if first else ""
        if fits[best] > fits[other] + 1e-9:
            only = next(text for text in texts if _share([text], best) > _share([text], other))
            self.why = f"`{only[:40]}` can be read so only{against}"
            return best
        return self._by_course(list(fits)) or best

    def _two(self, first: str | None, like: str) -> str | None:
        """Two ways of writing that fit the column together. Not such as differ in the order of day and month
        or in having a zone: then a cell could mean either."""
        if not self.seen or self.never > (1 - ENOUGH) * self.cells:
            return None
        texts = list(self.seen)
        shares = {way: share for way in formats() if (share := _share(texts, way)) >= LEAST_PART}
        unasked = {"day": "month", "month": "day"}.get(first or "")
        pairs = [
            (one, other) for one in shares for other in shares
            if one != other and swapped(one) != other
            and shares[one] >= shares[other] and shares[one] + shares[other] >= ENOUGH
        ]  # fmt: skip
        # Of day and month the one that is asked for, else the day, comes first where the other fits as well.
        pairs.sort(
            key=lambda pair: ([*map(leads, pair)].count(unasked or "-"), -sum(shares[way] for way in pair))
        )
        fitting = (one + OR + other for one, other in pairs)
        best = next((way for way in fitting if _share(texts, way) >= ENOUGH), None)
        if best is None:
            return None
        ones, _, others = best.partition(OR)
        ways = [one + OR + other for one in _orders(ones) for other in _orders(others)]
        equal = [way for way in ways if _share(texts, way) >= _share(texts, best) - 1e-9]
        if like in equal:
            return like
        if len(equal) == 1:
            against = f", though the {first} was asked for" if first and leads(best) != first else ""
            self.why = f"the other order does not fit{against}"
        elif first:
            self.why = "as asked for"
        else:
            return self._by_course(equal) or best
        return best

    def _by_course(self, ways: Sequence[str]) -> str | None:
        """Of ways that fit equally the one in which moments are in order or evenly apart; None where that
        tells nothing. What told stands in `why`."""
        texts = list(self.seen)
        rising = [way for way in ways if _in_order(moments(texts, way))]
        if len(rising) == 1:
            self.why = "its rows are in order so"
            return rising[0]
        even, uneven, *_ = sorted(ways, key=lambda way: -_filled(moments(texts, way)))
        if _filled(moments(texts, even)) >= EVEN and _filled(moments(texts, uneven)) < 0.5 * EVEN:
            self.why = "its moments are evenly apart so"
            return even
        return None

    def of_both(self, way: str) -> str:
        """The first cell that a way of writing reads with day and month in each other's place as well; the
        first of all where there is none."""
        halves = [one for one in way.split(OR) if leads(one)]
        return next(
            (text for text in self.seen for one in halves if all(_share([text], w) for w in _orders(one))),
            next(iter(self.seen)),
        )

    def mixes_zones(self) -> bool:
        """Whether some cells tell a zone and others none, and are moments otherwise."""
        zoned = [text for text in self.seen if _ZONE.search(text) and ":" in text]
        rest = [text for text in self.seen if text not in set(zoned)]
        bare = [_ZONE.sub("", text) for text in zoned]
        return bool(zoned and rest) and any(
            _share(bare, way) >= ENOUGH and _share(rest, way) >= ENOUGH for way in formats() if "%H" in way
        )

    def _fitting(self) -> str | None:
        if not self.seen or self.never > (1 - ENOUGH) * self.cells:
            return None
        texts = list(self.seen)
        zoned = sum(bool(_ZONE.search(text)) and ":" in text for text in texts) > 0.5 * len(texts)
        sample = texts[:: max(1, len(texts) // 30)][:40]
        best, most = None, 0.0
        for way in formats():
            told = f"{way}%z" if zoned and "%H" in way else way
            if _share(sample, told) < 0.8:
                continue
            share = _share(texts, told)
            if share > most + 1e-9:
                best, most = told, share
            if most == 1.0:
                break
        return best if most >= ENOUGH else None


def leads(way: str) -> str:
    """ "day" or "month", as a format of numbers alone begins with, of two ways the first such; empty for all
    others."""
    first = next((one[:2] for one in way.split(OR) if _NUMERIC.match(one)), "")
    return {"%d": "day", "%m": "month"}.get(first, "")


def swapped(way: str) -> str | None:
    """The format with day and month in each other's place; None where only one order is ever written."""
    return f"{way[3:5]}{way[2]}{way[:2]}{way[5:]}" if leads(way) else None


def _orders(way: str) -> list[str]:
    """A format, and the one with day and month in each other's place where both are written."""
    return [one for one in (way, swapped(way)) if one is not None]


def _in_order(found: np.ndarray) -> bool:
    """Whether moments (n,) never fall, or never rise: of so many that it is no accident."""
    steps = np.diff(found[~np.isnat(found)].astype(np.int64))
    return len(steps) >= LONG_ORDER and bool((steps >= 0).all() or (steps <= 0).all())


def _filled(found: np.ndarray) -> float:
    """Which share of the time from the first to the last of moments (n,) their usual steps fill."""
    own = np.unique(found[~np.isnat(found)].astype(np.int64))
    if len(own) <= LONG_ORDER:
        return 0.0
    return float(np.median(np.diff(own)) * (len(own) - 1) / (own[-1] - own[0]))


def moments(texts: Sequence[str], way: str) -> np.ndarray:
    """Cells (n,) as datetime64[us], NaT where they are none. In UTC where `way` has a zone."""
    if not len(texts):
        return np.zeros(0, "datetime64[us]")
    if OR in way:
        first, _, second = way.partition(OR)
        one, other = moments(texts, first), moments(texts, second)
        return np.where(np.isnat(one), other, one)
    cells = pd.Series([plain(text) for text in texts], dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pd.to_datetime(cells, format=way, errors="coerce", utc="%z" in way)
        day = _TIME.sub("", way)
        if day != way and found.isna().any():  # workbooks and others write midnight as the day alone
            bare = pd.to_datetime(cells[found.isna()], format=day, errors="coerce", utc="%z" in way)
            found = found.fillna(bare)
    if "%z" in way:
        found = found.dt.tz_localize(None)
    return np.asarray(found.to_numpy("datetime64[us]"))


def iso(text: str) -> np.datetime64:
    """A day of ISO 8601, with a time and a zone where it has them, as datetime64[us] in UTC; NaT for all
    else, numbers such as 2019 too."""
    if not _ISO.fullmatch(text):
        return NEVER
    found = pd.to_datetime(pd.Series([text]), format="ISO8601", errors="coerce", utc=True)
    return np.datetime64(found.dt.tz_localize(None).to_numpy("datetime64[us]")[0])


def examples(way: str) -> list[str]:
    """The end of 2024 as each of the column's ways of writing has it."""
    end = datetime(2024, 12, 31, tzinfo=UTC)
    return [end.strftime(one) for one in way.split(OR) if one]


def _share(texts: Sequence[str], way: str) -> float:
    return float((~np.isnat(moments(texts, way))).mean())

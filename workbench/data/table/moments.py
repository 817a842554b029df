"""Cells as dates and times: which way of writing fits a column, and its cells as moments.

Moments are without a zone: where the cells tell one they are turned to UTC. Day and month are told apart by
the cells that can be read one way only; where there is none, the day comes first.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
_TIME = re.compile(r"[ T]%[HI].*$")
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_MAY_BE = re.compile(r"(?=.{6,40}$)(?=(?:.*\d){3})[\w.,:/+ \-]+")
NAMED = re.compile(r".*(date|time|day|datum|zeit|fecha|timestamp|dt|ts)\b.*|date|ds", re.IGNORECASE)


def formats() -> tuple[str, ...]:
    """Every way of writing a moment that is tried, the commonest first."""
    return (*(day + time for time in _TIMES for day in _DAYS), *_ALONE)


def plain(text: str) -> str:
    """A cell without its zone and with quarters as months; see `moments`."""
    quarter = _QUARTER.fullmatch(text)
    return f"{quarter[1]}-{3 * int(quarter[2]) - 2:02d}" if quarter else text


@dataclass
class MomentLook:
    """The distinct cells of a column, as far as they may be dates."""

    seen: dict[str, int] = field(default_factory=dict)
    never: int = 0
    cells: int = 0

    def add(self, counted: Iterable[tuple[str, int]]) -> None:
        """Distinct cells of a piece and how often each occurs."""
        for text, n in counted:
            self.cells += n
            if not _MAY_BE.fullmatch(text) or text.count(" ") > 4:
                self.never += n
            elif text in self.seen or len(self.seen) < _MOST:
                self.seen[text] = self.seen.get(text, 0) + n

    def way(self) -> str | None:
        """The format that fits the column, in `strptime`'s signs; with `%z` where cells tell a zone."""
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


def moments(texts: Sequence[str], way: str) -> np.ndarray:
    """Cells (n,) as datetime64[us], NaT where they are none. In UTC where `way` has a zone."""
    if not len(texts):
        return np.zeros(0, "datetime64[us]")
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


def _share(texts: Sequence[str], way: str) -> float:
    return float((~np.isnat(moments(texts, way))).mean())

"""How far apart the steps of a series are: guessed from its moments, written, and counted with.

Moments are int64 milliseconds since 1970 without a zone. A frequency is so many milliseconds, months or
business days; a series whose steps are uneven has none, and its steps are only numbered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.specs.errors import DataError

SECOND, MINUTE, HOUR, DAY, WEEK = 1_000, 60_000, 3_600_000, 86_400_000, 604_800_000
FIXED = {"ms": 1, "s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY, "week": WEEK}
MONTHS = {"month": 1, "quarter": 3, "year": 12}
WORDS = {
    "ms": "ms", "millisecond": "ms", "s": "s", "sec": "s", "second": "s", "m": "min", "min": "min",
    "minute": "min", "t": "min", "h": "h", "hour": "h", "hourly": "h", "d": "d", "day": "d", "daily": "d",
    "w": "week", "week": "week", "weekly": "week", "mo": "month", "month": "month",
    "monthly": "month", "q": "quarter", "quarter": "quarter", "quarterly": "quarter", "y": "year",
    "a": "year", "year": "year", "yearly": "year", "annual": "year", "b": "business day",
    "business day": "business day", "workday": "business day",
}  # fmt: skip
ENOUGH = 0.9  # share of the gaps that must be a whole number of steps
_EPOCH = np.datetime64("1970-01-01", "M")


@dataclass(frozen=True)
class Frequency:
    """n times a unit: "ms", "month" or "business day"."""

    unit: Literal["ms", "month", "business day"]
    n: int

    def __str__(self) -> str:
        """`1 h`, `15 min`, `1 month`: the largest unit that goes into it. Check: `parse` reads it back."""
        if self.unit == "business day":
            return f"{self.n} business day"
        table = MONTHS if self.unit == "month" else FIXED
        name, size = next((k, v) for k, v in reversed(table.items()) if self.n % v == 0)
        return f"{self.n // size} {name}"

    def places(self, moments: np.ndarray) -> np.ndarray:
        """How many steps each moment (n,) is behind the first, (n,) float64; whole on the grid."""
        first = moments[0]
        if self.unit == "ms":
            return np.asarray((moments - first) / self.n)
        if self.unit == "business day":
            days = _days(moments)
            found = np.busday_count(days[0], days).astype(np.float64)
            return np.asarray(np.where(np.is_busday(days), found, found + 0.5) / self.n)
        months, rest = _months(moments)
        if rest[0] >= 27 * DAY or (_is_end(moments).mean() > ENOUGH and len(moments) > 1):
            rest = np.where(_is_end(moments), rest[0], rest)  # the last day of a month, whichever that is
        return np.asarray((months - months[0] + (rest - rest[0]) / (31 * DAY)) / self.n)

    def after(self, moment: int, n: int) -> np.ndarray:
        """The n moments that follow one, (n,) int64."""
        steps = np.arange(1, n + 1) * self.n
        if self.unit == "ms":
            return np.asarray(moment + steps, dtype=np.int64)
        if self.unit == "business day":
            today = _days(np.array([moment]))[0]
            time = moment - int(today.astype("datetime64[ms]").astype(np.int64))
            found = np.busday_offset(today, steps, roll="backward").astype("datetime64[ms]").astype(np.int64)
            return np.asarray(found + time)
        months, rest = _months(np.array([moment]))
        later = (_EPOCH + months + steps).astype("datetime64[M]")
        starts = later.astype("datetime64[ms]").astype(np.int64)
        room = (later + 1).astype("datetime64[ms]").astype(np.int64) - starts - DAY
        day, clock = int(rest[0]) // DAY * DAY, int(rest[0]) % DAY
        if _is_end(np.array([moment]))[0] and day >= 27 * DAY:
            day = 31 * DAY
        return np.asarray(starts + np.minimum(day, room) + clock)

    @property
    def season(self) -> int:
        """Steps after which things usually come round again; 1 where nothing is usual."""
        if self.unit == "business day":
            return max(1, 5 // self.n)
        if self.unit == "month":
            return max(1, 12 // self.n)
        long = MINUTE if self.n < MINUTE else DAY if self.n < DAY else WEEK if self.n < WEEK else 52 * WEEK
        return long // self.n if self.n <= WEEK and long % self.n == 0 else 1


def parse(text: str) -> Frequency:
    """`1 h`, `hourly`, `15min`, `MS` and their kin. Raises DataError."""
    plain = text.strip()
    if plain in ("MS", "ME", "M"):  # as pandas calls months
        return Frequency("month", 1)
    found = re.fullmatch(r"(\d{1,9})?\s*([a-z][a-z ]*?)s?", plain.lower()) if plain.lower() != "s" else None
    number, name = (found[1], found[2]) if found else (None, plain.lower())
    unit = WORDS.get(name) or WORDS.get(f"{name}s")
    n = int(number or 1)
    if unit is None or n < 1:
        raise DataError.of(
            "frequency", "it is a number and a unit, such as 1 h, 15 min, 1 d, 1 month",
            f"it is `{text[:40]}`",
            "Write it so, or leave it empty to have it guessed.",
        )  # fmt: skip
    if unit == "business day":
        return Frequency("business day", n)
    return Frequency("month", n * MONTHS[unit]) if unit in MONTHS else Frequency("ms", n * FIXED[unit])


def guess(moments: np.ndarray) -> Frequency | None:
    """The frequency on which nearly all of rising, distinct moments (n,) lie; None where there is none."""
    if len(moments) < 3:
        return None
    gaps = np.diff(moments)
    sizes, counts = np.unique(gaps, return_counts=True)
    usual = int(sizes[counts.argmax()])
    if (counts.max() / len(gaps) < ENOUGH and usual >= 27 * DAY) or usual in (28 * DAY, 30 * DAY, 31 * DAY):
        months = np.diff(_months(moments)[0])
        n = int(np.bincount(months[months > 0]).argmax()) if (months > 0).any() else 0
        if n and _fits(Frequency("month", n), moments):
            return Frequency("month", n)
    if usual == DAY and counts.max() / len(gaps) < ENOUGH and _fits(Frequency("business day", 1), moments):
        return Frequency("business day", 1)
    if counts.max() / len(gaps) >= 0.5 and _fits(Frequency("ms", usual), moments):
        return Frequency("ms", usual)
    return None


def _fits(frequency: Frequency, moments: np.ndarray) -> bool:
    places = frequency.places(moments)
    whole = np.abs(places - np.round(places)) < 1e-6
    is_dense = len(moments) >= 0.5 * (places[-1] + 1)
    return bool(whole.mean() >= ENOUGH and is_dense)


def text_of(moment: int, frequency: Frequency | None = None) -> str:
    """A moment as people write it: no more of it than the frequency tells apart."""
    text = str(np.datetime64(int(moment), "ms"))
    if frequency is None or frequency.unit == "business day":
        return text[:10] if moment % DAY == 0 else text[:16].replace("T", " ")
    if frequency.unit == "month":
        return text[:4] if frequency.n % 12 == 0 and text[5:10] == "01-01" else text[:7]
    if frequency.n % DAY == 0 and moment % DAY == 0:
        return text[:10]
    return text[: 16 if frequency.n % MINUTE == 0 else 19 if frequency.n % SECOND == 0 else 23].replace(
        "T", " "
    )


def _days(moments: np.ndarray) -> np.ndarray:
    return np.asarray(moments.astype("datetime64[ms]").astype("datetime64[D]"))


def _months(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Months since 1970 (n,) int64, and milliseconds since the month began (n,) int64."""
    when = moments.astype("datetime64[ms]")
    months = when.astype("datetime64[M]")
    return months.astype(np.int64), moments - months.astype("datetime64[ms]").astype(np.int64)


def _is_end(moments: np.ndarray) -> np.ndarray:
    """Whether each moment is on the last day of its month."""
    days = _days(moments)
    return np.asarray((days + 1).astype("datetime64[M]") != days.astype("datetime64[M]"))

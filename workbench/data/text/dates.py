"""Written dates and what they mean: `the third of May 1987` → `1987-05-03`, made by the same code anywhere.

A language of its own, small enough to be learned whole: days of 1930 to 2029, each written in one of 24 ways.
Every way can be read without doubt: with dots and dashes the day comes first, with slashes the month, two
digits of a year are those of that century's window. No date occurs twice, so those held out are new.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from workbench.data.splits import TEST, TRAIN, VALIDATION, keys

N, HELD = 20_000, 2_000  # pairs; of them for validation, and again for test
_FIRST, _DAYS = date(1930, 1, 1), 36_525  # to the end of 2029
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth", "twentieth", "twenty-first", "twenty-second", "twenty-third",
    "twenty-fourth", "twenty-fifth", "twenty-sixth", "twenty-seventh", "twenty-eighth",
    "twenty-ninth", "thirtieth", "thirty-first",
)  # fmt: skip
_UNITS = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
FORMS = 24


def pairs() -> list[tuple[str, str, int]]:
    """(written, ISO, split) of every pair, in an order of no meaning. Check: all ISO dates differ."""
    days = np.argsort(keys(np.arange(_DAYS), 0, 6), kind="stable")[:N]
    forms = keys(days, 1, 6) % np.uint64(FORMS)
    found = []
    for k, (day, form) in enumerate(zip(days.tolist(), forms.tolist(), strict=True)):
        when = _FIRST + timedelta(days=day)
        split = TEST if k >= N - HELD else VALIDATION if k >= N - 2 * HELD else TRAIN
        found.append((written(when, int(form)), when.isoformat(), split))
    return found


def written(when: date, form: int) -> str:
    """A date in one of the ways, 0 to 23."""
    d, m, y = when.day, when.month, when.year
    month, weekday = _MONTHS[m - 1], _WEEKDAYS[when.weekday()]
    return _WAYS[form].format(
        d=d, m=m, y=y, yy=y % 100, month=month, mon=month[:3], low=month.lower(), high=month.upper(),
        roman=_ROMAN[m - 1], weekday=weekday, day=weekday[:3], lowday=weekday.lower(),
        th=f"{d}{_suffix(d)}", word=_ORDINALS[d - 1], year=_year(y) if "{year}" in _WAYS[form] else "",
    )  # fmt: skip


_WAYS = (
    "{d} {month} {y}", "{month} {d}, {y}", "{th} of {month}, {y}", "the {word} of {month} {y}",
    "{weekday}, {d} {month} {y}", "{day} {d} {mon} '{yy:02d}", "{d:02d}.{m:02d}.{y}", "{d}.{m}.{yy:02d}",
    "{m}/{d}/{y}", "{m:02d}/{d:02d}/{yy:02d}", "{y}, {month} {d}", "{d:02d}-{mon}-{y}", "{d} {high} {y}",
    "{low} {th} {y}", "on the {th} day of {month} in {y}", "{y}{m:02d}{d:02d}", "day {d} of month {m}, {y}",
    "{month} the {th}, {year}", "{d} {roman} {y}", "{lowday}, {low} {d}, {y}", "{mon} {d:02d} {y}",
    "{d}-{m}-{y}", "{th} {mon} '{yy:02d}", "{weekday}, the {word} of {month}, {year}",
)  # fmt: skip


def _suffix(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _year(year: int) -> str:
    """1987 as `nineteen eighty-seven`, 2005 as `two thousand five`."""
    rest = year % 100
    tail = _UNITS[rest] if rest < 20 else f"{_TENS[rest // 10]}-{_UNITS[rest % 10]}".rstrip("-")
    if year >= 2000:
        return f"two thousand {tail}".rstrip()
    return f"nineteen {tail or 'hundred'}" if rest >= 10 or not rest else f"nineteen oh {tail}"

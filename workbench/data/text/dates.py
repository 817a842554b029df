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
    short, low, two = month[:3], month.lower(), f"{y % 100:02d}"
    th, word = f"{d}{_suffix(d)}", _ORDINALS[d - 1]
    ways = (
        f"{d} {month} {y}", f"{month} {d}, {y}", f"{th} of {month}, {y}", f"the {word} of {month} {y}",
        f"{weekday}, {d} {month} {y}", f"{weekday[:3]} {d} {short} '{two}", f"{d:02d}.{m:02d}.{y}",
        f"{d}.{m}.{two}", f"{m}/{d}/{y}", f"{m:02d}/{d:02d}/{two}", f"{y}, {month} {d}",
        f"{d:02d}-{short}-{y}", f"{d} {month.upper()} {y}", f"{low} {th} {y}",
        f"on the {th} day of {month} in {y}", f"{y}{m:02d}{d:02d}", f"day {d} of month {m}, {y}",
        f"{month} the {th}, {_year(y)}", f"{d} {_ROMAN[m - 1]} {y}", f"{weekday.lower()}, {low} {d}, {y}",
        f"{short} {d:02d} {y}", f"{d}-{m}-{y}", f"{th} {short} '{two}",
        f"{weekday}, the {word} of {month}, {_year(y)}",
    )  # fmt: skip
    return ways[form]


def _suffix(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _year(year: int) -> str:
    """1987 as `nineteen eighty-seven`, 2005 as `two thousand five`."""
    rest = year % 100
    tail = _UNITS[rest] if rest < 20 else f"{_TENS[rest // 10]}-{_UNITS[rest % 10]}".rstrip("-")
    if year >= 2000:
        return f"two thousand {tail}".rstrip()
    return f"nineteen {tail or 'hundred'}" if rest >= 10 or not rest else f"nineteen oh {tail}"

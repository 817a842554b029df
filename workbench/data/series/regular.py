"""Rows as they come made into even steps: sorted, duplicates joined, gaps filled; all of it in the report.

T steps, V variates; moments are int64 milliseconds since 1970, in UTC where a zone is known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.data.report import Report, shown
from workbench.data.series.frequency import DAY, HOUR, Frequency, guess, parse, text_of
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport

LARGEST = 5  # times as many steps as rows: beyond, the gaps are the larger part by far
TOLD = 8  # gaps that are named


class Regular(NamedTuple):
    """moments (T,) int64, values (T, V) float64 without a gap, filled (T, V) bool: which of them were
    made up; frequency: None where steps are only numbered."""

    moments: np.ndarray
    values: np.ndarray
    filled: np.ndarray
    frequency: Frequency | None


def regular(
    moments: np.ndarray | None, values: np.ndarray, names: list[str], asked: SeriesImport, report: Report,
    *, has_zone: bool = False,
) -> Regular:  # fmt: skip
    """moments (n,) datetime64, NaT where there is none, or None for rows that are only numbered; values
    (n, V) float64, NaN where there is none. has_zone: moments that told their zone, and are in UTC by it.

    Check: no value that was given is changed, but where a moment occurs twice.
    Raises DataError where each moment occurs again and again, and for a zone or frequency that is none.
    """
    if moments is None:
        return _filled(np.arange(len(values), dtype=np.int64), values, names, None, asked, report)
    when = moments.astype("datetime64[ms]")
    there = ~np.isnat(when)
    if not there.all():
        report.refused("rows", f"{int((~there).sum()):,} without a moment that can be read")
        when, values = when[there], values[there]
    at = when.astype(np.int64)
    if asked.timezone is not None and has_zone:
        _known(asked.timezone)
        report.repaired(
            "time zone", f"the moments tell theirs and are read in UTC: {asked.timezone} is not needed"
        )
    elif asked.timezone is not None:
        _known(asked.timezone)
        if len(at) > 1 and (np.diff(at) < 0).mean() > 0.5:
            report.repaired("rows", "the newest came first: they were turned round")
            at, values = at[::-1], values[::-1]
        at = _in_utc(at, asked.timezone, report)
    at, values = _sorted(at, values, report)
    at, values = _joined(at, values, asked, report)
    frequency = parse(asked.frequency) if asked.frequency else guess(at)
    if frequency is None:
        if len(at) > 2:
            gaps = np.diff(at)
            told = f"from {_span(gaps.min())} to {_span(gaps.max())}"
            report.kept("frequency", f"the steps are uneven, {told}: they are taken one after the other")
        return _filled(at, values, names, None, asked, report)
    how = "as asked for" if asked.frequency else "guessed"
    report.kept("frequency", f"a step every {frequency} ({how})")
    if asked.gaps == "keep":
        _tell_gaps(frequency.places(at), at, frequency, report, "left as they are: steps stand side by side")
        return _filled(at, values, names, frequency, asked, report)
    return _on_grid(at, values, names, frequency, asked, report)


def _known(zone: str) -> None:
    """Raises DataError for a zone that is none."""
    try:
        pd.DatetimeIndex(["2000-06-15 12:00"]).tz_localize(zone)
    except Exception as error:  # pandas and zoneinfo have many of their own
        raise DataError.of(
            "timezone", "a zone that is known is named, such as Europe/Berlin",
            f"`{shown(zone, 40)}` is none",
            "Leave it empty, or correct it.",
        ) from error  # fmt: skip


def _in_utc(at: np.ndarray, zone: str, report: Report) -> np.ndarray:
    """Local times in UTC: the hour that does not exist in spring, and the one that comes twice in autumn."""
    local = pd.DatetimeIndex(at.astype("datetime64[ms]"))
    first = ~pd.Series(at).duplicated().to_numpy()  # of an hour that comes twice, the first is summer's
    found = local.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    utc = np.asarray(
        found.tz_convert("UTC").tz_localize(None).values.astype("datetime64[ms]").astype(np.int64)
    )
    shifts = np.unique(at - utc)
    told = ", ".join(f"{n / HOUR:+g} h" for n in shifts)
    report.kept("time zone", f"{shown(zone, 40)}: read in UTC ({told})")
    return utc


def _sorted(at: np.ndarray, values: np.ndarray, report: Report) -> tuple[np.ndarray, np.ndarray]:
    back = int((np.diff(at) < 0).sum())
    if not back:
        return at, values
    if back == len(at) - 1:
        report.repaired("rows", "the newest came first: they were turned round")
    else:
        report.repaired("rows", f"{back:,} times a row is earlier than the one before: they were sorted")
    order = np.argsort(at, kind="stable")
    return at[order], values[order]


def _joined(
    at: np.ndarray, values: np.ndarray, asked: SeriesImport, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """One row per moment."""
    own, start, n = np.unique(at, return_index=True, return_counts=True)
    more = len(at) - len(own)
    if not more:
        return at, values
    if len(own) < 0.5 * len(at):
        raise DataError.of(
            "time column", "a series has one row for each moment",
            f"{len(at):,} rows have {len(own):,} moments: it may be several series below each other",
            "Keep the rows of one of them, or give each a column of its own.",
        )  # fmt: skip
    twice = own[n > 1]
    same = all(
        np.array_equal(values[s], values[s + 1], equal_nan=True) for s in start[n > 1].tolist()
    )  # fmt: skip
    if asked.duplicates == "first":
        kept = values[start]
    elif asked.duplicates == "last":
        kept = values[start + n - 1]
    else:
        frame = pd.DataFrame(values).groupby(np.repeat(np.arange(len(own)), n)).mean()
        kept = frame.to_numpy()
    how = {"first": "the first is kept", "last": "the last is kept", "mean": "their mean is taken"}
    what = "the same again" if same else how[asked.duplicates]
    report.repaired(
        "rows", f"{more:,} have a moment that was there already, {text_of(twice[0])} first: {what}"
    )
    hour = np.diff(own).min() <= HOUR if len(own) > 1 else False
    autumn = {str(np.datetime64(int(m), "ms").astype("datetime64[M]"))[5:] for m in twice}
    if (
        asked.timezone is None
        and hour
        and len({m // DAY for m in twice.tolist()}) <= 2 + len(own) // 4000
        and (autumn <= {"10", "11", "03", "04"})
    ):
        report.repaired(
            "rows", "they may be the hour that comes twice when summer time ends: name the time zone "
            "(timezone, --timezone)",
        )  # fmt: skip
    return own, kept


def _on_grid(
    at: np.ndarray, values: np.ndarray, names: list[str], frequency: Frequency, asked: SeriesImport,
    report: Report,
) -> Regular:  # fmt: skip
    places = frequency.places(at)
    slots = np.round(places).astype(np.int64)
    off = np.abs(places - slots) > 1e-6
    if off.any():
        report.repaired(
            "rows",
            f"{int(off.sum()):,} lie between the steps, {text_of(at[off][0])} first: the nearest takes them",
        )
    order = np.lexsort((np.abs(places - slots), slots))
    keep = np.zeros(len(slots), bool)
    keep[order[np.concatenate([[True], np.diff(slots[order]) != 0])]] = True
    if not keep.all():
        report.refused("rows", f"{int((~keep).sum()):,} more than one to a step")
        at, values, slots = at[keep], values[keep], slots[keep]
    n = int(slots[-1]) + 1
    if n > LARGEST * len(slots) + 10:
        report.repaired(
            "gaps", f"{n - len(slots):,} of {n:,} steps would be missing: rows are taken one after the other"
        )
        return _filled(at, values, names, None, asked, report)
    _tell_gaps(slots, at, frequency, report, {"interpolate": "filled along a line", "last": "filled with the "
               "value before"}[asked.gaps])  # fmt: skip
    whole = np.full((n, values.shape[1]), np.nan)
    whole[slots] = values
    moments = np.empty(n, np.int64)
    moments[0] = at[0]
    moments[1:] = frequency.after(int(at[0]), n - 1)
    moments[slots[~off[keep]]] = at[~off[keep]]
    return _filled(moments, whole, names, frequency, asked, report)


def _tell_gaps(places: np.ndarray, at: np.ndarray, frequency: Frequency, report: Report, how: str) -> None:
    missing = np.round(np.diff(places)).astype(np.int64) - 1
    where = np.flatnonzero(missing > 0)
    if not len(where):
        report.kept("gaps", "none: every step is there")
        return
    told = [f"{missing[i]:,} after {text_of(at[i], frequency)}" for i in where[:TOLD]]
    more = f" and {len(where) - TOLD:,} more" if len(where) > TOLD else ""
    total = int(missing[where].sum())
    report.repaired(
        "gaps", f"{total:,} {'step is' if total == 1 else 'steps are'} missing in {len(where):,} "
        f"{'place' if len(where) == 1 else 'places'} ({', '.join(told)}{more}): {how}"
    )  # fmt: skip


def _filled(
    at: np.ndarray, values: np.ndarray, names: list[str], frequency: Frequency | None, asked: SeriesImport,
    report: Report,
) -> Regular:  # fmt: skip
    """Without holes. Those of single cells are told by column; whole missing steps were told before."""
    holes = ~np.isfinite(values)
    out = np.where(holes, np.nan, values)
    alone = holes & ~holes.all(axis=1, keepdims=True)
    for v, name in enumerate(names):
        if not holes[:, v].any():
            continue
        if alone[:, v].any():
            n = int(alone[:, v].sum())
            report.repaired(
                f"column `{shown(name, 60)}`", f"{n:,} missing {'value' if n == 1 else 'values'} filled"
            )
        out[:, v] = _without_holes(out[:, v], asked.gaps)
    if holes.any():
        n = int(holes.sum())
        report.kept(
            "gaps", f"{n:,} filled {'value is' if n == 1 else 'values are'} seen by models, never learned or "
            "judged as truth"
        )  # fmt: skip
    return Regular(at, out, holes, frequency)


def _without_holes(column: np.ndarray, how: str) -> np.ndarray:
    there = np.flatnonzero(~np.isnan(column))
    steps = np.arange(len(column))
    if how == "interpolate":
        return np.asarray(np.interp(steps, there, column[there]))
    before = np.maximum(np.searchsorted(there, steps, side="right") - 1, 0)
    return np.asarray(column[there[before]])


def _span(n: int) -> str:
    """A length of time in words."""
    for size, word in ((DAY, "d"), (HOUR, "h"), (60_000, "min"), (1_000, "s")):
        if n >= size:
            return f"{n / size:.3g} {word}"
    return f"{n} ms"

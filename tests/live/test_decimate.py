"""What thinning must never lose, against plain loops over all points."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.live.decimate import column_starts, even_starts, keep
from workbench.live.history import History
from workbench.records import Scalars

NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)
SERIES = st.lists(NUMBERS, min_size=1, max_size=400).map(lambda values: np.array(values, float))


def history_of(values: np.ndarray) -> History:
    steps = np.arange(1, len(values) + 1)
    history = History()
    history.append(Scalars("loss", steps, steps / 10, 1000.0 + steps, values), t0=1000.0)
    return history


@given(SERIES, st.integers(1, 60))
@example(np.array([math.nan] * 50), 7)
@example(np.array([1.0, math.inf, -math.inf, math.nan, 2.0] * 20), 3)
def test_every_bucket_keeps_first_last_lowest_highest_and_what_is_not_finite(values, buckets):
    starts = even_starts(len(values), buckets)
    kept = keep(values, starts)
    assert np.array_equal(kept, np.unique(kept))
    for begin, end in zip(starts, np.append(starts[1:], len(values)), strict=True):
        inside = values[kept[(kept >= begin) & (kept < end)]]
        bucket = values[begin:end]
        assert {begin, end - 1} <= set(kept)
        finite = [v for v in bucket if math.isfinite(v)]
        if finite:
            assert min(finite) in inside
            assert max(finite) in inside
        for odd in (math.isnan, lambda v: v == math.inf, lambda v: v == -math.inf):
            assert any(map(odd, inside)) == any(map(odd, bucket))


@given(SERIES, st.integers(1, 60))
def test_nothing_is_invented_and_little_is_kept(values, buckets):
    starts = even_starts(len(values), buckets)
    kept = keep(values, starts)
    assert kept.min() >= 0
    assert kept.max() < len(values)
    assert len(kept) <= 10 * len(starts)


@given(SERIES, st.integers(1, 50), st.floats(0, 400), st.floats(0.5, 400))
def test_a_range_answers_with_the_true_extremes_of_every_pixel_column(values, columns, lo, width):
    history = history_of(values)
    hi = lo + width
    points, total = history.between("step", lo, hi, columns)
    steps = np.arange(1, len(values) + 1)
    inside = (steps >= lo) & (steps <= hi)
    assert total == inside.sum()
    answered = (points[0] >= lo) & (points[0] <= hi)
    edges = lo + (hi - lo) * np.arange(columns + 1) / columns
    for left, right in itertools.pairwise(edges):
        truth = values[inside & (steps >= left) & (steps < right)]
        drawn = points[3][answered & (points[0] >= left) & (points[0] < right)]
        assert np.isnan(truth).any() == np.isnan(drawn).any()
        finite = truth[np.isfinite(truth)]
        if len(finite):
            assert drawn[np.isfinite(drawn)].min() == finite.min()
            assert drawn[np.isfinite(drawn)].max() == finite.max()


def test_one_spike_and_one_nan_among_a_million_survive():
    values = np.random.default_rng(0).normal(size=1_000_000)
    values[123_456], values[654_321] = 1e9, np.nan
    points = history_of(values).thinned(0, whole=4096, buckets=1024)
    assert points.shape[1] < 6000
    assert points[3, points[0] == 123_457] == 1e9
    assert np.isnan(points[3, points[0] == 654_322]).all()


def test_a_range_brings_one_neighbour_on_each_side_so_that_the_line_reaches_the_edges():
    points, total = history_of(np.arange(100.0)).between("step", 40, 50, 800)
    assert total == 11
    assert points[0].tolist() == list(range(39, 52))


def test_columns_hold_each_point_once():
    x = np.linspace(0, 10, 1001)
    cuts = column_starts(x, 2.0, 8.0, 100)
    assert cuts[0] == np.searchsorted(x, 2.0)
    assert cuts[-1] == np.searchsorted(x, 8.0, side="right")
    assert len(cuts) == 101


def test_times_stay_ascending_when_the_clock_jumps_back():
    history = History()
    one = np.ones(1)
    for step, time in ((1, 50.0), (2, 40.0), (3, 60.0)):
        history.append(Scalars("loss", one * step, one * step, one * time, one), t0=0.0)
    assert history.points[2].tolist() == [50.0, 50.0, 60.0]


def test_views_taken_before_a_cut_keep_their_values():
    history = history_of(np.arange(10.0))
    before = history.points
    history.cut(4)
    history.append(Scalars("loss", np.array([5]), np.array([5.0]), np.array([5.0]), np.array([99.0])), t0=0.0)
    assert before[3].tolist() == list(range(10))
    assert history.points[3].tolist() == [0, 1, 2, 3, 99]

"""Curves that cannot lie: whatever the range, every extreme, last and non-finite value is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.records import Scalars
from workbench.specs.presets import preset
from workbench.store import folds, open_store
from workbench.store.store import Store

SPEC = preset("mlp-tiny").spec


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def history(values: np.ndarray, first: int = 0) -> Scalars:
    steps = np.arange(first, first + len(values), dtype=np.int64)
    return Scalars("train/loss", steps, steps / 100, 1e9 + steps * 0.01, values)


def write(store: Store, run: str, values: np.ndarray, flush: int) -> None:
    for start in range(0, len(values), flush):
        store.flush(run, [history(values[start : start + flush], start)])


ODD = st.sampled_from([np.nan, np.inf, -np.inf])
VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), ODD), min_size=1, max_size=120)


@settings(deadline=None)
@given(VALUES, st.integers(1, 20), st.integers(1, 5))
def test_every_group_keeps_its_extremes_last_and_odd_value(
    values: list[float], size: int, again: int
) -> None:
    whole = history(np.array(values))
    buckets = folds.merge(folds.summarise(whole, size), again)
    drawn = folds.points("train/loss", buckets)
    at = dict(zip(drawn.steps.tolist(), drawn.values.tolist(), strict=True))
    for start in range(0, len(values), size * again):
        group = np.array(values[start : start + size * again])
        seen = np.array([at[i] for i in range(start, start + len(group)) if i in at])
        finite = group[np.isfinite(group)]
        if len(finite):
            assert finite.min() == seen[np.isfinite(seen)].min()
            assert finite.max() == seen[np.isfinite(seen)].max()
        np.testing.assert_equal(at[start + len(group) - 1], group[-1])
        assert np.isfinite(group).all() == np.isfinite(seen).all()


@settings(deadline=None)
@given(VALUES, st.integers(1, 20))
def test_only_true_points_are_drawn(values: list[float], size: int) -> None:
    drawn = folds.points("train/loss", folds.summarise(history(np.array(values)), size))
    np.testing.assert_array_equal(drawn.values, np.array(values)[drawn.steps])
    np.testing.assert_allclose(drawn.epochs, drawn.steps / 100)
    assert (np.diff(drawn.steps) > 0).all()


@pytest.mark.parametrize("flush", [700, 5000, 20_000])
def test_one_spike_and_one_nan_in_a_long_history_are_seen_whole_and_zoomed(store: Store, flush: int) -> None:
    run = store.runs.create(SPEC).id
    values = np.random.default_rng(0).normal(size=200_000)
    values[123_456], values[77_777] = 1e6, np.nan
    write(store, run, values, flush)
    drawn = store.scalars.overview(run, "train/loss", columns=500)
    assert len(drawn) <= 4 * 501
    assert drawn.steps[np.nanargmax(drawn.values)] == 123_456
    assert drawn.steps[np.isnan(drawn.values)].tolist() == [77_777]
    assert drawn.steps[-1] == 199_999
    assert drawn.values[-1] == values[-1]
    near = store.scalars.overview(run, "train/loss", low=123_000, high=123_500, columns=500)
    np.testing.assert_array_equal(near.steps, np.arange(123_000, 123_501))
    np.testing.assert_array_equal(near.values, values[123_000:123_501])


@pytest.mark.parametrize(("axis", "low", "high"), [("epoch", 500.0, 600.0), ("time", 1e9 + 500, 1e9 + 600)])
def test_ranges_by_epoch_and_time_are_the_same_points(
    store: Store, axis: str, low: float, high: float
) -> None:
    run = store.runs.create(SPEC).id
    values = np.random.default_rng(1).normal(size=100_000)
    write(store, run, values, 3000)
    drawn = store.scalars.overview(run, "train/loss", axis=axis, low=low, high=high, columns=20_000)  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn.steps, np.arange(50_000, 60_001))
    np.testing.assert_array_equal(drawn.values, values[50_000:60_001])


def test_a_reopened_store_folds_on_where_the_last_one_stopped(home: Path) -> None:
    values = np.random.default_rng(2).normal(size=30_000)
    run = open_store().runs.create(SPEC).id
    for start in range(0, 30_000, 1000):  # a new process for each flush
        store = open_store()
        store.flush(run, [history(values[start : start + 1000], start)])
        store.close()
    drawn = open_store().scalars.overview(run, "train/loss", columns=100)
    assert drawn.values.min() == values.min()
    assert drawn.values.max() == values.max()


def test_a_truncated_history_forgets_what_came_later(store: Store) -> None:
    run = store.runs.create(SPEC).id
    values = np.zeros(20_000)
    values[15_000] = 99.0
    write(store, run, values, 1000)
    store.truncate_after(run, 9_999)
    write_again = np.ones(10_000)
    store.flush(run, [history(write_again, 10_000)])
    drawn = store.scalars.overview(run, "train/loss", columns=100)
    assert drawn.values.max() == 1.0
    assert drawn.steps[-1] == 19_999


def test_a_key_without_points_is_empty(store: Store) -> None:
    run = store.runs.create(SPEC).id
    assert len(store.scalars.overview(run, "train/loss")) == 0

"""Runs of many steps: opened thinned, kept bounded in memory, and exact wherever one looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.live import reader as reading
from workbench.live.reader import Reader
from workbench.records import Scalars
from workbench.specs.presets import preset
from workbench.store import Store, open_store

N = 60_000


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(reading, "LONG", 5_000)
    monkeypatch.setattr(reading, "COLUMNS", 200)
    return open_store()


def write(store: Store, run: str, values: np.ndarray, first: int = 0) -> None:
    for start in range(0, len(values), 2500):
        part = values[start : start + 2500]
        steps = np.arange(first + start, first + start + len(part))
        store.flush(run, [Scalars("train/loss", steps, steps / 100, 1e9 + steps, part)], step=int(steps[-1]))


def noise(n: int) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=n)
    values[n // 3], values[n // 2] = 1e6, np.nan
    return values


def test_a_long_run_opens_thinned_and_shows_its_spike_and_its_nan(store: Store) -> None:
    run = store.runs.create(preset("mlp-tiny").spec).id
    values = noise(N)
    write(store, run, values)
    reader = Reader(store, run)
    news = reader.poll()
    history = reader.histories["train/loss"]
    assert news.starts == {"train/loss": 0}
    assert history.n < 1000
    assert history.total == N
    assert np.nanmax(history.points[3]) == 1e6
    assert np.isnan(history.points[3]).any()
    assert history.points[0, -1] == N - 1


def test_what_is_written_later_is_appended_once(store: Store) -> None:
    run = store.runs.create(preset("mlp-tiny").spec).id
    values = noise(N)
    write(store, run, values[:50_000])
    reader = Reader(store, run)
    reader.poll()
    write(store, run, values[50_000:], 50_000)
    news = reader.poll()
    history = reader.histories["train/loss"]
    assert history.total == N
    start = (news.starts or {})["train/loss"]
    np.testing.assert_array_equal(history.points[0, start:], np.arange(50_000, N))
    np.testing.assert_array_equal(history.points[3, start:], values[50_000:])


def test_a_run_that_grows_long_under_our_eyes_stays_small_in_memory(store: Store) -> None:
    run = store.runs.create(preset("mlp-tiny").spec).id
    values = noise(N)
    reader = Reader(store, run)
    for start in range(0, N, 2500):
        write(store, run, values[start : start + 2500], start)
        reader.poll()
    history = reader.histories["train/loss"]
    assert history.n < 3 * 5_000
    assert history.total == N
    assert (np.diff(history.points[0]) > 0).all()
    assert np.nanmax(history.points[3]) == 1e6


@pytest.mark.parametrize(("axis", "scale"), [("step", 1.0), ("epoch", 0.01)])
def test_a_range_in_the_thinned_part_is_exact(store: Store, axis: str, scale: float) -> None:
    run = store.runs.create(preset("mlp-tiny").spec).id
    values = noise(N)
    write(store, run, values)
    reader = Reader(store, run)
    reader.poll()
    points, total = reader.between("train/loss", axis, 10_000 * scale, 10_500 * scale, 500)  # type: ignore[arg-type]
    np.testing.assert_array_equal(points[0], np.arange(10_000, 10_501))
    np.testing.assert_array_equal(points[3], values[10_000:10_501])
    assert total == 501

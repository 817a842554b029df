"""Series are cut by time, scaled by what is learned from, and nothing of the future is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import TimeSeriesSplit
from sklearn.preprocessing import StandardScaler

from workbench import data
from workbench.data.series.dataset import SeriesData, cut, load, naive_error, shape
from workbench.data.series.frequency import guess, parse, text_of
from workbench.probes.windows import probe_windows
from workbench.specs.base import Window
from workbench.specs.data import DataSpec, SeriesSpec
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport


def folder_of(tmp_path: Path, values: np.ndarray, freq: str = "h") -> Path:
    """A prepared series of these values (T, V), called a, b, ..."""
    names = [chr(97 + v) for v in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=names)
    frame.insert(0, "time", pd.date_range("2020-01-01", periods=len(values), freq=freq))
    frame.to_csv(tmp_path / "s.csv", index=False)
    data.prepare(tmp_path / "s.csv", tmp_path / "set", kind="series")
    return tmp_path / "set"


def spec(**series: object) -> DataSpec:
    return DataSpec(name="s", validation=0.2, test=0.2, series=SeriesSpec(**series))


@pytest.fixture
def walk(tmp_path: Path) -> SeriesData:
    values = np.random.default_rng(0).normal(size=(200, 2)).cumsum(axis=0) * [1, 50] + [3, 1000]
    return load(folder_of(tmp_path, values), spec(look_back=12, horizon=5))


def test_windows_hold_the_past_and_what_follows_it(walk: SeriesData):
    assert walk.shape == Window(12, 2)
    assert walk.columns == 10
    for split in (walk.train, walk.validation, walk.test):
        for i in (0, len(split) // 2, len(split) - 1):
            at = int(split.index[i])
            assert np.array_equal(split.seen(i), walk.train.values[at - 12 : at])
            assert np.array_equal(split.truth(np.arange(at, at + 5)), walk.train.values[at : at + 5])


def test_nothing_that_is_told_of_one_split_is_told_or_seen_in_an_earlier_one(walk: SeriesData):
    train, validation, _ = walk.borders
    last_of_training = walk.train.index.max() + 5 - 1
    assert last_of_training < train <= walk.validation.index.min()
    assert walk.validation.index.max() + 5 - 1 < validation <= walk.test.index.min()
    assert walk.train.index.min() == 12  # a window needs its past
    assert walk.test.index.max() + 5 == 200


def test_held_out_values_change_nothing_that_is_learned_from(tmp_path: Path):
    values = np.random.default_rng(1).normal(size=(100, 1)).cumsum(axis=0)
    other = values.copy()
    other[60:] += 1e6  # validation and test
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    one, two = (
        load(folder_of(tmp_path / n, v), spec(look_back=6, horizon=2))
        for n, v in (("1", values), ("2", other))
    )
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(one.std, two.std)
    assert np.array_equal(one.naive, two.naive)
    assert all(np.array_equal(one.train.seen(i), two.train.seen(i)) for i in range(len(one.train)))
    told = one.train.index[:, None] + np.arange(2)
    assert np.array_equal(one.train.truth(told), two.train.truth(told))


def test_the_scale_is_scikit_learns_on_the_training_steps_alone(tmp_path: Path):
    values = np.random.default_rng(2).normal(size=(100, 3)) * [1, 10, 100] + [5, -3, 0]
    found = load(folder_of(tmp_path, values), spec(look_back=6, horizon=2))
    scaler = StandardScaler().fit(values[:60])
    assert found.borders == (60, 80, 100)
    np.testing.assert_allclose(found.train.values, scaler.transform(values), atol=1e-6)
    plain = load(tmp_path / "set", spec(look_back=6, horizon=2, scaling="none"))
    np.testing.assert_allclose(plain.train.values, values, rtol=1e-6)


def test_ett_is_cut_as_in_the_literature():
    assert cut(14_400, spec()) == (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)


@pytest.mark.parametrize(("folds", "n"), [(5, 120), (3, 100), (4, 57)])
def test_folds_are_those_of_scikit_learn(folds: int, n: int):
    expected = TimeSeriesSplit(n_splits=folds).split(np.zeros(n))
    for fold, (train, held) in enumerate(expected, 1):
        found = cut(n, DataSpec(name="s", test=0.0, folds=folds, fold=fold))
        assert found[:2] == (len(train), held[-1] + 1)


@pytest.mark.parametrize("gaps", ["last", "interpolate"])
def test_no_window_sees_what_follows_it_where_values_were_filled(tmp_path: Path, gaps: str):
    """A series that jumps after a gap: whatever fills it, a window that ends in it sees the value before."""
    hours = pd.date_range("2021-03-01", periods=100, freq="h")
    cells = [np.where(np.arange(100) < 42, 10.0 + np.arange(100) % 3, 90.0), np.arange(100.0)]
    frame = pd.DataFrame({"time": hours, "a": cells[0], "b": cells[1]})
    frame.loc[[0, 1, 40, 41, 58, 59, 60, 61], "a"] = np.nan  # at the start, and over the border at 60
    frame.drop(index=80).to_csv(tmp_path / "s.csv", index=False)
    made = data.prepare(tmp_path / "s.csv", tmp_path / "set", series=SeriesImport(gaps=gaps))
    assert any("never learned or judged as truth" in row["reason"] for row in made.report)
    found = load(tmp_path / "set", spec(look_back=4, horizon=2, scaling="none"))
    split, at = found.train, {int(t): i for i, t in enumerate(found.train.index)}
    assert split.seen(at[42])[:, 0].tolist() == [12, 10, 10, 10]  # hours 38 to 41: 42 holds 90
    between = [10, 10] if gaps == "last" else [10 + 80 / 3, 10 + 160 / 3]
    np.testing.assert_allclose(split.seen(at[44])[:, 0], [*between, 90, 90])  # what is behind is no secret
    assert split.truth(np.arange(40, 43))[:, 0].tolist() == pytest.approx([np.nan, np.nan, 90], nan_ok=True)
    first = replace(split, index=np.array([2]), look_back=2)
    assert first.seen(0)[:, 0].tolist() == [0, 0]  # nothing came before
    np.testing.assert_allclose(found.naive[0], np.nanmean(np.abs(frame["a"][24:60].values - frame["a"][:36])))
    scaled = load(tmp_path / "set", spec(look_back=4, horizon=2))
    scaler = StandardScaler().fit(frame[["a", "b"]][:60])
    np.testing.assert_allclose([scaled.mean, scaled.std], [scaler.mean_, scaler.scale_])
    back = scaled.scaled_as({"mean": [0, 0], "std": [1, 1]})
    for one, other in ((back.train, found.train), (back.test, found.test)):
        parts = [np.stack([part.seen(i) for i in range(len(part))]) for part in (one, other)]
        np.testing.assert_allclose(*parts, rtol=1e-5, atol=1e-5)


def test_one_variate_may_be_told_while_all_are_seen(tmp_path: Path):
    folder = folder_of(tmp_path, np.random.default_rng(3).normal(size=(100, 3)))
    chosen = spec(look_back=6, horizon=4, target="b")
    assert shape(folder, chosen) == (Window(6, 3), 4)
    found = load(folder, chosen)
    assert found.targets == ("b",)
    first = int(found.test.index[0])
    told = found.test.truth(np.arange(first, first + 4))
    assert np.array_equal(told[:, 0], found.test.values[first : first + 4, 1])
    with pytest.raises(DataError, match=r"`d` is none.*Known: `a`, `b`, `c`"):
        shape(folder, spec(target="d"))


@pytest.mark.parametrize(
    ("series", "fact", "repair"),
    [
        ({"look_back": 96, "horizon": 2}, "it has 60", "look_back to 29 or less"),
        ({"look_back": 4, "horizon": 30}, "it has 20", "horizon to 20 or less"),
        ({"look_back": 4, "horizon": 90}, "it has 60", "horizon to 15 and data.series.look_back to 15"),
    ],
)
def test_what_is_too_short_is_refused_with_what_would_fit(tmp_path: Path, series, fact: str, repair: str):
    folder = folder_of(tmp_path, np.random.default_rng(4).normal(size=(100, 1)))
    with pytest.raises(DataError) as refused:
        load(folder, spec(**series))
    problem = refused.value.problems[0]
    assert fact in problem.fact
    assert repair in problem.repair


def test_the_repair_of_a_window_that_is_too_long_works(tmp_path: Path):
    folder = folder_of(tmp_path, np.random.default_rng(4).normal(size=(100, 1)))
    assert len(load(folder, spec(look_back=29, horizon=2)).train) == 60 - 29 - 2 + 1


def test_strides_thin_the_training_windows_alone(tmp_path: Path):
    folder = folder_of(tmp_path, np.zeros((100, 1)) + np.arange(100)[:, None])
    one, five = (load(folder, spec(look_back=6, horizon=2, stride=n)) for n in (1, 5))
    assert np.array_equal(five.train.index, one.train.index[::5])
    assert np.array_equal(five.test.index, one.test.index)


def test_probe_windows_are_named_by_their_place_and_their_time(walk: SeriesData):
    found = probe_windows(walk, 2)
    assert [item["label"] for item in found.items] == ["Window 1", "Window 2"]
    first = int(walk.validation.index[0])
    past = [walk.label(i) for i in range(first - walk.validation.look_back, first)]
    assert found.items[0]["tokens"] == past
    assert found.items[0]["text"] == f"{past[0]} to {past[-1]}"


def test_what_mase_divides_by_is_the_error_of_a_season_before():
    values = np.array([[1.0], [2], [4], [7], [11], [16]])
    assert naive_error(values, 1) == pytest.approx(np.mean([1, 2, 3, 4, 5]))
    assert naive_error(values, 2) == pytest.approx(np.mean([3, 5, 7, 9]))


@pytest.mark.parametrize("freq", ["h", "15min", "D", "MS", "ME", "QS", "YS", "W", "B", "3D", "s", "QE"])
def test_frequencies_are_guessed_and_gone_on_with_as_pandas_does(freq: str):
    whole = (
        pd.date_range("2016-01-01", periods=210, freq=freq).values.astype("datetime64[ms]").astype(np.int64)
    )
    found = guess(whole[:200])
    assert found is not None
    assert parse(str(found)) == found
    assert np.array_equal(found.after(int(whole[199]), 10), whole[200:])
    assert np.array_equal(np.round(found.places(whole)), np.arange(210))


def test_moments_are_written_no_finer_than_they_differ():
    at = int(np.datetime64("2020-03-01T05:30", "ms").astype(np.int64))
    assert text_of(at, parse("15 min")) == "2020-03-01 05:30"
    assert text_of(at - at % 86_400_000, parse("1 d")) == "2020-03-01"
    assert text_of(at - at % 86_400_000, parse("1 month")) == "2020-03"


@pytest.mark.parametrize(
    ("file", "steps", "variates", "frequency", "repaired"),
    [
        ("ETTh1.csv", 17_420, 7, "1 h", None),
        ("airline-passengers.csv", 144, 1, "1 month", None),
        ("daily-min-temperatures.csv", 3_652, 1, "1 d", "2 steps are missing in 2 places"),
        ("monthly-sunspots.csv", 2_820, 1, "1 month", None),
    ],
)
def test_real_series_are_read_as_they_are(
    shared_data: Path, tmp_path: Path, file, steps, variates, frequency, repaired
):
    look = data.look(shared_data / "timeseries" / file)
    assert (look["kind"], look["frequency"], len(look["variates"])) == ("series", frequency, variates)
    found = data.prepare(shared_data / "timeseries" / file, tmp_path / "set")
    assert found.rows == {"train": steps}
    told = [row["reason"] for row in found.report if row["action"] == "repaired"]
    assert (told == []) if repaired is None else any(repaired in reason for reason in told)

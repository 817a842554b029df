"""The overlay: where points lie on each axis, means and bands against NumPy, colours that stay."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tests.figures.test_numbers import contrast
from workbench.figures.compare import (
    COLOURS,
    DASHES,
    Source,
    along,
    band,
    compare_figure,
    compare_info,
    styles,
)
from workbench.figures.scores import scores_info, winners
from workbench.records import Scalars


def source(values: np.ndarray, first: int = 1, batch: int = 128, start: float = 1e9) -> Source:
    steps = np.arange(first, first + len(values))
    return Source(
        Scalars("val/loss", steps, steps / 71, 1e9 + 0.5 * steps, np.asarray(values, float)), start, batch
    )


def test_every_axis_places_the_same_points() -> None:
    given = source(np.ones(3), first=10, batch=64, start=1e9 + 2)
    assert along(given, "step").tolist() == [10, 11, 12]
    assert along(given, "samples").tolist() == [640, 704, 768]
    assert along(given, "time").tolist() == [3.0, 3.5, 4.0]
    np.testing.assert_allclose(along(given, "epoch"), np.array([10, 11, 12]) / 71)


def test_time_never_runs_backwards() -> None:
    part = source(np.ones(3)).part
    back = Scalars("k", part.steps, part.epochs, np.array([1e9 + 1, 1e9 + 9, 1e9 + 4]), part.values)
    assert along(Source(back, 1e9, 1), "time").tolist() == [1, 9, 9]


def test_mean_range_and_deviation_are_numpys() -> None:
    values = np.random.default_rng(0).normal(size=(5, 40))
    info = compare_info(
        {str(i): source(row) for i, row in enumerate(values)}, "step", [("0", "1", "2", "3", "4")]
    )
    (found,) = info.bands
    np.testing.assert_allclose(found.mean, values.mean(0))
    np.testing.assert_allclose(found.sd, values.std(0, ddof=1))
    np.testing.assert_array_equal(found.low, values.min(0))
    np.testing.assert_array_equal(found.high, values.max(0))
    assert found.n.tolist() == [5] * 40


def test_a_mean_is_taken_over_the_runs_that_are_there() -> None:
    info = compare_info(
        {"a": source(np.array([1.0, 1, 1, 1])), "b": source(np.array([3.0, 3]))}, "step", [("a", "b")]
    )
    (found,) = info.bands
    assert found.mean.tolist() == [2, 2, 1, 1]
    assert found.n.tolist() == [2, 2, 1, 1]
    assert found.sd.tolist() == pytest.approx([2**0.5, 2**0.5, 0, 0])


def test_what_is_not_finite_bends_no_mean_but_stays_on_the_curve() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf])
    info = compare_info({"a": source(values), "b": source(np.array([1.0, 2, 3, 4]))}, "step", [("a", "b")])
    assert info.bands[0].mean.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(info.curves[0].y, values)


def test_long_histories_keep_their_extremes_in_the_band() -> None:
    values = np.random.default_rng(1).normal(size=(3, 50_000))
    values[1, 31_234] = 99
    values[2, 7] = -99
    info = compare_info({str(i): source(row) for i, row in enumerate(values)}, "step", [("0", "1", "2")])
    (found,) = info.bands
    assert (found.high.max(), found.low.min()) == (99, -99)
    assert np.abs(found.mean - 0).max() < 1.5  # a column's mean, not its extremes


def test_a_run_without_points_is_left_out_and_one_alone_has_no_band() -> None:
    info = compare_info({"a": source(np.ones(3)), "b": source(np.empty(0))}, "step", [("a", "b")])
    assert [curve.run for curve in info.curves] == ["a"]
    assert info.bands == ()
    assert len(band([compare_info({"a": source(np.full(3, np.nan))}, "step").curves[0]]).x) == 0


def test_fifty_runs_look_different_and_keep_their_looks() -> None:
    runs = [f"261123-{i:06d}" for i in range(50)]
    look = styles(runs)
    assert len(set(look.values())) == 50
    assert styles(reversed(runs)) == look
    few = styles(runs[:8])
    assert len({style.colour for style in few.values()}) == 8
    assert all(not style.dash for style in few.values())
    assert len(COLOURS) * len(DASHES) >= 50


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("background", ["#fcfcfe", "#10141d"])
def test_lines_stand_out_on_both_backgrounds(colour: str, background: str) -> None:
    assert contrast(colour, background) >= 3


def test_the_figure_carries_every_number_whole() -> None:
    values = np.array([1.0, np.nan, -np.inf, 4.0])
    info = compare_info({"a": source(values)}, "step")
    (line,) = compare_figure(info, {"a": "<b>x</b>"}, "")["lines"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(line["y"]), "<f8"), values)
    assert line["name"] == "<b>x</b>"


def test_deviation_and_range_are_drawn_around_the_mean() -> None:
    info = compare_info({"a": source(np.array([1.0])), "b": source(np.array([3.0]))}, "step", [("a", "b")])
    names = {"a": "x", "b": "x"}
    number = lambda text: float(np.frombuffer(base64.b64decode(text), "<f8")[0])  # noqa: E731
    (drawn,) = compare_figure(info, names, "sd")["bands"]
    assert (number(drawn["low"]), number(drawn["high"])) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))
    (drawn,) = compare_figure(info, names, "range")["bands"]
    assert (number(drawn["low"]), number(drawn["high"])) == (1, 3)
    assert compare_figure(info, names, "")["bands"] == []


# ---------------------------------------------------------------- scores


def test_the_best_of_each_column_is_marked() -> None:
    nan = float("nan")
    assert winners("val/loss", [0.5, None, 0.2, nan]) == {2}
    assert winners("val/accuracy", [0.9, 0.9, 0.1]) == {0, 1}
    assert winners("lr", [0.1, 0.2]) == frozenset()
    assert winners("val/loss", [0.5]) == frozenset()


def test_metrics_that_no_run_has_are_no_columns() -> None:
    runs = [{"val/loss": {"last": 0.4, "best": 0.3}}, {"grad_norm": {"last": 1.0}}]
    columns = scores_info(runs, "grad_norm")
    assert [(c.key, c.kind) for c in columns] == [
        ("val/loss", "best"),
        ("val/loss", "last"),
        ("grad_norm", "last"),
    ]
    assert columns[0].values == (0.3, None)


def test_no_loss_is_the_best_of_losses_that_measure_other_things() -> None:
    runs = [{"val/loss": {"best": 0.15}, "val/rmse": {"best": 5.7}},  # pinball loss
            {"val/loss": {"best": 0.34}, "val/rmse": {"best": 6.0}}]  # squares  # fmt: skip
    won = {column.key: column.winners for column in scores_info(runs, one_loss=False)}
    assert won == {"val/rmse": {0}, "val/loss": frozenset()}
    assert scores_info(runs)[1].winners == {0}

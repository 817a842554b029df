"""Figures draw what `x_info` computed; its numbers are checked against closed forms and scikit-learn."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from workbench.figures import theme
from workbench.figures.balance import balance_figure, balance_info
from workbench.figures.layers import layers_bars, layers_info
from workbench.figures.schedule import schedule_figure, schedule_info
from workbench.records import RunState
from workbench.specs.optimizers import SGD
from workbench.specs.presets import PRESETS
from workbench.specs.schedules import Constant, Cosine, Plateau, Step
from workbench.specs.training import TrainingSpec

ROOT = Path(__file__).resolve().parents[2]


def test_a_constant_rate_is_flat() -> None:
    info = schedule_info(TrainingSpec(optimizer=SGD(lr=0.1), schedule=Constant(), epochs=3), 50)
    assert np.all(info.rates == 0.1)
    assert info.epochs[0] == 0
    assert info.epochs[-1] == 149 / 50


def test_a_cosine_passes_through_half_its_peak_in_the_middle() -> None:
    info = schedule_info(TrainingSpec(optimizer=SGD(lr=0.2), schedule=Cosine(), steps=101, epochs=None), 10)
    assert info.rates[50] == pytest.approx(0.1)
    assert info.rates[-1] == pytest.approx(0.0)


def test_steps_drop_when_they_say() -> None:
    training = TrainingSpec(optimizer=SGD(lr=1.0), schedule=Step(every=2, gamma=0.5), epochs=6)
    info = schedule_info(training, 10)
    assert [info.rates[i] for i in (0, 19, 20, 40)] == [1.0, 1.0, 0.5, 0.25]


def test_a_long_run_is_drawn_with_few_points_from_first_to_last() -> None:
    info = schedule_info(TrainingSpec(schedule=Cosine(warmup=0.1), steps=1_000_000, epochs=None), 100)
    assert len(info.rates) <= 400
    assert info.epochs[-1] == 999_999 / 100
    assert info.rates.max() == pytest.approx(TrainingSpec().optimizer.lr, rel=1e-3)


def test_a_plateau_is_marked_as_unknown_beforehand() -> None:
    info = schedule_info(TrainingSpec(schedule=Plateau()), 100)
    assert info.waits
    assert schedule_figure(info).data[0].line.dash == "dot"


def test_class_counts_are_counts() -> None:
    info = balance_info({"train": [2, 0, 1], "test": [0, 1, 0]}, ["a", "b", "c"])
    assert [list(bar.x) for bar in balance_figure(info).data] == [[2, 0, 1], [0, 1, 0]]
    assert info.ratio == 2.0  # two of class a, one of each other


def test_a_class_without_images_makes_the_ratio_infinite() -> None:
    assert math.isinf(balance_info({"train": [2, 0]}, ["a", "b"]).ratio)


def test_class_names_are_never_markup() -> None:
    figure = balance_figure(balance_info({"train": [1]}, ["<img src=x onerror=alert(1)>"]))
    assert "<" not in figure.layout.yaxis.ticktext[0]


def test_parameters_by_layer_sum_to_the_model() -> None:
    model = PRESETS["cnn-mnist"].spec.model
    info = layers_info(model.rows((1, 28, 28)))
    assert sum(info.parameters) == 225_034
    assert info.names == ("0 conv2d", "3 conv2d", "7 linear", "9 linear")
    assert sum(info.shares) == pytest.approx(1)
    bars = layers_bars(info)
    assert re.findall(r"<b>([\d,]+)</b>", bars) == [f"{n:,}" for n in info.parameters]
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", bars)]
    assert max(widths) == 100
    assert np.allclose(np.array(widths) / 100 * max(info.parameters), info.parameters, atol=0.01 * 225_034)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def config() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_meaning_is_visible_on_both_backgrounds(mode: str) -> None:
    background = config()["theme"][mode]["backgroundColor"]
    weak = {
        n: round(contrast(c, background), 2)
        for n, c in theme.css_variables().items()
        if contrast(c, background) < 3
    }
    assert weak == {}


def test_every_state_has_a_colour_of_its_own() -> None:
    assert set(theme.STATES) == set(RunState)
    assert len(set(theme.STATES.values())) == len(RunState)


def test_the_theme_file_and_the_figures_agree() -> None:
    charts = config()["theme"]["chartCategoricalColors"]
    assert charts[:2] == [theme.TRAIN, theme.VALIDATION]
    for mode in ("light", "dark"):
        block = config()["theme"][mode]
        assert (block["blueColor"], block["greenColor"], block["redColor"]) == (
            theme.TRAIN,
            theme.GOOD,
            theme.BAD,
        )

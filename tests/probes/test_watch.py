"""When and at what is looked: within the budget, over a run of any length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.tiny import CNN, MLP, images, spec_of
from workbench.engine.batches import normalised
from workbench.models.build import build
from workbench.probes.budget import Budget
from workbench.probes.texts import one_per_class
from workbench.probes.watch import Watcher
from workbench.records import Panel, Tiles


def simulated(budget: Budget, length_s: float, look_s: float, tick_s: float = 0.2) -> tuple[int, float]:
    """Looks and telemetry seconds of a run whose every look costs `look_s`."""
    now, spent, looks = 0.0, 0.0, 0
    while now < length_s:
        now += tick_s
        if budget.due(now, spent):
            budget.looked(now, look_s)
            now, spent, looks = now + look_s, spent + look_s, looks + 1
    return looks, spent


@settings(deadline=None)
@given(st.floats(0.005, 0.5), st.floats(0.001, 2.0), st.floats(20, 400))
def test_looking_stays_within_its_share(share: float, look_s: float, length_s: float):
    _, spent = simulated(Budget(share, 0.5), length_s, look_s)
    assert spent <= share * length_s + look_s


def test_a_short_run_is_looked_at_often_and_a_long_one_stays_small():
    minute, _ = simulated(Budget(0.03, 0.5), 60, 0.005)
    day, _ = simulated(Budget(0.03, 0.5), 86_400, 0.005, tick_s=1.0)
    assert 70 <= minute <= 120
    assert 400 <= day <= 1000


def test_other_telemetry_leaves_less_for_looking():
    budget = Budget(0.03, 0.5)
    budget.looked(0.0, 0.01)
    assert budget.due(10.0, 0.0)
    assert not budget.due(10.0, 0.3)


def test_probe_images_are_first_ones_of_every_class():
    y = np.array([2, 2, 0, 1, 1, 0, 2])
    assert one_per_class(y, 3).tolist() == [2, 3, 0]
    assert one_per_class(y, 5).tolist() == [2, 3, 0, 5, 4]
    assert sorted(one_per_class(y, 99).tolist()) == list(range(7))
    assert one_per_class(np.empty(0, dtype=np.int64), 3).tolist() == []


def test_a_look_brings_every_convolution_and_the_images_once():
    spec, data = spec_of(CNN, watch={"probe_images": 2}), images()
    watch = Watcher.over(spec.model, spec.watch, data, normalised)
    model = build(spec.model, (1, 6, 6), seed=0)
    first, second = watch.look(model, 0, 0.0, 5.0), watch.look(model, 1, 0.1, 6.0)
    assert [r.topic for r in first] == ["probe", "filters/0", "maps/0"]
    assert [r.topic for r in second] == ["filters/0", "maps/0"]
    panel = first[0]
    assert isinstance(panel, Panel)
    assert panel.data == {"labels": ["bars", "dots"]}
    assert panel.arrays["images"].shape == (2, 6, 6)
    assert all(isinstance(r, Tiles) and r.time == 6.0 and r.step == 1 for r in second)


def test_what_is_turned_off_is_not_looked_at():
    spec, data = spec_of(CNN, watch={"filters": False, "feature_maps": False}), images()
    watch = Watcher.over(spec.model, spec.watch, data, normalised)
    assert not watch.due(100.0, 0.0)
    assert [r.topic for r in watch.look(build(spec.model, (1, 6, 6)), 0, 0.0, 0.0)] == ["probe"]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_without_convolutions_can_be_watched_too(channels: int):
    spec, data = spec_of(MLP), images(shape=(channels, 6, 6))
    watch = Watcher.over(spec.model, spec.watch, data, normalised)
    assert not watch.due(100.0, 0.0)
    (panel,) = watch.look(build(spec.model, (channels, 6, 6)), 0, 0.0, 0.0)
    assert panel.arrays["images"].shape == ((6, 6, 6) if channels == 1 else (6, 6, 6, 3))

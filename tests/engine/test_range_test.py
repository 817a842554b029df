"""The range test: deterministic, honest about curves that never fall, and good for training."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.texts import labelled
from tests.engine.tiny import images, run, spec_of
from workbench.engine.range_test import Ranged, range_test, smoothed, suggest
from workbench.engine.some import some_of
from workbench.models.build import build
from workbench.specs.run import RunSpec
from workbench.tasks.choose import task_for

LABELLED = [
    {"kind": "embedding", "embedding_dim": 8},
    {"kind": "sequence_pool"},
    {"kind": "linear", "out_features": 2},
]
RATES = np.geomspace(1e-7, 10, 120)


def ranged(spec: RunSpec, **more: object) -> Ranged:
    data = images(300, 20)
    return range_test(
        build(spec.model, (1, 6, 6), seed=spec.seed), data, task_for(spec.task, 3), spec, **more
    )  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_curve_and_another_another() -> None:
    first, again, other = ranged(spec_of(seed=3)), ranged(spec_of(seed=3)), ranged(spec_of(seed=4))
    assert np.array_equal(first.losses, again.losses)
    assert first.suggestion == again.suggestion
    n = min(len(first.losses), len(other.losses))
    assert not np.array_equal(first.losses[:n], other.losses[:n])


def test_the_rate_grows_by_the_same_factor_at_every_update() -> None:
    found = ranged(spec_of())
    assert np.allclose(np.diff(np.log(found.rates)), np.log(1e8) / 119)
    assert found.rates[0] == pytest.approx(1e-7)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_training_at_the_suggested_rate_learns(kind: str) -> None:
    layers = [{"kind": "flatten"}, {"kind": "linear", "out_features": 12}, {"kind": "relu"},
              {"kind": "linear", "out_features": 3}]  # fmt: skip
    found = ranged(spec_of(layers, optimizer={"kind": kind}))
    assert found.suggestion is not None
    assert found.lowest is not None
    assert found.suggestion <= found.lowest
    seen = run(spec_of(layers, optimizer={"kind": kind, "lr": found.suggestion}, epochs=30), images(300, 60))
    assert seen.values("val/loss")[-1] < 0.5 * np.log(3), "half of what guessing costs"


def test_the_steepest_fall_of_a_known_curve_is_found() -> None:
    # A logistic fall in log10(rate) is steepest at its middle, here 1e-3; then it climbs.
    place = np.log10(RATES)
    curve = 2.3 - 2 / (1 + np.exp(-4 * (place + 3))) + np.exp(np.clip(4 * place, None, 8))
    suggestion, lowest = suggest(RATES, curve)
    assert suggestion == pytest.approx(1e-3, rel=0.2)
    assert lowest is not None
    assert 1e-3 < lowest < 1


@pytest.mark.parametrize("seed", range(10))
def test_losses_that_leap_from_batch_to_batch_suggest_no_rate_at_the_beginning(seed: int) -> None:
    losses = 2.3 - 2 / (1 + np.exp(-2 * (np.log10(RATES) + 3)))
    noise = np.random.default_rng(seed).normal(0, 0.15, len(losses))
    suggestion, _ = suggest(RATES, smoothed(losses + noise))
    assert suggestion is not None
    assert 1e-4 < suggestion < 1e-1


@pytest.mark.parametrize("curve", [np.full(120, 2.3), np.linspace(2, 3, 120), np.full(120, np.nan)])
def test_a_loss_that_never_falls_suggests_nothing(curve: np.ndarray) -> None:
    assert suggest(RATES, curve) == (None, None)


def test_it_ends_when_the_loss_has_left() -> None:
    found = ranged(spec_of(optimizer={"kind": "sgd"}), high=10.0)
    assert len(found.losses) <= 120
    assert len(found.rates) == len(found.losses) == len(found.smoothed)


def test_smoothing_a_constant_gives_it_back_from_the_first_value_on() -> None:
    assert np.allclose(smoothed(np.full(10, 1.7)), 1.7)


def test_texts_give_the_same_curve_again_and_no_more_of_them_are_read_than_can_be_seen() -> None:
    data, spec = labelled(400, 6), spec_of(LABELLED, batch_size=2)
    task = task_for(spec.task, 2)
    first, again = (range_test(build(spec.model, data.shape, seed=0), data, task, spec) for _ in range(2))
    assert np.array_equal(first.losses, again.losses)
    few = some_of(data, spec, {"train": 240, "validation": 1})
    part = range_test(build(spec.model, data.shape, seed=0), few, task, spec)
    assert np.array_equal(first.losses, part.losses)

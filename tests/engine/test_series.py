"""The loop on a series: windows are gathered as they are, it learns, and goes on bit for bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.test_series import folder_of
from workbench.data.series.dataset import SeriesData, load
from workbench.engine import series as room
from workbench.engine.checkpoint import from_bytes
from workbench.engine.feeds import feed_for
from workbench.engine.fit import fit
from workbench.engine.series import forecasts
from workbench.models.build import build
from workbench.probes.watch import Watcher
from workbench.records import Panel, Scalars
from workbench.specs.data import DataSpec, SeriesSpec
from workbench.specs.run import RunSpec, from_dict
from workbench.worker.trained import task_of

CPU = torch.device("cpu")
STRAIGHT = [{"kind": "series_linear", "out_steps": 3, "kernel_size": 5}, {"kind": "flatten"}]


@pytest.fixture
def data(tmp_path: Path) -> SeriesData:
    """Two waves with a little noise: easy to tell, but not by the last value."""
    at = np.arange(300)[:, None]
    noise = np.random.default_rng(0).normal(scale=0.05, size=(300, 2))
    values = np.concatenate([np.sin(at / 3), 100 * np.cos(at / 4)], axis=1) + noise
    spec = DataSpec(name="s", validation=0.2, test=0.2, series=SeriesSpec(look_back=20, horizon=3))
    return load(folder_of(tmp_path, values), spec)


def spec_of(layers: Any = STRAIGHT, task: dict[str, Any] | None = None, **training: Any) -> RunSpec:
    usual = {"batch_size": 16, "device": "cpu", "threads": 1, "optimizer": {"kind": "adam", "lr": 0.01}}
    tree = {"model": {"layers": layers}, "task": {"kind": "forecasting", **(task or {})}}
    return from_dict({**tree, "training": {**usual, "epochs": 3, **training}})


def run(data: SeriesData, spec: RunSpec, **more: Any) -> list[Any]:
    return list(fit(build(spec.model, data.shape, seed=0), data, task_of(spec, data), spec, **more))


def records(flushes: list[Any], kind: type) -> list[Any]:
    return [record for flush in flushes for record in flush.records if isinstance(record, kind)]


@pytest.mark.parametrize("holes", [False, True])
def test_a_batch_is_the_windows_that_its_rows_name(
    data: SeriesData, monkeypatch: pytest.MonkeyPatch, holes: bool
):
    if holes:  # of a set that was filled along lines: the value before a gap is another
        filled = np.random.default_rng(1).random(data.train.values.shape) < 0.3
        data = replace(data, train=data.train.of(data.train.values, filled))
        assert data.train.held is not None
    task = task_of(spec_of(), data)
    near = feed_for(data.train, data, task, CPU)
    monkeypatch.setattr(room, "SHARE", -1.0)  # as where the device has no room for the series
    far = feed_for(data.train, data, task, CPU)
    assert (near.is_near, far.is_near) == (True, False)
    sizes = [16] * (near.n // 16) + [near.n % 16]
    seen = []
    for one, other in zip(near.shuffled(3, 1, sizes), far.shuffled(3, 1, sizes), strict=True):
        (x, y), (same_x, same_y) = near.batch(one), far.batch(other)
        assert torch.equal(x, same_x)
        assert torch.equal(y.nan_to_num(9), same_y.nan_to_num(9))
        assert y.isnan().any() == holes
        for k, row in enumerate(one.tolist()):
            i = int(np.flatnonzero(data.train.index == row)[0])
            assert np.array_equal(x[k], data.train.seen(i))
            truth = data.train.truth(row + np.arange(3))
            assert np.array_equal(y[k], truth, equal_nan=True)
            seen.append(row)
    assert sorted(seen) == data.train.index.tolist()  # every window once an epoch


def test_it_learns_to_beat_both_floors(data: SeriesData):
    flushes = run(data, spec_of(epochs=20))
    losses = [r for r in records(flushes, Scalars) if r.key == "val/scaled_mae"]
    floors = room.floors(data.validation, data, task_of(spec_of(), data))
    assert losses[-1].values[-1] < 0.3 * floors["persistence"]["scaled_mae"]
    assert any(r.key == "train/scaled_mae" for r in records(flushes, Scalars))
    assert not any("accuracy" in r.key for r in records(flushes, Scalars))


@pytest.mark.parametrize("task", [{}, {"loss": "quantile"}, {"loss": "huber"}])
def test_a_resumed_run_equals_one_that_never_stopped(data: SeriesData, task: dict[str, Any]):
    layers = [{**STRAIGHT[0], "out_steps": 9}, STRAIGHT[1]] if task.get("loss") == "quantile" else STRAIGHT
    whole = run(data, spec_of(layers, task, steps=40, epochs=None))
    half = run(data, spec_of(layers, task, steps=17, epochs=None))
    saved = from_bytes(half[-1].checkpoints[-1].blob)
    rest = run(data, spec_of(layers, task, steps=40, epochs=None), resume=saved)

    def losses(flushes: list[Any]) -> dict[int, float]:
        chunks = [r for r in records(flushes, Scalars) if r.key == "train/loss"]
        return {int(s): float(v) for r in chunks for s, v in zip(r.steps, r.values, strict=True)}

    expected = {step: loss for step, loss in losses(whole).items() if step > 17}
    assert losses(rest) == expected
    assert saved.meta["carried"].items() >= data.carried.items()  # the scale goes with the model
    both = [from_bytes(part[-1].checkpoints[-1].blob).meta["carried"] for part in (whole, rest)]
    assert both[0] == both[1]  # and what a band is stretched by
    assert ("widths" in both[0]) == (task.get("loss") == "quantile")


def test_panels_show_the_same_windows_changing_and_their_errors(data: SeriesData):
    first, last = (
        [r for r in records(run(data, spec_of(epochs=epochs)), Panel) if r.topic == "forecast"][-1]
        for epochs in (1, 3)
    )
    flushes = run(data, spec_of(epochs=3))
    assert first.data["windows"] == last.data["windows"]
    assert np.array_equal(first.arrays["truth"], last.arrays["truth"])
    assert not np.array_equal(first.arrays["told"], last.arrays["told"])
    n = len(first.data["windows"])
    assert first.arrays["past"].shape[::2] == (n, 2)
    assert first.arrays["told"].shape == (n, 3, 3, 2)
    i = first.data["windows"][0]
    own = data.validation.truth(data.validation.index[i] + np.arange(3)) * data.std + data.mean
    np.testing.assert_allclose(first.arrays["truth"][0], own, rtol=1e-4)
    assert (first.arrays["told"][:, :, 0] < first.arrays["told"][:, :, 1]).all()  # a band of its errors
    horizon = next(r for r in records(flushes, Panel) if r.topic == "horizon")
    assert len(horizon.data["steps"]["mae"]) == 3
    assert horizon.data["floors"].keys() == {"persistence", "seasonal"}
    assert [row["variate"] for row in horizon.data["variates"]] == ["a", "b"]


def test_what_was_filled_is_not_drawn_as_truth(data: SeriesData):
    filled = np.zeros(data.train.values.shape, bool)
    at = int(data.validation.index[0])
    filled[at + 1, 1] = True
    holed = replace(data, validation=data.validation.of(data.validation.values, filled))
    model = build(spec_of().model, data.shape, seed=0).eval()
    with torch.inference_mode():
        _, arrays = forecasts(model, holed, task_of(spec_of(), data), 8, None)
    assert np.argwhere(np.isnan(arrays["truth"])).tolist() == [[0, 1, 1]]
    assert np.isfinite(arrays["past"]).all()


def test_attention_is_followed_on_windows_whose_steps_are_moments(data: SeriesData):
    layers = [
        {"kind": "linear", "out_features": 8}, {"kind": "positions"},
        {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 8},
        {"kind": "sequence_pool"}, {"kind": "linear", "out_features": 6},
    ]  # fmt: skip
    spec = spec_of(layers)
    watch = Watcher.over(spec.model, spec.watch, data, prepare=lambda *_: torch.empty(0))
    model = build(spec.model, data.shape, seed=0)
    found = watch.look(model, 0, 0.0, 0.0)
    probe = next(r for r in found if isinstance(r, Panel))
    assert probe.data["items"][0]["tokens"][0].startswith("2020-01-0")
    assert probe.data["width"] == 20
    (tiles,) = [r for r in found if not isinstance(r, Panel)]
    assert tiles.pixels.shape[1:] == (20, 20)
    assert [a.step for a, b in pairwise([tiles, tiles])] == [0]

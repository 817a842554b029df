"""Homes and specs written by older versions open in today's. One folder a schema version; never edited."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.processes import living_home, until
from workbench.engine.checkpoint import from_bytes
from workbench.jobs import runs as jobs
from workbench.records import RunState, Tiles
from workbench.specs.run import parse
from workbench.store import Store, open_store

HERE = Path(__file__).resolve().parent


@pytest.fixture
def opened(home: Path, request: pytest.FixtureRequest) -> Store:
    shutil.copytree(HERE / request.param, home)
    return open_store()


@pytest.mark.parametrize("opened", ["home_v1"], indirect=True)
def test_a_finished_run_of_an_older_version_is_all_there(opened: Store) -> None:
    run = opened.runs.get("golden, version 1")
    assert run.state is RunState.FINISHED
    assert run.spec == parse((HERE / "spec_v1.yaml").read_text(encoding="utf-8"))
    losses = opened.scalars.read(run.id, ["train/loss"])["train/loss"]
    np.testing.assert_array_equal(losses.steps, np.arange(1, run.step + 1))
    assert run.metrics["val/loss"]["best"] < losses.values[0]
    assert {info.name for info in opened.checkpoints.list(run.id)} == {"best", "last"}
    assert len(opened.checkpoints.read(run.id, "last")) > 100_000
    first = opened.snapshots.load(run.id, "filters/0", 0)
    newest = opened.snapshots.load(run.id, "filters/0")
    assert isinstance(first, Tiles)
    assert isinstance(newest, Tiles)
    assert first.pixels.shape == (16, 3, 3)
    assert (first.pixels != newest.pixels).any()


@pytest.mark.parametrize("opened", ["home_v1"], indirect=True)
def test_an_older_home_takes_new_runs(opened: Store) -> None:
    old = opened.runs.get("golden, version 1")
    new = opened.runs.create(old.spec, parent=old.id)
    assert opened.runs.get(new.id).state is RunState.QUEUED
    assert opened.runs.count() == 2


@pytest.mark.parametrize("opened", ["home_v2"], indirect=True)
def test_what_version_2_added_is_all_there(opened: Store) -> None:
    run = opened.runs.get("golden, version 2")
    assert run.state is RunState.FINISHED
    assert run.spec == parse((HERE / "spec_v2.yaml").read_text(encoding="utf-8"))
    (line,) = opened.ledger.list(run.id)
    assert (line.step, line.changes["training.freeze"]) == (15, [0])
    assert run.active_s is not None
    assert run.data_version == 1
    assert run.slot == "cpu"
    checkpoint = from_bytes(opened.checkpoints.read(run.id, "last"))
    assert checkpoint.part("ema").keys() < checkpoint.part("model").keys()
    parked = opened.runs.get("golden, parked")
    assert (parked.state, parked.parked, parked.step) == (RunState.PAUSED, True, 10)
    held = opened.runs.get("golden, held")
    assert (held.state, held.held) == (RunState.QUEUED, True)


@pytest.mark.slow
def test_a_run_parked_by_an_older_version_goes_on_to_its_end(tmp_path: Path) -> None:
    shutil.copytree(HERE / "home_v2", tmp_path / "home")
    with living_home(tmp_path / "home") as opened:
        parked, steered = opened.runs.get("golden, parked"), opened.runs.get("golden, version 2")
        jobs.resume(opened, parked.id)
        until(lambda: opened.runs.get(parked.id).state.is_over, "its end")
        assert opened.runs.get(parked.id).state is RunState.FINISHED
        one, other = (opened.scalars.read(r.id, ["train/loss"])["train/loss"] for r in (parked, steered))
        np.testing.assert_array_equal(one.steps, np.arange(1, 41))
        # Equal spec and seed: the same run, up to the step at which the other one was steered.
        np.testing.assert_allclose(one.values[:15], other.values[:15], rtol=1e-3)
        assert not np.allclose(one.values[15:], other.values[15:], rtol=1e-3)

"""Homes and specs written by older versions open in today's. One folder a schema version; never edited."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

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

"""Rows of a table in the loop: the same bits near and far; columns that matter are told from the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.data import TableData, load, prepare
from workbench.engine.batches import batch_sizes
from workbench.engine.evaluate import evaluate
from workbench.engine.fit import fit
from workbench.engine.tables import TableFeed
from workbench.models.build import build
from workbench.probes.columns import ColumnImportance, probe_rows
from workbench.records import Panel
from workbench.specs.data import DataSpec
from workbench.specs.run import from_dict
from workbench.specs.tables import TableImport
from workbench.worker.trained import task_of

CPU = torch.device("cpu")
LAYERS = [
    {"kind": "column_embedding"}, {"kind": "linear", "out_features": 16}, {"kind": "relu"},
    {"kind": "linear", "out_features": 1},
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> TableData:
    """A price that follows from the area and the town, and not from the noise."""
    draw = np.random.default_rng(0)
    area, noise, town = draw.uniform(20, 200, 400), draw.normal(size=400), draw.choice(["a", "b"], 400)
    price = 1000 * area + 50_000 * (town == "b")
    lines = [f"{a:.2f},{n:.3f},{t},{p:.0f}" for a, n, t, p in zip(area, noise, town, price, strict=True)]
    (tmp_path / "t.csv").write_text("area,noise,town,price\n" + "\n".join(lines) + "\n")
    prepare(tmp_path / "t.csv", tmp_path / "set", table=TableImport(target=("price",)))
    found = load(tmp_path / "set", DataSpec(name="t"))
    assert isinstance(found, TableData)
    return found


def test_rows_near_and_far_are_the_same(data: TableData) -> None:
    near, far = TableFeed(data.train, CPU), TableFeed(data.train, CPU, room_bytes=0)
    assert near.is_near
    assert not far.is_near
    sizes = batch_sizes(near.n, 32)
    for one, other in zip(near.shuffled(3, 1, sizes), far.shuffled(3, 1, sizes), strict=True):
        for a, b in zip(near.batch(one), far.batch(other), strict=True):
            assert torch.equal(a, b)
    assert sum(len(y) for _, y in far.in_order(50)) == len(data.train)


def test_a_number_is_learned_and_told_in_its_own_unit(data: TableData) -> None:
    training = {"epochs": 30, "batch_size": 32, "optimizer": {"kind": "adamw", "lr": 0.01}, "device": "cpu"}
    spec = from_dict(
        {"data": {"name": "t"}, "model": {"family": "mlp", "layers": LAYERS}, "task": {"kind": "regression"},
         "training": training}
    )  # fmt: skip
    task, model = task_of(spec, data), build(spec.model, data.shape, seed=0)
    panels = [r for flush in fit(model, data, task, spec) for r in flush.records if isinstance(r, Panel)]
    found = evaluate(model, data.test, data, task, device="cpu")
    spread = float(np.std(data.test.y[:, 0])) * data.encoder.target_scale
    assert found.marks["rmse"] < 0.2 * spread
    assert found.marks["rmse"] > 100  # dollars, and not a share of the spread
    numbers = [panel for panel in panels if panel.topic == "numbers"][-1].data
    true = [pair[0] for pair in numbers["points"]]
    assert min(true) >= 20_000
    assert sum(numbers["counts"]) == len(data.validation)
    importance = ColumnImportance(data, task.loss).look(model, 1, 1.0, 0.0).data
    rises = dict(zip(importance["columns"], importance["rises"], strict=True))
    assert rises["area"] > rises["town"] > abs(rises["noise"])
    assert not any(p.grad is not None and p.grad.isnan().any() for p in model.parameters())


def test_probe_rows_are_told_by_their_columns(data: TableData) -> None:
    probe = probe_rows(data, 4)
    assert probe.inputs.shape == (4, 3)
    assert probe.items[0]["tokens"] == ["area", "noise", "town"]
    assert "area" in probe.items[0]["text"]

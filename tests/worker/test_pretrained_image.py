"""A pretrained image classifier through a whole run: checked, fine-tuned, watched, kept, and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.models import classifiers
from tests.worker.taught import taught
from workbench import catalog
from workbench.engine.batches import normalised
from workbench.engine.peaks import allocated_peak
from workbench.jobs.check import check
from workbench.models.build import build
from workbench.probes.watch import Watcher
from workbench.records import Panel
from workbench.specs.memory import step_bytes
from workbench.specs.run import RunSpec, from_dict
from workbench.store import open_store
from workbench.worker.looked import looked
from workbench.worker.trained import Shelf


def spec_of(folder: Path, **layer: Any) -> RunSpec:
    whole = {"kind": "pretrained_image", "source": str(folder), "num_labels": 10, **layer}
    return from_dict(
        {
            "data": {"name": "digits", "size": 32, "channels": 3, "normalize": "unit", "limit": 200},
            "model": {"family": "pretrained", "layers": [whole]},
            "training": {"steps": 3, "batch_size": 16, "optimizer": {"kind": "adamw", "lr": 0.01}},
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fields"),
    [("resnet", {"freeze_embeddings": True, "freeze_layers": 2}), ("vit", {"lora_rank": 2}), ("vit", {})],
)
def test_it_is_fine_tuned_watched_and_asked(kind: str, fields: dict[str, Any], tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    folder = classifiers.saved(kind, tmp_path / "model")
    spec = spec_of(folder, **fields)
    report = check(store, spec)
    assert report.ok, report.problems
    assert any("its classifier is put aside" in p.fact for p in report.problems)
    assert not check(store, spec.with_changes("data.normalize=standardize")).ok
    run = taught(store, spec)
    trained = Shelf(store).get(run)
    data = catalog.load(store, spec.data)
    x = normalised(data.test.x[:4], data.mean, data.std)
    fresh = build(spec.model, data.shape, seed=spec.seed).eval()
    with torch.no_grad():
        assert not torch.allclose(trained.model(x), fresh(x)), "it has learned"
    resting = [n for n, p in fresh.named_parameters() if not p.requires_grad]
    assert bool(resting) == bool(fields)
    for name in resting:
        assert torch.equal(trained.model.get_parameter(name), fresh.get_parameter(name)), name
    if kind == "vit":
        watcher = Watcher.over(spec.model, spec.watch, data, normalised)
        panel, *tiles = watcher.look(trained.model, 3, 1.0, 0.0)
        assert isinstance(panel, Panel)
        assert panel.data["patches"]["rows"] == 4
        assert [t.topic for t in tiles] == ["attention/0", "attention/1", "attention/2"]
        told = looked(trained, data.test.x[0])
        assert told is not None
        assert len(told["layers"]) == 3


@pytest.mark.parametrize("kind", classifiers.SIZES)
def test_its_memory_is_told_roughly(kind: str, tmp_path: Path) -> None:
    folder = classifiers.saved(kind, tmp_path)
    spec = spec_of(folder)
    model = build(spec.model, (3, 32, 32), seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    x, y = torch.rand(32, 3, 32, 32), torch.arange(32) % 10

    def step() -> object:
        loss = F.cross_entropy(model(x.clone()), y)
        loss.backward()
        return loss

    step()
    said, seen = step_bytes(spec, (3, 32, 32), 10, 32), allocated_peak(step)
    assert seen / 2.5 < said < 2.5 * seen

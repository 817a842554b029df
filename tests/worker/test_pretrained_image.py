"""A pretrained image classifier through a whole run: checked, fine-tuned, watched, kept, and asked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.engine.tiny import Seen
from tests.models import classifiers
from tests.worker.taught import taught
from workbench import catalog
from workbench.data.dataset import Split
from workbench.engine import fit as loop
from workbench.engine.batches import normalised
from workbench.engine.checkpoint import from_bytes, to_bytes
from workbench.engine.evaluate import evaluate, predict
from workbench.engine.peaks import allocated_peak
from workbench.engine.trainer import Trainer
from workbench.export.code import pytorch_code
from workbench.jobs.check import check
from workbench.models.build import build
from workbench.probes.watch import Watcher
from workbench.records import Panel
from workbench.specs.memory import step_bytes
from workbench.specs.run import RunSpec, from_dict
from workbench.store import Store, open_store
from workbench.worker.looked import looked
from workbench.worker.trained import Shelf, task_of


def spec_of(folder: Path, size: int = 32, **layer: Any) -> RunSpec:
    whole = {"kind": "pretrained_image", "source": str(folder), "num_labels": 10, **layer}
    return from_dict(
        {
            "data": {"name": "digits", "size": size, "channels": 3, "normalize": "unit", "limit": 200},
            "model": {"family": "pretrained", "layers": [whole]},
            "training": {"steps": 3, "batch_size": 16, "optimizer": {"kind": "adamw", "lr": 0.01}},
        }
    )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that knows the digits."""
    store = open_store(tmp_path_factory.mktemp("home"))
    catalog.with_shipped(store, "digits")
    return store


@pytest.mark.parametrize("kind", classifiers.SIZES)
def test_every_family_goes_the_whole_way(kind: str, shelf: Store, tmp_path: Path) -> None:
    """Checked, trained, resumed bit for bit, evaluated, asked, and written as a script of its own."""
    folder, shape = classifiers.saved(kind, tmp_path), classifiers.shape_of(kind)
    changes = ("data.limit=48", "training.steps=2", "training.batch_size=8", "data.validation=0.01")
    spec = spec_of(folder, size=shape[1]).with_changes(*changes)
    report = check(shelf, spec)
    assert report.ok, report.problems
    data = catalog.load(shelf, spec.data)
    task = task_of(spec, data)
    whole = Seen(model=build(spec.model, shape, seed=spec.seed))
    whole.flushes += loop.fit(whole.model, data, task, spec)
    trainer = Trainer(build(spec.model, shape, seed=spec.seed), data, task, spec)
    trainer.advance(*next(iter(trainer.rest_of_epoch())))
    half = from_bytes(to_bytes(trainer.capture(metrics={})))
    resumed = Seen(model=build(spec.model, shape, seed=5))
    resumed.flushes += loop.fit(resumed.model, data, task, spec, resume=half)
    assert all(torch.equal(v, resumed.model.state_dict()[n]) for n, v in whole.model.state_dict().items())
    some = Split(*(part[:20] for part in (data.test.x, data.test.y, data.test.index)))
    judged = evaluate(whole.model, some, data, task, device="cpu")
    assert judged.n == 20
    assert math.isfinite(judged.loss)
    asked = predict(whole.model, some.x[:2], data.mean, data.std, task)
    assert np.allclose(asked, judged.probabilities[:2], atol=1e-5)
    scope: dict[str, Any] = {"__name__": "exported"}
    exec(compile(pytorch_code(spec.model, shape, 10), "exported.py", "exec"), scope)
    script = scope["Net"]().eval()
    script.load_state_dict({n.removeprefix("0."): v for n, v in whole.model.state_dict().items()})
    x = torch.rand(2, *shape)
    with torch.no_grad():
        assert torch.allclose(script(x), whole.model.eval()(x), atol=1e-5)


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


@pytest.mark.parametrize("kind", ["vit", "dinov2", "convnext", "resnet", "mobilenet_v2", "swin", "cvt"])
def test_its_memory_is_told_roughly(kind: str, tmp_path: Path) -> None:
    more = {"depth_multiplier": 0.5} if kind == "mobilenet_v2" else {}
    spec, shape = spec_of(classifiers.saved(kind, tmp_path, **more)), classifiers.shape_of(kind)
    model = build(spec.model, shape, seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    x, y = torch.rand(32, *shape), torch.arange(32) % 10

    def step() -> object:
        loss = F.cross_entropy(model(x.clone()), y)
        loss.backward()
        return loss

    step()
    said, seen = step_bytes(spec, shape, 10, 32), allocated_peak(step)
    assert seen / 1.5 < said < 1.5 * seen

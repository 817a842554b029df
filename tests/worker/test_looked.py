"""Where a Vision Transformer looked in a picture of one's own, as the predict page shows it."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.worker.taught import taught
from workbench.engine.batches import normalised
from workbench.probes.attention import attention_of
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.vision_presets import vit
from workbench.store import Store, open_store
from workbench.ui.looked import DIMMED, heat, maps_of
from workbench.worker.answering import Answers


def spec_of(*gone: str) -> RunSpec:
    layers = [layer for layer in vit(2, 16, 2, 2, 16, 10) if layer["kind"] not in gone]
    for layer in layers:
        if layer["kind"] == "sequence_pool" and "class_token" in gone:
            layer["mode"] = "mean"
    return from_dict(
        {"data": {"name": "digits"}, "model": {"family": "vit", "layers": layers}, "training": {"steps": 2}}
    )


def answer(store: Store, run: str, **more: object) -> dict:
    answers = Answers(store)
    out = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(out, "PNG")
    image = {"name": "a.png", "content": base64.b64encode(out.getvalue()).decode()}
    (found,) = answers.answer("predict", {"run": run, "images": [image], **more})
    return {**found, "answers": answers}


@pytest.mark.slow
@pytest.mark.parametrize("gone", [(), ("class_token",)])
def test_the_answer_tells_where_every_head_looked(tmp_path: Path, gone: tuple[str, ...]) -> None:
    store = open_store(tmp_path)
    run = taught(store, spec_of(*gone))
    found = answer(store, run, attention=True)
    looked = found["looked"]
    trained = found["answers"].shelf.get(run)
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    seen = attention_of(trained.model, normalised(pixels, trained.data.mean, trained.data.std))
    assert [layer["name"] for layer in looked["layers"]] == list(seen)
    assert looked["has_class"] is (not gone)
    for layer, weights in zip(looked["layers"], seen.values(), strict=True):
        row = weights[0, :, 0, 1:] if not gone else weights[0].mean(dim=1)
        expected = row.numpy().reshape(2, 4, 4)
        assert maps_of(layer, 4, 4) == pytest.approx(expected, abs=layer["most"] / 400)
    through = [0.5 * w[0].mean(dim=0).numpy() + 0.5 * np.eye(w.shape[3]) for w in seen.values()]
    whole = through[1] @ through[0]
    expected = whole[0, 1:] if not gone else whole.mean(axis=0)
    assert maps_of(looked["whole"], 4, 4)[0].ravel() == pytest.approx(expected, abs=1e-2)
    assert "looked" not in answer(store, run), "the command line does not pay for it"


@pytest.mark.slow
def test_a_network_of_convolutions_has_nothing_to_tell(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run = taught(store, preset("mlp-tiny").spec.with_changes("training.steps=1"))
    assert answer(store, run, attention=True)["looked"] is None


def test_heat_lies_where_the_weights_are() -> None:
    picture = np.full((4, 6), 200, np.uint8)
    weights = np.zeros((2, 3))
    weights[1, 2] = 1.0
    found = heat(picture, weights, 24)
    assert found.shape == (16, 24, 3)
    assert (found[:8] == round(200 * DIMMED)).all(), "no heat on the upper half"
    assert (found[8:, 16:, 0] > 200).all(), "and hot at the lower right"
    assert (found[8:, :16] == round(200 * DIMMED)).all()


def test_attention_that_is_alike_everywhere_is_pale() -> None:
    even = heat(np.zeros((4, 4), np.uint8), np.full((4, 4), 1 / 16), 4)
    peak = heat(np.zeros((4, 4), np.uint8), np.eye(4)[:1].repeat(4, 0) / 4, 4)
    assert even.max() < 0.6 * peak.max()

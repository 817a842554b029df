"""Presets have the parameters that others have published for these networks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS, convnext, preset
from workbench.specs.text_presets import TEXT_PRESETS


def with_classes(model: ModelSpec, n: int) -> ModelSpec:
    last = model.layers[-1].model_copy(update={"out_features": n})
    return model.model_copy(update={"layers": (*model.layers[:-1], last)})


@pytest.mark.parametrize(
    ("name", "classes", "shape", "parameters"),
    [
        ("resnet-18", 1000, (3, 224, 224), 11_689_512),  # torchvision, torchinfo's own test outputs
        ("vgg-16", 1000, (3, 224, 224), 138_357_544),  # sksq96/pytorch-summary README
        ("resnet-20", 10, (3, 32, 32), 272_474),  # He et al. 2016, with projections (option B)
    ],
)
def test_a_known_network_has_its_published_parameters(name, classes, shape, parameters):
    assert with_classes(preset(name).spec.model, classes).n_params(shape) == parameters


def test_resnet_18_has_its_published_stages_and_mult_adds():
    # torchinfo tests/test_output/resnet18_depth_consistency.out, 3×64×64
    rows = with_classes(preset("resnet-18").spec.model, 1000).rows((3, 64, 64))
    stages = {}
    for row in rows:
        if row.children:
            stages.setdefault(row.out_shape, []).append(row.parameters)
    assert {shape: sum(counts) for shape, counts in stages.items()} == {
        (64, 16, 16): 147_968,
        (128, 8, 8): 525_568,
        (256, 4, 4): 2_099_712,
        (512, 2, 2): 8_393_728,
    }
    assert rows[-1].parameters == 513_000
    assert round(sum(row.mult_adds for row in rows) / 1e6, 2) == 148.57


def test_resnet_18_sees_as_far_as_published():
    # Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural Networks": 435 for ResNet-18
    rows = preset("resnet-18").spec.model.rows((3, 224, 224))
    assert rows[-3].receptive_field == 435


def test_the_convnext_builder_gives_convnext_tiny():
    # torchvision.models.convnext_tiny: 28,589,128 parameters
    layers = convnext([96, 192, 384, 768], [3, 3, 9, 3], 4, 1000)
    assert ModelSpec.model_validate({"layers": layers}).n_params((3, 224, 224)) == 28_589_128


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_tells_its_size_truly(name):
    text = PRESETS[name].about
    spec = PRESETS[name].spec
    known = {"cnn-rgb": (3, 24, 24), "mlp-tiny": (1, 8, 8), "cnn-digits": (1, 8, 8), "mlp-big": (1000,)}
    shape = known.get(name, (1, 28, 28))
    if "parameters" in text and "million" not in text and "Under" not in text and "under" not in text:
        assert f"{spec.model.n_params(shape):,} parameters" in text


# ---------------------------------------------------------------- what presets of texts promise

OF_TEXTS = [row[0] for row in TEXT_PRESETS]
MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "presets.json"
PROMISE = re.compile(
    r"(Accuracy|Perplexity|BLEU|Exact match) (above|below) (\d+(?:\.\d+)?)(?: \(.*?\))? "
    r"on the (test|validation) split"
)


def promised(name: str) -> tuple[str, str, float, str]:
    """(mark, sense, number, split) of the one score that a preset states."""
    found = PROMISE.findall(PRESETS[name].about)
    assert len(found) == 1, PRESETS[name].about
    mark, sense, number, split = found[0]
    return mark.lower(), sense, float(number), split


def measured() -> dict[str, Any]:
    """Figures by what they are of."""
    return {f["what"]: f for f in json.loads(MEASURED.read_text(encoding="utf-8"))["figures"]}


@pytest.mark.parametrize("name", OF_TEXTS)
def test_every_preset_of_texts_states_a_score_that_was_measured(name: str):
    mark, sense, number, split = promised(name)
    figure = measured()[f"`{name}`, {mark}"]
    value, slack = figure["value"], 0.2 * number if mark in ("bleu", "perplexity") else 0.03
    reached = value - number if sense == "above" else number - value
    assert 0 <= reached <= slack, "a promise is kept, and says about what there is"
    data = PRESETS[name].spec.data
    assert re.search(rf"samples of {re.escape(data.name)}, {split};", figure["note"])
    assert split == ("test" if data.test else "validation")


def test_what_was_measured_is_the_presets_there_are():
    assert {re.match("`(.*?)`", what)[1] for what in measured()} == {*OF_TEXTS}

"""Images cut into patches: what fits, what is refused, and the repair in one click."""

from __future__ import annotations

import pytest

from workbench.specs.edits import apply
from workbench.specs.errors import LayerError
from workbench.specs.inside import attends, patch_grid
from workbench.specs.layers import LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.patches import PatchEmbedding
from workbench.specs.presets import preset


def test_an_image_becomes_a_step_per_patch():
    layer = PatchEmbedding(patch_size=4, embed_dim=64)
    assert layer.out_shape((1, 28, 28)) == (49, 64)
    assert layer.out_shape((3, 32, 64)) == (128, 64)
    assert layer.grid((3, 32, 64)) == (8, 16)


@pytest.mark.parametrize(
    ("shape", "size", "repair"),
    [
        ((1, 28, 28), 5, "Set patch_size to 4."),
        ((1, 28, 28), 8, "Set patch_size to 7."),
        ((3, 32, 32), 6, "Set patch_size to 4."),
        ((3, 30, 30), 16, "Set patch_size to 15."),
        ((1, 29, 29), 4, "Bring the image to 28×28 before it."),
        ((1, 3, 3), 16, "Bring the image to 16×16 before it."),
        ((1, 509, 509), 4, "Bring the image to 64×64 before it."),
        ((1, 277, 277), 128, "Set patch_size to 1."),
        ((1, 511, 511), 256, "Set patch_size to 1."),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_with_the_repair(shape, size, repair):
    with pytest.raises(LayerError) as refusal:
        PatchEmbedding(patch_size=size).out_shape(shape)
    assert refusal.value.problems[0].repair == repair


@pytest.mark.parametrize("size", [3, 4, 16, 100])
def test_the_repair_in_one_click_works_for_every_side(size):
    layers = [{"kind": "patch_embedding", "patch_size": size}]
    model = ModelSpec.model_validate({"layers": layers})
    for side in (n for n in range(1, 65) if n % size):
        problem = model.rows((1, side, side))[0].problem
        mended = ModelSpec.model_validate({"layers": apply(layers, problem.fix)})
        assert len(mended.out_shape((1, side, side))) == 2, side


@pytest.mark.parametrize("kind", ["transformer_encoder_layer", "multihead_attention", "class_token"])
def test_attention_on_an_image_gets_its_patches_in_one_click(kind):
    model = ModelSpec.model_validate({"layers": [{"kind": kind}]})
    (problem, *_) = model.problems((3, 36, 36), 10)
    assert "patch_embedding" in problem.repair
    mended = ModelSpec.model_validate({"layers": apply([{"kind": kind}], problem.fix)})
    assert mended.layers[0].kind == "patch_embedding"
    assert mended.rows((3, 36, 36))[0].out_shape == (81, 64)


def test_patches_without_places_are_doubted_with_the_repair():
    layers = [
        {"kind": "patch_embedding"}, {"kind": "transformer_encoder_layer"}, {"kind": "sequence_pool"},
        {"kind": "linear", "out_features": 10},
    ]  # fmt: skip
    (problem,) = ModelSpec.model_validate({"layers": layers}).problems((1, 28, 28), 10)
    assert "places of the patches" in problem.rule
    mended = ModelSpec.model_validate({"layers": apply(layers, problem.fix)})
    assert [layer.kind for layer in mended.layers[:2]] == ["patch_embedding", "positions"]
    assert not mended.problems((1, 28, 28), 10)


def test_a_design_knows_its_patches():
    model = preset("vit-fashion").spec.model
    assert attends(model)
    assert patch_grid(model, (1, 28, 28)) == (7, 7)
    assert patch_grid(model, (1, 28, 56)) == (7, 14)
    assert patch_grid(model, (1, 30, 30)) is None, "a design that does not fit has none"
    pooled = ModelSpec(layers=(LAYERS["max_pool2d"](), *model.layers))
    assert patch_grid(pooled, (1, 56, 56)) == (7, 7)
    assert patch_grid(preset("cnn-mnist").spec.model, (1, 28, 28)) is None


def test_attention_sees_the_whole_image_and_a_patch_its_own_pixels():
    rows = preset("vit-tiny").spec.model.rows((1, 28, 28))
    assert rows[0].receptive_field == 4
    assert rows[3].receptive_field is None

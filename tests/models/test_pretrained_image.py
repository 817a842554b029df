"""Pretrained image classifiers: equal to the library's own, frozen and slowed down as asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.models import classifiers
from workbench.models.build import build
from workbench.probes.attention import attention_of
from workbench.probes.patches import is_of_patches
from workbench.specs.data import DataSpec
from workbench.specs.errors import LayerError, RunError, SpecError
from workbench.specs.image_folder import FAMILIES, TRANSFORMERS
from workbench.specs.inside import attends, patch_grid
from workbench.specs.model import ModelSpec
from workbench.specs.pretrained_image import PretrainedImage, picture_problems

SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("classifiers")
    return {kind: classifiers.saved(kind, place / kind) for kind in FAMILIES}


def layer_of(folder: Path, **fields: Any) -> PretrainedImage:
    return PretrainedImage(source=str(folder), **{"num_labels": 3, **fields})


def model_of(folder: Path, **fields: Any) -> ModelSpec:
    return ModelSpec(family="pretrained", layers=(layer_of(folder, **fields),))


def images(n: int = 2, seed: int = 0, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def of_the_library(folder: Path) -> nn.Module:
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(folder, local_files_only=True).eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("kind", FAMILIES)
def test_scores_and_parameters_are_the_librarys_own(kind: str, folders: dict[str, Path]) -> None:
    theirs = of_the_library(folders[kind])
    ours = build(model_of(folders[kind], head="kept"), SHAPE, seed=0).eval()
    x = images()
    scaled = (x - torch.tensor(classifiers.MEAN).view(3, 1, 1)) / torch.tensor(classifiers.STD).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(pixel_values=scaled).logits, atol=1e-5)
    assert model_of(folders[kind]).n_params(SHAPE) == parameters(theirs)
    assert {n.removeprefix("0.network.") for n in ours.state_dict()} == set(theirs.state_dict())


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("labels", [None, 7])
def test_a_fresh_classifier_stands_on_the_checkpoints_base(
    kind: str, labels: int | None, tmp_path: Path
) -> None:
    folder = classifiers.saved(kind, tmp_path, labels=labels)
    spec = model_of(folder, num_labels=5)
    one, other = build(spec, SHAPE, seed=0), build(spec, SHAPE, seed=0)
    assert parameters(one) == spec.n_params(SHAPE)
    state = one.state_dict()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in state.items())
    again = build(spec, SHAPE, seed=1).state_dict()
    changed = {name for name in state if not torch.equal(state[name], again[name])}
    assert changed == {f"0.network.{FAMILIES[kind].head}.weight"}, "the head follows the run's seed, alone"
    assert one.eval()(images()).shape == (2, 5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_layers_are_frozen_from_the_input_on(kind: str, folders: dict[str, Path]) -> None:
    layer = layer_of(folders[kind], freeze_embeddings=True, freeze_layers=2)
    model = build(ModelSpec(layers=(layer,)), SHAPE, seed=0)
    found = layer.checkpoint()
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert parameters(model) - sum(model.get_parameter(n).numel() for n in learning) == layer.n_frozen(SHAPE)
    depths = {found.depth(n.removeprefix("0.network.")) for n in learning}
    assert depths == set(range(3, found.layers + 2))
    before = {n: v.clone() for n, v in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    nn.functional.cross_entropy(model.train()(images(4)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    rests = {n for n in before if found.depth(re.sub(r"^0\.network\.", "", n)) in (0, 1, 2)}
    assert not moved & rests, "batch norms of frozen layers keep their statistics too"
    assert moved
    assert layer.rate(f"{FAMILIES[kind].head}.weight", found) == 1.0


def test_every_layer_may_learn_at_its_own_rate(folders: dict[str, Path]) -> None:
    model = build(model_of(folders["resnet"], lr_decay=0.5), SHAPE)
    rates = model[0].rates()
    assert rates["network.classifier.1.weight"] == 1.0
    assert rates["network.resnet.encoder.stages.2.layers.0.layer.0.convolution.weight"] == 0.5
    assert rates["network.resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"] == 0.5**4
    assert rates["network.resnet.embedder.embedder.convolution.weight"] == 0.5**5


@pytest.mark.parametrize("kind", ["vit", "dinov2", "swin", "convnext", "convnextv2"])
def test_lora_learns_matrices_and_the_classifier_alone(kind: str, folders: dict[str, Path]) -> None:
    layer = layer_of(folders[kind], lora_rank=2, freeze_layers=1)
    spec = ModelSpec(layers=(layer,))
    model, plain = build(spec, SHAPE, seed=0), build(model_of(folders[kind]), SHAPE, seed=0)
    assert parameters(model) == layer.n_params(SHAPE)
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in n or "classifier" in n for n in learning)
    assert sum(p.numel() for p in learning.values()) == layer.n_params(SHAPE) - layer.n_frozen(SHAPE)
    with torch.no_grad():  # its matrices begin at nothing
        assert torch.allclose(model.eval()(images()), plain.eval()(images()), atol=1e-5)
    kept = model.state_dict()
    assert len(kept) == len(learning) + 1, "and a mark of the weights that they stand beside"
    other = build(spec, SHAPE, seed=3)
    other.load_state_dict(kept)
    assert torch.equal(other.eval()(images()), model.eval()(images()))
    with pytest.raises(RunError):
        plain.load_state_dict(kept)


def test_lora_on_convolutions_is_refused_with_the_repair(folders: dict[str, Path]) -> None:
    with pytest.raises(LayerError) as refusal:
        layer_of(folders["resnet"], lora_rank=4).out_shape(SHAPE)
    assert refusal.value.problems[0].fix.edits[0].fields == {"lora_rank": None}


@pytest.mark.parametrize("kind", FAMILIES)
def test_mult_adds_are_near_the_products_that_torch_does(kind: str, folders: dict[str, Path]) -> None:
    shape = (3, 64, 64) if kind not in TRANSFORMERS else SHAPE
    model = build(model_of(folders[kind]), shape).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, *shape))
    said = model_of(folders[kind]).rows(shape)[0].mult_adds
    assert said == pytest.approx(counter.get_total_flops() / 2, rel=0.35)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_attention_over_the_patches_is_the_librarys(kind: str, folders: dict[str, Path]) -> None:
    spec = model_of(folders[kind], head="kept")
    assert attends(spec)
    assert patch_grid(spec, SHAPE) == (4, 4)
    model = build(spec, SHAPE).eval()
    seen = attention_of(model, images(3))
    assert len(seen) == 3
    assert all(is_of_patches(maps, (4, 4), 3) for maps in seen.values())
    assert all(torch.allclose(maps.sum(3), torch.ones(()), atol=1e-4) for maps in seen.values())
    assert attention_of(model, images(3)).keys() == seen.keys(), "and again"


def test_a_transformer_sees_other_sizes_with_its_places_stretched(folders: dict[str, Path]) -> None:
    spec = model_of(folders["vit"])
    assert spec.out_shape((3, 64, 64)) == (3,)
    assert build(spec, (3, 64, 64)).eval()(images(side=64)).shape == (2, 3)
    data = DataSpec(normalize="unit", size=64)
    told = picture_problems(spec.layers, data, (3, 64, 64))
    assert [p.where for p in told] == ["model.layers", "data.size"]
    assert {p.severity for p in told} == {"warning"}


@pytest.mark.parametrize(
    ("kind", "shape", "fact"),
    [
        ("vit", (1, 32, 32), "Set data.channels to 3."),
        ("vit", (3, 30, 30), "Set data.size to 32"),
        ("resnet", (3, 28, 28), "Set data.size to 32."),
    ],
)
def test_what_it_cannot_see_is_refused(kind: str, shape: Any, fact: str, folders: dict[str, Path]) -> None:
    with pytest.raises(LayerError) as refusal:
        layer_of(folders[kind]).out_shape(shape)
    assert refusal.value.problems[0].repair.startswith(fact)


def test_colours_must_come_as_they_are_and_a_replaced_classifier_is_told(folders: dict[str, Path]) -> None:
    (first, second) = picture_problems((layer_of(folders["resnet"], num_labels=10),), DataSpec(), SHAPE)
    assert (first.where, first.severity) == ("data.normalize", "error")
    assert "tells 3 classes and the run 10" in second.fact


def test_a_class_too_many_gets_the_repair(folders: dict[str, Path]) -> None:
    spec = model_of(folders["convnext"], head="kept")
    problem = spec.problems(SHAPE, 10)[0]
    assert problem.fix.edits[0].fields == {"num_labels": 10, "head": "new"}


def test_only_safetensors_are_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folders["vit"] / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"no")
    with pytest.raises(SpecError) as refusal:
        model_of(tmp_path).out_shape(SHAPE)
    assert "other formats can run programs" in str(refusal.value)
    assert "AutoModelForImageClassification" in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.json", '{"model_type": "bert"}', "Known:"),
        ("config.json", '{"model_type": ["vit"]}', "no word"),
        ("config.json", "{", "no JSON"),
        ("preprocessor_config.json", '{"image_mean": [1, 2]}', "each of 3 channels"),
        ("preprocessor_config.json", '{"image_std": [0, 1, 1]}', "not above zero"),
        ("model.safetensors", "x" * 100, "cut off"),
    ],
)
def test_damaged_folders_are_told(
    file: str, content: str, words: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    for path in folders["vit"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_text(content)
    with pytest.raises(LayerError) as refusal:
        layer_of(tmp_path).out_shape(SHAPE)
    assert words in str(refusal.value)


def test_a_model_that_was_not_fetched_is_told_how_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LayerError) as refusal:
        PretrainedImage(source="google/vit-base-patch16-224").out_shape(SHAPE)
    assert "workbench fetch google/vit-base-patch16-224" in refusal.value.problems[0].repair

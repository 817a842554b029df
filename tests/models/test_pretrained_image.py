"""Pretrained image classifiers: equal to the library's own, frozen and slowed down as asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.models import classifiers
from workbench.data.shipped import SHIPPED
from workbench.models.build import build
from workbench.probes.attention import attention_of
from workbench.probes.patches import is_of_patches
from workbench.specs.data import DataSpec
from workbench.specs.errors import LayerError, RunError, SpecError
from workbench.specs.image_families import FAMILIES, REFUSED, TAUGHT
from workbench.specs.image_names import today
from workbench.specs.inside import attends, patch_grid
from workbench.specs.model import ModelSpec
from workbench.specs.presets import preset
from workbench.specs.pretrained_image import PretrainedImage, picture_problems

SHAPE = (3, 32, 32)


class Folders(dict[str, Path]):
    """Folders by kind, each saved when it is asked for."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place

    def __missing__(self, kind: str) -> Path:
        self[kind] = classifiers.saved(kind, self.place / kind)
        return self[kind]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return Folders(tmp_path_factory.mktemp("classifiers"))


def layer_of(folder: Path, **fields: Any) -> PretrainedImage:
    return PretrainedImage(source=str(folder), **{"num_labels": 3, **fields})


def model_of(folder: Path, **fields: Any) -> ModelSpec:
    return ModelSpec(family="pretrained", layers=(layer_of(folder, **fields),))


def pixels(x: torch.Tensor, kind: str) -> dict[str, torch.Tensor]:
    """What the library is given of images on the 0..1 scale."""
    scaled = (x - torch.tensor(classifiers.MEAN).view(3, 1, 1)) / torch.tensor(classifiers.STD).view(3, 1, 1)
    if kind != "siglip2":
        return {"pixel_values": scaled}
    from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

    patches = [torch.as_tensor(convert_image_to_patches(image.numpy(), 8)) for image in scaled]
    side = x.shape[2] // 8
    return {
        "pixel_values": torch.stack(patches),
        "pixel_attention_mask": torch.ones(len(x), side * side, dtype=torch.long),
        "spatial_shapes": torch.tensor([[side, side]] * len(x)),
    }


def scores(output: Any) -> torch.Tensor:
    return output.logits if "logits" in output else output.last_hidden_state


def images(n: int = 2, seed: int = 0, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def of_the_library(folder: Path) -> nn.Module:
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(folder, local_files_only=True).eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_every_family_of_the_library_is_known() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    assert set(FAMILIES) | set(REFUSED) == set(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    assert set(FAMILIES) == set(classifiers.SIZES)


@pytest.mark.parametrize("kind", FAMILIES)
def test_scores_and_parameters_are_the_librarys_own(kind: str, folders: dict[str, Path]) -> None:
    theirs = of_the_library(folders[kind])
    shape = classifiers.shape_of(kind)
    spec = model_of(folders[kind], head="kept")
    ours = build(spec, shape, seed=0).eval()
    x = images(side=shape[1])
    with torch.no_grad():
        assert torch.allclose(ours(x), scores(theirs(**pixels(x, kind))), atol=1e-5)
    assert spec.n_params(shape) == parameters(theirs)
    assert {n.removeprefix("0.network.") for n in ours.state_dict()} == set(theirs.state_dict())
    found = spec.layers[0].checkpoint()
    named = {today(name, kind): size for name, size in found.weights(3).items()}
    assert named == {name: tuple(p.shape) for name, p in theirs.named_parameters()}


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_layer_is_used_after_those_below_it(kind: str, folders: dict[str, Path]) -> None:
    layer, used = layer_of(folders[kind]), list[int]()
    shape, found = classifiers.shape_of(kind), layer.checkpoint()
    depths = {today(name, kind): found.depth(name) for name in found.weights(3)}
    model = build(ModelSpec(layers=(layer,)), shape).eval()
    for name, module in model[0].network.named_modules():
        own = {depths[f"{name}.{part}"] for part, _ in module.named_parameters(recurse=False)}
        if own and not list(module.children()):
            module.register_forward_pre_hook(lambda *_, own=own: used.extend(own))
    with torch.no_grad():
        model(images(side=shape[1]))
    once = [depth for depth, next_one in zip(used, [*used[1:], -1], strict=True) if depth != next_one]
    loops = 8 if kind == "perceiver" else 1  # it goes through its layers several times
    assert once == sorted(set(once) - ({1, 2} if loops > 1 else set())) or loops > 1
    assert set(once) == set(range(found.layers + 2)) or kind == "ijepa"


@pytest.mark.parametrize("kind", sorted(set(FAMILIES) - {"pp_lcnet", "perceiver"}))
def test_a_fresh_classifier_stands_on_the_checkpoints_base(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    shape = classifiers.shape_of(kind)
    x = images(side=shape[1])
    for folder in (folders[kind], classifiers.saved(kind, tmp_path, labels=None)):
        spec = model_of(folder, num_labels=5)
        one, other = build(spec, shape, seed=0), build(spec, shape, seed=0)
        assert parameters(one) == spec.n_params(shape)
        state = one.state_dict()
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in state.items())
        again = build(spec, shape, seed=1).state_dict()
        changed = {name for name in state if not torch.equal(state[name], again[name])}
        heads = {f"0.network.{head}.weight" for head in FAMILIES[kind].heads}
        assert changed == heads, "the head follows the run's seed, alone"
        assert one.eval()(x).shape == (2, 5)


@pytest.mark.parametrize("kind", ["deit", "levit"])
def test_of_two_classifiers_the_mean_counts(kind: str, tmp_path: Path) -> None:
    name = next(name for name in TAUGHT if name.lower().startswith(kind))
    folder = classifiers.saved(kind, tmp_path, architecture=name)
    shape, theirs = classifiers.shape_of(kind), of_the_library(folder)
    assert type(theirs).__name__ == name
    spec = model_of(folder, head="kept")
    ours, x = build(spec, shape).eval(), images(side=shape[1])
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(**pixels(x, kind)).logits, atol=1e-5)
    assert spec.n_params(shape) == parameters(theirs)
    assert parameters(build(model_of(folder, num_labels=7), shape)) == model_of(
        folder, num_labels=7
    ).n_params(shape)


@pytest.mark.parametrize("kind", FAMILIES)
def test_layers_are_frozen_from_the_input_on(kind: str, folders: dict[str, Path]) -> None:
    layer = layer_of(folders[kind], freeze_embeddings=True, freeze_layers=2)
    shape = classifiers.shape_of(kind)
    model = build(ModelSpec(layers=(layer,)), shape, seed=0)
    found = layer.checkpoint()
    depths = {today(name, kind): found.depth(name) for name in found.weights(3)}
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    frozen = parameters(model) - sum(model.get_parameter(n).numel() for n in learning)
    assert frozen == layer.n_frozen(shape)
    top = {depths[n.removeprefix("0.network.")] for n in learning}
    assert top == set(range(3, found.layers + 2))
    before = {n: v.clone() for n, v in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    x = images(4, side=shape[1])
    nn.functional.cross_entropy(model.train()(x), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    plain = (n.removeprefix("0.network.") for n in moved)
    rests = {n for n in plain if depths.get(f"{n.rpartition('.')[0]}.weight", 9999) <= 2}
    assert not rests, "batch norms of frozen layers keep their statistics too"
    assert moved
    assert {layer.rate(depth, found) for depth in depths.values()} == {1.0}


def test_every_layer_may_learn_at_its_own_rate(folders: dict[str, Path]) -> None:
    model = build(model_of(folders["resnet"], lr_decay=0.5), SHAPE)
    rates = model[0].rates()
    assert rates["network.classifier.1.weight"] == 1.0
    assert rates["network.resnet.encoder.stages.2.layers.0.layer.0.convolution.weight"] == 0.5
    assert rates["network.resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"] == 0.5**4
    assert rates["network.resnet.embedder.embedder.convolution.weight"] == 0.5**5


@pytest.mark.parametrize("kind", FAMILIES)
def test_lora_learns_matrices_and_the_classifier_alone(kind: str, folders: dict[str, Path]) -> None:
    layer = layer_of(folders[kind], lora_rank=2, freeze_layers=1)
    spec = ModelSpec(layers=(layer,))
    shape, outer = classifiers.shape_of(kind), layer.checkpoint().outer
    x = images(side=shape[1])
    model, plain = build(spec, shape, seed=0), build(model_of(folders[kind]), shape, seed=0)
    assert parameters(model) == layer.n_params(shape)
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert any("lora_" in n for n in learning)
    assert all("lora_" in n or n.removeprefix("0.network.").startswith(outer) for n in learning)
    assert sum(p.numel() for p in learning.values()) == layer.n_params(shape) - layer.n_frozen(shape)
    with torch.no_grad():  # its matrices begin at nothing
        assert torch.allclose(model.eval()(x), plain.eval()(x), atol=1e-5)
    kept = model.state_dict()
    buffers = {n for n, _ in model.named_buffers()} & set(kept)
    assert len(kept) == len(learning) + len(buffers), "and a mark of the weights that they stand beside"
    other = build(spec, shape, seed=3)
    other.load_state_dict(kept)
    assert torch.equal(other.eval()(x), model.eval()(x))
    with pytest.raises(RunError):
        plain.load_state_dict(kept)


def test_lora_goes_where_it_is_told(folders: dict[str, Path]) -> None:
    found = layer_of(folders["vit"]).checkpoint()
    assert len(layer_of(folders["vit"], lora_rank=2, lora_targets="key").lora_shapes(found)) == 3
    assert (
        len(layer_of(folders["vit"], lora_rank=2, lora_targets="intermediate.dense").lora_shapes(found)) == 3
    )
    with pytest.raises(LayerError, match="Choose among dense, key, query, value") as refusal:
        layer_of(folders["vit"], lora_rank=4, lora_targets="rows").out_shape(SHAPE)
    assert refusal.value.problems[0].fix.edits[0].fields == {"lora_targets": ""}


@pytest.mark.parametrize("kind", FAMILIES)
def test_mult_adds_are_near_the_products_that_torch_does(kind: str, folders: dict[str, Path]) -> None:
    shape = (3, 64, 64) if FAMILIES[kind].sizes == "any" else classifiers.shape_of(kind)
    model = build(model_of(folders[kind]), shape).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(1, *shape))
    said = model_of(folders[kind]).rows(shape)[0].mult_adds
    print(kind, said / (counter.get_total_flops() / 2))
    assert said == pytest.approx(counter.get_total_flops() / 2, rel=0.35)


@pytest.mark.parametrize("kind", [kind for kind, family in FAMILIES.items() if family.attends])
def test_attention_over_the_patches_is_the_librarys(kind: str, folders: dict[str, Path]) -> None:
    spec = model_of(folders[kind], head="kept")
    assert attends(spec)
    assert patch_grid(spec, SHAPE) == (4, 4)
    model = build(spec, SHAPE).eval()
    seen = attention_of(model, images(3))
    assert len(seen) == 3
    assert all(is_of_patches(maps, (4, 4), 3) for maps in seen.values())
    assert all(torch.allclose(maps.sum(3), torch.ones(()), atol=1e-4) for maps in seen.values())
    assert {maps.shape[3] for maps in seen.values()} == {16 + spec.layers[0].checkpoint().before}
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
        ("levit", (3, 32, 32), "Set data.size to 64."),
        ("hiera", (3, 36, 36), "Set data.size to 32"),
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


def test_the_preset_works_with_a_fetched_model_on_the_pictures_that_ship(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = preset("image-classifier")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LayerError) as refusal:
        found.spec.model.layers[0].out_shape((3, 64, 64))
    assert f"workbench fetch {found.needs}" in refusal.value.problems[0].repair
    place = tmp_path / f"models--{found.needs.replace('/', '--')}"
    folder = classifiers.saved(
        "resnet", place / "snapshots" / "abc", labels=1000, embedding_size=64,
        hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2],
    )  # fmt: skip
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(folder.name)
    spec = found.spec
    assert spec.data.name in SHIPPED
    assert spec.model.problems((3, 64, 64), 10) == []
    assert [p.where for p in picture_problems(spec.model.layers, spec.data, (3, 64, 64))] == ["model.layers"]
    assert spec.model.n_params((3, 64, 64)) == 11_181_642
    assert build(spec.model, (3, 64, 64), seed=0).eval()(images(side=64)).shape == (2, 10)


def test_a_folders_own_program_is_never_run(folders: dict[str, Path], tmp_path: Path) -> None:
    for path in folders["vit"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    own = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "auto_map": own}))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()\nclass Config: pass\n")
    one, other = (
        build(model_of(path, head="kept"), SHAPE).eval()(images()) for path in (tmp_path, folders["vit"])
    )
    assert torch.equal(one, other)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_torch_alone_cannot_run_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(LayerError, match=kind) as refusal:
        layer_of(tmp_path).out_shape(SHAPE)
    assert refusal.value.problems[0].repair.startswith("Choose another model")


@pytest.mark.parametrize("kind", ["vit", "mobilenet_v1", "swin", "resnet", "efficientnet"])
def test_weights_that_lack_a_layer_are_told(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in folders[kind].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    found = layer_of(folders[kind]).checkpoint()
    save_file({n: v for n, v in weights.items() if found.depth(n) != 2}, tmp_path / "model.safetensors")
    with pytest.raises(LayerError, match="the weights must be those of the"):
        layer_of(tmp_path).out_shape(classifiers.shape_of(kind))

"""The preflight's figures, and the prediction against what torch's allocator gives out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.nn import functional as F

from tests.engine.tiny import Images, Part, images, run, spec_of
from workbench.engine.batches import FLOAT_SHARE
from workbench.engine.evaluate import CPU_BATCH, GPU_BATCH
from workbench.engine.peaks import allocated_peak
from workbench.engine.preflight import Measured, preflight
from workbench.engine.tally import FOLD_BYTES
from workbench.models.build import build
from workbench.specs import data_memory, memory
from workbench.specs.base import Columns, Window
from workbench.specs.errors import WorkbenchError
from workbench.specs.inside import reads_table, reads_text
from workbench.specs.layers import LAYERS
from workbench.specs.memory import largest_batch, predict, step_bytes
from workbench.specs.picture_tasks import PICTURE_TASKS
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec, from_dict
from workbench.tasks.choose import task_for

SIZES = {"train": 128, "validation": 64, "test": 0}
FREE = 8 * 2**30
PICTURES = ("autoencoder", "dcgan", "unet-small", "vae")  # what answers with a picture
OF_IMAGES = sorted(
    name
    for name, preset in PRESETS.items()
    if not (reads_text(preset.spec.model) or reads_table(preset.spec.model))
    and name not in ("mlp-big", "image-classifier")  # the checkpoint of the latter is the person's own
    and preset.spec.task.kind not in (*PICTURE_TASKS, "forecasting")
)
TEXTS = ("text", "recurrent", "attention")  # groups of layers whose own tests are in test_kept_texts


def measured(
    spec: RunSpec, shape: tuple[int, ...], sizes: dict[str, int] = SIZES, most_s: float = 3600.0
) -> Measured:
    """most_s: by default so long that the whole batch is tried."""
    data = images(sizes["train"], sizes["validation"], shape)
    words: list[float] = []
    found = preflight(
        build(spec.model, shape, seed=0),
        data,
        task_for(spec.task, 10),
        spec,
        lambda _, share: words.append(share),
        most_s=most_s,
    )
    assert words == sorted(words), "progress goes forward"
    return found


def shape_of(spec: RunSpec) -> tuple[int, int, int]:
    side = spec.data.size or (8 if spec.data.name == "digits" else 28)
    return (spec.data.channels or 1, side, side)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [8, 32, 128])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_predicted_peak_is_within_15_percent_of_the_measured(name: str, batch: int) -> None:
    spec = PRESETS[name].spec.with_changes(f"training.batch_size={batch}", "training.device=cpu")
    shape = shape_of(spec)
    if spec.model.n_params(shape) > 3e6 and batch > 8:
        pytest.skip("minutes a step on two cores")
    seen = measured(spec, shape).memory
    said = predict(spec, shape, 10, SIZES, free=psutil.virtual_memory().available)
    assert said.total == pytest.approx(seen.total, rel=0.15)
    assert said.weights == pytest.approx(seen.weights, rel=0.02)
    assert said.optimizer == pytest.approx(seen.optimizer, rel=0.02)
    assert said.data == pytest.approx(seen.data, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [8, 32])
@pytest.mark.parametrize("name", PICTURES)
def test_so_it_is_where_the_answer_is_a_picture(name: str, batch: int) -> None:
    spec = PRESETS[name].spec.with_changes(f"training.batch_size={batch}", "training.device=cpu")
    shape, n_classes = shape_of(spec), 4
    given = spec.task.input(shape, n_classes)
    data = images(128, 64, shape)
    if spec.task.kind == "segmentation":
        data = with_masks(data, n_classes)
    task = task_for(spec.task, n_classes)
    seen = preflight(
        build(spec.model, given, seed=0), data, task, spec, lambda *_: None, most_s=3600.0
    ).memory
    said = predict(spec, given, n_classes, SIZES, free=psutil.virtual_memory().available)
    assert said.total == pytest.approx(seen.total, rel=0.15)
    assert said.weights == pytest.approx(seen.weights, rel=0.02)
    assert said.optimizer == pytest.approx(seen.optimizer, rel=0.02)
    assert said.data == pytest.approx(seen.data, rel=0.02)


@pytest.mark.parametrize("name", ["cnn-mnist", "convnext-mini"])
def test_a_slow_model_is_tried_on_fewer_images_and_reckoned_up(name: str) -> None:
    spec = PRESETS[name].spec.with_changes("training.batch_size=64", "training.device=cpu")
    hurried, whole = (measured(spec, shape_of(spec), most_s=most_s) for most_s in (0.0, 3600.0))
    assert (hurried.steps, hurried.tried, whole.tried) == (1, 8, 64)
    assert hurried.memory.total == pytest.approx(whole.memory.total, rel=0.15)
    assert whole.step_s / 9 < hurried.step_s < 9 * whole.step_s  # the machine may be busy


def test_a_heavy_model_takes_one_step_of_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second step would take as long as the first: all its weights are read and written again."""
    spec = PRESETS["cnn-mnist"].spec.with_changes("training.batch_size=64", "training.device=cpu")
    whole = measured(spec, shape_of(spec), most_s=3600.0)
    monkeypatch.setattr("workbench.engine.preflight.HEAVY_BYTES", 500_000)
    heavy = measured(spec, shape_of(spec), most_s=3600.0)
    assert (heavy.steps, heavy.tried) == (1, 4)
    assert heavy.memory.total == pytest.approx(whole.memory.total, rel=0.15)
    assert whole.step_s / 9 < heavy.step_s < 9 * whole.step_s  # the machine may be busy


def test_some_of_the_images_tell_of_all_of_them() -> None:
    spec = spec_of(batch_size=32, epochs=3)
    model = build(spec.model, (1, 6, 6), seed=0)
    sizes = {"train": 4_000, "validation": 1_000, "test": 0}
    told = preflight(model, images(400, 100), task_for(spec.task, 3), spec, lambda *_: None, sizes=sizes)
    whole = preflight(model, images(4_000, 1_000), task_for(spec.task, 3), spec, lambda *_: None)
    assert (told.steps_per_epoch, told.total_steps) == (whole.steps_per_epoch, whole.total_steps)
    assert told.validations == whole.validations
    assert told.memory.data == pytest.approx(whole.memory.data, rel=0.01)


@dataclass(frozen=True)
class Masked(Part):
    masks: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1), np.uint8))

    @property
    def nbytes(self) -> int:
        return self.x.nbytes + self.y.nbytes + self.index.nbytes + self.masks.nbytes


def with_masks(data: Images, n_classes: int) -> Images:
    """The same images, each with a mask of noise."""
    draw = np.random.default_rng(0)

    def part(of: Part) -> Masked:
        masks = draw.integers(0, n_classes, (len(of), *of.x.shape[2:])).astype(np.uint8)
        return Masked(of.x, of.y, of.index, masks)

    return replace(data, train=part(data.train), validation=part(data.validation))


def stack(kind: str) -> list[dict[str, Any]] | None:
    """The layer between a convolution and a head, or between dense layers; None where it stands nowhere."""
    own = {"depthwise_conv2d": {"padding": 1}, "unflatten": {"height": 16, "width": 16}}
    one = {"kind": kind, **own.get(kind, {})}
    front = [{"kind": "conv2d", "out_channels": 16, "padding": 1}]
    head = [{"kind": "conv2d", "out_channels": 8, "padding": 1}, {"kind": "flatten"}]
    for layers in (
        [*front, one, *head, {"kind": "linear", "out_features": 10}],
        [*front, one, {"kind": "linear", "out_features": 10}],
        [*front, {"kind": "flatten"}, one, {"kind": "linear", "out_features": 10}],
        [*front, {"kind": "flatten"}, one, *head, {"kind": "linear", "out_features": 10}],
    ):
        try:
            from_dict({"model": {"layers": layers}}).model.out_shape((3, 16, 16))
            return layers
        except WorkbenchError:
            continue
    return None


OF_IMAGE_LAYERS = sorted(kind for kind, layer in LAYERS.items() if layer.group not in TEXTS)


# A pretrained network needs files: tests/worker/test_pretrained_image.py tells its memory.
# Layers of windows and of rows stand on no image: the tests below.
ELSEWHERE = ("pretrained_image", "series_linear", "window_norm", "column_tokens")


@pytest.mark.parametrize("kind", [kind for kind in OF_IMAGE_LAYERS if kind not in ELSEWHERE])
def test_what_each_layer_keeps_is_torchs_own(kind: str) -> None:
    layers = stack(kind)
    assert layers is not None
    spec = from_dict({"model": {"layers": layers}})
    shape, batch = (3, 16, 16), 24
    model = build(spec.model, shape, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    source, y, rows = torch.rand(batch, *shape), torch.arange(batch) % 10, torch.arange(batch)

    def step() -> object:
        scores = model(source.index_select(0, rows))
        loss = F.cross_entropy(scores, y)
        for module in model.modules():  # codes that are drawn add their distance
            loss = loss + getattr(module, "divergence", 0.0)
        loss.backward()
        return loss, scores

    step()
    assert step_bytes(spec, shape, 10, batch) == pytest.approx(allocated_peak(step), rel=0.25)


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize("normalize", ["none", "last", "window"])
def test_what_a_linear_layer_of_windows_keeps_is_torchs_own(normalize: str, individual: bool) -> None:
    own = "none" if normalize == "window" else normalize
    one = {"kind": "series_linear", "out_steps": 24, "normalize": own, "individual": individual}
    layers = [one, {"kind": "flatten"}]
    layers = [{"kind": "window_norm", "layers": layers}] if own != normalize else layers
    spec = from_dict({"model": {"layers": layers}, "task": {"kind": "forecasting", "loss": "mse"}})
    shape, batch = Window(96, 7), 64
    model = build(spec.model, shape, seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    source, y, rows = torch.rand(batch, 96, 7), torch.rand(batch, 24 * 7), torch.arange(batch)

    def step() -> object:
        scores = model(source.index_select(0, rows))
        loss = F.mse_loss(scores, y)
        loss.backward()
        return loss, scores

    step()
    assert step_bytes(spec, shape, 1, batch) == pytest.approx(allocated_peak(step), rel=0.3)


def test_the_allocators_peak_is_exact_for_known_tensors() -> None:
    def work() -> torch.Tensor:
        first = torch.empty(1_000_000)  # 4 MB
        second = torch.empty(2_000_000)  # 8 MB, beside it
        del first
        return second

    work()
    assert allocated_peak(work) == 12_000_000


def test_the_constants_of_the_prediction_are_the_engines() -> None:
    assert data_memory.FLOAT_SHARE == FLOAT_SHARE
    assert (memory.JUDGED["cpu"], memory.JUDGED_GPU) == (CPU_BATCH, GPU_BATCH)
    assert memory.WAITING == FOLD_BYTES


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [
        ({"kind": "sgd", "momentum": 0}, 0),
        ({"kind": "sgd"}, 1),
        ({"kind": "adam"}, 2),
        ({"kind": "rmsprop"}, 1),
    ],
)
def test_the_optimizers_share_is_its_copies_of_the_weights(optimizer: dict[str, Any], copies: int) -> None:
    spec = spec_of(optimizer=optimizer, ema=0.99)
    seen = measured(spec, (1, 6, 6)).memory
    assert seen.optimizer == copies * seen.weights
    assert seen.average == seen.gradients == seen.weights


def test_parts_of_a_batch_need_less_and_that_is_predicted() -> None:
    layers = [{"kind": "conv2d", "out_channels": 24, "padding": 1}, {"kind": "relu"}, {"kind": "flatten"},
              {"kind": "linear", "out_features": 3}]  # fmt: skip
    peaks = []
    for parts in (1, 4):
        spec = spec_of(layers, batch_size=128, accumulation_steps=parts)
        seen = measured(spec, (1, 16, 16), {"train": 256, "validation": 8, "test": 0}).memory
        said = predict(spec, (1, 16, 16), 3, {"train": 256, "validation": 8, "test": 0}, free=FREE)
        assert said.activations == pytest.approx(seen.activations, rel=0.15)
        peaks.append(seen.activations)
    assert peaks[0] > 2.5 * peaks[1]


def test_the_largest_batch_fits_and_one_more_does_not() -> None:
    spec, sizes = PRESETS["cnn-mnist"].spec, {"train": 50_000, "validation": 0, "test": 0}
    facts = ((1, 28, 28), 10, sizes)
    room = 2 * 2**30
    most = largest_batch(spec, *facts, device="cpu", free=FREE, room=room)
    assert 1 < most < 50_000

    def total(batch: int) -> int:
        changed = spec.with_changes(f"training.batch_size={batch}")
        return predict(changed, *facts, device="cpu", free=FREE).total

    assert total(most) <= room < total(most + 1)


@pytest.mark.slow  # it compares two times, so nothing else should run beside it
def test_the_forecast_is_near_the_run_it_is_of() -> None:
    data = images(400, 100)
    spec = spec_of(batch_size=32, steps=600, watch={"budget": 0.01})
    model = build(spec.model, (1, 6, 6), seed=0)
    said = preflight(model, data, task_for(spec.task, 3), spec, lambda *_: None)
    assert (said.total_steps, said.steps_per_epoch, said.validations) == (600, 13, 47)
    began = time.perf_counter()
    run(spec, data)
    took = time.perf_counter() - began
    assert 0.1 * took < said.eta_s < 5 * took, (said.eta_s, took)


def test_a_data_set_smaller_than_a_batch_is_measured_too() -> None:
    few: Images = images(5, 2)
    spec = spec_of(batch_size=64, epochs=1)
    found = preflight(build(spec.model, (1, 6, 6)), few, task_for(spec.task, 3), spec, lambda *_: None)
    assert found.steps_per_epoch == 1
    assert np.isfinite(found.step_s)


@pytest.mark.parametrize("kind", ["column_embedding", "column_tokens"])
@pytest.mark.parametrize("categories", [(), (5, 300)])
def test_what_layers_of_rows_keep_is_torchs_own(kind: str, categories: tuple[int, ...]) -> None:
    shape, batch = Columns(20, categories), 512
    behind = {
        "column_embedding": [{"kind": "linear", "out_features": 64}, {"kind": "relu"}],
        "column_tokens": [{"kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 64},
                          {"kind": "sequence_pool", "mode": "mean"}],
    }[kind]  # fmt: skip
    spec = from_dict({"model": {"layers": [{"kind": kind}, *behind, {"kind": "linear", "out_features": 10}]}})
    model = build(spec.model, shape, seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    source, y, rows = torch.ones(batch, *shape), torch.arange(batch) % 10, torch.arange(batch)

    def step() -> object:
        scores = model(source.index_select(0, rows))
        loss = F.cross_entropy(scores, y)
        loss.backward()
        return loss, scores

    step()
    assert step_bytes(spec, shape, 10, batch) == pytest.approx(allocated_peak(step), rel=0.15)

"""A batch in parts makes the update that the whole batch makes, and says of it what the whole would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from torch import Tensor

from tests.engine.tiny import CNN, MLP, images, run, spec_of
from workbench.engine.checkpoint import equal
from workbench.engine.team import Team
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.tasks.choose import task_for

KEYS = ("train/loss", "train/accuracy", "grad_norm", "lr", "val/loss")
NORMLESS = [
    {"kind": "flatten"},
    {"kind": "linear", "out_features": 12},
    {"kind": "tanh"},
    {"kind": "linear", "out_features": 3},
]


@pytest.mark.parametrize("parts", [2, 3, 7, 16, 40, 1024])  # batches of 16, the last of an epoch of 6
@pytest.mark.parametrize("layers", [NORMLESS, CNN], ids=["mlp", "cnn"])
def test_parts_sum_to_the_whole_batch(layers, parts: int):
    more = {"task": {"label_smoothing": 0.1}, "optimizer": {"kind": "sgd", "lr": 0.05}, "clip_norm": 0.5}
    whole = run(spec_of(layers, steps=20, **more))
    cut = run(spec_of(layers, steps=20, accumulation_steps=parts, **more))
    for key in KEYS:
        assert np.allclose(whole.values(key), cut.values(key), rtol=1e-3, atol=1e-5), key
    weights = whole.checkpoint().part("model")
    for name, value in cut.checkpoint().part("model").items():
        assert np.allclose(value, weights[name], rtol=1e-3, atol=1e-5), name


def test_one_part_is_the_plain_update_bit_for_bit():
    assert equal(run(spec_of(steps=9)).checkpoint(), run(spec_of(steps=9, accumulation_steps=1)).checkpoint())


def test_batch_norm_never_sees_a_single_image():
    # 33 images in batches of 16: the last batch has 17, and 1,024 parts would be of one image each.
    seen = run(spec_of(MLP, epochs=3, accumulation_steps=1024), images(n=33))
    assert np.isfinite(seen.values("train/loss")).all()
    assert len(seen.values("train/loss")) == 6
    assert len(run(spec_of(MLP, epochs=2, batch_size=3, accumulation_steps=2)).values("train/loss")) == 46


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_parts_sum_in_half_precision_too(precision: str):
    whole = run(spec_of(NORMLESS, steps=20, precision=precision))
    cut = run(spec_of(NORMLESS, steps=20, precision=precision, accumulation_steps=4))
    assert np.allclose(whole.values("train/loss"), cut.values("train/loss"), rtol=0.05, atol=0.01)


def test_blended_labels_are_cut_with_their_images():
    blend = [{"kind": "mixup", "p": 1.0}]
    whole = run(spec_of(NORMLESS, steps=12, augment=blend))
    cut = run(spec_of(NORMLESS, steps=12, augment=blend, accumulation_steps=3))
    for key in KEYS:
        assert np.allclose(whole.values(key), cut.values(key), rtol=1e-3, atol=1e-5), key


def test_parts_of_weighted_classes_sum_to_the_whole_batch():
    data = images(n=80)
    rare = data.train.y.copy()
    rare[: len(rare) * 3 // 4] = 0  # the weights of the classes are far apart
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, y=rare))
    more = {"task": {"class_weights": "balanced"}, "optimizer": {"kind": "sgd", "lr": 0.05}}
    whole = run(spec_of(NORMLESS, steps=20, **more), data)
    cut = run(spec_of(NORMLESS, steps=20, accumulation_steps=5, **more), data)
    for key in KEYS:
        assert np.allclose(whole.values(key), cut.values(key), rtol=1e-3, atol=1e-5), key


class Waiting(Team):
    """The last of so many processes; the others' part of each sum is nothing."""

    def __init__(self, size: int) -> None:
        super().__init__(rank=size - 1, size=size)

    def sum(self, tensor: Tensor) -> None:
        pass


def test_a_process_without_a_part_of_its_first_batch_makes_the_update_in_half_precision_too():
    data = images()
    spec = spec_of(NORMLESS, precision="fp16", processes=3, batch_size=2)
    task = task_for(spec.task, len(data.classes), data.train.y)
    trainer = Trainer(build(spec.model, data.shape, seed=0), data, task, spec, None, Waiting(3))
    trainer.advance(*next(trainer.rest_of_epoch()))
    assert trainer.step == 1
    assert trainer.flat.weights.isfinite().all()

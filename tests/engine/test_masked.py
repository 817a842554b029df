"""Images whose answer is an image: batches, random changes of masks, training and its exact continuation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.tiny import Images, images
from workbench.engine.augment import Augment, moved, moved_masks, rotations
from workbench.engine.evaluate import evaluate
from workbench.engine.feeds import feed_for
from workbench.engine.fit import fit
from workbench.engine.masked import MaskedBatches
from workbench.models.build import build
from workbench.records import Scalars
from workbench.specs.augment import Cutout, Flip, Noise, Rotate, Scale, Shear, Shift
from workbench.specs.run import RunSpec, from_dict
from workbench.tasks.segmentation import VOID, Segmentation

CPU = torch.device("cpu")
CLASSES = ("ground", "bright", "dark")


@dataclass(frozen=True)
class Marked:
    """A split with masks."""

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    masks: np.ndarray
    nbytes: int = 0

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class MarkedData:
    train: Marked
    validation: Marked
    kind: str = "images"
    name: str = "marked"
    classes: tuple[str, ...] = CLASSES
    shape: tuple[int, ...] = (1, 12, 12)
    mean: np.ndarray = field(default_factory=lambda: np.full(1, 0.5, np.float32))
    std: np.ndarray = field(default_factory=lambda: np.full(1, 0.25, np.float32))


def split(n: int, seed: int) -> Marked:
    """A bright and a dark square on grey, each where it may be; a pixel's class is told by its brightness."""
    draw = np.random.default_rng(seed)
    x, masks = np.full((n, 1, 12, 12), 128, np.uint8), np.zeros((n, 12, 12), np.uint8)
    for i in range(n):
        for k, level in ((1, 230), (2, 20)):
            top, left = draw.integers(0, 8, 2)
            x[i, 0, top : top + 4, left : left + 4] = level
            masks[i, top : top + 4, left : left + 4] = k
    return Marked(x, np.ones(n, np.int64), np.arange(n), masks)


@pytest.fixture(scope="module")
def data() -> MarkedData:
    return MarkedData(split(48, 0), split(16, 1))


def spec_of(**training: Any) -> RunSpec:
    layers = [
        {"kind": "conv2d", "out_channels": 8, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "skip", "layers": [
            {"kind": "max_pool2d"}, {"kind": "conv2d", "out_channels": 8, "padding": 1}, {"kind": "relu"},
            {"kind": "dropout", "p": 0.1}, {"kind": "upsample"},
        ]},
        {"kind": "conv2d", "out_channels": 3, "kernel_size": 1},
    ]  # fmt: skip
    given = {"optimizer": {"kind": "adam", "lr": 0.02}, "batch_size": 8, "device": "cpu", **training}
    return from_dict(
        {
            "model": {"family": "unet", "layers": layers}, "task": {"kind": "segmentation"},
            "training": given,
            "data": {"augment": [{"kind": "flip"}, {"kind": "rotate", "strength": 90}]}, "seed": 3,
        }
    )  # fmt: skip


def run(data: MarkedData, spec: RunSpec, **more: Any) -> tuple[torch.nn.Module, list[Any]]:
    model = build(spec.model, data.shape, seed=spec.seed)
    return model, list(fit(model, data, Segmentation(3, dice=0.5), spec, **more))


def values(flushes: list[Any], key: str) -> dict[int, float]:
    found: dict[int, float] = {}
    for flush in flushes:
        for record in flush.records:
            if isinstance(record, Scalars) and record.key == key:
                found |= dict(zip(record.steps.tolist(), record.values.tolist(), strict=True))
    return found


def test_a_small_u_net_learns_to_mark_squares_by_brightness(data):
    spec = spec_of(epochs=12)
    model, flushes = run(data, spec)
    iou = list(values(flushes, "val/iou").values())
    assert len(iou) == 12
    assert iou[-1] > 0.9, iou
    judged = evaluate(model, data.validation, data, Segmentation(3, classes=CLASSES), device="cpu")
    assert judged.confusion.sum() == data.validation.masks.size
    assert judged.accuracy == pytest.approx(np.trace(judged.confusion) / judged.confusion.sum())
    assert [row["class"] for row in judged.report["per_class"]] == list(CLASSES)
    assert {"iou", "dice", "loss", "accuracy"} <= set(judged.marks)


def test_a_run_with_masks_goes_on_bit_for_bit_from_its_checkpoint(data):
    whole_model, whole = run(data, spec_of(steps=20, epochs=None))
    _, first = run(data, spec_of(steps=10, epochs=None))
    from workbench.engine.checkpoint import from_bytes

    last = [saved for flush in first for saved in flush.checkpoints if saved.name == "last"][-1]
    rest_model, rest = run(data, spec_of(steps=20, epochs=None), resume=from_bytes(last.blob))
    for key in ("train/loss", "grad_norm", "train/accuracy"):
        assert {**values(first, key), **values(rest, key)} == values(whole, key)
    for a, b in zip(whole_model.state_dict().values(), rest_model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_parts_of_a_batch_give_the_losses_of_the_whole(data):
    task = Segmentation(3)
    found = []
    for parts in (1, 4):
        tree = spec_of(steps=4, epochs=None, accumulation_steps=parts).model_dump()
        tree["model"]["layers"] = [
            layer for layer in tree["model"]["layers"] if layer["kind"] != "batch_norm"
        ]
        tree["model"]["layers"][2]["layers"] = [
            layer for layer in tree["model"]["layers"][2]["layers"] if layer["kind"] != "dropout"
        ]
        spec = from_dict({**tree, "data": {}})
        model = build(spec.model, data.shape, seed=0)
        found.append(values(list(fit(model, data, task, spec)), "train/loss"))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("parts", [1, 4])
def test_a_batch_in_which_no_pixel_counts_costs_nothing(data, parts: int):
    nothing = replace(data.train, masks=np.full_like(data.train.masks, VOID))
    spec = spec_of(steps=1, epochs=None, accumulation_steps=parts)
    model = build(spec.model, data.shape, seed=0)
    flushes = list(fit(model, replace(data, train=nothing), Segmentation(3), spec))
    assert values(flushes, "train/loss") == {1: 0.0}


@pytest.mark.parametrize("room", [None, 40_000, 1])
def test_batches_are_the_same_wherever_they_are_kept(data, room):
    feed = MaskedBatches(data.train, data, CPU, room)
    pick = feed.shuffled(5, 1, [8] * 6)[2]
    x, y = feed.batch(pick)
    np.testing.assert_array_equal(y.numpy(), data.train.masks[pick.numpy()])
    expected = (data.train.x[pick.numpy()] / 255.0 - 0.5) / 0.25
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-5)
    whole = torch.cat([masks for _, masks in feed.in_order(7)])
    np.testing.assert_array_equal(whole.numpy(), data.train.masks)


def test_a_set_without_masks_is_refused_for_segmentation():
    data: Images = images(8, 4)
    with pytest.raises(Exception, match="segmentation needs a mask of every image"):
        feed_for(data.train, data, Segmentation(3), CPU)


# ---------------------------------------------------------------- random changes


@pytest.mark.parametrize(
    "ops",
    [
        [Flip(p=1.0)], [Flip(p=1.0, axis="vertical")], [Shift(p=1.0, strength=0.3)],
        [Rotate(p=1.0, strength=180)],
        [Scale(p=1.0, strength=0.5)], [Shear(p=1.0, strength=40)], [Flip(p=0.5), Rotate(p=0.5), Noise(p=1.0)],
    ],
)  # fmt: skip
def test_masks_move_as_their_images_do(ops):
    """A picture of its own mask is changed: both must tell the same class wherever no edge is near."""
    masks = torch.from_numpy(split(16, 3).masks).long()
    x = (masks.float() / 2).unsqueeze(1)
    new, moved_too = Augment(ops, 3, seed=1)(x.clone(), masks, step=4)
    told = (new[:, 0] * 2).round().long()
    flat = torch.nn.functional.max_pool2d(new, 3, 1, 1) - -torch.nn.functional.max_pool2d(-new, 3, 1, 1) < 0.2
    far = flat[:, 0] & ((new[:, 0] * 2 - told).abs() < 0.1)
    if not any(isinstance(op, Noise) for op in ops):
        assert far.float().mean() > 0.3
    assert torch.equal(told[far], moved_too[far])
    assert not torch.equal(moved_too, masks)
    assert set(moved_too.unique().tolist()) <= {0, 1, 2}


def test_a_half_turn_of_a_mask_is_numpys():
    masks = torch.from_numpy(split(4, 2).masks).long()
    matrices = torch.from_numpy(rotations(np.full(4, 180.0))[:, :2]).float()
    assert torch.equal(moved_masks(masks, matrices), masks.flip(1, 2))
    assert moved(masks.float().unsqueeze(1) / 2, matrices).shape == (4, 1, 12, 12)


def test_what_changes_colours_alone_leaves_masks_as_they_are():
    masks = torch.from_numpy(split(4, 2).masks).long()
    x = (masks.float() / 2).unsqueeze(1)
    for op in (Noise(p=1.0), Cutout(p=1.0)):
        assert torch.equal(Augment([op], 3, seed=0)(x, masks, 0)[1], masks)

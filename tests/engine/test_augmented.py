"""Training on changed images: before normalising, in training only, and the same wherever pixels live."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.engine.tiny import CNN, Images, images, run, spec_of
from workbench.engine import batches as placing
from workbench.engine.augment import Augment
from workbench.engine.batches import Batches, normalised, order
from workbench.engine.checkpoint import equal
from workbench.engine.evaluate import evaluate
from workbench.models.build import build
from workbench.specs.augment import AUGMENTATIONS
from workbench.tasks.choose import task_for

CPU = torch.device("cpu")
ROOMS = {"float": 10**9, "bytes": 5, "host": 1}  # bytes of room per pixel; what each leads to


def rooms(data: Images) -> dict[str, int]:
    return {place: per * data.train.x.size for place, per in ROOMS.items()}


@pytest.mark.parametrize("kind", sorted(AUGMENTATIONS))
def test_every_change_gives_equal_bits_wherever_the_pixels_live(kind: str):
    data = images(shape=(3, 8, 8))
    augment = Augment([AUGMENTATIONS[kind](p=1.0)], 3, seed=1)
    rows = torch.tensor([5, 0, 69, 5, 7])
    found = []
    for place, room in rooms(data).items():
        batches = Batches(data.train, data, CPU, room)
        assert batches.placed == place
        found.append(batches.changed((rows, batches.y[rows]), augment, step=4))
        # Once changed, plain batches are still what they were.
        assert torch.equal(batches.x_of(rows), normalised(data.train.x, data.mean, data.std)[rows])
        assert torch.equal(
            torch.cat([x for x, _ in batches.in_order(16)]),
            normalised(data.train.x, data.mean, data.std),
        )
    for x, y in found[1:]:
        assert torch.equal(x, found[0][0])
        assert torch.equal(y, found[0][1])


def test_pixels_are_changed_on_the_scale_from_0_to_1_and_then_normalised():
    data = images(shape=(3, 8, 8))
    seen = []

    class Noting(Augment):
        def __call__(self, x, y, step):
            seen.append((x.clone(), step))
            return 1.0 - x, y

    rows = torch.arange(70)
    batch = rows, torch.from_numpy(data.train.y)
    x, y = Batches(data.train, data, CPU).changed(batch, Noting([], 3, 0), 9)
    ((given, step),) = seen
    assert step == 9
    assert np.allclose(given, data.train.x / 255, atol=1e-7)
    mean, std = (v.reshape(1, 3, 1, 1) for v in (data.mean, data.std))
    assert np.allclose(x, (1 - data.train.x / 255 - mean) / std, atol=1e-5)
    assert np.array_equal(y, data.train.y)


def test_no_change_is_the_plain_run_to_rounding():
    plain = run(spec_of(CNN, steps=20))
    never = run(spec_of(CNN, steps=20, augment=[{"kind": "rotate", "p": 0}, {"kind": "mixup", "p": 0}]))
    for key in ("train/loss", "train/accuracy", "val/loss"):
        assert np.allclose(plain.values(key), never.values(key), rtol=1e-4, atol=1e-5), key


def test_training_sees_the_changes_and_validation_does_not():
    spec = spec_of(CNN, epochs=3, augment=[{"kind": "noise", "p": 1.0, "strength": 0.5}])
    seen, data = run(spec), images()
    assert not np.array_equal(seen.values("train/loss"), run(spec_of(CNN, epochs=3)).values("train/loss"))
    marks = evaluate(seen.model, data.validation, data, task_for(spec.task, 3), device="cpu")
    assert seen.values("val/loss")[-1] == pytest.approx(marks.loss, rel=1e-6)


def test_blended_labels_are_learned_and_hits_are_of_the_larger_share():
    """The first step by hand: the blended batch, cross-entropy against shares, argmax of both."""
    ops = [{"kind": "mixup", "p": 1.0, "strength": 1.0}]
    spec, data = spec_of(CNN, steps=1, augment=ops, task={"label_smoothing": 0.1}), images()
    seen = run(spec)
    model = build(spec.model, (1, 6, 6), seed=0)
    rows = order(70, 0, 0)[:16]
    pixels = torch.from_numpy(data.train.x)[rows].float() / 255
    blended, shares = Augment(spec.data.augment, 3, seed=0)(pixels, torch.from_numpy(data.train.y)[rows], 0)
    assert shares.shape == (16, 3)
    assert ((shares > 0).sum(1) == 2).any()
    scores = model((blended - 0.4) / 0.25)
    smooth = 0.9 * shares + 0.1 / 3
    loss = -(smooth * F.log_softmax(scores, 1)).sum(1).mean()
    assert seen.values("train/loss")[0] == pytest.approx(loss.item(), rel=1e-5)
    right = (scores.argmax(1) == shares.argmax(1)).float().mean()
    assert seen.values("train/accuracy")[0] == pytest.approx(right.item())


def test_a_run_is_the_same_however_much_memory_is_free(monkeypatch):
    spec, data = spec_of(CNN, steps=20, augment=[{"kind": "shift"}, {"kind": "cutmix"}]), images()
    found = []
    for room in rooms(data).values():
        monkeypatch.setattr(placing, "free_bytes", lambda device, room=room: room)
        found.append(run(spec, data).checkpoint())
    assert equal(found[0], found[1])
    assert equal(found[0], found[2])


def test_dropout_falls_as_it_would_without():
    """Changes draw from a generator of their own."""
    more = {"steps": 15, "augment": [{"kind": "noise", "p": 1.0, "strength": 1e-9}]}
    plain, noisy = run(spec_of(steps=15)), run(spec_of(**more))
    assert np.allclose(plain.values("train/loss"), noisy.values("train/loss"), rtol=1e-3, atol=1e-4)

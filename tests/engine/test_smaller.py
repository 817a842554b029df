"""A teacher in the loss, weights held at zero, and the L1 penalty: exact, and equal to torch's own sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.engine.tiny import CNN, MLP, Asking, Seen, images, run, spec_of
from workbench.engine import fit as loop
from workbench.engine.checkpoint import equal
from workbench.engine.distill import Teacher
from workbench.engine.flat import Flat
from workbench.engine.masks import Masks, prunable
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.specs.errors import SpecError
from workbench.specs.run import RunSpec
from workbench.specs.smaller import Distill, Prune
from workbench.tasks.classification import Classification
from workbench.tasks.tokens import TokenTask

TAUGHT = {"distill": {"teacher": "anything", "temperature": 3.0, "weight": 0.6}}
WIDE = [{"kind": "flatten"}, {"kind": "linear", "out_features": 40}, {"kind": "relu"}, MLP[-1]]


def a_teacher() -> torch.nn.Module:
    return build(spec_of(WIDE).model, (1, 6, 6), seed=7)


def taught(spec: RunSpec, **more) -> Seen:
    """`run` with a teacher; the same control and resume."""
    data, seen = images(), Seen()
    model = build(spec.model, (1, 6, 6), seed=spec.seed)
    control = more.get("control")
    for flush in loop.fit(model, data, Classification(3), spec, teacher=a_teacher(), **more):
        seen.flushes.append(flush)
        if control is not None:
            control.step = flush.step
    return seen


# ---------------------------------------------------------------- distillation


def test_the_teachers_part_is_torchs_divergence_times_the_squared_temperature():
    torch.manual_seed(0)
    ours, theirs, y = torch.randn(8, 5), torch.randn(8, 5), torch.zeros(8, dtype=torch.int64)
    teacher = Teacher(torch.nn.Identity(), Distill(temperature=2.5), Classification(5), torch.device("cpu"))
    log = F.log_softmax(ours / 2.5, dim=1)
    expected = 2.5**2 * F.kl_div(log, F.softmax(theirs / 2.5, dim=1), reduction="batchmean")
    assert torch.allclose(teacher.loss(ours, theirs, y), expected, atol=1e-6)
    assert float(teacher.loss(ours, ours, y)) == pytest.approx(0.0, abs=1e-6)


def test_one_score_for_two_classes_and_labels_by_themselves_are_taught_as_their_sigmoids():
    from workbench.tasks.labels import MultiLabel

    torch.manual_seed(0)
    ours, theirs = torch.randn(6, 1), torch.randn(6, 1)
    y = torch.zeros(6, dtype=torch.int64)
    two = Teacher(torch.nn.Identity(), Distill(temperature=1.0), Classification(2), torch.device("cpu"))
    p, q = torch.sigmoid(theirs), torch.sigmoid(ours)
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    assert torch.allclose(two.loss(ours, theirs, y), expected, atol=1e-6)
    ours, theirs = torch.randn(6, 4), torch.randn(6, 4)
    labels = Teacher(torch.nn.Identity(), Distill(temperature=1.0), MultiLabel(4), torch.device("cpu"))
    p, q = torch.sigmoid(theirs), torch.sigmoid(ours)
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    assert torch.allclose(labels.loss(ours, theirs, (theirs > 0).float()), expected, atol=1e-6)


def test_pixels_that_count_nowhere_are_not_taught():
    from workbench.tasks.segmentation import Segmentation

    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    y = torch.zeros(2, 4, 4, dtype=torch.int64)
    y[:, 2:] = 255
    teacher = Teacher(torch.nn.Identity(), Distill(temperature=2.0), Segmentation(3), torch.device("cpu"))
    seen = [part[:, :, :2].movedim(1, -1).reshape(-1, 3) / 2.0 for part in (ours, theirs)]
    expected = 4 * F.kl_div(F.log_softmax(seen[0], 1), F.softmax(seen[1], 1), reduction="batchmean")
    assert torch.allclose(teacher.loss(ours, theirs, y), expected, atol=1e-6)
    assert int(teacher.mass(y)) == 16


def test_padding_of_a_translation_is_not_taught():
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    y = torch.tensor([[4, 5, 0, 0], [5, 0, 0, 0]])
    teacher = Teacher(torch.nn.Identity(), Distill(), TokenTask(6), torch.device("cpu"))
    junk = theirs.clone()
    junk[y == 0] = 99.0
    assert torch.equal(teacher.loss(ours, theirs, y), teacher.loss(ours, junk, y))


def test_a_teacher_without_weight_changes_nothing():
    plain = run(spec_of(steps=20))
    mute = taught(spec_of(steps=20, distill={**TAUGHT["distill"], "weight": 0.0}))
    assert np.array_equal(plain.values("train/loss"), mute.values("train/loss"))
    assert equal(plain.checkpoint(), mute.checkpoint())


def test_a_student_of_its_teachers_shape_comes_to_say_the_same():
    spec = spec_of(
        WIDE, steps=300, optimizer={"kind": "adam", "lr": 0.01}, distill={"teacher": "t", "weight": 1}
    )
    seen = taught(spec)
    assert seen.values("train/loss")[-5:].mean() < 0.02 * seen.values("train/loss")[:5].mean()


def test_a_student_goes_on_exactly(every_step):
    spec = spec_of(steps=30, accumulation_steps=2, **TAUGHT)
    whole = taught(spec)
    part = taught(spec, control=Asking({13: "stop"}))
    rest = taught(spec, resume=part.checkpoint())
    assert np.array_equal(whole.values("train/loss")[13:], rest.values("train/loss"))
    assert equal(whole.checkpoint(), rest.checkpoint())


def test_parts_of_a_batch_sum_to_the_whole_with_weights_of_classes_too():
    task = {"class_weights": "balanced"}
    layers = [{"kind": "flatten"}, {"kind": "linear", "out_features": 3}]
    whole, parts = (
        taught(spec_of(layers, steps=10, accumulation_steps=n, task=task, **TAUGHT)) for n in (1, 3)
    )
    assert np.allclose(whole.values("train/loss"), parts.values("train/loss"), atol=1e-5)


def test_the_teacher_keeps_its_weights_and_statistics():
    teacher = build(spec_of(MLP).model, (1, 6, 6), seed=1)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    spec = spec_of(steps=8, **TAUGHT)
    model = build(spec.model, (1, 6, 6), seed=0)
    list(loop.fit(model, images(), Classification(3), spec, teacher=teacher))
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


# ---------------------------------------------------------------- pruning


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_smallest_weights_are_those_that_go(scope: str):
    model = build(spec_of(CNN).model, (1, 6, 6), seed=0)
    flat = Flat(model)
    masks = Masks.smallest(model, flat, Prune(amount=0.5, scope=scope))
    parts, kept = flat.split(flat.weights.detach()), flat.split(masks.kept)
    assert masks.names == ("0.weight", "4.weight")
    assert all(bool(kept[name].all()) for name in ("0.bias", "4.bias"))
    groups = [masks.names] if scope == "global" else [(name,) for name in masks.names]
    for names in groups:
        sizes = torch.cat([parts[n].abs().reshape(-1) for n in names])
        lives = torch.cat([kept[n].reshape(-1) for n in names]) > 0
        assert sizes[~lives].max() <= sizes[lives].min()
        assert int((~lives).sum()) == round(0.5 * sizes.numel())
    import torch.nn.utils.prune as torchs

    if scope == "layer":  # torch's own choice
        twin = build(spec_of(CNN).model, (1, 6, 6), seed=0)
        torchs.l1_unstructured(twin[4], "weight", amount=0.5)
        assert torch.equal(twin[4].weight_mask, kept["4.weight"])


@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "sgd", "weight_decay": 0.01},
        {"kind": "adamw", "lr": 0.02},
        {"kind": "rmsprop", "momentum": 0.9},
    ],
    ids=["sgd", "adamw", "rmsprop"],
)
def test_what_is_pruned_stays_zero_and_the_run_goes_on_exactly(optimizer, every_step):
    spec = spec_of(steps=30, prune={"amount": 0.7}, l1=1e-4, ema=0.9, optimizer=optimizer, clip_norm=1.0)
    whole = run(spec)
    part = run(spec, control=Asking({11: "stop"}))
    rest = run(spec, resume=part.checkpoint())
    assert np.array_equal(whole.values("train/loss")[11:], rest.values("train/loss"))
    assert equal(whole.checkpoint(), rest.checkpoint())
    model, masks = whole.checkpoint().part("model"), whole.checkpoint().part("mask")
    zeros = sum(int((model[name] == 0).sum()) for name in masks)
    assert zeros >= round(0.7 * sum(model[name].numel() for name in masks)) - len(masks)
    ema = whole.checkpoint().part("ema")
    assert sum(int((ema[name] == 0).sum()) for name in masks) == zeros


def test_pruning_says_how_much_and_a_model_without_weights_of_that_kind_is_refused():
    seen = run(spec_of(steps=2, prune={"amount": 0.25}))
    assert "held at zero" in seen.events("pruned")[0].text
    norms = [{"kind": "batch_norm"}, {"kind": "flatten"}]
    model = build(spec_of(norms).model, (3, 1, 1), seed=0)
    with pytest.raises(SpecError, match="pruning needs linear, convolutional or recurrent layers"):
        Masks.smallest(model, Flat(model), Prune())


def test_embeddings_and_what_shares_their_weights_stay_whole():
    table = torch.nn.Embedding(9, 4)
    head = torch.nn.Linear(4, 9, bias=False)
    head.weight = table.weight
    model = torch.nn.Sequential(table, torch.nn.LSTM(4, 4), head)
    assert prunable(model, Flat(model)) == ("1.weight_ih_l0", "1.weight_hh_l0")


# ---------------------------------------------------------------- L1


def test_l1_has_the_gradient_of_the_sum_of_sizes():
    layers = [{"kind": "flatten"}, {"kind": "linear", "out_features": 3}]
    norms = []
    for l1 in (0.0, 0.01):
        spec = spec_of(layers, steps=1, l1=l1, optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.0})
        model = build(spec.model, (1, 6, 6), seed=0)
        trainer = Trainer(model, images(), Classification(3), spec)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        trainer.advance(*next(iter(trainer.rest_of_epoch())))
        norms.append({name: before[name] - p.detach() for name, p in model.named_parameters()})
    for name, size in before.items():
        assert torch.allclose(norms[1][name] - norms[0][name], 0.1 * 0.01 * size.sign(), atol=1e-7)


def test_l1_pulls_weights_to_zero_and_spares_frozen_layers():
    free, pulled = (
        run(spec_of(steps=80, l1=l1, freeze=[1], optimizer={"kind": "sgd"})) for l1 in (0.0, 0.02)
    )
    sizes = [float(seen.checkpoint().part("model")["5.weight"].abs().sum()) for seen in (free, pulled)]
    assert sizes[1] < 0.7 * sizes[0]
    frozen = [seen.checkpoint().part("model")["1.weight"] for seen in (free, pulled)]
    assert torch.equal(*frozen)

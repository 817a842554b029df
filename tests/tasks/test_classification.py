"""Losses and hits against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from workbench.specs.errors import SpecError
from workbench.specs.tasks import ClassificationTask
from workbench.tasks.choose import task_for
from workbench.tasks.classification import Classification, balanced


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_equal_scores_cost_the_logarithm_of_the_classes(smoothing: float):
    task = task_for(ClassificationTask(label_smoothing=smoothing), 7)
    assert task.loss(torch.zeros(5, 7), torch.arange(5)).item() == pytest.approx(math.log(7), rel=1e-6)
    weights = np.arange(1, 8)
    task = Classification(7, smoothing, (weights / weights.mean()).tolist())
    # Smoothing spreads over all classes, whose weights are 1 in the mean; the labels' are 0.5.
    expected = math.log(7) * (1 - smoothing + smoothing / 0.5)
    assert task.loss(torch.zeros(3, 7), torch.arange(3)).item() == pytest.approx(expected, rel=1e-6)


def test_smoothing_is_the_mean_over_spread_targets():
    task = task_for(ClassificationTask(label_smoothing=0.2), 4)
    scores, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    target = torch.full((6, 4), 0.2 / 4)
    target[torch.arange(6), y] += 0.8
    expected = -(target * scores.log_softmax(1)).sum(1).mean()
    assert torch.allclose(task.loss(scores, y), expected)


def test_hits_count_labels_on_top_for_one_batch_and_for_many():
    task = task_for(ClassificationTask(), 3)
    scores = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    y = torch.tensor([0, 1, 0])
    assert task.hits(scores, y).item() == 2
    stacked = task.hits(torch.stack([scores, -scores]), torch.stack([y, y]))
    assert stacked.tolist() == [2, 0 + int((-scores).argmax(1).eq(y).sum())]


def test_shares_of_one_class_are_its_label():
    task = task_for(ClassificationTask(label_smoothing=0.2), 4)
    scores, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    shares = torch.nn.functional.one_hot(y, 4).float()
    assert torch.allclose(task.loss(scores, y), task.loss(scores, shares))
    assert task.hits(scores, y) == task.hits(scores, shares)


def test_a_blend_costs_its_shares_of_both_labels_and_hits_the_larger():
    task = task_for(ClassificationTask(), 3)
    scores, one, other = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1, 1, 0, 2, 0])
    to_shares = torch.nn.functional.one_hot
    blend = 0.7 * to_shares(one, 3).float() + 0.3 * to_shares(other, 3).float()
    expected = 0.7 * task.loss(scores, one) + 0.3 * task.loss(scores, other)
    assert torch.allclose(task.loss(scores, blend), expected)
    assert task.hits(scores, blend) == task.hits(scores, one)
    stacked = task.hits(torch.stack([scores, -scores]), torch.stack([blend, blend]))
    assert stacked.tolist() == [task.hits(scores, one).item(), task.hits(-scores, one).item()]


def test_probabilities_sum_to_one():
    p = task_for(ClassificationTask(), 3).predict(torch.tensor([[1000.0, 0, 0], [1, 1, 1]]))
    assert torch.allclose(p.sum(1), torch.ones(2))
    assert torch.allclose(p[1], torch.full((3,), 1 / 3))


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(SpecError, match="at least two classes, but the data has 1"):
        task_for(ClassificationTask(), 1)


def test_weights_of_classes_are_inverse_to_their_counts_and_of_mean_one():
    weights = np.array(balanced(np.array([0] * 60 + [1] * 30 + [2] * 10), 3))
    assert weights.mean() == pytest.approx(1)
    assert np.allclose(weights * [60, 30, 10], weights[0] * 60), "each class weighs the same in sum"
    assert np.isfinite(balanced(np.array([0, 0, 1]), 3)).all(), "a class without images"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_weighted_loss_is_torchs(smoothing: float):
    labels = np.array([0] * 7 + [1] * 2 + [2])
    task = task_for(ClassificationTask(class_weights="balanced", label_smoothing=smoothing), 3, labels)
    scores, y = torch.randn(10, 3), torch.from_numpy(labels)
    weight = torch.tensor(balanced(labels, 3))
    expected = torch.nn.functional.cross_entropy(scores, y, weight=weight, label_smoothing=smoothing)
    assert torch.equal(task.loss(scores, y), expected)
    # By hand: each image's loss times its class's weight, over the sum of the weights.
    if not smoothing:
        each = -scores.log_softmax(1)[torch.arange(10), y] * weight[y]
        assert torch.allclose(expected, each.sum() / weight[y].sum())


def test_classes_of_equal_size_cost_what_they_did():
    labels = np.arange(12) % 3
    scores, y = torch.randn(12, 3), torch.from_numpy(labels)
    plain, weighted = (
        task_for(ClassificationTask(class_weights=kind), 3, labels).loss(scores, y)
        for kind in ("none", "balanced")
    )
    assert torch.allclose(plain, weighted)


def test_specs_without_class_weights_open_as_before():
    old = {"kind": "classification", "label_smoothing": 0.1}
    assert ClassificationTask.model_validate(old).class_weights == "none"

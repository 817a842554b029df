"""Losses and hits against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.specs.errors import SpecError
from workbench.specs.training import TaskSpec
from workbench.tasks.classification import task_for


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_equal_scores_cost_the_logarithm_of_the_classes(smoothing: float):
    task = task_for(TaskSpec(label_smoothing=smoothing), 7)
    assert task.loss(torch.zeros(5, 7), torch.arange(5)).item() == pytest.approx(math.log(7), rel=1e-6)


def test_smoothing_is_the_mean_over_spread_targets():
    task = task_for(TaskSpec(label_smoothing=0.2), 4)
    scores, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    target = torch.full((6, 4), 0.2 / 4)
    target[torch.arange(6), y] += 0.8
    expected = -(target * scores.log_softmax(1)).sum(1).mean()
    assert torch.allclose(task.loss(scores, y), expected)


def test_hits_count_labels_on_top_for_one_batch_and_for_many():
    task = task_for(TaskSpec(), 3)
    scores = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    y = torch.tensor([0, 1, 0])
    assert task.hits(scores, y).item() == 2
    stacked = task.hits(torch.stack([scores, -scores]), torch.stack([y, y]))
    assert stacked.tolist() == [2, 0 + int((-scores).argmax(1).eq(y).sum())]


def test_probabilities_sum_to_one():
    p = task_for(TaskSpec(), 3).predict(torch.tensor([[1000.0, 0, 0], [1, 1, 1]]))
    assert torch.allclose(p.sum(1), torch.ones(2))
    assert torch.allclose(p[1], torch.full((3,), 1 / 3))


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(SpecError, match="at least two classes, but the data has 1"):
        task_for(TaskSpec(), 1)

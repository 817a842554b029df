"""Overlaps, losses and their sums against scikit-learn and figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score
from torch.nn import functional as F

from workbench.tasks.segmentation import VOID, Segmentation, overlap, overlaps

K = 4


@pytest.fixture
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (3, K, 7, 5), and masks in which some pixels count nowhere and the last class never occurs."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn((3, K, 7, 5), generator=generator)
    y = torch.randint(0, K - 1, (3, 7, 5), generator=generator)
    y[0, 0] = VOID
    return scores, y


def test_overlaps_and_accuracy_are_scikit_learns(drawn):
    scores, y = drawn
    task = Segmentation(K, classes=["a", "b", "c", "d"])
    there = (y != VOID).numpy()
    truth, told = y.numpy()[there], scores.argmax(dim=1).numpy()[there]
    sums = task.sums(scores, y).numpy().astype(float)
    np.testing.assert_array_equal(task.matrix_of(sums), confusion_matrix(truth, told, labels=range(K)))
    marks = task.marks_of(sums)
    assert marks["iou"] == pytest.approx(jaccard_score(truth, told, average="macro"))
    assert marks["dice"] == pytest.approx(f1_score(truth, told, average="macro"))
    assert marks["accuracy"] == pytest.approx(accuracy_score(truth, told))
    assert int(task.hits(scores, y)) / int(task.count(y)) == pytest.approx(accuracy_score(truth, told))
    rows = task.report_of(sums)["per_class"]
    each = jaccard_score(truth, told, average=None, labels=range(K))
    assert [row["iou"] for row in rows] == pytest.approx(list(each))
    assert [row["pixels"] for row in rows] == np.bincount(truth, minlength=K).tolist()


def test_an_overlap_worked_out_by_hand():
    # 3 pixels right of 4 true and 5 told: 3 in both, 6 in either; the ground: 4 of 6
    matrix = np.array([[4, 2], [1, 3]])
    iou, dice = overlaps(matrix)
    assert iou == pytest.approx([4 / 7, 3 / 6])
    assert dice == pytest.approx([8 / 11, 6 / 9])
    assert dice == pytest.approx(2 * iou / (1 + iou))


def test_a_class_that_is_nowhere_counts_in_no_mean():
    matrix = np.zeros((3, 3), int)
    matrix[0, 0] = 5
    assert np.isnan(overlaps(matrix)[0][1:]).all()
    marks = Segmentation(3).marks_of(matrix.reshape(-1).astype(float))
    assert marks == {"iou": 1.0, "dice": 1.0, "accuracy": 1.0}


def test_the_loss_is_torchs_cross_entropy_over_the_pixels_that_count(drawn):
    scores, y = drawn
    there = y != VOID
    expected = F.cross_entropy(scores.movedim(1, -1)[there], y[there])
    assert Segmentation(K).loss(scores, y).item() == pytest.approx(expected.item(), rel=1e-6)
    equal = torch.zeros_like(scores)
    assert Segmentation(K).loss(equal, y).item() == pytest.approx(math.log(K))


def test_masks_that_count_nowhere_cost_nothing_and_give_no_nan(drawn):
    scores, y = drawn
    scores.requires_grad_()
    loss = Segmentation(K, dice=1.0).loss(scores, torch.full_like(y, VOID))
    loss.backward()
    assert loss.item() == 1.0  # no overlap is known
    assert torch.isfinite(scores.grad).all()
    assert Segmentation(K).loss(scores, torch.full_like(y, VOID)).item() == 0.0


def test_the_soft_overlap_is_whole_for_sure_right_answers_and_that_of_sets_for_sure_ones(drawn):
    _, y = drawn
    y = torch.where(y == VOID, 0, y)
    sure = 60.0 * F.one_hot(y, K).movedim(-1, 1).float()
    assert overlap(sure, y).item() == pytest.approx(1.0, abs=1e-5)
    told = y.roll(1, dims=2)
    wrong = 60.0 * F.one_hot(told, K).movedim(-1, 1).float()
    hard = f1_score(y.reshape(-1), told.reshape(-1), average=None, labels=[0, 1, 2]).mean()
    assert overlap(wrong, y).item() == pytest.approx(hard, abs=1e-5)


def test_parts_of_a_batch_sum_to_the_whole(drawn):
    scores, y = drawn
    task = Segmentation(K)
    parts = [
        (task.loss(s, m) * task.mass(m), task.mass(m))
        for s, m in zip(scores.split(1), y.split(1), strict=True)
    ]
    whole = sum(loss for loss, _ in parts) / sum(mass for _, mass in parts)
    assert whole.item() == pytest.approx(task.loss(scores, y).item(), rel=1e-6)
    summed = sum(task.sums(s, m) for s, m in zip(scores.split(1), y.split(1), strict=True))
    assert torch.equal(summed, task.sums(scores, y))

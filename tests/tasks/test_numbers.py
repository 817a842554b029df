"""Marks of numbers, of several labels and of calibration, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch.nn import functional as F

from workbench.specs.tasks import ClassificationTask, MultiLabelTask, RegressionTask
from workbench.tasks.choose import task_for
from workbench.tasks.metrics import calibration_error

DRAW = np.random.default_rng(0)


def test_marks_of_numbers_equal_scikit_learns_in_the_targets_unit() -> None:
    true, told = DRAW.normal(200_000, 90_000, 500), DRAW.normal(190_000, 80_000, 500)
    task = task_for(RegressionTask(), 1, numbers=(200_000.0, 90_000.0, "USD"))
    y, scores = (torch.tensor((v - 200_000) / 90_000, dtype=torch.float32)[:, None] for v in (true, told))
    found = task.marks(0.0, scores, y)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(true, told), rel=1e-5)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(true, told), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(true, told), rel=1e-4)
    assert task.predict(scores)[:, 0].numpy() == pytest.approx(told, rel=1e-4)
    assert float(task.hits(scores, y)) / 500 == pytest.approx(found["mae"], rel=1e-4)


@pytest.mark.parametrize("kind", ["mse", "mae", "huber"])
def test_losses_of_numbers_are_torchs(kind: str) -> None:
    y, scores = torch.randn(50, 1), torch.randn(50, 1)
    theirs = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}[kind]
    assert task_for(RegressionTask(loss=kind), 1).loss(scores, y) == theirs(scores, y)


def test_marks_of_several_labels_equal_scikit_learns() -> None:
    y = DRAW.integers(0, 2, (300, 4))
    scores = DRAW.normal(size=(300, 4)) + y
    task = task_for(MultiLabelTask(), 4)
    found = task.marks(0.0, torch.tensor(scores, dtype=torch.float32), torch.tensor(y, dtype=torch.float32))
    told = scores > 0
    assert found["f1"] == pytest.approx(sk.f1_score(y, told, average="micro"))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, told, average="macro"))
    assert found["exact"] == pytest.approx(sk.accuracy_score(y, told))
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, scores, average="macro"))
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(y, scores, average="macro"))


def test_one_score_of_two_classes_is_bce_with_logits() -> None:
    y = torch.tensor(DRAW.integers(0, 2, 100))
    one = torch.tensor(DRAW.normal(size=(100, 1)), dtype=torch.float32)
    task = task_for(ClassificationTask(), 2)
    theirs = F.binary_cross_entropy_with_logits(one[:, 0], y.float())
    assert float(task.loss(one, y)) == pytest.approx(float(theirs), rel=1e-5)
    assert task.predict(one)[:, 1].numpy() == pytest.approx(torch.sigmoid(one[:, 0]).numpy(), rel=1e-5)
    assert int(task.hits(one, y)) == int(((one[:, 0] > 0).long() == y).sum())
    found = task.marks(0.0, one, y)
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, one[:, 0]))


def test_the_calibration_error_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    shares = torch.tensor([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    y = torch.tensor([0] * 7 + [1] * 3 + [1] * 6 + [0] * 4)
    assert calibration_error(shares, y) == pytest.approx(
        (10 * abs(0.9 - 0.7) + 10 * abs(0.6 - 0.6)) / 20, abs=1e-6
    )

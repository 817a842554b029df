"""Marks of a model, against scikit-learn and closed forms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from torch import nn

from tests.engine.tiny import CNN, images, spec_of
from workbench.engine.device import pick
from workbench.engine.evaluate import evaluate, evaluating, predict
from workbench.engine.meter import Meter
from workbench.engine.panels import pictures
from workbench.engine.progress import Progress, judge_progress
from workbench.models.build import build
from workbench.specs.errors import RunError
from workbench.tasks.choose import task_for
from workbench.tasks.classification import Classification

TASK = task_for(spec_of().task, 3)


def test_marks_are_scikit_learns():
    data, model = images(n_validation=300), build(spec_of(CNN).model, (1, 6, 6), seed=0)
    found = evaluate(model, data.validation, data, TASK, device="cpu")
    y, p = data.validation.y, found.probabilities
    assert found.loss == pytest.approx(log_loss(y, p), rel=1e-5)
    assert found.accuracy == accuracy_score(y, p.argmax(1))
    assert np.array_equal(found.confusion, confusion_matrix(y, p.argmax(1), labels=[0, 1, 2]))
    assert found.n == 300
    again = predict(model, data.validation.x, data.mean, data.std, TASK)
    assert np.allclose(again, p, atol=1e-6)


def test_the_weighted_loss_of_a_split_does_not_depend_on_how_it_is_cut():
    data, model = images(n_validation=300), build(spec_of(CNN).model, (1, 6, 6), seed=0)
    order = np.argsort(data.validation.y)  # chunks of one class each, of different weights
    split = dataclasses.replace(data.validation, x=data.validation.x[order], y=data.validation.y[order])
    task = Classification(3, class_weights=[0.2, 0.7, 2.1])
    found = evaluate(model, split, data, task, device="cpu")
    weight = np.array(task.class_weights)[split.y]
    assert found.loss == pytest.approx(log_loss(split.y, found.probabilities, sample_weight=weight), rel=1e-5)


def test_an_empty_split_gives_no_marks():
    data, model = images(n_validation=0), build(spec_of(CNN).model, (1, 6, 6))
    found = evaluate(model, data.validation, data, TASK, device="cpu")
    assert math.isnan(found.loss)
    assert found.confusion.sum() == 0
    assert found.probabilities.shape == (0, 3)
    assert predict(model, data.validation.x, data.mean, data.std, TASK).shape == (0, 3)


def test_the_mode_of_every_module_is_put_back_also_after_an_error():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval(), nn.Dropout(0.5))
    inside = []
    with pytest.raises(ZeroDivisionError), evaluating(model):
        inside.append(any(m.training for m in model) or 1 / 0)
    assert inside == []
    assert [m.training for m in model] == [True, False, True]
    assert model.training


def test_a_device_that_is_not_there_is_refused():
    assert pick("cpu") == torch.device("cpu")
    count = torch.cuda.device_count()
    with pytest.raises(RunError, match=rf"torch sees {count} CUDA device\(s\)\. Set device to auto or cpu"):
        pick(f"cuda:{count}")


def test_large_pictures_are_averaged_down_for_the_panel():
    x = np.full((2, 3, 200, 100), 7, dtype=np.uint8)
    assert pictures(x).shape == (2, 96, 48, 3)
    assert (pictures(x) == 7).all()
    assert pictures(x[:, :1, :8, :8]).shape == (2, 8, 8)


def marks(loss: float, accuracy: float) -> dict[str, float]:
    return {"val/loss": loss, "val/accuracy": accuracy}


def test_a_mark_that_is_no_number_never_improves():
    training, progress = spec_of(early_stopping={"patience": 2}).training, Progress()
    verdicts = [judge_progress(progress, training, marks(math.nan, 0.1), step) for step in (1, 2)]
    assert [v.is_best for v in verdicts] == [False, False]
    assert verdicts[1].stop == "val/loss has not improved for 2 validations"


def test_an_unplanned_validation_moves_no_patience():
    training, progress = spec_of(early_stopping={"patience": 1}).training, Progress()
    judge_progress(progress, training, marks(1.0, 0.5), 1)
    verdict = judge_progress(progress, training, marks(2.0, 0.5), 2, planned=False)
    assert verdict.stop is None
    assert progress.stale == 0
    assert judge_progress(progress, training, marks(0.5, 0.5), 3, planned=False).is_best


def test_the_remaining_time_follows_the_pace(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("workbench.engine.meter.perf_counter", lambda: now[0])
    meter = Meter()
    assert meter.eta_s(0, 100) is None
    now[0] += 10
    assert meter.eta_s(20, 100) == pytest.approx(40.0)  # 2 steps a second
    with meter.idle():
        now[0] += 1000  # a pause does not slow the pace
    now[0] += 10
    assert meter.eta_s(40, 100) == pytest.approx(30.0)
    with meter.watching():
        now[0] += 5
    assert meter.share == pytest.approx(5 / 25)

"""Panels of a validation: the confusion matrix, and predictions on samples worth a look."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.engine.evaluate import Judged, confusion
from workbench.engine.series import horizon_panel
from workbench.engine.task import Tabled, Task
from workbench.records import Data, Panel

LARGEST_MATRIX = 200  # classes; a larger matrix cannot be read and is not sent
LARGEST_SIDE = 96  # pixels of a sample picture
MOST_POINTS = 1000  # of predicted against true
RESIDUAL_BINS = 30
LONGEST_TEXT = 2000  # characters of a sample text


def of(
    judged: Judged, data: Data, task: Task, samples: int, step: int, epoch: float, time: float
) -> list[Panel]:
    """All panels of a validation; `samples` predictions, 0 for none. None where tokens are told."""
    found: list[Panel] = []
    if judged.sums is not None and data.kind == "series":
        return [Panel("horizon", step, epoch, time, horizon_panel(data, task, judged.sums))]
    if judged.sums is not None:
        return _counted(judged, data, task, step, epoch, time)
    if judged.scores is None or judged.y is None or not len(judged.y):
        return found
    if task.kind == "regression":
        found.append(numbers_panel(judged, data, task, step, epoch, time))
    report = task.report(judged.scores, judged.y, data.classes)
    if report is not None:
        metrics = {"loss": judged.loss, **judged.marks}
        found.append(Panel("report", step, epoch, time, {**report, "metrics": metrics}))
    matrix = None
    if not judged.y.is_floating_point():
        matrix = confusion_panel(judged, data, step, epoch, time)
    if matrix is not None:
        found.append(matrix)
    if samples:
        found.append(samples_panel(judged, data, task, samples, step, epoch, time))
    return found


def _counted(judged: Judged, data: Data, task: Task, step: int, epoch: float, time: float) -> list[Panel]:
    """Report and confusion of a task whose marks are made of sums, where it has them."""
    assert judged.sums is not None
    found, report = [], task.report_of(judged.sums)
    if report is not None:
        metrics = {"loss": judged.loss, **judged.marks}
        found.append(Panel("report", step, epoch, time, {**report, "metrics": metrics}))
    if isinstance(task, Tabled) and task.n_classes <= LARGEST_MATRIX:
        told = {"classes": list(data.classes), "matrix": task.matrix_of(judged.sums).tolist()}
        found.append(Panel("confusion", step, epoch, time, told))
    return found


def confusion_panel(judged: Judged, data: Data, step: int, epoch: float, time: float) -> Panel | None:
    """{"classes": [...], "matrix": [[...]]}, rows are the true classes; None beyond 200 classes."""
    classes = list(data.classes)
    if len(classes) > LARGEST_MATRIX:
        return None
    matrix = confusion(judged, len(classes))
    return Panel("confusion", step, epoch, time, {"classes": classes, "matrix": matrix.tolist()})


def numbers_panel(judged: Judged, data: Data, task: Task, step: int, epoch: float, time: float) -> Panel:
    """Predicted against true numbers: {"unit", "target", "points": [[true, predicted]], "edges", "counts"},
    both in the target's unit; at most 1,000 points, evenly drawn; edges (31,) and counts (30,) of what is
    predicted too high."""
    assert judged.scores is not None
    assert judged.y is not None
    told = task.predict(judged.scores).cpu().double().numpy()[:, 0]
    true = task.predict(judged.y).cpu().double().numpy()[:, 0]
    off = told - true
    off = off[np.isfinite(off)]
    far = float(np.quantile(np.abs(off), 0.99)) if len(off) else 0.0
    edges = np.linspace(-far or -1.0, far or 1.0, RESIDUAL_BINS + 1)
    counts = np.histogram(np.clip(off, edges[0], edges[-1]), edges)[0]
    rows = np.arange(min(MOST_POINTS, len(true))) * len(true) // max(1, min(MOST_POINTS, len(true)))
    schema: Any = getattr(data, "schema", None)
    found = {
        "unit": getattr(data, "unit", ""), "target": schema.columns.get("target", "") if schema else "",
        "points": [[_short(true[i]), _short(told[i])] for i in rows],
        "edges": [_short(e) for e in edges], "counts": counts.tolist(), "metrics": dict(judged.marks),
    }  # fmt: skip
    return Panel("numbers", step, epoch, time, found)


def _short(value: float) -> float:
    """Six digits are more than a picture shows."""
    return float(f"{value:.6g}")


def samples_panel(
    judged: Judged, data: Data, task: Task, n: int, step: int, epoch: float, time: float
) -> Panel:
    """Predictions on n validation samples: half are always the first ones, half the surest mistakes.

    items: {"index" (row in the set), "label", "prediction", "probabilities" (the top three, class and
    p), "correct", of texts "text"}; images (n, h, w) or (n, h, w, 3) uint8. Where mistakes run out, first
    ones fill up.
    """
    assert judged.scores is not None
    assert judged.y is not None
    rows = chosen(judged, n)
    if judged.y.is_floating_point():
        return _told(judged, data, task, rows, step, epoch, time)
    probabilities = task.predict(judged.scores[rows]).cpu().numpy()  # (n, K)
    labels = judged.y[rows].cpu().numpy()
    picked = rows.cpu().numpy()
    items = []
    for row, label, p in zip(picked, labels, probabilities, strict=True):
        top = np.argsort(-p, kind="stable")[:3]
        items.append(
            {
                "index": int(data.validation.index[row]),
                "label": data.classes[label],
                "prediction": data.classes[top[0]],
                "probabilities": [[data.classes[k], float(p[k])] for k in top],
                "correct": bool(top[0] == label),
            }
        )
    if data.kind != "images":
        texts: Any = data.validation
        for item, row in zip(items, picked, strict=True):
            item["text"] = texts.text(int(row))[:LONGEST_TEXT]
        return Panel("samples", step, epoch, time, {"items": items})
    images = pictures(data.validation.x[picked])
    return Panel("samples", step, epoch, time, {"items": items}, {"images": images})


def _told(judged: Judged, data: Any, task: Task, rows: Tensor, step: int, epoch: float, time: float) -> Panel:
    """The same where a number or several labels are told. items: {"index", "label", "prediction", "correct",
    "text"}, of numbers "error" in their unit, of labels "probabilities"."""
    assert judged.scores is not None
    assert judged.y is not None
    told = task.predict(judged.scores[rows]).cpu().numpy()
    true = judged.y[rows]
    items = []
    if task.kind == "regression":
        meant = task.predict(true).cpu().numpy()
        marks = getattr(data, "unit", "")
        for said, was in zip(told[:, 0].tolist(), meant[:, 0].tolist(), strict=True):
            items.append({"label": _number(was, marks), "prediction": _number(said, marks),
                          "error": _short(said - was), "correct": None, "probabilities": []})  # fmt: skip
    else:
        for shares, yes in zip(told, true.cpu().numpy() > 0.5, strict=True):
            names = [[data.classes[k] for k in np.flatnonzero(part)] for part in (yes, shares > 0.5)]
            order = np.argsort(-shares, kind="stable")[:3]
            items.append({"label": ", ".join(names[0]) or "none", "prediction": ", ".join(names[1]) or "none",
                          "correct": names[0] == names[1],
                          "probabilities": [[data.classes[k], float(shares[k])] for k in order]})  # fmt: skip
    for item, row in zip(items, rows.cpu().tolist(), strict=True):
        item |= {"index": int(data.validation.index[row]), "text": data.validation.text(row)[:LONGEST_TEXT]}
    return Panel("samples", step, epoch, time, {"items": items})


def _number(value: float, unit: str) -> str:
    return f"{value:,.6g}" + (f" {unit}" if unit else "")


def chosen(judged: Judged, n: int) -> Tensor:
    """Rows (m,) int64, m = min(n, N), each once: the first ones, then mistakes by falling confidence."""
    assert judged.scores is not None
    assert judged.y is not None
    total = len(judged.y)
    n = min(n, total)
    fixed = n - n // 2
    if judged.y.is_floating_point():  # the farthest off
        off = (judged.scores.float() - judged.y).abs().mean(dim=1)
        far = off[fixed:].argsort(descending=True, stable=True)[: n - fixed] + fixed
        return torch.cat([torch.arange(fixed, device=far.device), far])
    scores = judged.scores.float()
    if scores.shape[1] == 1:  # of two classes one score
        scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
    confidence, prediction = scores.softmax(dim=1).max(dim=1)
    wrong = (prediction != judged.y).nonzero().flatten()
    wrong = wrong[wrong >= fixed]
    wrong = wrong[confidence[wrong].argsort(descending=True, stable=True)][: n // 2]
    rest = n - fixed - len(wrong)
    taken = set(wrong.tolist())
    filler = list(islice((row for row in range(fixed, total) if row not in taken), rest))
    first = torch.arange(fixed, device=wrong.device)
    return torch.cat([first, wrong, torch.tensor(filler, dtype=torch.int64, device=wrong.device)])


def pictures(x: np.ndarray) -> np.ndarray:
    """Pixels (n, C, H, W) uint8 as pictures (n, h, w) or (n, h, w, 3) uint8, at most 96 pixels a side."""
    side = max(x.shape[2:])
    if side > LARGEST_SIDE:
        to = [max(1, round(s * LARGEST_SIDE / side)) for s in x.shape[2:]]
        values = torch.from_numpy(np.ascontiguousarray(x)).float()
        x = F.adaptive_avg_pool2d(values, to).round().byte().numpy()
    if x.shape[1] == 3:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return np.ascontiguousarray(x[:, 0])

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
from workbench.engine.task import Task
from workbench.records import Data, Panel

LARGEST_MATRIX = 200  # classes; a larger matrix cannot be read and is not sent
LARGEST_SIDE = 96  # pixels of a sample picture
LONGEST_TEXT = 2000  # characters of a sample text


def of(
    judged: Judged, data: Data, task: Task, samples: int, step: int, epoch: float, time: float
) -> list[Panel]:
    """All panels of a validation; `samples` predictions, 0 for none. None where tokens are told."""
    found: list[Panel] = []
    if judged.sums is not None and data.kind == "series":
        return [Panel("horizon", step, epoch, time, horizon_panel(data, task, judged.sums))]
    if judged.scores is None or judged.y is None or not len(judged.y):
        return found
    report = task.report(judged.scores, judged.y, data.classes)
    if report is not None:
        metrics = {"loss": judged.loss, **judged.marks}
        found.append(Panel("report", step, epoch, time, {**report, "metrics": metrics}))
    matrix = confusion_panel(judged, data, step, epoch, time)
    if matrix is not None:
        found.append(matrix)
    if samples:
        found.append(samples_panel(judged, data, task, samples, step, epoch, time))
    return found


def confusion_panel(judged: Judged, data: Data, step: int, epoch: float, time: float) -> Panel | None:
    """{"classes": [...], "matrix": [[...]]}, rows are the true classes; None beyond 200 classes."""
    classes = list(data.classes)
    if len(classes) > LARGEST_MATRIX:
        return None
    matrix = confusion(judged, len(classes))
    return Panel("confusion", step, epoch, time, {"classes": classes, "matrix": matrix.tolist()})


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


def chosen(judged: Judged, n: int) -> Tensor:
    """Rows (m,) int64, m = min(n, N), each once: the first ones, then mistakes by falling confidence."""
    assert judged.scores is not None
    assert judged.y is not None
    total = len(judged.y)
    n = min(n, total)
    fixed = n - n // 2
    confidence, prediction = judged.scores.float().softmax(dim=1).max(dim=1)
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

"""A model judged on a split: loss, accuracy, confusion, probabilities. Trains nothing, changes nothing.

Notation: N samples, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workbench.engine.batches import Batches, normalised
from workbench.engine.device import pick, place
from workbench.engine.task import Task
from workbench.records import Data, Split

CPU_BATCH = 128  # stays in the cache; 1,024 took twice as long per image on a 2-core machine
GPU_BATCH = 1024


@dataclass(frozen=True)
class Evaluation:
    """loss: mean over the samples; accuracy 0..1; confusion (K, K) int64, rows are true classes;
    probabilities (N, K) float32."""

    n: int
    loss: float
    accuracy: float
    confusion: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Judged:
    """An evaluation still on the device: scores (N, K), y (N,); loss and accuracy are plain numbers."""

    loss: float
    accuracy: float
    scores: Tensor
    y: Tensor


def evaluate(model: nn.Module, split: Split, data: Data, task: Task, *, device: str = "auto") -> Evaluation:
    """The model's marks on a split, in eval mode, on `device`; the model is left there.

    Check: accuracy is the trace of the confusion matrix over N. An empty split gives NaN marks.
    Raises: RunError when the device does not exist.
    """
    where = pick(device)
    place(model, where)
    judged = judge(model, Batches(split, data, where), task)
    probabilities = task.predict(judged.scores).cpu().numpy()
    return Evaluation(
        len(judged.y), judged.loss, judged.accuracy, confusion(judged, task.n_classes), probabilities
    )


def predict(
    model: nn.Module, images: np.ndarray, mean: np.ndarray, std: np.ndarray, task: Task
) -> np.ndarray:
    """Probabilities (N, K) float32 for images (N, C, H, W) uint8, on the device the model is on."""
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    found = [np.empty((0, task.n_classes), dtype=np.float32)]
    with evaluating(model):
        for start in range(0, len(images), CPU_BATCH):
            x = normalised(images[start : start + CPU_BATCH], mean, std).to(where)
            found.append(task.predict(model(x)).cpu().numpy())
    return np.concatenate(found)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; the mode of every module is put back, also after an error."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def judge(
    model: nn.Module,
    batches: Batches,
    task: Task,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Judged:
    """One pass over the split, forward under `autocast()`; a single fetch from the device at its end."""
    size = CPU_BATCH if batches.device.type == "cpu" else GPU_BATCH
    losses, masses, scores = [], [], []
    with evaluating(model):
        for x, y in batches.in_order(size):
            with autocast():
                out = model(x).float()  # (B, K)
            losses.append(task.loss(out, y))
            masses.append(task.mass(y))
            scores.append(out)
        if not scores:
            nothing = torch.empty(0, task.n_classes, device=batches.device)
            return Judged(float("nan"), float("nan"), nothing, batches.y)
        everything = scores[0] if len(scores) == 1 else torch.cat(scores)
        hits = task.hits(everything, batches.y)
        weighed = [mass for mass in masses if isinstance(mass, Tensor)]  # not yet on this side
        marks = torch.stack([*losses, *weighed, hits.float()]).cpu().numpy().astype(np.float64)
    n = len(losses)
    weights = marks[n:-1] if weighed else np.array(masses)
    loss = float(marks[:n] @ weights / weights.sum())
    return Judged(loss, float(marks[-1]) / batches.n, everything, batches.y)


def confusion(judged: Judged, n_classes: int) -> np.ndarray:
    """(K, K) int64: how often row was called column."""
    pairs = judged.y * n_classes + judged.scores.argmax(dim=1)
    counts = torch.bincount(pairs, minlength=n_classes**2).cpu().numpy()
    return np.asarray(counts).reshape(n_classes, n_classes)

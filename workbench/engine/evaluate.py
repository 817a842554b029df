"""A model judged on a split: loss, accuracy, confusion, probabilities. Trains nothing, changes nothing.

Notation: N samples, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.engine.batches import normalised
from workbench.engine.device import pick, place
from workbench.engine.feeds import Feed, feed_for
from workbench.engine.task import Judging, Parted, Tabled, Task
from workbench.records import Data

CPU_BATCH = 128  # stays in the cache; 1,024 took twice as long per image on a 2-core machine
GPU_BATCH = 1024
CPU_TOKENS = 2048  # of texts in which every token is told
GPU_TOKENS = 65_536
CPU_PIXELS = 2**19  # of images in which every pixel is told
GPU_PIXELS = 2**23


@dataclass(frozen=True)
class Evaluation:
    """loss: mean over the samples; accuracy 0..1; confusion (K, K) int64, rows are true classes;
    probabilities (N, K) float32; both are empty where tokens are told and not samples. marks: all of them by
    name, loss and accuracy (or what the task counts) among them; report: class by class."""

    n: int
    loss: float
    accuracy: float
    confusion: np.ndarray
    probabilities: np.ndarray
    marks: Mapping[str, float] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Judged:
    """An evaluation still on the device: scores (N, K), y (N,), None where every token has scores of its own,
    and where marks come of sums: then sums (S,) float64; loss and marks (accuracy and what else the task
    tells, by name) are plain numbers."""

    loss: float
    marks: Mapping[str, float]
    scores: Tensor | None
    y: Tensor | None
    sums: np.ndarray | None = None


def evaluate(
    model: nn.Module, split: Any, data: Data, task: Task, *, device: str = "auto", least: int = 1
) -> Evaluation:
    """The model's marks on a split, in eval mode, on `device`; the model is left there. least: tokens to
    which every text is padded at least.

    Check: accuracy is the trace of the confusion matrix over N. An empty split gives NaN marks.
    Raises: RunError when the device does not exist.
    """
    where = pick(device)
    place(model, where)
    feed = feed_for(split, data, task, where, least=least)
    judged = judge(model, feed, task)
    marks = {"loss": judged.loss, **judged.marks}
    accuracy = judged.marks.get("accuracy", math.nan)
    if judged.scores is None or judged.y is None:
        matrix = np.zeros((0, 0), np.int64)
        if judged.sums is not None and isinstance(task, Tabled):
            matrix = task.matrix_of(judged.sums)
        report = None if judged.sums is None else task.report_of(judged.sums)
        return Evaluation(feed.n, judged.loss, accuracy, matrix, np.zeros((0, 0)), marks, report)
    probabilities = task.predict(judged.scores).cpu().numpy()
    nothing = np.zeros((0, 0), np.int64)
    has_classes = not judged.y.is_floating_point()
    return Evaluation(
        feed.n, judged.loss, accuracy, confusion(judged, task.n_classes) if has_classes else nothing,
        probabilities, marks,
        task.report(judged.scores, judged.y, data.classes) if feed.n else None,
    )  # fmt: skip


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
    feed: Feed,
    task: Task,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Judged:
    """One pass over the split, forward under `autocast()`; a single fetch from the device at its end."""
    if isinstance(task, Judging):
        with evaluating(model):
            own, told = task.judged(model, feed.in_order(at_once(feed)), autocast)
        return Judged(own, told, None, None)
    if task.per_token:
        return _judge_tokens(model, feed, task, autocast)
    if feed.y is None:
        return _judge_sums(model, feed, task, autocast)
    size = CPU_BATCH if feed.device.type == "cpu" else GPU_BATCH
    losses, masses, scores = [], [], []
    labels = feed.y
    assert labels is not None, "samples have labels"
    with evaluating(model):
        for x, y in feed.in_order(size):
            with autocast():
                out = model(x).float()  # (B, K)
            losses.append(task.loss(out, y))
            masses.append(task.mass(y))
            scores.append(out)
        if not scores:
            nothing = torch.empty(0, task.n_classes, device=feed.device)
            return Judged(math.nan, {task.counted: math.nan}, nothing, labels)
        everything = feed.as_stored(scores[0] if len(scores) == 1 else torch.cat(scores))
        hits = task.hits(everything, labels)
        weighed = [mass for mass in masses if isinstance(mass, Tensor)]  # not yet on this side
        marks = torch.stack([*losses, *weighed, hits.float()]).cpu().numpy().astype(np.float64)
        n = len(losses)
        weights = marks[n:-1] if weighed else np.array(masses)
        loss = float(marks[:n] @ weights / weights.sum())
        found = {task.counted: float(marks[-1]) / feed.n, **task.marks(loss, everything, labels)}
    return Judged(loss, found, everything, labels)


def _judge_tokens(
    model: nn.Module, feed: Feed, task: Task, autocast: Callable[[], AbstractContextManager[object]]
) -> Judged:
    """The same where every token is told: sums only, since the scores of a whole split need not fit."""
    size = max(1, (CPU_TOKENS if feed.device.type == "cpu" else GPU_TOKENS) // feed.width)
    sums = []
    with evaluating(model):
        for x, y in feed.in_order(size):
            with autocast():
                out = model(x).float()  # (B, L, K)
            mass = torch.as_tensor(task.mass(y), dtype=torch.float32, device=feed.device)
            sums.append(torch.stack([task.loss(out, y) * mass, mass, task.hits(out, y).float()]))
    if not sums:
        return Judged(math.nan, {"accuracy": math.nan}, None, None)
    loss, mass, hits = torch.stack(sums).cpu().numpy().astype(np.float64).sum(axis=0)
    mean = float(loss / max(mass, 1.0))
    return Judged(
        mean, {"accuracy": float(hits / max(mass, 1.0)), **task.marks(mean, None, None)}, None, None
    )


def _judge_sums(
    model: nn.Module, feed: Feed, task: Task, autocast: Callable[[], AbstractContextManager[object]]
) -> Judged:
    """The same where marks are made of sums, which are added up as the batches come by."""
    size = at_once(feed)
    parted = task if isinstance(task, Parted) and task.parts else None
    exact = torch.float32 if feed.device.type == "mps" else torch.float64  # Metal knows no double
    total = torch.zeros((), dtype=exact, device=feed.device)
    with evaluating(model):
        for x, y in feed.in_order(size):
            with autocast():
                out = model(x).float()  # (B, K)
            mass = torch.as_tensor(task.mass(y), dtype=exact, device=feed.device)
            sums = task.sums(out, y)
            assert sums is not None, "the task says what its marks are made of"
            loss, parts = task.loss(out, y), None
            if parted is not None:
                loss, parts = parted.whole(model, loss, y)
            weighed = [] if parts is None else [parts.to(exact) * mass]
            total = total + torch.cat([torch.stack([loss * mass, mass]), *weighed, sums.to(exact)])
    if not total.ndim:
        return Judged(math.nan, {task.counted: math.nan}, None, None)
    found = total.cpu().numpy().astype(np.float64)
    names = () if parted is None else parted.parts
    own = found[2 + len(names) :]
    parts_of = {name: float(value / found[1]) for name, value in zip(names, found[2:], strict=False)}
    return Judged(float(found[0] / found[1]), {**parts_of, **task.marks_of(own)}, None, None, own)


def at_once(feed: Feed) -> int:
    """Samples of a batch where marks are sums: fewer of large images, of which every pixel is told."""
    is_cpu = feed.device.type == "cpu"
    pixels = getattr(feed, "pixels", 1)
    return max(1, min(CPU_BATCH if is_cpu else GPU_BATCH, (CPU_PIXELS if is_cpu else GPU_PIXELS) // pixels))


def confusion(judged: Judged, n_classes: int) -> np.ndarray:
    """(K, K) int64: how often row was called column."""
    assert judged.scores is not None, "samples are told, not tokens"
    assert judged.y is not None
    told = judged.scores.argmax(dim=1) if judged.scores.shape[1] > 1 else (judged.scores[:, 0] > 0).long()
    pairs = judged.y * n_classes + told
    counts = torch.bincount(pairs, minlength=n_classes**2).cpu().numpy()
    return np.asarray(counts).reshape(n_classes, n_classes)

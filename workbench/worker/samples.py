"""The samples a trained model finds hardest, those whose labels it doubts, and the oddest ones. Of numbers
(rows of a regression, windows of a series) the hardest are those that it is farthest off.

Done in slices, so that other questions are answered in between: each look works for a moment and says how
far it is; what is done is kept. Samples are images, texts, rows or windows. Notation: N samples judged, M of
the training split that stand for what is usual, K classes, D features.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench import catalog
from workbench.engine.batches import normalised
from workbench.specs.errors import RunError
from workbench.specs.tasks import TOKEN_TASKS
from workbench.store import Store
from workbench.worker.trained import Shelf, Trained

SLICE_S = 0.4  # seconds of work a look
BATCH = 128
MOST = 20_000  # samples judged; of more, a fixed random draw
BANK = 4_000  # training samples that odd ones are compared with
NEIGHBOUR = 10  # the how-manieth nearest counts: one copy or one odd fellow does not make usual
FEATURES = 1024  # more are averaged down to so many
SHOWN = 120  # of each kind
LONGEST = 500  # characters of a text, or steps of a window, that are shown
KEPT = 16  # answers that are remembered
BEGUN = 2  # looks under way at a time; an older one starts afresh
WRITERS = {"language_model": "a language model", "translation": "a translator"}
SPLITS = ("validation", "test", "train")
TASKS = ("classification", "regression", "forecasting")
WHAT = {"images": "images", "table": "rows", "series": "windows", "text": "texts"}


class Samples:
    """Looks at runs' samples, one after the other. One thread at a time."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self.store = store
        self.shelf = shelf
        self._found: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
        self._begun: OrderedDict[tuple[Any, ...], _Look] = OrderedDict()  # these hold on to their images

    def look(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """payload: run; split (validation where it is not given), checkpoint. Some work is done on it, then:
        `{"share": 0..1, "found": None}`, and when all is done `found` (see `_Look.found`).

        Raises RunError for an unknown run, checkpoint or split, an empty split, a model that tells tokens and
        not samples, and one whose scores are no numbers; DataError where the data is gone.
        """
        split = str(payload.get("split") or SPLITS[0])
        if split not in SPLITS:
            raise RunError.of("split", f"it is one of {', '.join(SPLITS)}", f"it is {split[:40]!r}")
        trained = self.shelf.get(payload["run"], payload.get("checkpoint"))
        key = (trained.row.id, trained.checkpoint.name, trained.checkpoint.time, split)
        if key in self._found:
            self._found.move_to_end(key)
            return {"share": 1.0, "found": self._found[key]}
        look = self._begun.pop(key, None)
        if look is None:
            version = catalog.with_shipped(self.store, trained.data.name, trained.row.data_version).version
            look = _Look(trained, split, version)
        share, found = look.work()
        if found is None:
            self._begun[key] = look
        else:
            self._found[key] = found
        while len(self._begun) > BEGUN:
            self._begun.popitem(last=False)
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        return {"share": share, "found": found}


class _Look:
    """One split under one checkpoint; `work` goes on where it left off."""

    def __init__(self, trained: Trained, split: str, version: int) -> None:
        name, task = f"run `{trained.row.name}`", trained.row.spec.task.kind
        if task not in TASKS:
            told = (
                f"it is {WRITERS[task]}, which tells tokens" if task in TOKEN_TASKS else f"its task is {task}"
            )
            raise RunError.of(
                name, "hard and odd samples are looked for where each sample has a class or numbers to tell",
                told, "Look at what it tells at its validations.",
            )  # fmt: skip
        whole = getattr(trained.data, split)
        judged = np.flatnonzero(whole.measured) if task == "forecasting" else np.arange(len(whole))
        if not len(judged):
            what = WHAT[trained.data.kind]
            raise RunError.of(
                name, f"its {split} split must have {what}", "it has none", "Choose another split."
            )
        self._trained: Any = trained  # its data and task are of the kind that the task's name says
        self._task = task
        self._facts = {
            "run": trained.row.id, "checkpoint": trained.checkpoint.name, "step": trained.checkpoint.step,
            "data": trained.data.name, "version": version, "split": split, "of": len(judged),
            "filled": len(whole) - len(judged),
            "kind": trained.data.kind, "classes": list(trained.data.classes), "task": task,
            "unit": getattr(trained.data, "unit", ""),
        }  # fmt: skip
        self._whole = whole
        self._part, self._bank = judged[_drawn(judged, MOST)], _drawn(trained.data.train, BANK)
        n = len(self._part)
        has_classes = task == "classification"
        self._y = np.asarray(whole.y, np.int64)[self._part] if has_classes else np.zeros(0, np.int64)
        self._off = np.zeros(n)  # of numbers: how far the model is off
        self._rows = np.asarray(whole.index, np.int64)[self._part]
        self._odd = np.empty(n, np.float32)
        self._scores = np.empty((n, len(trained.data.classes) if has_classes else 0), np.float32)
        self._done, self._all = 0, n + len(self._bank)
        self._steps = self._walk(trained)

    def work(self) -> tuple[float, dict[str, Any] | None]:
        """The share that is done after a slice of work, and what was found when it is all."""
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            with torch.inference_mode():
                n = next(self._steps, 0)
            if not n:
                return 1.0, self.found()
            self._done += n
        return self._done / self._all, None

    def found(self) -> dict[str, Any]:
        """run, checkpoint, step, data, version, split, `of` (its samples), `filled` (windows besides those,
        all of whose values were filled in), `judged` (how many were), kind (of data), classes; and hardest,
        mislabelled and oddest: lists, the worst first, of `{"row", "label", "prediction", "confidence",
        "label_share", "loss", "oddness"}` and of texts `text`; row counts in that version of the set.
        """
        y = self._y
        if not (np.isfinite(self._scores).all() and np.isfinite(self._off).all()):
            raise RunError.of(
                f"run `{self._facts['run']}`", "its model must answer with numbers", "some answers are NaN",
                "Its training went out of bounds: train again with a smaller learning rate.",
            )  # fmt: skip
        if self._task != "classification":
            return self._of_numbers()
        log_p = F.log_softmax(torch.from_numpy(self._scores).double(), dim=1).numpy()
        shares = np.exp(log_p)
        loss = -log_p[np.arange(len(y)), y]
        order = {
            "hardest": np.argsort(-loss, kind="stable"),
            "mislabelled": doubtful_labels(shares, y),
            "oddest": np.argsort(-self._odd, kind="stable"),
        }

        def line(i: int) -> dict[str, Any]:
            said = int(shares[i].argmax())
            found = {
                "row": int(self._rows[i]), "label": int(y[i]), "prediction": said,
                "confidence": float(shares[i, said]), "label_share": float(shares[i, y[i]]),
                "loss": float(loss[i]), "oddness": float(self._odd[i]),
            }  # fmt: skip
            if self._facts["kind"] in ("text", "table"):
                found["text"] = self._whole.text(int(self._part[i]))[:LONGEST]
            return found

        lists = {kind: [line(int(i)) for i in rows[:SHOWN]] for kind, rows in order.items()}
        counted = {"judged": len(y), "doubted": len(order["mislabelled"])}
        return self._facts | counted | lists

    def _of_numbers(self) -> dict[str, Any]:
        """`found` where numbers are told: lines are `{"row", "loss", "oddness"}` and of rows `label`,
        `prediction` and `text`, of windows `text` (from when to when), `truth` (None where it was filled in)
        and `told` of the first variate. loss: the absolute error in the target's unit, of windows its mean in
        the series' spread."""
        order = {
            "hardest": np.argsort(-self._off, kind="stable"), "mislabelled": np.zeros(0, np.int64),
            "oddest": np.argsort(-self._odd, kind="stable"),
        }  # fmt: skip
        lists = {kind: [self._line(int(i)) for i in rows[:SHOWN]] for kind, rows in order.items()}
        return self._facts | {"judged": len(self._off), "doubted": 0} | lists

    def _line(self, i: int) -> dict[str, Any]:
        trained, place = self._trained, int(self._part[i])
        line = {
            "row": int(self._rows[i]), "loss": float(self._off[i]), "oddness": float(self._odd[i]),
        }  # fmt: skip
        with torch.inference_mode():
            scores = trained.model(_inputs(trained, self._whole, self._part[i : i + 1])).float()
            told = trained.task.predict(scores)[0]
        if self._task == "regression":
            mean, scale = trained.data.encoder.target_mean, trained.data.encoder.target_scale
            true = float(np.ravel(self._whole.y[place])[0]) * scale + mean
            return line | {
                "label": true, "prediction": float(told[0]), "text": self._whole.text(place)[:LONGEST]
            }  # fmt: skip
        data, at = trained.data, int(self._whole.index[place])
        variate = int(self._whole.targets[0])
        mean, std = float(data.mean[variate]), float(data.std[variate])
        middle = trained.task.point(scores)[0, :, 0].numpy()
        truth = self._whole.truth(np.arange(at, at + self._whole.horizon)[:LONGEST])[:, 0] * std + mean
        return line | {
            "text": f"{data.label(at)} to {data.label(at + self._whole.horizon - 1)}",
            "truth": [None if np.isnan(value) else float(value) for value in truth],
            "told": (middle * std + mean).tolist()[:LONGEST],
        }  # fmt: skip

    def _judge(self, trained: Any, here: np.ndarray, scores: Tensor) -> None:
        """Scores of some samples, kept; of numbers how far they are off."""
        if self._task == "classification":
            self._scores[here] = scores.numpy()
            return
        places = self._part[here]
        if self._task == "regression":
            y = torch.from_numpy(np.asarray(self._whole.y)[places]).reshape(len(places), -1)
            self._off[here] = (scores - y).abs().mean(dim=1).numpy() * trained.data.encoder.target_scale
            return
        steps = self._whole.index[places][:, None] + np.arange(self._whole.horizon)
        y = torch.from_numpy(self._whole.truth(steps))
        self._off[here] = _far_off(trained.task.point(scores), y).numpy()

    def _walk(self, trained: Trained) -> Iterator[int]:
        """First the features of what is usual, then scores and features of each batch; samples per step."""
        train, usual, order = trained.data.train, [], _by_length(trained.data.train, self._bank)
        bank_rows = np.asarray(train.index, np.int64)[self._bank[order]]
        for at in range(0, len(order), BATCH):
            _, features = _asked(trained, train, self._bank[order[at : at + BATCH]])
            usual.append(features)
            yield len(features)
        bank = torch.cat(usual)  # (M, D)
        order = _by_length(self._whole, self._part)
        for at in range(0, len(order), BATCH):
            here = order[at : at + BATCH]
            scores, features = _asked(trained, self._whole, self._part[here])
            self._judge(trained, here, scores)
            same = self._rows[here][:, None] == bank_rows[None, :]
            if self._facts["split"] != "train":
                same[:] = False  # splits share no row
            self._odd[here] = oddness(features, bank, torch.from_numpy(same)).numpy()
            yield len(scores)


def doubtful_labels(shares: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers of the samples whose label is probably wrong, the surest error first. shares (N, K), y (N,).

    A sample is doubted where the model gives another class at least the share that it gives that class on
    average where it is the label; ordered by how far the label's share stays behind the best other's.
    Source: Northcutt et al. 2021, confident learning, https://arxiv.org/abs/1911.00068, sections 3.1, 3.2.
    """
    n, k = shares.shape
    own = shares[np.arange(n), y]
    counts = np.bincount(y, minlength=k)
    usual = np.bincount(y, weights=own, minlength=k) / np.maximum(counts, 1)
    usual[counts == 0] = np.inf  # no telling what is usual for a class without samples
    other = np.where(shares >= usual, shares, -1.0)
    other[np.arange(n), y] = np.where(own >= usual[y], own, -1.0)
    rival = shares.copy()
    rival[np.arange(n), y] = -1.0
    margin = own - rival.max(axis=1)
    is_other = (other.max(axis=1) >= 0) & (other.argmax(axis=1) != y)
    doubted = np.flatnonzero(is_other & (margin < 0))  # undecided is not doubt
    return np.asarray(doubted[np.argsort(margin[doubted], kind="stable")])


def oddness(features: Tensor, bank: Tensor, same: Tensor) -> Tensor:
    """Distance to the tenth nearest training image in features of length 1: (B, D), (M, D) -> (B,), 0..2.

    same (B, M) bool: which of the bank the sample itself is; those do not count.
    Source: Sun et al. 2022, deep nearest neighbours, https://arxiv.org/abs/2204.06507, equation 2.
    """
    if not len(bank):
        return torch.zeros(len(features))
    distance = torch.cdist(features, bank)
    distance = distance.masked_fill(same, float("inf"))
    nearest = min(NEIGHBOUR, max(1, len(bank) - 1))
    found = distance.kthvalue(nearest, dim=1).values
    return found.nan_to_num(0.0, posinf=0.0)


def _far_off(told: Tensor, y: Tensor) -> Tensor:
    """The mean absolute error of each window over what was measured: (B, H, C), (B, H, C) -> (B,).
    0 where none was; NaN where the model tells no number of one that was."""
    there = ~y.isnan()
    off = torch.where(there, (told - y).abs(), 0.0)
    return off.sum(dim=(1, 2)) / there.sum(dim=(1, 2)).clamp(min=1)


def _asked(trained: Trained, split: Any, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Scores (B, K) of some samples of a split, and the features (B, D) that the last layer with parameters
    made them of."""
    seen: list[Tensor] = []
    hook = last_layer(trained.model).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        scores = trained.model(_inputs(trained, split, rows)).float()
    finally:
        hook.remove()
    return scores, _features(seen[0] if seen and seen[0].is_floating_point() else scores)


def _inputs(trained: Trained, split: Any, rows: np.ndarray) -> Tensor:
    """Normalised images (B, C, H, W), ids (B, L) padded with 0, rows (B, F), or windows (B, L, V)."""
    if trained.data.kind == "images":
        return normalised(split.x[rows], trained.data.mean, trained.data.std)
    if trained.data.kind == "table":
        return torch.from_numpy(np.array(split.x[rows]))
    if trained.data.kind == "series":
        return torch.from_numpy(np.stack([split.seen(int(i)) for i in rows]))
    texts = [split.ids.values[split.ids.offsets[row] : split.ids.offsets[row + 1]] for row in rows]
    ids = np.zeros((len(rows), max(trained.least, 1, *(len(text) for text in texts))), np.int64)
    for i, text in enumerate(texts):
        ids[i, : len(text)] = text
    return torch.from_numpy(ids)


def _by_length(split: Any, rows: np.ndarray) -> np.ndarray:
    """The order in which rows are asked about: texts of like length together, images as they come."""
    if not hasattr(split, "ids"):
        return np.arange(len(rows))
    return np.argsort(np.diff(split.ids.offsets)[rows], kind="stable")


def last_layer(model: nn.Module) -> nn.Module:
    """The last of the model's own layers that has parameters; where there is but one, its last linear layer;
    the model where there is none."""
    with_parameters = [child for child in model.children() if any(True for _ in child.parameters())]
    if not with_parameters:
        return model
    last = with_parameters[-1]
    linear = [module for module in last.modules() if isinstance(module, nn.Linear)]
    return linear[-1] if len(with_parameters) == 1 and len(linear) > 1 else last


def _features(x: Tensor) -> Tensor:
    """(B, …) as (B, D) of length 1: maps are averaged over their places and sequences over their steps, very
    many are averaged down."""
    if x.ndim == 3:
        x = x.mean(dim=1)
    flat = x.float().mean(dim=(2, 3)) if x.ndim == 4 and x.shape[1] > 4 else x.float().flatten(1)
    if flat.shape[1] > FEATURES:
        flat = F.adaptive_avg_pool1d(flat, FEATURES)
    return F.normalize(flat, dim=1)


def _drawn(split: Any, most: int) -> np.ndarray:
    """All rows of a split, counted within it, or `most` of them drawn by a fixed seed, in their order."""
    n = len(split)
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))

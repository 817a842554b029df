"""Training throughput on texts with every telemetry, probe, validation and checkpoint on, beside a bare
PyTorch loop of the same network on the same tokens, taking turns.

    python -m benchmarks.text_throughput [--rounds 5] [--threads 1] [--seconds 6] [--only gpt-char]

All texts are equally long, so that sorting by length gains nothing. The engine's records and checkpoints go
into a real store, and the worker's thread of vitals runs beside it. The bare loop validates as often, and
keeps nothing; a language model's bare loop writes no text.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time

import numpy as np
import torch
from torch import nn

from benchmarks.report import Figure, median, report
from benchmarks.throughput import measured, watched
from workbench.models.build import build
from workbench.specs.base import Tokens
from workbench.specs.data import DataSchema
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec
from workbench.store import Store
from workbench.tasks.choose import task_for

SEED, TARGET = 0, 0.95
# preset -> (texts or windows, tokens of each, vocabulary)
WORKS = {"text-lstm": (2000, 40, 5000), "text-encoder": (2000, 40, 5000), "gpt-char": (1500, 64, 67)}


class Numbers:
    """A tokenizer whose words are numbers."""

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split() if word.isdecimal()]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [str(int(i)) for i in ids]


@dataclass(frozen=True)
class Ends:
    values: np.ndarray
    offsets: np.ndarray

    def row(self, i: int) -> np.ndarray:
        return self.values[self.offsets[i] : self.offsets[i + 1]]


@dataclass(frozen=True)
class Part:
    ids: Ends
    y: np.ndarray
    index: np.ndarray
    target: None = None
    nbytes: int = 0

    def __len__(self) -> int:
        return len(self.index)

    def text(self, row: int) -> str:
        return Numbers().decode(self.ids.row(row))


@dataclass(frozen=True)
class Noise:
    """Random tokens: what is learned does not matter here, only how fast."""

    train: Part
    validation: Part
    shape: Tokens
    schema: DataSchema
    classes: tuple[str, ...]
    kind: str = "text"
    name: str = "noise"
    tokenizer: Numbers = field(default_factory=Numbers)


def noise(task: str, n: int, length: int, vocabulary: int) -> Noise:
    rng = np.random.default_rng(SEED)
    classes = () if task == "language_model" else ("no", "yes")

    def part(size: int) -> Part:
        total = size * length + (1 if task == "language_model" else 0)
        values = rng.integers(2, vocabulary, total).astype(np.int32)
        ends = [0, total] if task == "language_model" else range(0, total + 1, length)
        offsets = np.array(ends, np.int64)
        rows = np.arange(len(offsets) - 1)
        return Part(Ends(values, offsets), rng.integers(0, 2, len(rows)), rows)

    schema = DataSchema(kind="text", task=task, shape=(), classes=classes)
    return Noise(part(n), part(n // 10), Tokens(length, vocabulary), schema, classes)


def engine(store: Store, spec: RunSpec, data: Noise) -> tuple[float, float]:
    """(seconds from the first step to the end, measured telemetry share) of a run with everything on."""
    model = build(spec.model, data.shape, seed=SEED)
    task = task_for(spec.task, len(data.classes) or data.shape.vocabulary, characters=1.0)
    return watched(store, spec, data, model, task)


def bare(spec: RunSpec, data: Noise, epochs: int) -> float:
    """A plain PyTorch loop, as the tutorials write it, keeping nothing."""
    length, batch = data.shape.length, spec.training.batch_size
    model = build(spec.model, data.shape, seed=SEED).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    sides = [_tensors(part, length, data.classes) for part in (data.train, data.validation)]
    (x, y), held = sides
    lossf = nn.CrossEntropyLoss()
    began = perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            scores = model(x[rows])
            loss = lossf(scores.flatten(0, -2), y[rows].flatten())
            loss.backward()
            if spec.training.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), spec.training.clip_norm)
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            for some, labels in zip(held[0].split(64), held[1].split(64), strict=True):
                lossf(model(some).flatten(0, -2), labels.flatten())
        model.train()
    return perf_counter() - began


def _tensors(part: Part, length: int, classes: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.from_numpy(part.ids.values.astype(np.int64))
    if classes:
        return values.view(-1, length), torch.from_numpy(part.y)
    return values[:-1].view(-1, length), values[1:].view(-1, length)


def measure(store: Store, name: str, rounds: int, threads: int, seconds: float) -> list[Figure]:
    n, length, vocabulary = WORKS[name]
    base = preset(name).spec
    data = noise(base.task.kind, n, length, vocabulary)
    changes = [
        f"data.text.length={length}", f"training.threads={threads}", "training.device=cpu",
        "training.steps=null", "training.validate_every=1", "training.early_stopping=null",
    ]  # fmt: skip
    if base.task.kind == "language_model":  # of the same vocabulary as the noise
        layers = base.model.model_dump(mode="json")["layers"]
        layers[-1]["out_features"] = vocabulary
        base = base.model_copy(update={"model": base.model.model_validate(
            {**base.model.model_dump(mode="json"), "layers": layers})})  # fmt: skip
    one = base.with_changes("training.epochs=1", *changes)
    bare(one, data, 1)
    epochs = max(1, round(seconds / bare(one, data, 1)))
    spec = base.with_changes(f"training.epochs={epochs}", *changes)
    shares: list[float] = []
    times: dict[str, list[float]] = {"engine": [], "bare": []}
    busy: dict[str, list[float]] = {"engine": [], "bare": []}

    def once(who: str) -> None:
        began = process_time()
        if who == "engine":
            took, share = engine(store, spec, data)
            shares.append(share)
        else:
            took = bare(spec, data, epochs)
        times[who].append(took)
        busy[who].append(process_time() - began)

    order = random.Random(SEED)
    for _ in range(rounds):
        for who in order.sample(sorted(times), 2):
            once(who)
    return _figures(name, times, busy, shares, n * epochs, epochs)


def _figures(
    name: str, times: dict[str, list[float]], busy: dict[str, list[float]], shares: list[float],
    samples: int, epochs: int,
) -> list[Figure]:  # fmt: skip
    n, note = len(shares), f"{epochs} epochs a round"
    ratio, in_processor = (
        median([b / e for e, b in zip(kept["engine"], kept["bare"], strict=True)]) for kept in (times, busy)
    )
    return [
        Figure(f"{name}: engine", samples / median(times["engine"]), "samples/s", n=n, note=note),
        Figure(f"{name}: bare", samples / median(times["bare"]), "samples/s", n=n, note=note),
        Figure(
            f"{name}: engine over bare", ratio, "", f"≥ {TARGET}", ratio >= TARGET, n,
            "median of the rounds' ratios",
        ),
        Figure(f"{name}: engine over bare, in processor time", in_processor, "", n=n, note="launch included"),
        Figure(f"{name}: telemetry share as shown", 100 * median(shares), "%", n=n),
    ]  # fmt: skip


def main() -> None:
    found, threads = measured(str(__doc__), WORKS, measure, seconds=6.0)
    about = (
        f"Texts per second on {threads} thread(s), AdamW, float32; the engine with "
        "loss, accuracy and gradient norm of every step, attention and states of the probe texts, validation "
        "with all its marks, panels and checkpoints."
    )
    report("text_throughput", about, found)


if __name__ == "__main__":
    main()

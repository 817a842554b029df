"""Training on a CUDA GPU with everything on, beside a bare PyTorch loop of the same network, taking turns;
and the memory that is predicted beside the peak that torch's allocator then has.

    python -m benchmarks.gpu [--rounds 3] [--seconds 4]

Data lies on the GPU in both. The bare loop validates as often, never waits for the device inside an epoch,
and keeps nothing. Needs a GPU; says so and ends where there is none.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import text_throughput, throughput
from benchmarks.report import Figure, median, report
from workbench.engine.batches import normalised
from workbench.models.build import build
from workbench.specs.memory import predict
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store

SEED, TARGET, WITHIN = 0, 0.95, 0.15
IMAGES = {"cnn-mnist": (16_384, (1, 28, 28)), "resnet-18": (20_000, (3, 64, 64))}
TEXTS = {"text-lstm": (8_000, 40, 5000), "text-encoder": (8_000, 40, 5000), "gpt-char": (6_000, 64, 67)}
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Job:
    """spec: of one epoch; sizes: samples per split; columns: of the scores; tensors: x, y, x_val, y_val on
    the GPU; engine: seconds and telemetry share of a run."""

    spec: RunSpec
    shape: Any
    sizes: dict[str, int]
    columns: int
    tensors: tuple[Tensor, Tensor, Tensor, Tensor]
    engine: Callable[[Store, RunSpec], tuple[float, float]]


def images(name: str, precision: str) -> Job:
    n, shape = IMAGES[name]
    data = throughput.images(n, shape)
    spec = preset(name).spec.with_changes(*_changes(precision))
    if spec.model.out_shape(shape) != (10,):
        layers = [layer.model_dump(mode="json") for layer in spec.model.layers]
        layers[-1]["out_features"] = 10
        spec = spec.model_copy(update={"model": spec.model.model_validate(
            {**spec.model.model_dump(mode="json"), "layers": layers})})  # fmt: skip
    parts = [
        side.cuda()
        for part in (data.train, data.validation)
        for side in (normalised(part.x, data.mean, data.std), torch.from_numpy(part.y))
    ]
    sizes = {"train": n, "validation": n // 10, "test": 0}
    return Job(spec, shape, sizes, 10, tuple(parts), lambda store, spec: throughput.engine(store, spec, data))  # type: ignore[arg-type]


def texts(name: str, precision: str) -> Job:
    n, length, vocabulary = TEXTS[name]
    base = preset(name).spec
    data = text_throughput.noise(base.task.kind, n, length, vocabulary)
    if base.task.kind == "language_model":
        layers = base.model.model_dump(mode="json")["layers"]
        layers[-1]["out_features"] = vocabulary
        base = base.model_copy(update={"model": base.model.model_validate(
            {**base.model.model_dump(mode="json"), "layers": layers})})  # fmt: skip
    spec = base.with_changes(f"data.text.length={length}", *_changes(precision))
    parts = [
        side.cuda()
        for part in (data.train, data.validation)
        for side in text_throughput._tensors(part, length, data.classes)
    ]
    sizes, columns = {"train": n, "validation": n // 10, "test": 0}, len(data.classes) or vocabulary
    return Job(
        spec,
        data.shape,
        sizes,
        columns,
        tuple(parts),
        lambda store, spec: text_throughput.engine(store, spec, data),
    )  # type: ignore[arg-type]


def _changes(precision: str) -> list[str]:
    return [
        "training.device=cuda", f"training.precision={precision}", "training.steps=null", "training.epochs=1",
        "training.validate_every=1", "training.early_stopping=null",
    ]  # fmt: skip


def bare(job: Job, epochs: int) -> float:
    """Seconds of a plain loop, as the tutorials write it for a GPU."""
    training = job.spec.training
    x, y, x_val, y_val = job.tensors
    model = build(job.spec.model, job.shape, seed=SEED).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    lossf = nn.CrossEntropyLoss()

    def cast() -> AbstractContextManager[Any]:
        return nullcontext() if training.precision == "fp32" else torch.autocast("cuda", torch.bfloat16)

    torch.cuda.synchronize()
    began = perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), device="cuda").split(training.batch_size):
            optimizer.zero_grad()
            with cast():
                scores = model(x[rows])
                loss = lossf(scores.flatten(0, -2), y[rows].flatten())
            loss.backward()
            if training.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
            optimizer.step()
        model.eval()
        with torch.inference_mode(), cast():
            for some, labels in zip(x_val.split(512), y_val.split(512), strict=True):
                lossf(model(some).flatten(0, -2), labels.flatten())
        model.train()
        torch.cuda.synchronize()
    return perf_counter() - began


def measure(store: Store, name: str, precision: str, rounds: int, seconds: float) -> list[Figure]:
    job = (images if name in IMAGES else texts)(name, precision)
    bare(job, 1)
    epochs = max(1, round(seconds / bare(job, 1)))
    spec = job.spec.with_changes(f"training.epochs={epochs}")
    times: dict[str, list[float]] = {"engine": [], "bare": []}
    shares = []
    peaks: list[int] = []
    order = random.Random(SEED)
    for _ in range(rounds):
        for who in order.sample(sorted(times), 2):
            if who == "bare":
                times[who].append(bare(job, epochs))
            else:
                held = torch.cuda.memory_allocated()
                torch.cuda.reset_peak_memory_stats()
                took, share = job.engine(store, spec)
                peaks.append(torch.cuda.max_memory_allocated() - held)
                times[who].append(took)
                shares.append(share)
    ratio = median([b / e for e, b in zip(times["engine"], times["bare"], strict=True)])
    free = torch.cuda.mem_get_info()[0]
    said = predict(spec, job.shape, job.columns, job.sizes, device="cuda", free=free).total / max(peaks)
    label, samples = f"{name}, {precision}", epochs * len(job.tensors[0])
    return [
        Figure(f"{label}: engine", samples / median(times["engine"]), "samples/s", n=rounds,
               note=f"{epochs} epochs a round"),
        Figure(f"{label}: bare", samples / median(times["bare"]), "samples/s", n=rounds),
        Figure(f"{label}: engine over bare", ratio, "", f"≥ {TARGET}", ratio >= TARGET, rounds,
               "median of the rounds' ratios"),
        Figure(f"{label}: telemetry share as shown", 100 * median(shares), "%", n=rounds),
        Figure(f"{label}: memory predicted / at the peak", said, "", f"± {WITHIN:.0%}",
               abs(said - 1) <= WITHIN, rounds, f"{max(peaks) / 1e6:,.0f} MB at the peak"),
    ]  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=3.0)
    chosen = arguments.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This benchmark needs a CUDA GPU; torch sees none.")
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as home:
        store = open_store(Path(home))
        for name in (*IMAGES, *TEXTS):
            for precision in PRECISIONS:
                figures = measure(store, name, precision, chosen.rounds, chosen.seconds)
                for figure in figures:
                    print(f"  {figure.line()}", flush=True)
                found += figures
        store.close()
    report(
        "gpu",
        f"One {torch.cuda.get_device_name()}: samples per second with loss, accuracy and gradient norm of "
        "every step, pictures of the inside, validation with all its marks, panels and checkpoints.",
        found,
    )


if __name__ == "__main__":
    main()

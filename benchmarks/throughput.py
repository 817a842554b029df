"""Training throughput of the engine with every telemetry, probe, validation and checkpoint on, beside
a bare PyTorch loop and other trainers on the same model, data and threads, taking turns.

    python -m benchmarks.throughput [--rounds 7] [--threads 1] [--seconds 4] [--only mlp-tiny]

The engine's records and checkpoints go into a real store, and the worker's thread of vitals runs
beside it: all that a run of the product does. The bare loop validates after each epoch too, and keeps
nothing; two more bare loops say what validation and a fused optimizer are worth.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import peers
from benchmarks.report import Figure, median, report
from workbench.engine.batches import normalised
from workbench.engine.fit import fit
from workbench.engine.flush import Flush
from workbench.models.build import build
from workbench.probes.watch import Watcher
from workbench.specs.presets import preset
from workbench.specs.run import RunSpec
from workbench.store import Store, open_store
from workbench.tasks.choose import task_for
from workbench.worker.vitals import Vitals

# preset -> (images, shape, batch size, target share of the bare loop's samples per second)
WORKS = {
    "cnn-mnist": (4096, (1, 28, 28), 128, 0.95),
    "mlp-tiny": (1437, (1, 8, 8), 32, 0.85),
}
SEED = 0


@dataclass(frozen=True)
class Part:
    x: np.ndarray
    y: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @property
    def nbytes(self) -> int:
        return self.x.nbytes + self.y.nbytes + self.index.nbytes


@dataclass(frozen=True)
class Images:
    """Noise in ten classes: what is learned does not matter here, only how fast."""

    train: Part
    validation: Part
    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    kind: str = "images"
    name: str = "noise"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.train.x.shape[1:]


def images(n: int, shape: tuple[int, int, int]) -> Images:
    rng = np.random.default_rng(SEED)

    def part(size: int) -> Part:
        x = rng.integers(0, 256, (size, *shape), dtype=np.uint8)
        return Part(x, rng.integers(0, 10, size), np.arange(size))

    half = np.full(shape[0], 0.5, dtype=np.float32)
    return Images(part(n), part(n // 10), tuple("0123456789"), half, half / 2)


def engine(store: Store, spec: RunSpec, data: Images) -> tuple[float, float]:
    """(seconds from the first step to the end, measured telemetry share) of a run with everything on."""
    model = build(spec.model, data.shape, seed=spec.seed)
    return watched(store, spec, data, model, task_for(spec.task, 10))


def watched(store: Store, spec: RunSpec, data: Any, model: nn.Module, task: Any) -> tuple[float, float]:
    """The same of any model, task and data."""
    watch = Watcher.over(spec.model, spec.watch, data, normalised)
    run_id = store.runs.create(spec).id
    vitals = Vitals(store, run_id)
    vitals.start()
    run = fit(model, data, task, spec, watch=watch)
    keep(store, run_id, next(run), vitals)  # launch: first pictures, before training
    began, share = perf_counter(), 0.0
    for flush in run:
        keep(store, run_id, flush, vitals)
        share = flush.telemetry_share
    took = perf_counter() - began
    vitals.stop()
    return took, share


def keep(store: Store, run_id: str, flush: Flush, vitals: Vitals) -> None:
    """What the worker does with a flush."""
    records = [*flush.records, *vitals.take(flush.step, flush.epoch)]
    store.flush(run_id, records, step=flush.step, epoch=flush.epoch, telemetry_share=flush.telemetry_share)
    vitals.flushed()
    for saved in flush.checkpoints:
        store.checkpoints.write(
            run_id, saved.name, saved.blob, step=saved.step, epoch=saved.epoch, metrics=saved.metrics
        )


def measure(store: Store, name: str, rounds: int, threads: int, seconds: float) -> list[Figure]:
    n, shape, batch, target = WORKS[name]
    data = images(n, shape)
    base = preset(name).spec

    def work(epochs: int) -> peers.Work:
        x, x_val = (normalised(p.x, data.mean, data.std) for p in (data.train, data.validation))
        y, y_val = torch.from_numpy(data.train.y), torch.from_numpy(data.validation.y)
        return peers.Work(lambda: build(base.model, shape, seed=SEED), x, y, x_val, y_val, batch, epochs)

    peers.bare(work(1))
    epochs = max(1, round(seconds / peers.bare(work(1))))
    job = work(epochs)
    spec = base.with_changes(
        f"training.epochs={epochs}",
        f"training.batch_size={batch}",
        f"training.threads={threads}",
        "training.device=cpu",
    )
    shares: list[float] = []

    def ours() -> float:
        took, share = engine(store, spec, data)
        shares.append(share)
        return took

    contestants: dict[str, Callable[[], float | None]] = {
        "engine": ours,
        "bare": lambda: peers.bare(job),
        "bare, fused optimizer": lambda: peers.bare(job, fused=True),
        "bare, no validation": lambda: peers.bare(job, validate=False),
        "Lightning": lambda: peers.lightning(job),
        "Keras": lambda: peers.keras(job),
    }
    times: dict[str, list[float]] = {who: [] for who in contestants}
    busy: dict[str, list[float]] = {who: [] for who in contestants}  # processor seconds
    order = random.Random(SEED)
    for _ in range(rounds):
        for who in order.sample(sorted(contestants), len(contestants)):
            began = process_time()
            took = contestants[who]()
            if took is not None:
                times[who].append(took)
                busy[who].append(process_time() - began)
    found = figures(name, target, job.samples, times, shares, epochs)
    return [*found, processor_figure(name, busy)]


def processor_figure(name: str, busy: dict[str, list[float]]) -> Figure:
    """The same ratio in processor seconds, which other programs on the machine disturb less."""
    ratios = [bare / mine for mine, bare in zip(busy["engine"], busy["bare"], strict=True)]
    note = "launch included; less disturbed by other programs"
    return Figure(
        f"{name}: engine over bare, in processor time", median(ratios), "", n=len(ratios), note=note
    )


def figures(
    name: str, target: float, samples: int, times: dict[str, list[float]], shares: list[float], epochs: int
) -> list[Figure]:
    n = len(times["engine"])
    note = f"{epochs} epochs a round"
    found = []
    for who, took in times.items():
        if not took:
            found.append(Figure(f"{name}: {who}", float("nan"), "samples/s", n=0, note="not installed"))
            continue
        found.append(Figure(f"{name}: {who}", samples / median(took), "samples/s", n=len(took), note=note))
        if who == "engine":
            continue
        ratio = median([other / mine for mine, other in zip(times["engine"], took, strict=True)])
        asked = who == "bare"
        found.append(
            Figure(
                f"{name}: engine over {who}",
                ratio,
                "",
                f"≥ {target}" if asked else "",
                ratio >= target if asked else None,
                n,
                "median of the rounds' ratios",
            )
        )
    found.append(Figure(f"{name}: telemetry share as shown", 100 * median(shares), "%", n=n))
    return found


def measured(
    about: str, works: Collection[str],
    measure: Callable[[Store, str, int, int, float], list[Figure]], seconds: float,
) -> tuple[list[Figure], int]:  # fmt: skip
    """The figures of all works, or of the one that --only names, in one home; and how many threads they had.

    measure(store, work, rounds, threads, seconds) gives those of one.
    """
    arguments = argparse.ArgumentParser(description=about)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--seconds", type=float, default=seconds)
    arguments.add_argument("--only", choices=sorted(works))
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as home:
        store = open_store(Path(home))
        for name in [chosen.only] if chosen.only else works:
            found += measure(store, name, chosen.rounds, chosen.threads, chosen.seconds)
        store.close()
    return found, chosen.threads


def main() -> None:
    found, threads = measured(str(__doc__), WORKS, measure, seconds=3.0)
    about = (
        f"Samples per second on {threads} thread(s), Adam, float32; the engine with loss, accuracy "
        "and gradient norm of every step, filters, feature maps, validation, panels and checkpoints."
    )
    report("throughput", about, found)


if __name__ == "__main__":
    main()

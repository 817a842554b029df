"""Accuracy of a Vision Transformer and of a small residual network, through the product's command line.

    python -m benchmarks.vision [--seeds 3] [--only fashion|cifar] [--beside 1]

Each run has 2 cores and must end within 15 minutes. Fashion-MNIST as published; CIFAR-10 is a sample, 800
training and 200 test images a class, with and without random changes of the training images. A tenth of the
training images is held out, and the state that is best on it is judged on the test images. --beside: so many
runs at a time, each on 2 cores of its own, in a home of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.command import SHARED
from benchmarks.launch import leave
from benchmarks.report import Figure, report
from workbench.store import open_store

COMMAND = [sys.executable, "-c", "import sys; from workbench.cli.main import main; sys.exit(main())"]
MINUTES = 15.0
CORES = 2


class Work(NamedTuple):
    """What is trained. path: below shared/data; target: test accuracy, None where it is only a peer."""

    name: str
    path: str
    preset: str
    changes: tuple[str, ...]
    target: float | None
    note: str


WORKS = {
    "fashion": [Work("Fashion-MNIST, `vit-fashion`", "fashion-mnist", "vit-fashion", (), 0.88, "")],
    "cifar": [
        Work("CIFAR-10 sample, `resnet-small`", "cifar10/cifar10_png_10k.zip", "resnet-small", (), 0.70,
             "mirrored and moved"),
        Work("the same without random changes", "cifar10/cifar10_png_10k.zip", "resnet-small",
             ("data.augment=[]",), None, ""),
    ],
}  # fmt: skip


class Found(NamedTuple):
    """Test accuracy and the minutes that the training took, its launch included."""

    accuracy: float
    minutes: float


def call(home: Path, cores: list[int], *words: str) -> str:
    """The command line's output, on these cores."""
    environment = {**os.environ, "WORKBENCH_HOME": str(home), "OMP_NUM_THREADS": str(len(cores))}
    before = os.sched_getaffinity(0)
    done = subprocess.run(
        ["taskset", "-c", ",".join(map(str, cores)), *COMMAND, *words] if set(cores) != before
        else [*COMMAND, *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"workbench {' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def trained(work: Work, seed: int, cores: list[int]) -> Found:
    """One run in a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home, name = Path(folder), work.path.partition("/")[0]
        try:
            call(home, cores, "data", "add", str(SHARED / work.path), "--name", name)
            settings = [f"data.name={name}", f"seed={seed}", "data.test=0", *work.changes]
            words = [word for setting in settings for word in ("--set", setting)]
            began = time.monotonic()
            run = call(home, cores, "train", work.preset, *words).split()[0]
            minutes = (time.monotonic() - began) / 60
            found = json.loads(call(home, cores, "evaluate", run, "--json"))
        finally:
            leave(open_store(home))
    print(f"  {work.name}, seed {seed}: {found['metrics']['accuracy']:.4f}, {minutes:.1f} min", flush=True)
    return Found(found["metrics"]["accuracy"], minutes)


def measured(works: list[Work], seeds: int, beside: int) -> list[Figure]:
    """All runs, `beside` at a time."""
    have = sorted(os.sched_getaffinity(0))
    places: queue.Queue[list[int]] = queue.Queue()
    for i in range(beside):
        places.put(have[CORES * i : CORES * (i + 1)])

    def one(job: tuple[Work, int]) -> Found:
        cores = places.get()
        try:
            return trained(*job, cores)
        finally:
            places.put(cores)

    jobs = [(work, seed) for work in works for seed in range(seeds)]
    with ThreadPoolExecutor(beside) as pool:
        found = dict(zip(jobs, pool.map(one, jobs), strict=True))
    figures = []
    for work in works:
        runs = [found[work, seed] for seed in range(seeds)]
        mean = statistics.mean(run.accuracy for run in runs)
        spread = statistics.stdev(run.accuracy for run in runs) if seeds > 1 else 0.0
        longest = max(run.minutes for run in runs)
        notes = [work.note, f"± {spread:.4f} sd", f"{longest:.1f} min the longest run"]
        beats = work.target is not None and mean >= work.target and longest <= MINUTES
        figures.append(
            Figure(
                f"{work.name}, test accuracy", round(mean, 4), "",
                f"≥ {work.target} within {MINUTES:.0f} min" if work.target is not None else "",
                beats if work.target is not None else None, seeds, "; ".join(filter(None, notes)),
            )
        )  # fmt: skip
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--only", choices=list(WORKS))
    options.add_argument("--beside", type=int, default=1, help="runs at a time, each on 2 cores of its own")
    chosen = options.parse_args()
    works = [work for name in ([chosen.only] if chosen.only else WORKS) for work in WORKS[name]]
    about = (
        "Trained by `workbench train` on 2 cores, the presets as they are. The best state on a tenth of the "
        "training images is judged on the test images."
    )
    if chosen.beside > 1:
        about += f" {chosen.beside} runs at a time, each on cores of its own."
    report("vision", about, measured(works, chosen.seeds, chosen.beside))


if __name__ == "__main__":
    main()

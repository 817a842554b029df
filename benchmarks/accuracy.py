"""Accuracy on the full data sets, through the product's own command line: mean ± sd over seeds.

    python -m benchmarks.accuracy [--seeds 3] [--only fashion|mnist]

The originals lie in ../shared/data (or WORKBENCH_SHARED_DATA). Published figures: Fashion-MNIST, two
convolutions under 100,000 parameters: 0.925 (zalandoresearch/fashion-mnist); MNIST, the 34,826-parameter
network: 0.9922 (keras.io mnist_convnet).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from pathlib import Path

from benchmarks.command import SHARED, WORKBENCH, call, judged, measured, spread, trained
from benchmarks.report import Figure, report

# name -> (folder, preset, changes, target test accuracy, the published figure)
WORKS = {
    "fashion": ("fashion-mnist", "cnn-fashion", [], 0.925, "published for two convolutions < 100 k: 0.925"),
    "mnist": ("mnist", "cnn-compact", ["training.epochs=12"], 0.992, "Keras documentation: 0.9922"),
}


def train(home: Path, data: str, preset: str, changes: list[str], seed: int) -> tuple[float, float, int]:
    """(test accuracy of the best checkpoint, minutes, parameters) of one run."""
    run, minutes = trained(home, preset, f"data.name={data}", f"seed={seed}", "data.test=0", *changes)
    spec = json.dumps(json.loads(call("show", run, "--json", home=home))["spec"])
    checked = subprocess.run(
        [WORKBENCH, "check", "-", "--json"], input=spec, capture_output=True, text=True, check=True,
        env={**os.environ, "WORKBENCH_HOME": str(home)},
    )  # fmt: skip
    return judged(home, run)["metrics"]["accuracy"], minutes, json.loads(checked.stdout)["parameters"]


def measure(work: str, seeds: int, home: Path) -> list[Figure]:
    folder, preset, changes, target, published = WORKS[work]
    call("data", "add", str(SHARED / folder), "--name", folder, home=home)
    runs = [train(home, folder, preset, changes, seed) for seed in range(seeds)]
    scores = [score for score, _, _ in runs]
    mean = statistics.mean(scores)
    minutes = statistics.mean(minutes for _, minutes, _ in runs)
    note = f"± {spread(scores):.4f} sd, best checkpoint by validation, {minutes:.1f} min a run; {published}"
    return [
        Figure(
            f"{folder}, `{preset}`, test accuracy",
            round(mean, 4),
            "",
            f"≥ {target}",
            mean >= target,
            seeds,
            note,
        ),
        Figure(f"{folder}, `{preset}`, parameters", runs[0][2], "", "< 100,000", runs[0][2] < 100_000),
    ]


def main() -> None:
    figures = measured(str(__doc__), WORKS, measure)
    report(
        "accuracy", "The presets on the whole originals, trained by `workbench train` on the CPU.", figures
    )


if __name__ == "__main__":
    main()

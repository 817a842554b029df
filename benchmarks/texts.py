"""Accuracy of text classifiers on real sentences, through the product's own command line: mean ± sd.

    python -m benchmarks.texts [--seeds 3] [--only rt-polarity|sms-spam|uci-sentiment|ag-news]

No pretrained vectors. The length of a training is fixed beforehand and the last state is judged, so that the
held-out texts choose nothing. rt-polarity: three fixed folds of ten; the others: 80/20, one draw a seed.
Floors are multinomial naive Bayes on word uni- and bigrams, measured on the same files.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.command import SHARED, call, marks, measured, spread, trained
from benchmarks.report import Figure, report

Raw = dict[str, Any]


def embedding(width: int) -> Raw:
    return {"kind": "embedding", "embedding_dim": width}


def dropout(p: float) -> Raw:
    return {"kind": "dropout", "p": p}


def filters(size: int, n: int) -> list[Raw]:
    return [
        {"kind": "conv1d", "out_channels": n, "kernel_size": size, "padding": size // 2},
        {"kind": "relu"},
        {"kind": "sequence_pool", "mode": "max"},
    ]


def head(classes: int) -> Raw:
    return {"kind": "linear", "out_features": classes}


def cnn(width: int, n: int, before: float) -> list[Raw]:
    """Kim 2014: windows of three, four and five words."""
    branches = {"kind": "parallel", "branches": [filters(size, n) for size in (3, 4, 5)]}
    return [embedding(width), dropout(before), branches, dropout(0.5), head(2)]


LSTM = [
    embedding(128), dropout(0.3), {"kind": "lstm", "hidden_size": 96, "bidirectional": True},
    {"kind": "sequence_pool", "mode": "max"}, dropout(0.4), head(2),
]  # fmt: skip
ENCODER = [
    embedding(64), {"kind": "positions"}, dropout(0.3),
    {"kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 256, "norm_first": True},
    {"kind": "layer_norm"}, {"kind": "sequence_pool", "mode": "mean"}, dropout(0.3), head(2),
]  # fmt: skip
MEAN = [embedding(128), dropout(0.3), {"kind": "sequence_pool", "mode": "mean"}, head(4)]
NGRAMS = [
    embedding(128), dropout(0.4),
    {"kind": "parallel", "branches": [
        [{"kind": "sequence_pool", "mode": "mean"}], filters(2, 64), filters(3, 64)]},
    dropout(0.5), head(2),
]  # fmt: skip

# work -> files below shared/data, [(network, family, layers, lr, epochs, batch, target, of what)]
Work = tuple[str, list[tuple[str, str, list[Raw], float, int, int, float, str]]]
WORKS: dict[str, Work] = {
    "rt-polarity": ("rt-polarity", [
        ("CNN", "cnn", cnn(300, 100, 0.4), 1e-3, 3, 50, 0.759, "Kim's CNN-rand"),
        ("LSTM", "rnn", LSTM, 2e-3, 3, 50, 0.745, ""),
        ("encoder", "encoder", ENCODER, 1e-3, 4, 50, 0.735, ""),
    ]),
    "sms-spam": ("sms-spam/SMSSpamCollection", [
        ("CNN", "cnn", cnn(100, 64, 0.2), 2e-3, 4, 50, 0.9785, "naive Bayes"),
    ]),
    "uci-sentiment": ("uci-sentiment", [
        ("CNN beside a mean", "cnn", NGRAMS, 2e-3, 8, 32, 0.840, "naive Bayes"),
    ]),
    "ag-news": ("ag-news/test.csv", [
        ("mean of embeddings", "mlp", MEAN, 5e-3, 6, 50, 0.870, "naive Bayes"),
    ]),
}  # fmt: skip


def spec_of(data: Raw, family: str, layers: list[Raw], lr: float, epochs: int, batch: int, seed: int) -> Raw:
    text = {"length": 64, "tokenizer": "word", "vocabulary": 20_000, "lowercase": True}
    return {
        "name": f"{data['name']}-{family}",
        "seed": seed,
        "data": {"test": 0.0, "text": text, **data},
        "model": {"family": family, "layers": layers},
        "training": {
            "optimizer": {"kind": "adamw", "lr": lr}, "schedule": {"kind": "cosine", "warmup": 0.1},
            "batch_size": batch, "epochs": epochs,
        },
    }  # fmt: skip


def measure(work: str, seeds: int, home: Path) -> list[Figure]:
    place, networks = WORKS[work]
    name = f"{work}-original"  # some of them are shipped under their own
    call("data", "add", str(SHARED / place), "--name", name, home=home)
    figures = []
    for network, family, layers, lr, epochs, batch, target, peer in networks:
        runs = []
        for seed in range(seeds):
            cut: Raw = {"validation": 0.2, "split_seed": seed}
            if work == "rt-polarity":
                cut = {"folds": 10, "fold": seed + 1}
            spec = spec_of({"name": name, **cut}, family, layers, lr, epochs, batch, seed)
            run, took = trained(home, spec)
            found = marks(home, run)
            runs.append((found["val/accuracy"]["last"], found["val/f1"]["last"], took))
        accuracy, f1, minutes = (statistics.mean(column) for column in zip(*runs, strict=True))
        note = f"± {spread([run[0] for run in runs]):.4f} sd; macro F1 {f1:.4f}; {minutes:.1f} min a run"
        figures.append(
            Figure(
                f"{work}, {network}, accuracy", round(accuracy, 4), "",
                f"≥ {target}" + (f" ({peer})" if peer else ""), accuracy >= target, seeds, note,
            )
        )  # fmt: skip
    return figures


def main() -> None:
    about = (
        "Trained from scratch by `workbench train` on the CPU. The last state is judged, after a length that "
        "was fixed beforehand; rt-polarity on folds 1 to 3 of 10, the others on a fifth drawn by the seed."
    )
    report("texts", about, measured(str(__doc__), WORKS, measure))


if __name__ == "__main__":
    main()

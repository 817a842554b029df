"""Runs on texts that only pretend: records in the shapes that a training writes, attention that sharpens.

python -m tests.live.texts RUN [--seconds 60] [--interval 0.3]
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from typing import Any

import numpy as np

from tests.live import trainer
from workbench.records import Panel, Record, Scalars, Tiles
from workbench.specs.run import from_dict
from workbench.store import Store, open_store

REVIEWS = [
    ("pos", "a gorgeous , witty , seductive movie that never loses its way"),
    ("neg", "simplistic , silly and tedious"),
    ("pos", "the performances are so good that one forgives the long and rather familiar road to the end"),
    ("neg", "it 's a dull , dumb and derivative horror film ; there is nothing here that has not been done"),
]
PAIRS = [
    ("i am reading a red book", "je lis un livre rouge"),
    ("she does not eat meat", "elle ne mange pas de viande"),
    ("we went home", "nous sommes rentrés"),
]
BEGIN_SIGN, END_SIGN = "⏵", "⏎"
CLASSES = ("neg", "pos")
EMBED = {"kind": "embedding", "embedding_dim": 16}
ENCODER = {"kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 32}
DECODER = {"kind": "transformer_decoder_layer", "nhead": 4, "dim_feedforward": 32}
OUT = {"kind": "linear", "out_features": 2}


def new_run(store: Store, name: str, kind: str = "classification", layers: int = 3, heads: int = 4) -> str:
    """A queued run of an encoder, an "lstm", a "language_model" or a "translation"."""
    encoder = ENCODER | {"nhead": heads}
    model: dict[str, Any] = {
        "family": "encoder",
        "layers": [EMBED, {"kind": "positions"}, *[encoder] * layers],
    }
    task = {"kind": kind}
    if kind == "lstm":
        task = {"kind": "classification"}
        model = {"family": "rnn", "layers": [EMBED, {"kind": "lstm", "hidden_size": 32}]}
    if kind == "translation":
        model["decoder"] = [EMBED, *[DECODER] * layers, OUT]
    else:
        model["layers"] += [{"kind": "sequence_pool"}, OUT]
    return store.runs.create(from_dict({"name": name, "model": model, "task": task})).id


def items(kind: str) -> list[dict[str, Any]]:
    if kind == "translation":
        return [
            {
                "tokens": [*a.split(), END_SIGN],
                "target_tokens": [BEGIN_SIGN, *b.split()],
                "label": "",
                "text": a,
            }
            for a, b in PAIRS
        ]
    if kind == "language_model":
        text = "ROMEO:\nBut soft, what light through yonder"
        return [
            {"tokens": list(text[i:][:32]), "target_tokens": None, "label": "", "text": text[i:]}
            for i in (0, 7)
        ]
    return [{"tokens": t.split(), "target_tokens": None, "label": c, "text": t} for c, t in REVIEWS]


def probe(kind: str) -> Panel:
    told = items(kind)
    width = max(max(len(i["tokens"]), len(i["target_tokens"] or ())) for i in told)
    return Panel("probe", 0, 0.0, time.time(), {"kind": "text", "items": told, "width": width})


def attention(
    layer: str, step: int, lengths: list[tuple[int, int]], side: int, heads: int, causal: bool
) -> Tiles:
    """Heads that look at neighbours at distances of their own. lengths: of rows and of columns."""
    sharp = 0.15 + 2.5 * (1 - np.exp(-step / 500))
    rng = np.random.default_rng(zlib.crc32(layer.encode()))
    tiles = np.zeros((len(lengths) * heads, side, side))
    for text, (rows, columns) in enumerate(lengths):
        for head in range(heads):
            i, j = np.mgrid[0:rows, 0:columns]
            far = i * columns / rows - j - (head - heads // 2)
            scores = -sharp * np.abs(far) * 0.5 + rng.normal(0, 0.7, (rows, columns))
            if causal:
                scores = np.where(j <= i, scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            tiles[text * heads + head, :rows, :columns] = weights / weights.sum(axis=1, keepdims=True)
    highs = tiles.max((1, 2))
    pixels = np.round(tiles / highs[:, None, None] * 255).astype(np.uint8)
    title = f"Attention of layer {layer}"
    return Tiles(f"attention/{layer}", step, step / 400, time.time(), pixels, np.zeros_like(highs), highs,
                 "head", title, heads)  # fmt: skip


def states(layer: str, step: int, features: int = 32) -> Tiles:
    told = items("classification")
    side = max(len(item["tokens"]) for item in told)
    rng = np.random.default_rng(3)
    tiles = np.zeros((len(told), features, side))
    for text, item in enumerate(told):
        n = len(item["tokens"])
        drift = np.cumsum(rng.normal(0, 0.5, (features, n)), axis=1)
        tiles[text, :, :n] = np.tanh(drift * (1 - np.exp(-step / 400)) + rng.normal(0, 0.1, (features, n)))
    highs = np.abs(tiles).max((1, 2))
    pixels = np.round((tiles / highs[:, None, None] + 1) * 127.5).astype(np.uint8)
    title = f"States of layer {layer}"
    return Tiles(
        f"states/{layer}", step, step / 400, time.time(), pixels, -highs, highs, "text", title, 1, True
    )


def look(kind: str, step: int, layers: int = 3, heads: int = 4) -> list[Record]:
    """All pictures of one look inside."""
    told = items(kind)
    read = [len(item["tokens"]) for item in told]
    if kind == "lstm":
        return [states("1", step)]
    if kind != "translation":
        causal = kind == "language_model"
        return [
            attention(str(i + 2), step, [(n, n) for n in read], max(read), heads, causal)
            for i in range(layers)
        ]
    written = [len(item["target_tokens"]) for item in told]
    side = max(*read, *written)
    found: list[Record] = []
    for i in range(layers):
        found.append(attention(f"encoder.{i + 2}", step, [(n, n) for n in read], side, heads, False))
        found.append(attention(f"decoder.{i + 1}.self", step, [(n, n) for n in written], side, heads, True))
        pairs = list(zip(written, read, strict=True))
        found.append(attention(f"decoder.{i + 1}.cross", step, pairs, side, heads, False))
    return found


def judged(kind: str, step: int) -> list[Record]:
    """The panels and marks of one validation."""
    now = time.time()
    marks = {"val/loss": 2 * np.exp(-step / 900) + 0.4, "val/accuracy": 0.9 - 0.4 * np.exp(-step / 600)}
    of_kind = {"language_model": written, "translation": translated}.get(kind, told_apart)
    more, panels = of_kind(marks, step)
    marks |= more
    found: list[Record] = [Panel(topic, step, step / 400, now, data) for topic, data in panels.items()]
    at, epoch, times = np.array([step]), np.array([step / 400]), np.array([now])
    found += [Scalars(key, at, epoch, times, np.array([float(value)])) for key, value in marks.items()]
    return found


Judged = tuple[dict[str, Any], dict[str, Any]]  # marks, and data of panels by topic


def written(marks: dict[str, Any], step: int) -> Judged:
    line = f"But soft, what light <b>through</b> yonder window breaks?\nStep {step} is the sun.\n"
    more = {"val/perplexity": np.exp(marks["val/loss"]), "val/bits_per_character": marks["val/loss"] / 0.69}
    return more, {"generated": {"items": [{"prompt": "ROMEO:\n", "text": line * 3}]}}


def translated(marks: dict[str, Any], step: int) -> Judged:
    rows = []
    for i, (source, reference) in enumerate(PAIRS):
        exact = step > 600 * (i + 1)
        hypothesis = reference if exact else f"{reference} oui"
        rows.append({"source": source, "reference": reference, "hypothesis": hypothesis, "exact": exact})
    grown = 1 - np.exp(-step / 700)
    more = {"val/bleu": 40 * grown, "val/chrf": 60 * grown, "val/exact_match": 0.4 * grown}
    return more, {"translations": {"items": rows}}


def told_apart(marks: dict[str, Any], step: int) -> Judged:
    more = {f"val/{name}": marks["val/accuracy"] - 0.02 for name in ("precision", "recall", "f1")}
    more |= {"val/auroc": 0.95, "val/pr_auc": 0.93}
    right = round(90 * marks["val/accuracy"])
    rows = [
        {"class": name, "precision": 0.8 + 0.05 * i, "recall": 0.7 + 0.1 * i, "f1": 0.75, "support": 100 + i}
        for i, name in enumerate(CLASSES)
    ]
    metrics = {key[4:]: float(value) for key, value in (marks | more).items()}
    return more, {
        "report": {"per_class": rows, "metrics": metrics},
        "confusion": {"classes": list(CLASSES), "matrix": [[right, 100 - right], [91 - right, right + 10]]},
        "samples": {"items": [sample(i, step) for i in range(12)]},
    }


def sample(i: int, step: int) -> dict[str, Any]:
    label, text = REVIEWS[i % len(REVIEWS)]
    sure = float(np.clip(0.33 + 0.1 * (i % 5) + step / 5000, 0, 0.99))
    other = CLASSES[1 - CLASSES.index(label)]
    pairs = [(label, sure), (other, 1 - sure)] if sure >= 0.5 else [(other, 1 - sure), (label, sure)]
    text = text if i != 5 else f"<img src=x onerror=window.hit=1> {text} " * 30
    return {"index": i, "label": label, "prediction": pairs[0][0], "probabilities": pairs,
            "correct": pairs[0][0] == label, "text": text}  # fmt: skip


def ended(store: Store, run: str, kind: str = "classification", steps: int = 2000, **sizes: int) -> str:
    """Give a run its whole history at once, and its end."""
    trainer.claim(store, run, steps)
    records: list[Record] = [*trainer.curves(1, steps)[:4], probe(kind)]
    for step in sorted({min(200, steps), min(900, steps), steps}):
        records += [*look(kind, step, **sizes), *judged(kind, step)]
    store.flush(
        run, [*records, trainer.event("finished", "Reached its last step.", steps)], step=steps, epoch=5.0
    )
    store.runs.exit(run, "finished")
    return run


def kind_of(store: Store, run: str) -> str:
    spec = store.runs.get(run).spec
    return "lstm" if spec.model.family == "rnn" else spec.task.kind


def train(store: Store, run: str, *, seconds: float, interval: float, rate: int = 60) -> None:
    """Write as a run process does until `seconds` are over."""
    kind = kind_of(store, run)
    trainer.claim(store, run, 100_000)
    store.flush(run, [probe(kind)])
    began, step = time.time(), 0
    while time.time() - began < seconds:
        time.sleep(interval)
        step += rate
        records: list[Record] = [*trainer.curves(step - rate + 1, step)[:4], *look(kind, step)]
        if step % (5 * rate) == 0:
            records += judged(kind, step)
        store.flush(run, records, step=step, epoch=step / 400)
    store.runs.exit(run, "finished")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=0.3)
    given = parser.parse_args()
    train(open_store(), given.run, seconds=given.seconds, interval=given.interval)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The loop on texts: it learns, it goes on bit for bit, and what it writes is what it has learned."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.texts import Letters, Texts, labelled, reversals, stream
from workbench.engine import fit as loop
from workbench.engine.checkpoint import from_bytes
from workbench.engine.decode import translated
from workbench.engine.evaluate import evaluate, evaluating
from workbench.engine.texts import EOS
from workbench.engine.writing import translations
from workbench.models.build import build
from workbench.records import Panel, Scalars
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.starts import decoder, encoder, gpt
from workbench.tasks.choose import task_for

CLASSIFIERS: dict[str, list[dict[str, Any]]] = {
    "lstm": [
        {"kind": "embedding", "embedding_dim": 12},
        {"kind": "lstm", "hidden_size": 12, "bidirectional": True},
        {"kind": "sequence_pool", "mode": "max"},
        {"kind": "linear", "out_features": 2},
    ],
    "cnn": [
        {"kind": "embedding", "embedding_dim": 12},
        {"kind": "conv1d", "out_channels": 16, "kernel_size": 3},
        {"kind": "relu"},
        {"kind": "sequence_pool", "mode": "max"},
        {"kind": "linear", "out_features": 2},
    ],
    "encoder": [
        {"kind": "embedding", "embedding_dim": 16},
        {"kind": "positions"},
        {"kind": "class_token"},
        {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 32},
        {"kind": "sequence_pool", "mode": "first"},
        {"kind": "linear", "out_features": 2},
    ],
    "whole texts": [
        {"kind": "embedding", "embedding_dim": 6},
        {"kind": "flatten"},
        {"kind": "linear", "out_features": 2},
    ],
}


def spec_of(data: Texts, layers: Any, task: dict[str, Any], **training: Any) -> RunSpec:
    """A small run on the CPU; the decoder's layers under the key "decoder"."""
    model = layers if isinstance(layers, dict) else {"layers": layers}
    usual = {"batch_size": 16, "device": "cpu", "threads": 1, "optimizer": {"kind": "adam", "lr": 0.01}}
    return from_dict(
        {
            "name": "texts",
            "model": {"family": "rnn", **model},
            "task": task,
            "training": {**usual, **training},
        }
    )


def run(data: Texts, spec: RunSpec, resume: Any = None) -> tuple[Any, list[Any]]:
    model = build(spec.model, data.shape, seed=0)
    n = data.shape.target.vocabulary if data.target else data.shape.vocabulary
    n = len(data.classes) or n
    task = task_for(spec.task, n, data.train.y)
    return model, list(loop.fit(model, data, task, spec, resume=resume))


def values(flushes: list[Any], key: str) -> np.ndarray:
    parts = [r.values for f in flushes for r in f.records if isinstance(r, Scalars) and r.key == key]
    return np.concatenate(parts) if parts else np.empty(0)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_of_texts_learn(name: str) -> None:
    data = labelled(n=160)
    spec = spec_of(data, CLASSIFIERS[name], {}, epochs=14)
    model, flushes = run(data, spec)
    assert values(flushes, "val/accuracy").max() > 0.85
    panel = [r for f in flushes for r in f.records if isinstance(r, Panel) and r.topic == "samples"][-1]
    item = panel.data["items"][0]
    assert item["text"] == data.validation.text(item["index"])
    least = spec.model.least_length(data.shape)
    found = evaluate(model, data.validation, data, task_for(spec.task, 2), device="cpu", least=least)
    assert found.accuracy == pytest.approx(np.trace(found.confusion) / found.n)


@pytest.mark.parametrize("name", ["classifier", "language model", "translator"])
def test_a_run_on_texts_goes_on_bit_for_bit(name: str) -> None:
    if name == "classifier":
        data = labelled()
        spec = spec_of(data, CLASSIFIERS["encoder"], {}, steps=20)
    elif name == "language model":
        data = stream()
        spec = spec_of(data, gpt(14, 16, 1), {"kind": "language_model"}, steps=20)
    else:
        data = reversals()
        stacks = {"layers": encoder(16, 1), "decoder": decoder(14, 16, 1)}
        spec = spec_of(data, stacks, {"kind": "translation"}, steps=20)
    _, whole = run(data, spec)
    half = spec.with_changes("training.steps=9")
    _, first = run(data, half)
    kept = from_bytes(first[-1].checkpoints[-1].blob)
    _, rest = run(data, spec, resume=kept)
    losses = values(whole, "train/loss")
    assert len(losses) == 20
    assert np.array_equal(losses[9:], values(rest, "train/loss"))
    assert np.array_equal(losses[:9], values(first, "train/loss"))


def test_a_language_model_learns_which_letters_follow_and_writes_them() -> None:
    data = stream(n=3000)
    spec = spec_of(
        data, gpt(14, 32, 1), {"kind": "language_model", "sample_tokens": 40, "prompt": "a"}, epochs=6
    )
    _, flushes = run(data, spec)
    assert values(flushes, "val/loss")[-1] < np.log(2) + 0.12  # two letters may follow each
    assert values(flushes, "val/perplexity")[-1] == pytest.approx(np.exp(values(flushes, "val/loss")[-1]))
    panels = [r for f in flushes for r in f.records if isinstance(r, Panel) and r.topic == "generated"]
    item = panels[-1].data["items"][0]
    assert item["prompt"] == "a"
    assert len(item["text"]) == 40
    ids = Letters().encode("a" + item["text"])
    steps = [(b - a) % 10 for a, b in pairwise(ids)]
    assert np.mean([step in (1, 2) for step in steps]) > 0.9


def test_a_translator_learns_to_reverse_and_beams_find_no_worse() -> None:
    data = reversals(n=600, longest=4)
    layers = {"layers": encoder(32, 1), "decoder": decoder(14, 32, 1)}
    spec = spec_of(data, layers, {"kind": "translation", "scored": 30}, epochs=25, batch_size=32)
    model, flushes = run(data, spec)
    exact = values(flushes, "val/exact_match")
    assert exact[-1] > exact[0]
    assert exact[-1] > 0.6
    panel = [r for f in flushes for r in f.records if isinstance(r, Panel) and r.topic == "translations"][-1]
    assert {"source", "reference", "hypothesis", "exact"} == set(panel.data["items"][0])
    with evaluating(model):
        source = torch.tensor([[5, 6, 7, EOS], [9, 4, EOS, 0]])
        likelihoods = []
        for beam in (1, 4):
            texts = translated(model, source, 6, beam)
            likelihoods.append([_log_p(model, row, text) for row, text in zip(source, texts, strict=True)])
            alone = [translated(model, row[None], 6, beam)[0] for row in source]
            assert alone == texts  # a text's neighbours in a batch do not matter
        assert (np.array(likelihoods[1]) >= np.array(likelihoods[0]) - 1e-4).all()
    assert translations(model, data, [[5, 6, 7]], beam=1) == [
        Letters().decode(translated(model, source[:1], 6)[0])
    ]


def _log_p(model: Any, source: torch.Tensor, text: list[int]) -> float:
    """The length-weighted log-probability by which translations are chosen."""
    from workbench.engine.decode import PENALTY

    memory, mask = model.encode(source[None])
    written = [*text, EOS]
    logs = model.decode(torch.tensor([[2, *text]]), memory, mask).log_softmax(-1)[0]
    logs[:, [0, 2]] = -torch.inf
    total = sum(float(logs[i, token]) for i, token in enumerate(written))
    return total / ((5 + len(written)) / 6) ** PENALTY

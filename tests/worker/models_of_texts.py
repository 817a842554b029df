"""A model of texts of every kind on the data that comes with the program; and the presets of texts."""

from __future__ import annotations

from typing import Any

from workbench.specs import starts
from workbench.specs.inside import reads_text
from workbench.specs.presets import READY
from workbench.specs.run import RunSpec, from_dict

Raw = dict[str, Any]


def _linear(n: int) -> Raw:
    return {"kind": "linear", "out_features": n}


def _pool(mode: str) -> Raw:
    return {"kind": "sequence_pool", "mode": mode}


def _classifier(data: str, *layers: Raw, **training: Any) -> RunSpec:
    words = {"tokenizer": "word", "vocabulary": 8000, "length": 64}
    return _spec({"name": data, "text": words}, {"layers": list(layers)}, "classification", **training)


def _spec(data: Raw, model: Raw, task: str, **training: Any) -> RunSpec:
    return from_dict({
        "data": data, "model": model, "task": {"kind": task},
        "training": {"device": "cpu", "threads": 1, **training},
    })  # fmt: skip


def _letters(name: str, length: int) -> Raw:
    return {"name": name, "text": {"tokenizer": "character", "length": length}}


EMBEDDING: Raw = {"kind": "embedding", "embedding_dim": 128}
FILTERS: Raw = {"kind": "parallel", "branches": [
    [{"kind": "conv1d", "out_channels": 100, "kernel_size": k, "padding": 4}, {"kind": "relu"}, _pool("max")]
    for k in (3, 4, 5)
]}  # fmt: skip
BLOCK: Raw = {"kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 256}
READ: Raw = {"kind": "lstm", "hidden_size": 64, "bidirectional": True}

# How many columns the scores of the shipped sets have with these tokenizers is asked of the data (`fitted`).
MODELS: dict[str, RunSpec] = {
    "lstm": _classifier("sms-spam", EMBEDDING, READ, _pool("max"), _linear(2), batch_size=32),
    "gru": _classifier(
        "sms-spam", EMBEDDING, {**READ, "kind": "gru"}, _pool("last"), _linear(2), batch_size=32
    ),
    "cnn": _classifier("uci-sentiment", EMBEDDING, FILTERS, {"kind": "dropout"}, _linear(2), batch_size=50),
    "encoder": _classifier(
        "uci-sentiment", EMBEDDING, {"kind": "class_token"}, {"kind": "positions", "dropout": 0.1},
        {"kind": "repeat", "times": 2, "layers": [BLOCK]}, _pool("first"), _linear(2), batch_size=32,
    ),
    "gpt": _spec(
        _letters("tiny-shakespeare", 64), {"layers": starts.gpt(2, layers=4)}, "language_model", batch_size=12
    ),
    "gpt, tied": _spec(
        _letters("tiny-shakespeare", 64), {"layers": starts.gpt(2), "tie_embeddings": True}, "language_model",
        batch_size=32,
    ),
    "seq2seq": _spec(
        _letters("iso-dates", 40), {"layers": starts.encoder(), "decoder": starts.decoder(2)}, "translation",
        batch_size=64,
    ),
    "lstm, seq2seq": _spec(
        _letters("iso-dates", 40),
        {"layers": [EMBEDDING, READ], "decoder": [
            EMBEDDING, {"kind": "lstm_decoder", "hidden_size": 128, "dropout": 0.1}, _linear(2),
        ]},
        "translation", batch_size=64,
    ),
}  # fmt: skip

# Pretrained ones need weights that do not come with the program.
OF_TEXTS: dict[str, RunSpec] = MODELS | {
    f"preset {name}": preset.spec.with_changes("training.device=cpu", "training.threads=1")
    for name, preset in READY.items()
    if reads_text(preset.spec.model)
}


def fitted(spec: RunSpec, columns: int) -> RunSpec:
    """The same with as many scores as the data has columns."""
    model = spec.model
    stack = "decoder" if model.decoder else "layers"
    last = len(getattr(model, stack)) - 1
    return spec.with_changes(f"model.{stack}.{last}.out_features={columns}")

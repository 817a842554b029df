"""What layers of texts keep of a step, predicted without torch, against what torch's allocator gives out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from workbench.engine.frozen import frozen_names
from workbench.engine.peaks import allocated_peak
from workbench.models.build import build
from workbench.specs import starts
from workbench.specs.base import Pair, Shape, Tokens
from workbench.specs.kept_recurrent import workspace
from workbench.specs.layers import LAYERS
from workbench.specs.memory import WAITING, WAITING_STEPS, step_bytes
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.sizes import Extent, Lengths, TextSizes

Raw = dict[str, Any]
TOKENS, WORDS = 40, 300
EMBEDDING: Raw = {"kind": "embedding", "embedding_dim": 96}
POOL: Raw = {"kind": "sequence_pool", "mode": "mean"}
NEAR = 0.15


def linear(n: int) -> Raw:
    return {"kind": "linear", "out_features": n}


def spec_of(layers: Sequence[Raw], task: str = "classification", **model: Any) -> RunSpec:
    return from_dict({"model": {"layers": list(layers), **model}, "task": {"kind": task}})


def compared(spec: RunSpec, shape: Shape, batch: int, shortest: float = 1.0) -> tuple[int, int]:
    """(predicted, measured) bytes of a step. shortest: tokens of the shortest text over those of the longest;
    the others lie between."""
    torch.manual_seed(0)
    per_token = spec.task.kind != "classification"
    pair = isinstance(shape, Pair)
    width, words = shape[0] if pair else shape  # type: ignore[misc]
    model = build(spec.model, shape, seed=0)
    rest = frozen_names(model, spec.training.freeze, dict(model.named_parameters()))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in rest)
        parameter.grad = torch.zeros_like(parameter)
    lengths = torch.linspace(width * shortest, width, batch).round().long().clamp(min=1)
    there = torch.arange(width) < lengths.unsqueeze(1)
    ids = torch.randint(4, words, (batch, 2, width) if pair else (batch, width))
    ids = ids * (there.unsqueeze(1) if pair else there)
    labels = torch.randint(4, words, (batch, width)) * there if per_token else torch.arange(batch) % 7

    def step() -> object:
        x, y = ids.clone(), labels.clone()
        scores = model(x)
        loss = F.cross_entropy(scores.flatten(0, -2), y.flatten(), ignore_index=0 if pair else -100)
        loss.backward()
        return loss, scores

    step()
    extent = Extent(width, float(lengths.sum()) / (batch * width), shortest == 1.0)
    said = step_bytes(spec, shape, words if per_token else 7, batch, "cpu", extent)
    if per_token:  # scores of the steps before, which wait beside this one
        told = 4 * batch * width * words
        said -= told * min(WAITING_STEPS, WAITING // told)
    return said, allocated_peak(step)


def variants() -> dict[str, list[Raw]]:
    """Layers between the embedding and the pooling."""
    found: dict[str, list[Raw]] = {"nothing": []}
    for kind in ("rnn", "lstm", "gru"):
        for layers, both in ((1, False), (1, True), (2, False), (2, True)):
            one = {
                "kind": kind,
                "hidden_size": 64,
                "num_layers": layers,
                "bidirectional": both,
                "dropout": 0.2,
            }
            found[f"{kind}, {layers}{', both ways' if both else ''}"] = [one]
    for more in ({}, {"dropout": 0.1}, {"causal": True}, {"rotary": True}, {"rotary": True, "dropout": 0.1}):
        found[f"attention {more}"] = [{"kind": "multihead_attention", **more}]
    for more in (
        {"dropout": 0.0}, {}, {"norm_first": True, "activation": "gelu"}, {"bias": False, "causal": True},
        {"norm_first": True, "activation": "silu", "dropout": 0.0, "rotary": True},
    ):  # fmt: skip
        found[f"encoder {more}"] = [{"kind": "transformer_encoder_layer", "dim_feedforward": 200, **more}]
    found["positions"] = [{"kind": "positions", "dropout": 0.1}]
    found["waves"] = [{"kind": "positions", "encoding": "sinusoidal"}]
    found["class token, then attention"] = [{"kind": "class_token"}, {"kind": "transformer_encoder_layer"}]
    found["conv1d"] = [{"kind": "conv1d", "kernel_size": 3}, {"kind": "relu"}]
    found["norm, linear, gelu, dropout"] = [
        {"kind": "layer_norm"}, linear(200), {"kind": "gelu"}, {"kind": "dropout"},
    ]  # fmt: skip
    found["lstm, then linear"] = [{"kind": "lstm", "hidden_size": 64}, linear(100), {"kind": "relu"}]
    found["residual"] = [{"kind": "residual", "layers": [linear(120), {"kind": "relu"}, linear(50)]}]
    return found


@pytest.mark.parametrize("shortest", [1.0, 0.5])
@pytest.mark.parametrize("name", sorted(variants()))
def test_what_a_layer_of_texts_keeps_is_torchs_own(name: str, shortest: float) -> None:
    layers = [EMBEDDING, *variants()[name], POOL, linear(7)]
    for batch in (4, 32):
        said, seen = compared(spec_of(layers), Tokens(TOKENS, WORDS), batch, shortest)
        assert said == pytest.approx(seen, rel=NEAR), batch


@pytest.mark.parametrize("mode", ["last", "mean", "max", "attention", "first"])
def test_what_each_pooling_keeps_is_torchs_own(mode: str) -> None:
    layers = [EMBEDDING, linear(64), {**POOL, "mode": mode}, linear(7)]
    said, seen = compared(spec_of(layers), Tokens(TOKENS, WORDS), 32, 0.5)
    assert said == pytest.approx(seen, rel=NEAR)


@pytest.mark.parametrize("batch", [4, 32])
def test_filters_of_several_widths_keep_what_torch_does(batch: int) -> None:
    branches = [
        [{"kind": "conv1d", "kernel_size": k}, {"kind": "relu"}, {**POOL, "mode": "max"}] for k in (3, 4, 5)
    ]
    layers = [EMBEDDING, {"kind": "parallel", "branches": branches}, {"kind": "dropout"}, linear(7)]
    said, seen = compared(spec_of(layers), Tokens(TOKENS, WORDS), batch, 0.5)
    assert said == pytest.approx(seen, rel=NEAR)


@pytest.mark.parametrize("words", [65, 1000])
@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_keeps_what_torch_does(words: int, tied: bool) -> None:
    spec = spec_of(starts.gpt(words), "language_model", tie_embeddings=tied)
    for batch in (4, 16):
        said, seen = compared(spec, Tokens(TOKENS, words), batch)
        assert said == pytest.approx(seen, rel=NEAR), batch


@pytest.mark.parametrize("words", [65, 1000])
@pytest.mark.parametrize("name", ["transformer", "lstm", "lstm, both ways"])
def test_a_translator_keeps_what_torch_does(name: str, words: int) -> None:
    encoder, decoder = starts.encoder(), starts.decoder(words)
    if name != "transformer":
        both = name != "lstm"
        encoder = [EMBEDDING, {"kind": "lstm", "hidden_size": 64 if both else 128, "bidirectional": both}]
        decoder = [EMBEDDING, {"kind": "lstm_decoder", "hidden_size": 128, "dropout": 0.1}, linear(words)]
    spec = spec_of(encoder, "translation", decoder=decoder)
    for batch, shortest in ((4, 1.0), (16, 0.5)):
        said, seen = compared(spec, Pair(Tokens(24, words), Tokens(24, words)), batch, shortest)
        assert said == pytest.approx(seen, rel=NEAR), batch


@pytest.mark.parametrize("frozen", [[0, 1, 2, 3], [4, 5, 6], [0, 2, 3, 4, 6, 7]])
def test_a_translator_with_layers_at_rest_keeps_what_torch_does(frozen: list[int]) -> None:
    spec = spec_of(starts.encoder(), "translation", decoder=starts.decoder(300))
    spec = spec.with_changes(f"training.freeze={frozen}")
    said, seen = compared(spec, Pair(Tokens(24, 300), Tokens(24, 300)), 16, 0.5)
    assert said == pytest.approx(seen, rel=NEAR)


def test_every_layer_of_texts_is_among_them() -> None:
    tried = {"embedding", "sequence_pool", "linear", "lstm_decoder", "transformer_decoder_layer"}
    tried |= {layer["kind"] for layers in variants().values() for layer in layers}
    of_texts = {kind for kind, layer in LAYERS.items() if layer.group in ("text", "recurrent", "attention")}
    assert of_texts - tried <= {"image_rows", "patch_embedding", "pretrained_text"}, (
        "these are not about tokens that are learned"
    )


def test_attention_with_dropout_keeps_every_pair_of_steps_and_without_it_none() -> None:
    def kept(dropout: float, length: int) -> int:
        spec = spec_of([EMBEDDING, {"kind": "multihead_attention", "dropout": dropout}, POOL, linear(7)])
        return step_bytes(spec, Tokens(length, WORDS), 7, 8)

    assert kept(0.1, 800) > 10 * kept(0.1, 200)
    assert kept(0.0, 800) < 5 * kept(0.0, 200)


@pytest.mark.parametrize(
    ("batch", "length", "width", "hidden"),
    [(8, 64, 128, 128), (8, 64, 128, 256), (8, 64, 128, 100), (8, 64, 64, 128), (32, 20, 100, 128)],
)
def test_the_workspace_of_an_lstm_is_onednns_to_the_byte(
    batch: int, length: int, width: int, hidden: int
) -> None:
    lstm = torch.nn.LSTM(width, hidden, batch_first=True)
    x = torch.randn(batch, length, width, requires_grad=True)
    lstm(x)
    with torch.autograd.profiler.profile(profile_memory=True) as seen:
        lstm(x)
    events = [e.nbytes() for e in seen.kineto_results.events() if e.name() == "[memory]"]
    assert workspace(batch, length, width, hidden) == max(events)


def test_the_widest_batch_is_that_of_the_longest_texts() -> None:
    lengths = Lengths.of([3, 9, 9, 5, 2, 7])
    assert (lengths.longest, lengths.tokens) == (9, 35)
    assert lengths.widest(1) == Extent(9, 1.0, True)
    assert lengths.widest(2) == Extent(9, 1.0, True)
    assert lengths.widest(4) == Extent(9, (9 + 9 + 7 + 5) / 36, False)
    assert lengths.widest(100) == Extent(9, 35 / 54, False), "there are no more than six"
    assert Lengths().widest(3).width == 1


def test_sizes_of_texts_are_read_like_those_of_images() -> None:
    sizes = TextSizes({"train": 2, "validation": 1, "test": 0}, {"train": Lengths.of([4, 6])})
    assert dict(sizes) == {"train": 2, "validation": 1, "test": 0}
    assert (sizes.tokens("train"), sizes.tokens("validation")) == (10, 0)

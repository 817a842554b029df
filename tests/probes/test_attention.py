"""Where heads look and what states are: right by hand, equal to Hugging Face's, and without a trace."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.texts import labelled, reversals, stream
from tests.engine.tiny import images, spec_of
from tests.models import encoders, tuning
from tests.probes.test_convolutions import same, traces, values
from workbench.engine.batches import normalised
from workbench.models.build import build
from workbench.probes.attention import attention_of, attention_tiles, pretrained, seen_in, state_tiles
from workbench.probes.texts import probe_texts
from workbench.probes.watch import Watcher
from workbench.records import Panel, Tiles
from workbench.specs.base import Pair, Tokens
from workbench.specs.model import ModelSpec

EMBED = {"kind": "embedding", "embedding_dim": 8}
ENCODER = {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 16, "dropout": 0.5}
POOL, OUT = {"kind": "sequence_pool"}, {"kind": "linear", "out_features": 2}
DECODER = {"kind": "transformer_decoder_layer", "nhead": 4, "dim_feedforward": 16, "dropout": 0.5}
TOKENS = Tokens(12, 14)


def stack(*layers: object, **more: object) -> ModelSpec:
    return ModelSpec.model_validate({"family": "encoder", "layers": list(layers), **more})


def translator() -> ModelSpec:
    return stack(EMBED, ENCODER, decoder=[EMBED, DECODER, {"kind": "linear", "out_features": 14}])


def by_hand(layer: nn.Module, x: torch.Tensor, real: torch.Tensor) -> np.ndarray:
    """softmax(QK' / sqrt(d)) head by head, without any batched shortcut."""
    attention = layer.self_attn
    width = x.shape[2]
    size = width // attention.heads
    projected = x @ attention.in_proj.weight.T + attention.in_proj.bias
    found = np.zeros((len(x), attention.heads, x.shape[1], x.shape[1]))
    for text in range(len(x)):
        n = int(real[text].sum())
        for head in range(attention.heads):
            at = slice(head * size, (head + 1) * size)
            query, key = projected[text, :, :width][:, at], projected[text, :, width : 2 * width][:, at]
            for i in range(x.shape[1]):
                scores = [math.exp(float(query[i] @ key[j]) / math.sqrt(size)) for j in range(n)]
                found[text, head, i, :n] = np.array(scores) / sum(scores)
    return found


def test_the_weights_are_those_computed_by_hand_and_padding_gets_none():
    model = build(stack(EMBED, ENCODER, POOL, OUT), TOKENS, seed=0).double()
    ids = torch.tensor([[5, 6, 7, 8, 9], [9, 4, 0, 0, 0]])
    ((name, weights),) = attention_of(model, ids).items()
    assert name == "1"
    with torch.no_grad():
        expected = by_hand(model[1], model[0](ids), ids != 0)
    assert np.allclose(weights.numpy(), expected, atol=1e-6)


def test_a_causal_head_sees_no_later_step_and_rows_sum_to_one():
    model = build(
        stack(EMBED, ENCODER | {"causal": True}, {"kind": "linear", "out_features": 14}), TOKENS, seed=1
    )
    weights = attention_of(model, torch.randint(4, 14, (3, 9)))["1"]
    assert torch.equal(weights, weights.tril())
    assert torch.allclose(weights.sum(dim=3), torch.ones(3, 2, 9))


def test_layers_in_repeats_and_pooling_attend_under_their_names():
    repeat = {"kind": "repeat", "times": 3, "layers": [ENCODER]}
    pool = {"kind": "sequence_pool", "mode": "attention"}
    spec = stack(EMBED, {"kind": "class_token"}, repeat, pool, OUT)
    found = attention_of(build(spec, TOKENS, seed=0), torch.randint(4, 14, (2, 6)))
    assert {name: tuple(w.shape) for name, w in found.items()} == {
        "2.0.0": (2, 2, 7, 7), "2.1.0": (2, 2, 7, 7), "2.2.0": (2, 2, 7, 7), "3": (2, 1, 1, 7),
    }  # fmt: skip


def test_a_translator_shows_both_ways_it_attends():
    model = build(translator(), Pair(TOKENS, TOKENS), seed=0)
    x = torch.zeros(2, 2, 7, dtype=torch.int64)
    x[:, 0, :4], x[:, 1, :6] = 5, 6
    found = attention_of(model, x)
    assert list(found) == ["encoder.1", "decoder.1.self", "decoder.1.cross"]
    assert torch.equal(found["decoder.1.self"], found["decoder.1.self"].tril())
    cross = found["decoder.1.cross"]
    assert cross.shape == (2, 4, 7, 7)
    assert float(cross[..., 4:].abs().max()) == 0.0  # the source ends there
    assert torch.allclose(cross.sum(dim=3), torch.ones(2, 4, 7))


def test_an_lstm_that_writes_shows_where_it_looks_and_both_stacks_their_states():
    lstm = {"kind": "lstm", "hidden_size": 8}
    decoder = [EMBED, {"kind": "lstm_decoder", "hidden_size": 8}, {"kind": "linear", "out_features": 14}]
    model = build(stack(EMBED, lstm, decoder=decoder), Pair(TOKENS, TOKENS), seed=0)
    seen = seen_in(model, torch.randint(4, 14, (3, 2, 5)))
    assert {n: tuple(w.shape) for n, w in seen.attention.items()} == {"decoder.1.cross": (3, 1, 5, 5)}
    assert {n: tuple(s.shape) for n, s in seen.states.items()} == {
        "encoder.1": (3, 5, 8),
        "decoder.1": (3, 5, 8),
    }


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_are_what_the_recurrent_layer_gives(kind: str, bidirectional: bool):
    layer = {"kind": kind, "hidden_size": 5, "bidirectional": bidirectional}
    model = build(stack(EMBED, layer, POOL, OUT), TOKENS, seed=0)
    ids = torch.randint(4, 14, (2, 6))
    (states,) = seen_in(model, ids).states.values()
    assert torch.allclose(states, model[1].rnn(model[0](ids))[0], atol=1e-6)
    tiles = state_tiles("1", states)
    assert (tiles.pixels.shape, tiles.signed, tiles.group) == ((2, 5 * (1 + bidirectional), 6), True, 1)
    assert np.allclose(values(tiles), states.transpose(1, 2).numpy(), atol=0.01)


def test_weights_of_a_hugging_face_bert_are_its_output_attentions():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32
    )
    torch.manual_seed(0)
    bert = BertForSequenceClassification(config).train()

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = bert

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(input_ids=x, attention_mask=x.ne(0).long()).logits

    model = Wrapped()
    x = torch.randint(5, 30, (2, 7))
    x[1, 5:] = 0
    before, way = traces(model), bert.config._attn_implementation
    found = attention_of(model, x)
    assert same(before, traces(model))
    assert bert.config._attn_implementation == way
    assert len(pretrained(model)) == 2
    bert.eval().set_attn_implementation("eager")
    with torch.no_grad():
        expected = bert(input_ids=x, attention_mask=x.ne(0).long(), output_attentions=True).attentions
    assert list(found) == ["0", "1", "2"]
    for i, weights in enumerate(expected):
        assert torch.allclose(found[str(i)], weights, atol=1e-6)


def test_nothing_is_left_behind_even_by_an_error():
    model = build(stack(EMBED, {"kind": "lstm", "hidden_size": 8}, ENCODER, POOL, OUT), TOKENS, seed=0)
    model[2].eval()
    model(torch.randint(4, 14, (3, 6))).sum().backward()
    before = traces(model)
    seen_in(model, torch.randint(4, 14, (3, 6), generator=torch.Generator()))
    assert same(before, traces(model))
    with pytest.raises(IndexError):
        attention_of(model, torch.full((1, 4), 99))
    assert same(before, traces(model))


def test_a_tile_begins_at_zero_ends_at_its_highest_and_leaves_padding_out():
    weights = torch.tensor([[[[0.25, 0.75, 0.9], [0.5, 0.5, 0.9], [0.9, 0.9, 0.9]]]])
    tiles = attention_tiles("1", weights, [2], [2])
    assert (tiles.topic, tiles.label, tiles.group) == ("attention/1", "head", 1)
    assert (tiles.lows.tolist(), tiles.highs.tolist()) == ([0.0], [0.75])
    assert tiles.pixels[0].tolist() == [[85, 255, 0], [170, 170, 0], [0, 0, 0]]


def test_what_is_left_out_is_said():
    many = attention_tiles("0", torch.rand(16, 40, 3, 3))
    assert (many.pixels.shape, many.group) == ((16 * 24, 3, 3), 24)
    assert many.title == "Attention of layer 0 (the first 24 of 40 heads)"
    long = attention_tiles("0", torch.rand(1, 2, 128, 128))
    assert long.pixels.shape == (2, 64, 64)
    assert long.title.endswith("(averaged down from 128×128)")
    wide = state_tiles("0", torch.rand(1, 3, 300))
    assert (wide.pixels.shape, wide.title[-32:]) == ((1, 256, 3), "0 (the first 256 of 300 features)"[-32:])


def test_probe_texts_are_one_of_each_class_cut_to_what_a_picture_can_show():
    data = labelled(longest=70)
    texts = probe_texts(data, stack(EMBED, POOL, OUT), 4)
    assert [item["label"] for item in texts.items] == ["without", "with", "without", "with"]
    assert all(len(item["tokens"]) == n <= 48 for item, n in zip(texts.items, texts.lengths, strict=True))
    assert texts.inputs.shape == (4, texts.width)
    assert (texts.inputs != 0).sum(dim=1).tolist() == texts.lengths


def test_probe_texts_of_a_language_model_are_the_first_stretches():
    data = stream(length=8)
    texts = probe_texts(data, stack(EMBED), 3)
    assert texts.inputs.flatten().tolist() == data.validation.ids.values[:24].tolist()
    assert texts.items[0]["tokens"] == data.tokenizer.tokens(texts.inputs[0].tolist())


def test_probe_texts_of_a_translator_are_what_it_is_taught():
    texts = probe_texts(reversals(), translator(), 2)
    source, target = texts.inputs[0, 0], texts.inputs[0, 1]
    n = texts.lengths[0]
    assert source[n - 1] == 3
    assert target[0] == 2
    assert source[: n - 1].flip(0).tolist() == target[1:n].tolist()
    assert (texts.items[0]["tokens"][-1], texts.items[0]["target_tokens"][0]) == ("⏎", "⏵")


def test_a_look_brings_attention_states_and_the_texts_once():
    spec = spec_of([EMBED, {"kind": "lstm", "hidden_size": 8}, ENCODER, POOL, OUT], watch={"probe_images": 2})
    data = labelled()
    watch = Watcher.over(spec.model, spec.watch, data, normalised)
    model = build(spec.model, data.shape, seed=0)
    assert watch.due(100.0, 0.0)
    first, second = watch.look(model, 0, 0.0, 5.0), watch.look(model, 1, 0.1, 6.0)
    assert [r.topic for r in first] == ["probe", "attention/2", "states/1"]
    assert [r.topic for r in second] == ["attention/2", "states/1"]
    panel = first[0]
    assert isinstance(panel, Panel)
    assert panel.data["kind"] == "text"
    assert panel.data["width"] == second[0].pixels.shape[2]
    for text, item in enumerate(panel.data["items"]):
        n = len(item["tokens"])
        for head in range(2):
            tile = values(second[0])[2 * text + head]
            assert np.allclose(tile[:n].sum(axis=1), 1, atol=0.02)
            assert not tile[n:].any()
            assert not tile[:, n:].any()
    assert all(isinstance(r, Tiles) and r.time == 6.0 and r.step == 1 for r in second)


def test_attention_that_is_turned_off_is_not_looked_at():
    spec = spec_of([EMBED, ENCODER, POOL, OUT], watch={"attention": False})
    watch = Watcher.over(spec.model, spec.watch, labelled(), normalised)
    assert not watch.due(100.0, 0.0)
    assert [r.topic for r in watch.look(build(spec.model, TOKENS), 0, 0.0, 0.0)] == ["probe"]


def test_a_transformer_on_images_is_followed_too():
    spec = spec_of(
        [{"kind": "image_rows"}, ENCODER | {"nhead": 3}, POOL, {"kind": "linear", "out_features": 3}]
    )
    watch = Watcher.over(spec.model, spec.watch, images(), normalised)
    records = watch.look(build(spec.model, (1, 6, 6), seed=0), 0, 0.0, 0.0)
    assert [r.topic for r in records] == ["probe", "attention/1"]
    assert records[1].pixels.shape == (6 * 3, 6, 6)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("bert", {}),
        ("bert", {"pooling": "mean"}),
        ("bert", {"lora_rank": 2}),
        ("distilbert", {}),
        ("roberta", {}),
    ],
)
def test_a_pretrained_encoder_shows_every_layer_and_stays_as_it_was(tmp_path, kind, more):
    model = tuning.built(encoders.saved(kind, tmp_path / kind), **more).train()
    x = torch.randint(5, 20, (2, 6))
    x[1, 4:] = 0
    before = traces(model)
    found = attention_of(model, x)
    assert same(before, traces(model))
    assert list(found) == [str(i) for i in range(len(found))]
    assert found
    for weights in found.values():
        assert weights.shape[2:] == (6, 6)
        assert torch.allclose(weights.sum(dim=3), torch.ones(weights.shape[:3]), atol=1e-5)
        assert float(weights[1, :, :, 4:].max()) < 1e-6  # padding is not looked at

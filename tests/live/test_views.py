"""Which tabs a run has, what its layers are called, and that one probe text's heads travel alone."""

from __future__ import annotations

import asyncio

import pytest

from tests.live import texts
from tests.live.conftest import frames_of, of_kind
from workbench.live.hub import Hubs, Viewer
from workbench.live.reader import Reader, layer_names
from workbench.live.views import is_series, is_table, is_text, views_of
from workbench.specs.presets import PRESETS
from workbench.specs.run import from_dict

IMAGES = ["curves", "filters", "maps", "predictions", "log"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("classification", ["curves", "attention", "text", "report", "log"]),
        ("lstm", ["curves", "states", "text", "report", "log"]),
        ("language_model", ["curves", "attention", "text", "log"]),
        ("translation", ["curves", "attention", "text", "log"]),
    ],
)
def test_tabs_of_texts_follow_model_and_task(store, kind, expected):
    spec = store.runs.get(texts.new_run(store, kind, kind)).spec
    assert is_text(spec)
    assert views_of(spec) == expected


def test_tabs_of_images_stay_as_they_were():
    others = (is_text, is_series, is_table)
    seen = [p.spec for p in PRESETS.values() if not any(is_one(p.spec) for is_one in others)]
    plain = [spec for spec in seen if spec.model.family in ("cnn", "mlp")]
    assert plain
    assert all(views_of(spec) == IMAGES for spec in plain)


def test_an_lstm_over_the_rows_of_images_has_its_states_too():
    layers = [{"kind": "image_rows"}, {"kind": "lstm"}, {"kind": "sequence_pool"}, texts.OUT]
    spec = from_dict({"model": {"family": "rnn", "layers": layers}})
    assert views_of(spec) == ["curves", "filters", "maps", "states", "predictions", "log"]


def test_layers_of_both_stacks_have_names(store):
    spec = store.runs.get(texts.new_run(store, "pairs", "translation", layers=1)).spec
    names = layer_names(spec, inside=True)
    assert names["encoder.2"] == "transformer_encoder_layer"
    assert names["decoder.1"] == "transformer_decoder_layer"


def test_only_the_heads_of_the_chosen_text_travel(store):
    run = texts.ended(store, texts.new_run(store, "pairs", "translation"), "translation")

    async def watch():
        viewer = Viewer()
        hub = await Hubs(lambda: store).join(run, viewer)
        first = await frames_of(viewer)
        await hub.answer(viewer, {"op": "sub", "topics": ["tiles:attention/decoder.1.cross@1"]})
        later = await frames_of(viewer)
        hub.leave(viewer)
        return first, later

    first, later = asyncio.run(watch())
    ((topics, _),) = of_kind(first, "topics")
    assert topics["layers"]["attention/decoder.1.cross"] == "transformer_decoder_layer"
    ((head, payload),) = of_kind(later, "tiles")
    whole = store.snapshots.load(run, "attention/decoder.1.cross")
    assert (head["n"], head["parts"], head["part"], head["label"]) == (4, 3, 1, "head")
    assert head["lows"] == [0.0] * 4
    assert bytes(payload[: whole.pixels[4:8].nbytes]) == whole.pixels[4:8].tobytes()


def test_the_strip_is_told_the_task(store):
    reader = Reader(store, texts.new_run(store, "pairs", "translation"))
    reader.poll()
    assert reader.status()["task"] == "translation"


def test_layers_of_a_translator_are_numbered_through_with_their_stack() -> None:
    names = layer_names(PRESETS["dates-seq2seq"].spec)
    assert list(names) == [str(i) for i in range(9)]
    assert names["3"] == "layer_norm"
    assert names["4"] == "decoder.0 embedding"
    assert names["8"] == "decoder.4 linear 15"

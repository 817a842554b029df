"""What a pretrained layer says of itself and what it refuses of a run; no torch here."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.specs.bert_folder import BODY, CONFIG, SHAPE, F, H, P, V, layer, refusal, tensors, write
from workbench.specs.base import Tokens
from workbench.specs.checkpoint_folder import read
from workbench.specs.data import TextSpec
from workbench.specs.edits import apply
from workbench.specs.encoders import FAMILIES
from workbench.specs.layers import LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.pretrained import PretrainedText, as_built, tokenizer_problems
from workbench.specs.run import from_dict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bert")


# ---------------------------------------------------------------- numbers


def test_shape_and_parameters_follow_from_the_files_alone(folder: Path):
    one = layer(folder, num_labels=3)
    assert one.out_shape(SHAPE) == (3,)
    assert one.n_params(SHAPE) == BODY + 3 * H + 3
    assert one.n_frozen(SHAPE) == 0


def test_weights_are_never_read(folder: Path):
    """Only the header: the numbers themselves may be anything, and reading takes no time."""
    file = folder / "model.safetensors"
    blob = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(blob[:8], "little")
    blob[start:] = b"\xff" * (len(blob) - start)  # NaN throughout
    file.write_bytes(blob)
    assert layer(folder).n_params(SHAPE) == BODY + 2 * H + 2


def test_what_a_frozen_layer_leaves_to_learn(folder: Path):
    one = 4 * (H * H + H) + H * F + F + F * H + H + 4 * H
    table = V * H + P * H + 4 * H
    assert layer(folder, freeze_layers=1).n_frozen(SHAPE) == one
    assert layer(folder, freeze_layers=2, freeze_embeddings=True).n_frozen(SHAPE) == 2 * one + table


def test_lora_adds_a_pair_of_matrices_to_each_target(folder: Path):
    queries = layer(folder, lora_rank=3)
    assert queries.n_params(SHAPE) == BODY + 2 * H + 2 + 2 * 2 * 3 * (H + H)
    assert queries.n_frozen(SHAPE) == BODY
    more = layer(folder, lora_rank=3, lora_targets="query  intermediate.dense,output.dense")
    assert more.n_params(SHAPE) - BODY - 2 * H - 2 == 2 * 3 * (2 * H + (H + F) + (F + H) + 2 * H)
    assert layer(folder, lora_rank=3, freeze_layers=1).n_params(SHAPE) == BODY + 2 * H + 2 + 2 * 3 * (H + H)


def test_each_layer_downwards_learns_slower_by_the_same_factor(folder: Path):
    one = layer(folder, lr_decay=0.5)
    found = one.checkpoint()
    told = {
        "classifier.weight": 1.0,
        "bert.pooler.dense.bias": 1.0,
        "bert.encoder.layer.1.output.dense.bias": 0.5,
        "bert.encoder.layer.0.attention.self.key.weight": 0.25,
        "bert.embeddings.word_embeddings.weight": 0.125,
    }
    assert {name: one.rate(name, found) for name in told} == told


def test_a_head_that_the_checkpoint_brings_may_be_kept(tmp_path: Path):
    weights = {f"bert.{name}": value for name, value in tensors().items()}
    weights |= {"classifier.weight": np.zeros((3, H), np.float32), "classifier.bias": np.zeros(3, np.float32)}
    weights["cls.predictions.bias"] = np.zeros(V, np.float32)  # left over from pretraining
    folder = write(tmp_path / "bert", weights=weights)
    assert layer(folder, num_labels=3, head="kept").n_params(SHAPE) == BODY + 3 * H + 3
    assert layer(folder, num_labels=5).n_params(SHAPE) == BODY + 5 * H + 5  # a new one for other classes
    problem = refusal(folder, num_labels=2, head="kept")
    assert "it has 3 and num_labels is 2" in problem.fact
    assert problem.fix.label == "Set head to new"
    assert "brings" not in refusal(write(tmp_path / "plain"), head="kept").fact


def test_a_checkpoint_that_changes_is_read_anew(folder: Path):
    assert layer(folder).n_params(SHAPE) == BODY + 2 * H + 2
    write(folder, {**CONFIG, "num_hidden_layers": 1}, tensors(1))
    os.utime(folder / "config.json", ns=(1, 1))
    assert layer(folder).n_params(SHAPE) < BODY


def test_old_names_and_tables_of_numbers_count_as_the_library_counts_them(tmp_path: Path):
    weights = tensors()
    weights["embeddings.position_ids"] = np.arange(P)[None]
    for name in [n for n in weights if "LayerNorm" in n]:
        weights[
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        ] = weights.pop(name)
    assert layer(write(tmp_path / "old", weights=weights)).n_params(SHAPE) == BODY + 2 * H + 2


# ---------------------------------------------------------------- refusals: the run


def test_the_tokenizer_must_be_the_models(folder: Path):
    problem = refusal(folder, Tokens(16, 10_000))
    assert problem.fact == "the run's tokenizer has 10,000 entries and the model 50"
    assert problem.repair == f"Set data.text.tokenizer to pretrained and data.text.source to {folder}."


def test_texts_must_be_no_longer_than_the_model_reads(folder: Path):
    assert refusal(folder, Tokens(41, V)).repair == "Set data.text.length to 40."
    assert layer(folder).out_shape(Tokens(40, V)) == (2,)


def test_roberta_counts_its_places_from_behind_the_padding(tmp_path: Path):
    weights = {f"roberta.{name}": value for name, value in tensors().items()}
    config = {**CONFIG, "model_type": "roberta", "pad_token_id": 1}
    folder = write(tmp_path / "r", config, weights)
    assert refusal(folder, Tokens(39, V)).repair == "Set data.text.length to 38."


@pytest.mark.parametrize("shape", [(3, 8, 8), (8,), (16, 8)])
def test_only_tokens_are_read(shape: tuple[int, ...], folder: Path):
    assert "needs the tokens of a text" in refusal(folder, shape).rule


def test_freezing_more_layers_than_there_are_is_refused(folder: Path):
    problem = refusal(folder, freeze_layers=3)
    assert "has 2 encoder layers" in problem.rule
    assert problem.fix.label == "Set freeze_layers to 2"


def test_lora_on_what_is_no_linear_layer_is_refused(folder: Path):
    problem = refusal(folder, lora_rank=4, lora_targets="query, LayerNorm")
    assert problem.fact == "it has none that is called `LayerNorm`"
    assert "dense, key, query, value" in problem.repair
    assert refusal(folder, lora_rank=4, freeze_layers=2).fix.label == "Set freeze_layers to 0"


@pytest.mark.parametrize("field", [{"freeze_layers": 1}, {"freeze_embeddings": True}, {"lora_rank": 2}])
def test_random_weights_cannot_stay_as_they_are(field: dict[str, Any], folder: Path):
    assert refusal(folder, scratch=True, **field).fix.label == "Set scratch to False"


def test_alberts_single_layer_is_frozen_whole_or_not_at_all(tmp_path: Path):
    weights = {}
    for name, value in tensors(1).items():
        inner = "encoder.albert_layer_groups.0.albert_layers.0"
        weights[name.replace("encoder.layer.0", inner).replace("pooler.dense", "pooler")] = value
    folder = write(tmp_path / "a", {**CONFIG, "model_type": "albert"}, weights)
    assert layer(folder).out_shape(SHAPE) == (2,)
    assert layer(folder, freeze_layers=2).n_frozen(SHAPE) > 0
    assert "are one" in refusal(folder, freeze_layers=1).rule


def test_the_number_of_classes_is_the_datas_and_a_press_of_the_button_mends_it(folder: Path):
    rows = [{"kind": "pretrained_text", "source": str(folder), "num_labels": 2}]
    (problem,) = ModelSpec.model_validate({"layers": rows}).problems(SHAPE, 4)
    assert problem.where == "layer 0 (pretrained_text)"
    assert problem.rule == "the last layer must give one score per class (4)"
    mended = apply(rows, problem.fix)
    assert mended[0]["num_labels"] == 4
    assert ModelSpec.model_validate({"layers": mended}).problems(SHAPE, 4) == []


def test_a_kept_head_gives_way_to_the_datas_classes(tmp_path: Path):
    weights = {f"bert.{name}": value for name, value in tensors().items()}
    weights |= {"classifier.weight": np.zeros((2, H), np.float32), "classifier.bias": np.zeros(2, np.float32)}
    rows = [
        {"kind": "pretrained_text", "source": str(write(tmp_path / "b", weights=weights)), "head": "kept"}
    ]
    (problem,) = ModelSpec.model_validate({"layers": rows}).problems(SHAPE, 4)
    assert ModelSpec.model_validate({"layers": apply(rows, problem.fix)}).problems(SHAPE, 4) == []


def test_the_tokenizer_of_another_model_is_found_before_the_run(folder: Path, tmp_path: Path):
    layers = [layer(folder)]
    own = TextSpec(tokenizer="pretrained", source=str(folder))
    assert tokenizer_problems(layers, own) == []
    (problem,) = tokenizer_problems(layers, TextSpec(tokenizer="bpe"))
    assert problem.where == "data.text.tokenizer"
    assert problem.fact == "data.text.tokenizer is bpe"
    other = write(tmp_path / "other")
    assert tokenizer_problems(layers, TextSpec(tokenizer="pretrained", source=str(other))) == []  # a copy
    (other / "tokenizer.json").write_text('{"of": "another"}')
    (problem,) = tokenizer_problems(layers, TextSpec(tokenizer="pretrained", source=str(other)))
    assert str(other) in problem.fact
    assert tokenizer_problems([LAYERS["linear"]()], TextSpec(tokenizer="bpe")) == []
    (folder / "config.json").unlink()  # the layer itself tells that
    assert tokenizer_problems(layers, own) == []


def test_a_spec_travels_as_yaml(folder: Path):
    tree = {
        "data": {"text": {"tokenizer": "pretrained", "source": str(folder)}},
        "model": {"family": "pretrained", "layers": [{"kind": "pretrained_text", "source": "owner/name",
                                                      "lora_rank": 4, "lr_decay": 0.9}]},
    }  # fmt: skip
    spec = from_dict(tree)
    assert from_dict(json.loads(spec.to_json())) == spec
    assert isinstance(spec.model.layers[0], PretrainedText)


def test_every_family_says_where_its_layers_are():
    for kind, family in FAMILIES.items():
        assert family.layer_of(f"{family.layers}.7.attention.weight") == 7, kind
        assert family.layer_of("embeddings.word_embeddings.weight") is None


def test_reading_while_typing_is_quick(folder: Path):
    read(str(folder))
    began = time.process_time()
    for _ in range(50):
        ModelSpec.model_validate({"layers": [layer(folder).model_dump()]}).rows(SHAPE)
    assert (time.process_time() - began) / 50 < 0.02


def test_what_says_only_how_weights_learn_may_change_in_a_fork(folder: Path):
    one, freed = layer(folder, freeze_layers=2, lr_decay=0.5), layer(folder, freeze_embeddings=True)
    assert as_built([one]) == as_built([freed]) == (layer(folder),)
    small = layer(folder, lora_rank=2)
    assert as_built([small]) != as_built([one])
    assert as_built([small]) != as_built([layer(folder, lora_rank=2, freeze_layers=1)])
    assert as_built([layer(folder, pooling="mean")]) != as_built([one])

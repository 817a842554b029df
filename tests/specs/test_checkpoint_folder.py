"""The folder of a pretrained model: found, read without its weights, refused before anything is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.specs.bert_folder import BODY, CONFIG, SHAPE, F, H, layer, refusal, tensors, write
from workbench.specs.checkpoint_folder import header, in_cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bert")


# ---------------------------------------------------------------- refusals: the folder


@pytest.mark.parametrize("source", ["", "   "])
def test_a_layer_without_a_source_says_what_it_needs(source: str):
    assert "its source is empty" in refusal(source).fact


@pytest.mark.parametrize("source", ["/" + "x" * 300, "~nobody-of-that-name/bert", "/root\0/x"])
def test_paths_that_cannot_be_are_refused(source: str):
    refusal(source)


@pytest.mark.parametrize("source", ["./bert", "../bert", "a/b/c", "has space", "o/n?x", "é/x", "-x", "a..b"])
def test_a_source_is_a_whole_path_or_a_hub_name(source: str):
    assert "is neither" in refusal(source).fact


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    assert refusal(tmp_path / "gone").fact == "there is none at that path"
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file").fact == "it is a file"


def test_a_hub_model_that_was_not_fetched_names_the_command_and_the_way_offline(
    monkeypatch: Any, tmp_path: Path
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    problem = refusal("owner/name")
    assert problem.fact == "it has not been fetched from huggingface.co"
    assert "workbench fetch owner/name" in problem.repair
    assert "Offline, copy the model's folder" in problem.repair


@pytest.mark.parametrize(
    "variables", [{"HF_HUB_CACHE": "{}"}, {"HF_HOME": "{}/.."}, {"XDG_CACHE_HOME": "{}/../.."}]
)
def test_a_fetched_hub_model_is_found_where_the_libraries_keep_it(
    variables: dict[str, str], monkeypatch: Any, tmp_path: Path
):
    hub = tmp_path / "huggingface" / "hub"
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(
            name, str(Path(value.format(hub)).resolve()) if ".." in value else value.format(hub)
        )
    place = hub / "models--owner--name"
    write(place / "snapshots" / "abc123")
    assert in_cache("owner/name") is None  # half a download
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc123")
    assert layer("owner/name").n_params(SHAPE) == BODY + 2 * H + 2
    (place / "refs" / "main").write_text("../../..")
    assert in_cache("owner/name") is None


def test_a_folder_without_config_is_refused(folder: Path):
    (folder / "config.json").unlink()
    assert "has a config.json" in refusal(folder).rule
    (folder / "adapter_config.json").write_text("{}")
    assert refusal(folder).fact == "it holds only an adapter"


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.ckpt", "tf_model.h5", "flax_model.msgpack", "m.pt"]
)
def test_other_formats_are_refused_with_the_way_to_convert_them(name: str, folder: Path):
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"\x80\x04.")
    problem = refusal(folder)
    assert problem.fact == f"it has {name}"
    assert "can run programs" in problem.rule
    assert "from transformers import AutoModel as M" in problem.repair
    classifier = {**CONFIG, "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(classifier))
    assert "AutoModelForSequenceClassification as M" in refusal(folder).repair


def test_a_folder_without_any_weights_is_refused(folder: Path):
    (folder / "model.safetensors").unlink()
    assert refusal(folder).fact == "it has no weights"


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"model_type": "gpt2"}, "config.json says `gpt2`"),
        ({"model_type": "t5"}, "says `t5`"),
        ({"model_type": ["bert"]}, "is no word"),
        ({"model_type": None}, "does not say its model_type"),
        ({"is_decoder": True}, "says `bert`"),
    ],
)
def test_what_is_no_text_encoder_is_refused(change: dict[str, Any], fact: str, tmp_path: Path):
    problem = refusal(write(tmp_path / "m", {**CONFIG, **change}))
    assert fact in problem.fact
    assert "roberta" in problem.repair or "copy" in problem.repair


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"num_hidden_layers": 3}, "speaks of 3 layers and they hold 2"),
        ({"vocab_size": 51}, "speaks of 51 words, they of 50"),
        ({"model_type": "distilbert"}, "config.json speaks of 2 layers and they hold 0"),
        ({"hidden_size": "8"}, "it is 8"),
        ({"hidden_size": -1}, "it is -1"),
        ({"max_position_embeddings": True}, "it is True"),
        ({"pad_token_id": 10**30}, "it is 1000"),
    ],
)
def test_a_config_of_other_weights_is_refused(change: dict[str, Any], fact: str, tmp_path: Path):
    assert fact in refusal(write(tmp_path / "m", {**CONFIG, **change})).fact


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\x00", '{"model_type": {}}'])
def test_a_broken_config_is_refused(text: str, folder: Path):
    (folder / "config.json").write_text(text)
    refusal(folder)


def test_broken_weights_are_refused(folder: Path):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    header_end = 8 + int.from_bytes(whole[:8], "little")
    entry = b'{"embeddings.word_embeddings.weight":%s}'
    odd = [
        b'{"dtype":"F32","shape":[50,8]}',
        b'{"dtype":"F32","shape":"x","data_offsets":[0,4]}',
        b"7",
        b'{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}',
        b'{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}',
        b'{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}',
        b'{"shape":[1],"data_offsets":[0,"x"]}',
    ]
    broken = [
        b"", whole[:7], whole[: header_end - 5], whole[:-1], whole + b"x", b"\xff" * 64,
        (1 << 40).to_bytes(8, "little"),
        *((len(entry % o)).to_bytes(8, "little") + entry % o + b"\0" * 4 for o in odd),
    ]  # fmt: skip
    for blob in broken:
        file.write_bytes(blob)
        assert "whole" in refusal(folder).rule, blob[:80]


def test_quantised_weights_are_refused(tmp_path: Path):
    weights = tensors()
    weights["encoder.layer.0.output.dense.weight"] = np.zeros((H, F), np.int8)
    problem = refusal(write(tmp_path / "m", weights=weights))
    assert "is I8" in problem.fact
    assert "not quantised" in problem.repair


@pytest.mark.parametrize(
    "index", ["{}", '{"weight_map": {}}', '{"weight_map": {"a": "../x.safetensors"}}',
              '{"weight_map": {"a": "gone"}}', '{"weight_map": [1]}', '{"weight_map": {"a": 7}}']
)  # fmt: skip
def test_an_index_that_does_not_lead_to_files_is_refused(index: str, folder: Path):
    (folder.parent / "x.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    assert "must be there" in refusal(folder).rule


def test_a_header_gives_names_and_shapes(folder: Path):
    found = header(folder / "model.safetensors")
    assert found == {name: value.shape for name, value in tensors().items()}

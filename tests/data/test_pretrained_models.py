"""Pretrained models in the data room: fetched from a hub, and texts read with the tokenizer they bring."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend

from tests.models import classifiers, encoders
from tests.specs.bert_folder import CONFIG, V, tensors, write
from workbench.data.limits import Limits
from workbench.data.models_hub import fetch
from workbench.data.report import Report
from workbench.data.text import dataset
from workbench.data.text.pretrained import of_model
from workbench.data.text.stored import TextWriter
from workbench.data.text.tokenizer import Tokenizer
from workbench.specs.checkpoint_folder import read
from workbench.specs.data import DataSchema, DataSpec, TextSpec
from workbench.specs.errors import DataError
from workbench.specs.image_folder import read_image

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a fetch asks for: `files` of one model, by name."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []
    name = "owner/name"

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        type(self).asked.append(path)
        start = f"/{self.name}/resolve/{COMMIT}/"
        if path.startswith(f"/api/models/{self.name}"):
            siblings = [{"rfilename": file} for file in self.files]
            tree = [
                {"type": "file", "path": f, "size": len(b), "oid": "0" * 40} for f, b in self.files.items()
            ]
            facts = {"id": self.name, "sha": COMMIT, "siblings": siblings}
            self.send(json.dumps(tree if "/tree/" in path else facts).encode(), body)
        elif path.startswith(start) and path.removeprefix(start) in self.files:
            self.send(self.files[path.removeprefix(start)], body)
        else:
            self.send_error(404)

    def send(self, blob: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(blob)))
        self.send_header("ETag", f'"{hashlib.sha1(blob).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(blob)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    served = type("Served", (Hub,), {"files": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield served
    server.shutdown()
    server.server_close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---------------------------------------------------------------- fetched


def test_a_fetched_model_is_found_by_its_name_and_without_a_network(
    hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write(tmp_path / "bert")
    hub.files = {
        **files_of(folder), "pytorch_model.bin": b"\x80\x04.", "modeling.py": b"x",
        "onnx/model.safetensors": b"x",
    }  # fmt: skip
    found = fetch("owner/name")
    assert {p.name for p in found.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert not any("pytorch_model" in path or ".py" in path or "onnx" in path for path in hub.asked)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    assert read("owner/name").vocabulary == V


def test_an_image_classifier_is_fetched_with_its_processor(hub: type[Hub], tmp_path: Path):
    hub.files = files_of(classifiers.saved("resnet", tmp_path / "resnet"))
    found = fetch("owner/name")
    names = {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert {p.name for p in found.iterdir()} == names
    assert read_image("owner/name").mean == tuple(classifiers.MEAN)


def test_a_model_that_cannot_be_used_is_refused_after_the_fetch(hub: type[Hub], tmp_path: Path):
    folder = write(tmp_path / "gpt", {**CONFIG, "model_type": "gpt2"})
    hub.files = files_of(folder)
    with pytest.raises(
        DataError, match=r"must be a text encoder or an image classifier .* config\.json says `gpt2`"
    ):
        fetch("owner/name")


def test_a_model_of_pickles_is_refused_and_they_are_not_fetched(hub: type[Hub]):
    hub.files = {"config.json": json.dumps(CONFIG).encode(), "pytorch_model.bin": b"x"}
    with pytest.raises(DataError, match="it has no weights"):
        fetch("owner/name")


def test_an_unknown_model_is_said_to_be_so(hub: type[Hub]):
    with pytest.raises(DataError, match="the hub answers 404 for `owner/other`"):
        fetch("owner/other")


def test_a_hub_out_of_reach_names_the_way_offline(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    with pytest.raises(DataError, match=r"need a connection.*copy the model's folder"):
        fetch("owner/name")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        fetch("owner/name")


def test_a_hub_that_never_answers_does_not_hang_us(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(DataError, match=r"did not answer within 0\.5 s|cannot be reached"):
            fetch("owner/name", timeout_s=0.5)


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "a/b/c", "a b", "o/n:c", "é/x", "a/..b"])
def test_a_name_that_is_none_is_refused(name: str):
    with pytest.raises(DataError, match="owner/name"):
        fetch(name)


# ---------------------------------------------------------------- its tokenizer


@pytest.fixture(params=[encoders.BERT, encoders.ROBERTA], ids=["bert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with padding 0, or 1 as RoBERTa has it."""
    folder = tmp_path / "model"
    folder.mkdir()
    size = encoders.tokenizer(folder / "tokenizer.json", request.param)
    kind, pad = ("bert", 0) if request.param is encoders.BERT else ("roberta", 1)
    weights = tensors()
    table = "embeddings.word_embeddings.weight"
    weights[table] = np.zeros((size + 3, 8), np.float32)  # rounded up, as many models have it
    weights = {f"{kind}.{name}": value for name, value in weights.items()}
    return write_beside(
        folder, {**CONFIG, "model_type": kind, "pad_token_id": pad, "vocab_size": size + 3}, weights
    )


def write_beside(folder: Path, config: Any, weights: Any) -> Path:
    own = (folder / "tokenizer.json").read_bytes()
    write(folder, config, weights)
    (folder / "tokenizer.json").write_bytes(own)
    return folder


def spec_of(model: Path, **more: Any) -> TextSpec:
    return TextSpec(**{"tokenizer": "pretrained", "source": str(model), "length": 12, **more})


def test_ids_are_the_models_own_but_that_padding_is_0(model: Path):
    tokenizer, own = of_model(spec_of(model)), Backend.from_file(str(model / "tokenizer.json"))
    own.no_padding()
    pad = 1 if "roberta" in (model / "config.json").read_text() else 0
    for text in [*encoders.SENTENCES, "", "zzz ☃"]:
        expected = own.encode(text).ids
        found = tokenizer.encode(text)
        assert len(found) <= 12
        swapped = [pad if i == 0 else 0 if i == pad else i for i in found]
        assert swapped == (expected if len(expected) <= 12 else [*expected[:11], expected[-1]])
        assert 0 not in found  # only padding is
    assert tokenizer.encode_many(encoders.SENTENCES) == [
        tokenizer.encode(text) for text in encoders.SENTENCES
    ]


def test_ids_are_read_back_as_people_write(model: Path):
    tokenizer = of_model(spec_of(model, length=64))
    ids = tokenizer.encode("the best film of the year")
    assert tokenizer.decode([*ids, 0, 0]) == "the best film of the year"
    tokens = tokenizer.tokens([*ids, 0])
    assert (tokens[0], tokens[-2:]) in [("[CLS]", ["[SEP]", "[PAD]"]), ("<s>", ["</s>", "<pad>"])]
    assert "�" in tokenizer.decode(tokenizer.encode("☃"))
    assert len(tokenizer.vocabulary) == tokenizer.size == read(str(model)).vocabulary
    assert [tokenizer.vocabulary[i] for i in ids[:1]] == tokens[:1]


def test_it_is_kept_and_read_again_as_it_was(model: Path):
    tokenizer = of_model(spec_of(model))
    again = Tokenizer.from_json(tokenizer.to_json())
    for text in encoders.SENTENCES:
        assert again.encode(text) == tokenizer.encode(text)
    assert (again.size, again.vocabulary) == (tokenizer.size, tokenizer.vocabulary)


def prepared(folder: Path, task: Any = "classification") -> Path:
    folder.mkdir()
    writer = TextWriter(folder, Limits(), "made", paired=task == "translation")
    for i in range(60):
        text = encoders.SENTENCES[i % 6]
        writer.append(text, i % 2, target=text if task == "translation" else None)
    writer.finish(DataSchema(kind="text", task=task), Report(100), ("a", "b"))
    writer.close()
    return folder


def test_a_set_is_read_with_it_and_nothing_is_learned_from_the_texts(model: Path, tmp_path: Path):
    folder = prepared(tmp_path / "set")
    data = dataset.load(folder, DataSpec(name="made", text=spec_of(model)))
    assert data.shape == (12, read(str(model)).vocabulary)
    own = of_model(spec_of(model))
    for i in range(len(data.train)):
        assert data.train.ids.row(i).tolist() == own.encode(data.train.text(i))
    again = dataset.load(folder, DataSpec(name="made", text=spec_of(model)))
    assert np.array_equal(again.train.ids.values, data.train.ids.values)


def test_another_tokenizer_in_the_same_folder_reads_the_set_anew(model: Path, tmp_path: Path):
    folder, spec = prepared(tmp_path / "set"), DataSpec(name="made", text=spec_of(model))
    before = dataset.load(folder, spec).train.ids.values.copy()
    tree = json.loads((model / "tokenizer.json").read_text())
    words = tree["model"]["vocab"]
    words["the"], words["film"] = words["film"], words["the"]
    (model / "tokenizer.json").write_text(json.dumps(tree))
    after = dataset.load(folder, spec).train.ids.values
    assert len(after) == len(before)
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("task", ["language_model", "translation"])
def test_only_classes_of_texts_are_read_with_it(task: str, model: Path, tmp_path: Path):
    folder = prepared(tmp_path / "set", task)
    with pytest.raises(DataError, match=f"is for classes of texts, but made is for {task}"):
        dataset.load(folder, DataSpec(name="made", text=spec_of(model)))


def test_what_is_wrong_with_the_tokenizers_folder_is_told(model: Path):
    with pytest.raises(DataError, match="its source is empty"):
        of_model(spec_of(model, source=""))
    blob = (model / "tokenizer.json").read_bytes()
    for broken in (b"", b"{}", blob[:-20], b"\xff\xfe"):
        (model / "tokenizer.json").write_bytes(broken)
        with pytest.raises(DataError, match=r"tokenizer\.json must be one that `tokenizers` reads"):
            of_model(spec_of(model))
    (model / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="AutoTokenizer"):
        of_model(spec_of(model))


def test_a_tokenizer_with_more_tokens_than_the_model_has_vectors_is_refused(model: Path):
    tree = json.loads((model / "tokenizer.json").read_text())
    tree["model"]["vocab"]["toomuch"] = 5000
    (model / "tokenizer.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match=r"has a token with number 5,000"):
        of_model(spec_of(model))

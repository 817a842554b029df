"""A pretrained encoder from the command line: refused in words, fine-tuned with LoRA, asked, and forked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.cli.test_for_real import Shell
from tests.models import encoders
from tests.processes import living_home, until
from workbench.engine.checkpoint import from_bytes, model_tensors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with living_home(tmp_path_factory.mktemp("pretrained") / "home") as store:
        yield Shell(store)


def test_from_a_folder_to_a_fork(shell: Shell, tmp_path: Path):
    folder = encoders.saved("roberta", tmp_path / "roberta", labels=None)
    lines = [f"{text}\t{('no', 'yes')[i % 2]}" for i, text in enumerate(encoders.SENTENCES * 12)]
    (tmp_path / "texts.tsv").write_text("\n".join(["text\tlabel", *lines]), encoding="utf-8")
    assert shell("data", "add", str(tmp_path / "texts.tsv"), "--name", "lines").returncode == 0
    layer = {"kind": "pretrained_text", "source": str(folder), "lora_rank": 2, "lr_decay": 0.8}
    tree = {
        "name": "small",
        "data": {"name": "lines", "text": {"tokenizer": "bpe", "length": 64}},
        "model": {"family": "pretrained", "layers": [layer]},
        "training": {"epochs": 2, "batch_size": 16},
    }
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(tree))
    refused = shell("train", str(spec))
    assert refused.returncode == 2
    assert "Set data.text.tokenizer to pretrained" in refused.stderr
    tree["data"] = {"name": "lines", "text": {"tokenizer": "pretrained", "source": str(folder), "length": 64}}
    spec.write_text(yaml.safe_dump(tree))
    assert "Set data.text.length to 38." in shell("train", str(spec)).stderr
    done = shell("train", str(spec), "--set", "data.text.length=38")
    assert done.returncode == 0, done.stderr
    answers = json.loads(shell("predict", "small", encoders.SENTENCES[0], "--json").stdout)
    assert set(answers[0]["probabilities"]) == {"no", "yes"}
    best = ("fork", "small", "--checkpoint", "best", "--set")
    assert "weights fit only the architecture" in shell(*best, "model.layers.0.lora_rank=null").stderr
    run = shell(*best, "model.layers.0.lr_decay=1.0").stdout.strip()
    until(lambda: shell.store.runs.get(run).state.value in ("finished", "failed"), "the fork ended")
    assert shell.store.runs.get(run).error is None


def test_a_fork_frees_what_was_frozen_and_goes_on_from_its_weights(shell: Shell, tmp_path: Path):
    folder = encoders.saved("bert", tmp_path / "bert")
    lines = [f"{text}\t{('no', 'yes')[i % 2]}" for i, text in enumerate(encoders.SENTENCES * 12)]
    (tmp_path / "texts.tsv").write_text("\n".join(["text\tlabel", *lines]), encoding="utf-8")
    shell("data", "add", str(tmp_path / "texts.tsv"), "--name", "frozen-lines")
    layer = {"kind": "pretrained_text", "source": str(folder), "freeze_layers": 3, "freeze_embeddings": True}
    text = {"tokenizer": "pretrained", "source": str(folder), "length": 40}
    tree = {
        "name": "frozen", "data": {"name": "frozen-lines", "text": text},
        "model": {"family": "pretrained", "layers": [layer]},
        "training": {"steps": 6, "batch_size": 16, "optimizer": {"kind": "adamw", "lr": 0.01}},
    }  # fmt: skip
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(tree))
    first = shell("train", str(tmp_path / "spec.yaml")).stdout.split()[0]
    freed = ("model.layers.0.freeze_layers=0", "model.layers.0.freeze_embeddings=false", "training.steps=1")
    changes = [word for change in (*freed, "training.optimizer.lr=1e-9") for word in ("--set", change)]
    run = shell("fork", "frozen", "--checkpoint", "last", *changes).stdout.strip()
    until(lambda: shell.store.runs.get(run).state.value in ("finished", "failed"), "the fork ended")
    assert shell.store.runs.get(run).error is None
    state = from_bytes(shell.store.checkpoints.read(run, "last"))
    before, after = (model_tensors(shell.store.checkpoints.read(which, "last")) for which in (first, run))
    head, table = "0.network.classifier.weight", "0.network.bert.embeddings.word_embeddings.weight"
    assert (before[head] - after[head]).abs().max() < 1e-6  # learned by the parent
    start = load_file(folder / "model.safetensors")
    assert torch.equal(before[table], start[table.removeprefix("0.network.")])
    assert any(name.startswith(f"optimizer/exp_avg/{table}") for name in state.tensors)  # it learns now

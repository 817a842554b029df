"""Every technique of training on every family of models: it trains, and goes on from a checkpoint exactly."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.test_fit_texts import CLASSIFIERS
from tests.engine.test_fit_texts import spec_of as text_spec
from tests.engine.texts import labelled, reversals, stream
from tests.engine.tiny import CNN, Asking, Seen, images, spec_of
from workbench.engine import fit as loop
from workbench.engine.checkpoint import equal
from workbench.models.build import build
from workbench.models.int8 import KINDS, loaded, quantised
from workbench.specs.run import RunSpec
from workbench.specs.starts import decoder, encoder, gpt
from workbench.tasks.choose import task_for

STEPS, AT = 8, 3
VIT = [
    {"kind": "patch_embedding", "patch_size": 3, "embed_dim": 8}, {"kind": "class_token"},
    {"kind": "positions"},
    {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 16},
    {"kind": "sequence_pool", "mode": "first"}, {"kind": "linear", "out_features": 3},
]  # fmt: skip
TECHNIQUES: dict[str, dict[str, Any]] = {
    "bf16": {"precision": "bf16"},
    "fp16 with a scaler": {"precision": "fp16"},
    "accumulation": {"accumulation_steps": 2},
    "average of weights": {"ema": 0.9},
    "L1": {"l1": 1e-3},
    "L2": {"optimizer": {"kind": "sgd", "weight_decay": 0.01}},
    "one cycle": {"schedule": {"kind": "one_cycle"}},
    "early stopping": {"early_stopping": {"patience": 100}, "validate_every": 0.5},
    "loss threshold": {"stop_at_loss": 1e-9, "validate_every": 0.5},
    "clipping": {"clip_norm": 0.5},
    "pruning": {"prune": {"amount": 0.5}},
    "distillation": {"distill": {"teacher": "of this test"}},
}


def family(name: str, **training: Any) -> tuple[RunSpec, Any, int]:
    """A small run of the family, its data, and the columns of its scores."""
    training = {"steps": STEPS, **training}
    if name in ("cnn", "vit"):
        layers = {"cnn": [*CNN[:2], {"kind": "batch_norm"}, *CNN[2:]], "vit": VIT}[name]
        return spec_of(layers, **training), images(), 3
    if name == "gpt":
        data = stream()
        task = {"kind": "language_model", "sample_tokens": 0}
        return text_spec(data, gpt(14, 16, 1), task, **training), data, 14
    if name == "translator":
        data = reversals(120)
        model = {"layers": encoder(16, 1), "decoder": decoder(14, 16, 1)}
        return text_spec(data, model, {"kind": "translation", "scored": 0}, **training), data, 14
    data = labelled()
    return text_spec(data, CLASSIFIERS[name], {"kind": "classification"}, **training), data, 2


FAMILIES = ("cnn", "vit", "lstm", "encoder", "gpt", "translator")


def trained(spec: RunSpec, data: Any, columns: int, **more: Any) -> Seen:
    seen, control = Seen(), more.get("control")
    task = task_for(spec.task, columns)
    teacher = build(spec.model, data.shape, seed=99) if spec.training.distill else None
    seen.model = build(spec.model, data.shape, seed=spec.seed)
    for flush in loop.fit(seen.model, data, task, spec, teacher=teacher, **more):
        seen.flushes.append(flush)
        if control is not None:
            control.step = flush.step
    return seen


@cache
def plain_losses(name: str) -> np.ndarray:
    """Of a run without any technique."""
    return trained(*family(name)).values("train/loss")


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_technique_trains_and_goes_on_exactly(name: str, technique: str, every_step: Any) -> None:
    facts = family(name, **TECHNIQUES[technique])
    whole = trained(*facts)
    losses = whole.values("train/loss")
    assert len(losses) == STEPS
    assert np.isfinite(losses).all()
    if technique not in ("early stopping", "loss threshold", "average of weights"):  # these change no update
        assert not np.array_equal(losses, plain_losses(name)), "it must make a difference"
    part = trained(*facts, control=Asking({AT: "stop"}))
    rest = trained(*facts, resume=part.checkpoint())
    assert np.array_equal(losses[AT:], rest.values("train/loss"))
    assert equal(whole.checkpoint(), rest.checkpoint())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_8_bit_variants_that_say_nearly_the_same(name: str, kind: Any) -> None:
    spec, data, columns = family(name)
    model = trained(spec, data, columns).model
    assert model is not None
    model.eval()
    x = _inputs(name, data)
    small: nn.Module = loaded(build(spec.model, data.shape, seed=1), kind, quantised(model, kind, [x]))
    with torch.inference_mode():
        ours, theirs = small(x), model(x)
    assert (ours - theirs).abs().max() < 0.12 * (theirs.max() - theirs.min()) + 0.02


def _inputs(name: str, data: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if name in ("cnn", "vit"):
        return torch.randn(16, *data.shape, generator=generator)
    if name == "translator":
        return torch.randint(4, 14, (16, 2, 7), generator=generator)
    length = data.shape.length if hasattr(data.shape, "length") else data.shape[0]
    return torch.randint(4, 14, (16, length), generator=generator)


def test_a_new_head_begins_with_all_other_weights_of_another_run() -> None:
    from workbench.worker.start import starting

    spec, data, columns = family("encoder")
    saved = trained(spec, data, columns).checkpoint().part("model")
    layers = [*CLASSIFIERS["encoder"][:-1], {"kind": "linear", "out_features": 5}]
    changed = text_spec(data, layers, {"kind": "classification"}, steps=1)
    model = build(changed.model, data.shape, seed=3)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    taken = starting(model, changed, data.shape, saved)
    model.load_state_dict(taken.tensors)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, fresh[name] if name.startswith("5.") else saved[name]), name
    assert "drawn anew: 5.weight, 5.bias" in taken.words

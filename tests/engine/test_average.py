"""Averaged weights are what the formula says, what validation sees, and what is kept and used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.engine.tiny import CNN, MLP, Asking, images, run, spec_of
from workbench.engine.checkpoint import equal, from_bytes, model_tensors, to_bytes
from workbench.engine.evaluate import evaluate
from workbench.models.build import build
from workbench.tasks.choose import task_for


def weights_after(spec, steps: int) -> dict[str, np.ndarray]:
    fewer = spec.with_changes(f"training.steps={steps}")
    return {n: t.double().numpy() for n, t in run(fewer).checkpoint().part("model").items()}


@pytest.mark.parametrize("decay", [0.5, 0.9999])
def test_the_average_is_the_formula_over_every_update(decay: float):
    spec = spec_of(CNN, steps=12, ema=decay, optimizer={"kind": "sgd", "lr": 0.1})
    found = run(spec).checkpoint().part("ema")
    start = build(spec.model, (1, 6, 6), seed=0)
    average = {name: p.detach().double().numpy() for name, p in start.named_parameters()}
    for step in range(1, 13):
        d = min(decay, (1 + step) / (10 + step))
        now = weights_after(spec, step)
        average = {name: d * average[name] + (1 - d) * now[name] for name in average}
    for name, value in average.items():
        assert np.allclose(found[name], value, rtol=1e-5, atol=1e-6), name


def test_averaging_does_not_touch_training():
    plain, averaged = run(spec_of(steps=30)), run(spec_of(steps=30, ema=0.9))
    for key in ("train/loss", "train/accuracy", "grad_norm"):
        assert np.array_equal(plain.values(key), averaged.values(key)), key
    assert not np.array_equal(plain.values("val/loss"), averaged.values("val/loss"))
    assert plain.checkpoint().part("ema") == {}
    own = plain.checkpoint().part("model")
    for name, value in averaged.checkpoint().part("model").items():
        assert torch.equal(value, own[name]), name


@pytest.mark.parametrize("layers", [MLP, CNN], ids=["mlp", "cnn"])
def test_validation_and_the_best_checkpoint_are_of_the_average(layers, every_step):
    spec, data = spec_of(layers, epochs=6, ema=0.8, optimizer={"kind": "sgd", "lr": 0.3}), images()
    seen = run(spec)
    task = task_for(spec.task, 3)
    losses = dict(zip(seen.steps("val/loss"), seen.values("val/loss"), strict=True))
    for saved in (s for flush in seen.flushes for s in flush.checkpoints):
        model = build(spec.model, (1, 6, 6))
        model.load_state_dict(model_tensors(saved.blob))
        marks = evaluate(model, data.validation, data, task, device="cpu")
        assert marks.loss == pytest.approx(losses[saved.step], rel=1e-5)
    best = seen.checkpoint("best")
    assert losses[best.step] == min(losses.values())


def test_only_trained_weights_are_averaged_and_buffers_are_the_models():
    checkpoint = run(spec_of(MLP, steps=20, ema=0.9)).checkpoint()
    assert checkpoint.part("ema").keys() == {
        n for n in checkpoint.part("model") if n.endswith(("weight", "bias"))
    }
    used = model_tensors(to_bytes(checkpoint))
    assert torch.equal(used["2.running_mean"], checkpoint.part("model")["2.running_mean"])
    assert torch.equal(used["1.weight"], checkpoint.part("ema")["1.weight"])
    assert not torch.equal(used["1.weight"], checkpoint.part("model")["1.weight"])


def test_the_average_survives_a_reload_bit_for_bit(every_step):
    spec = spec_of(steps=40, ema=0.95)
    whole = run(spec)
    for step in (1, 7, 25, 39):
        part = run(spec, control=Asking({step: "stop"}))
        rest = run(spec, resume=from_bytes(to_bytes(part.checkpoint())))
        assert equal(whole.checkpoint(), rest.checkpoint())
        later = whole.steps("val/loss") > step
        assert np.array_equal(whole.values("val/loss")[later], rest.values("val/loss"))


def test_an_average_asked_for_later_begins_at_the_weights():
    part = run(spec_of(steps=10)).checkpoint()
    done = run(spec_of(steps=10, ema=0.9), resume=part).checkpoint()
    own = done.part("model")
    assert all(torch.equal(value, own[name]) for name, value in done.part("ema").items())

"""The optimizer over the flat vector: what it remembers goes out and in, and survives fp16's overflows."""

from __future__ import annotations

import pytest
import torch

from tests.engine.tiny import CNN, spec_of
from workbench.engine.flat import Flat
from workbench.engine.optim import Updates
from workbench.models.build import build
from workbench.specs.errors import RunError

OPTIMIZERS = {
    "sgd": {"kind": "sgd", "lr": 0.05},
    "plain sgd": {"kind": "sgd", "lr": 0.05, "momentum": 0.0},
    "adam": {"kind": "adam", "lr": 0.01},
    "adamw": {"kind": "adamw", "lr": 0.01},
    "rmsprop": {"kind": "rmsprop", "lr": 0.003, "momentum": 0.5},
}
GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


def pair(optimizer: str, device: str = "cpu"):
    spec = spec_of(CNN, optimizer=OPTIMIZERS[optimizer]).training.optimizer
    model = build(spec_of(CNN).model, (1, 6, 6), seed=0).to(device)
    flat = Flat(model)
    return spec, model, flat, Updates(spec, flat)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_step_that_overflows_fp16_leaves_weights_and_memory_alone(optimizer: str, device: str):
    """Also the very first step, where torch's own fused SGD takes what lay in the memory for momentum."""
    _, model, flat, updates = pair(optimizer, device)
    scaler = torch.amp.GradScaler(device, init_scale=2.0)
    for overflow in (True, False, True, False):
        before = updates.tensors()
        weights = flat.weights.detach().clone()
        flat.grad.zero_()
        loss = sum(p.sum() for p in model.parameters()) * (float("inf") if overflow else 1e-3)
        scaler.scale(loss).backward()
        scaler.unscale_(updates.torch)
        scaler.step(updates.torch)
        scaler.update()
        assert torch.equal(flat.weights, weights) == overflow
        for name, value in updates.tensors().items():
            assert torch.isfinite(value).all(), name
            if overflow:  # Adam makes its state in a first step that is skipped: zeros
                assert torch.equal(value, before.get(name, torch.zeros_like(value))), name


@pytest.mark.parametrize("frozen", [[], ["0.weight"], ["0.bias", "4.weight"]], ids=str)
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_what_is_remembered_comes_back(optimizer: str, frozen: list[str]):
    spec, _, flat, updates = pair(optimizer)
    flat.grad.uniform_(generator=torch.Generator().manual_seed(0))
    updates.torch.step()
    updates.freeze(frozen, spec)
    updates.torch.step()
    saved = updates.tensors()
    again = Updates(spec, flat)
    again.freeze(frozen, spec)
    again.restore(saved, spec)
    for name, value in again.tensors().items():
        assert torch.equal(value, saved[name]), name
    assert saved.keys() == again.tensors().keys()
    again.freeze([], spec)  # and through a thaw
    assert all(torch.equal(value, saved[name]) for name, value in again.tensors().items())


def test_a_state_of_other_parameters_is_refused():
    spec, _, _, updates = pair("adam")
    updates.torch.step()
    saved = {n: t for n, t in updates.tensors().items() if n != "exp_avg/0.bias"}
    with pytest.raises(RunError, match="must cover the model's weights, but `exp_avg` covers others"):
        updates.restore(saved, spec)

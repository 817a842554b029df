"""A frozen layer keeps every bit: weights, statistics, and what the optimizer remembers of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.tiny import MLP, Script, change, run, spec_of
from workbench.engine.checkpoint import from_bytes
from workbench.engine.control import Request
from workbench.engine.flat import Flat
from workbench.engine.frozen import frozen_names
from workbench.engine.optim import Updates
from workbench.models.build import build
from workbench.specs.errors import SpecError

# Everything that could move a weight without a gradient: decay, momentum, running moments.
OPTIMIZERS = {
    "sgd": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "adam": {"kind": "adam", "lr": 0.01, "weight_decay": 0.1},
    "adamw": {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1},
    "rmsprop": {"kind": "rmsprop", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
}
DEEP = [
    {"kind": "conv2d", "out_channels": 4, "padding": 1, "bias": False},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {
        "kind": "conv2d",
        "out_channels": 3,
        "bias": False,
    },  # a bias before a batch norm has no gradient but noise
    {"kind": "batch_norm"},
    {"kind": "flatten"},
    {"kind": "linear", "out_features": 3},
]


def same(one, other, layer: int) -> bool:
    """Whether all that two checkpoints hold of a layer is equal: weights, buffers, moments."""
    mine = [name for name in one.tensors if f"/{layer}." in name]
    assert mine
    return all(torch.equal(one.tensors[name], other.tensors[name]) for name in mine)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_frozen_layers_do_not_change_at_all_and_the_others_do(optimizer: str, every_step):
    spec = spec_of(DEEP, steps=30, optimizer=OPTIMIZERS[optimizer])
    # Pauses keep a checkpoint of the moment: at the freeze, at its end, and ten steps on.
    pause, resume = Request("pause"), Request("resume")
    plan = {8: [change(freeze=[0, 1, 4]), pause], 18: [change(freeze=[]), pause]}
    seen = run(spec, control=Script(plan, paused=[[resume], [resume]]))
    blobs = [s.blob for f in seen.flushes for s in f.checkpoints if s.name == "last"]
    saved = {c.step: c for c in map(from_bytes, blobs)}
    for layer in (0, 1, 4):
        assert same(saved[8], saved[18], layer), layer
        assert not same(saved[18], saved[30], layer), layer  # thawed, it learns again
    for layer in (3, 6):
        assert not same(saved[8], saved[18], layer), layer
    assert np.isfinite(seen.values("train/loss")).all()


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_what_is_not_frozen_trains_as_in_torch_with_requires_grad_off(optimizer: str):
    """torch's own way: parameters without gradient are left out, and batch norms there in eval mode."""
    torch.manual_seed(0)
    spec = spec_of(DEEP, optimizer=OPTIMIZERS[optimizer]).training.optimizer
    ours, plain = (build(spec_of(DEEP).model, (1, 6, 6), seed=0) for _ in range(2))
    kinds = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    }
    flat = Flat(ours)
    updates, torchs = Updates(spec, flat), kinds[optimizer](plain.parameters())
    x, y = torch.randn(16, 1, 6, 6), torch.randint(0, 3, (16,))
    for step in range(12):
        if step in (0, 4, 8):
            layers = {0: [0, 1], 4: [3], 8: []}[step]
            names = frozen_names(ours, layers, flat.spans)
            updates.freeze(names, spec)
            for model in (ours, plain):
                for name, parameter in model.named_parameters():
                    parameter.requires_grad_(name not in names)
            for parameter in plain.parameters():
                parameter.grad = None
        for model, optimizer_ in ((ours, updates.torch), (plain, torchs)):
            if model is ours:
                flat.grad.zero_()
            else:
                optimizer_.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer_.step()
        for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-5), (step, name)


def test_nothing_frozen_is_one_vector():
    flat = Flat(build(spec_of(DEEP).model, (1, 6, 6), seed=0))
    spec = spec_of().training.optimizer
    updates = Updates(spec, flat)
    assert updates.torch.param_groups[0]["params"] == [flat.weights]
    updates.freeze(["0.weight"], spec)
    assert len(updates.torch.param_groups[0]["params"]) == 1
    assert updates.torch.param_groups[0]["params"][0].numel() < flat.weights.numel()
    updates.freeze([], spec)
    assert updates.torch.param_groups[0]["params"] == [flat.weights]


def test_frozen_from_the_start(every_step):
    spec = spec_of(DEEP, steps=20, freeze=[0, 1], ema=0.5)
    seen, fresh = run(spec), build(spec.model, (1, 6, 6), seed=0)
    weights = seen.checkpoint().part("model")
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, weights[name]) == name.startswith(("0.", "1.")), name
    assert not seen.model[1].training
    assert seen.model[4].training
    assert not seen.model[0].weight.requires_grad  # nor is its gradient computed
    assert (seen.model[0].weight.grad == 0).all()


def test_everything_below_a_child_is_frozen_with_it():
    block = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4)))
    model = nn.Sequential(block, nn.Linear(4, 3))
    names = frozen_names(model, [0], dict(model.named_parameters()))
    assert names == {n for n, _ in model.named_parameters() if n.startswith("0.")}
    assert len(names) == 6


def test_many_layers_are_not_taken_for_few():
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(12)])
    assert frozen_names(model, [1], dict(model.named_parameters())) == {"1.weight", "1.bias"}


@pytest.mark.parametrize(
    ("layers", "fact"),
    [
        ([6], "there is no layer 6"),
        ([-1], "there is no layer -1"),
        ([1, 2, 5], "every layer with weights is frozen"),
    ],
)
def test_what_cannot_be_frozen_is_refused(layers: list[int], fact: str):
    with pytest.raises(SpecError, match=fact):
        run(spec_of(MLP, steps=3, freeze=layers))

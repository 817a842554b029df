"""One vector behind all weights: nothing changes for the model."""

from __future__ import annotations

import copy

import torch

from tests.engine.tiny import CNN, spec_of
from workbench.engine.flat import ALIGN, Flat
from workbench.models.build import build


def pair():
    model = build(spec_of(CNN).model, (1, 6, 6), seed=0)
    return copy.deepcopy(model), model


def test_outputs_weights_and_gradients_stay_as_they_were():
    plain, model = pair()
    flat = Flat(model)
    x = torch.randn(4, 1, 6, 6)
    assert torch.equal(plain(x), model(x))
    for net in (plain, model):
        net(x).square().sum().backward()
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a.grad, b.grad)
    norms = torch.stack([p.grad.norm() for p in plain.parameters()])
    assert torch.allclose(torch.linalg.vector_norm(flat.grad), norms.norm())


def test_parameters_are_aligned_views_and_gaps_stay_zero():
    _, model = pair()
    flat = Flat(model)
    for name, parameter in model.named_parameters():
        assert parameter.data_ptr() % (4 * ALIGN) == flat.weights.data_ptr() % (4 * ALIGN)
        assert parameter.untyped_storage().data_ptr() == flat.weights.untyped_storage().data_ptr(), name
    torch.optim.AdamW([flat.weights], fused=True).step()
    covered = flat.join({name: torch.ones(s.shape) for name, s in flat.spans.items()})
    assert covered.sum() == sum(p.numel() for p in model.parameters())
    assert (flat.weights[covered == 0] == 0).all()


def test_join_undoes_split():
    _, model = pair()
    flat = Flat(model)
    assert torch.equal(flat.join(flat.split(flat.weights.detach())), flat.weights)


def test_a_loaded_state_dict_lands_in_the_vector():
    plain, model = pair()
    flat = Flat(model)
    with torch.no_grad():
        for p in plain.parameters():
            p.add_(1)
    model.load_state_dict(plain.state_dict())
    assert torch.equal(flat.split(flat.weights)["0.weight"], plain[0].weight)

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


def test_parameters_of_one_storage_share_one_from_its_beginning():
    """As cuDNN finds the weights of a recurrent layer on a GPU, where torch lays them behind one another."""
    lstm = torch.nn.LSTM(5, 7, 2, bidirectional=True)
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), lstm, torch.nn.Linear(7, 2))
    weights = list(lstm.parameters())
    together = torch.cat([weight.detach().flatten() for weight in reversed(weights)])
    at = 0
    for weight in reversed(weights):
        weight.data = together[at : at + weight.numel()].view(weight.shape)
        at += weight.numel()
    plain, offsets = copy.deepcopy(model), [weight.storage_offset() for weight in weights]
    flat = Flat(model)
    assert [weight.storage_offset() for weight in weights] == offsets
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1
    assert weights[-1].storage_offset() == 0
    for name, part in flat.split(flat.weights.detach()).items():
        parameter = model.get_parameter(name)
        assert part.data_ptr() == parameter.data_ptr(), name
        assert torch.equal(parameter, plain.get_parameter(name))
    x = torch.randn(4, 3, 5)
    assert torch.equal(plain[1](x)[0], model[1](x)[0])
    with torch.no_grad():
        flat.weights.mul_(2)
    assert all(torch.equal(p, 2 * q) for p, q in zip(model.parameters(), plain.parameters(), strict=True))

"""Errors of reconstructions and the distance of codes, against torch, scikit-learn and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from workbench.models.blocks import Reparameterize
from workbench.tasks.reconstruction import Reconstruction


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand((6, 2, 3, 4), generator=generator), torch.rand((6, 2, 3, 4), generator=generator)


def test_the_losses_are_torchs(pair):
    made, y = pair
    assert Reconstruction("mse").loss(made, y).item() == pytest.approx(F.mse_loss(made, y).item())
    expected = F.binary_cross_entropy(made, y).item()
    assert Reconstruction("bce").loss(made, y).item() == pytest.approx(expected, rel=1e-5)
    sure = torch.tensor([[[[0.0, 1.0]]]])
    assert torch.isfinite(Reconstruction("bce").loss(sure, 1 - sure))


def test_the_marks_are_scikit_learns_on_pixels_from_0_to_1(pair):
    made, y = pair
    std = [0.25, 0.5]
    task = Reconstruction("mse", std=std)
    parts = [task.sums(a, b) for a, b in zip(made.split(2), y.split(2), strict=True)]
    marks = task.marks_of(np.sum([part.numpy().astype(float) for part in parts], axis=0))
    scale = np.array(std).reshape(1, 2, 1, 1)
    a, b = (made.numpy() * scale).reshape(6, -1), (y.numpy() * scale).reshape(6, -1)
    assert marks["mse"] == pytest.approx(mean_squared_error(b, a), rel=1e-5)
    assert marks["mae"] == pytest.approx(mean_absolute_error(b, a), rel=1e-5)
    assert marks["psnr"] == pytest.approx(10 * np.log10(1 / mean_squared_error(b, a)), rel=1e-5)
    assert marks["explained"] == pytest.approx(r2_score(b, a, multioutput="variance_weighted"), rel=1e-4)
    told = float(task.hits(made, y)) / float(task.count(y))
    assert told == pytest.approx(marks["mae"], rel=1e-5)


def test_the_mean_image_explains_nothing(pair):
    _, y = pair
    task = Reconstruction()
    mean = y.mean(dim=0, keepdim=True).expand_as(y)
    assert task.marks_of(task.sums(mean, y).numpy().astype(float))["explained"] == pytest.approx(0, abs=1e-5)


def test_codes_are_as_far_from_the_standard_normal_distribution_as_torch_says():
    layer = Reparameterize()
    x = torch.randn(5, 8)
    mean, log_variance = x.chunk(2, dim=1)
    code = layer.eval()(x)
    assert torch.equal(code, mean)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
    assert layer.divergence.item() == pytest.approx(expected.item(), rel=1e-5)


def test_codes_are_drawn_with_the_mean_and_spread_that_were_asked_for():
    torch.manual_seed(0)
    x = torch.cat([torch.full((40_000, 1), 2.0), torch.full((40_000, 1), float(np.log(9.0)))], dim=1)
    code = Reparameterize().train()(x)
    assert code.mean().item() == pytest.approx(2.0, abs=0.05)
    assert code.std().item() == pytest.approx(3.0, abs=0.05)


def test_both_parts_of_the_loss_are_told_and_weighed():
    task = Reconstruction("mse", kl_weight=3.0, draws=True)
    model = torch.nn.Sequential(Reparameterize())
    model(torch.randn(4, 6))
    y = torch.zeros(4, 1, 2, 2)
    loss, parts = task.whole(model, torch.tensor(0.5), y)
    per_pixel = model[0].divergence.item() / 4
    assert parts.tolist() == pytest.approx([0.5, per_pixel])
    assert loss.item() == pytest.approx(0.5 + 3 * per_pixel)
    assert task.parts == ("reconstruction", "kl")
    assert Reconstruction().parts == ()

"""What two networks are asked for, and how far made images are from true ones, by torch and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.nn import functional as F

from workbench.tasks.generation import Generation, frechet

TASK = Generation(latent=4, real_label=0.9)


def test_the_losses_are_torchs_own():
    true, made = torch.randn(12), torch.randn(12)
    right = F.binary_cross_entropy_with_logits(true, torch.full((12,), 0.9))
    wrong = F.binary_cross_entropy_with_logits(made, torch.zeros(12))
    assert TASK.discriminator_loss(true, made).item() == pytest.approx((right + wrong).item() / 2)
    expected = F.binary_cross_entropy_with_logits(made, torch.ones(12))
    assert TASK.generator_loss(made).item() == pytest.approx(expected.item())


def test_who_cannot_tell_pays_log_2():
    nothing = torch.zeros(5)
    assert Generation(4, 1.0).discriminator_loss(nothing, nothing).item() == pytest.approx(math.log(2))
    assert TASK.generator_loss(nothing).item() == pytest.approx(math.log(2))


def test_the_distance_is_that_of_the_closed_form():
    draw = np.random.default_rng(0)
    a = draw.normal(size=(400, 6)) @ draw.normal(size=(6, 6)) + 1.0
    b = draw.normal(size=(300, 6)) @ draw.normal(size=(6, 6))
    first, second = np.cov(a.T), np.cov(b.T)
    root = np.real(scipy.linalg.sqrtm(first @ second))
    whole = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    found = frechet(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(whole / np.trace(first), rel=1e-6)


def test_equal_sets_are_no_distance_apart_and_a_mean_is_one():
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert frechet(x, x) == pytest.approx(0.0, abs=1e-9)
    assert frechet(x, x.mean(dim=0).expand(50, -1)) == pytest.approx(1.0, rel=1e-6)


def test_images_that_are_no_numbers_have_no_distance():
    x = torch.randn(20, 3)
    assert math.isnan(frechet(x, torch.full((20, 3), math.nan)))
    assert math.isnan(frechet(x, x[:1]))

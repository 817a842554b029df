"""What is seen of answers that are images: panels that follow the weights and leave the model as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from tests.engine.test_masked import MarkedData, split
from tests.engine.tiny import images
from workbench.models.build import build
from workbench.probes.pictures import Codes, Made, Masks, after, drawn_at, flat, narrowest, seen, thinned
from workbench.specs.model import ModelSpec
from workbench.specs.picture_starts import autoencoder, discriminator, generator, unet
from workbench.specs.picture_tasks import GenerationTask

AT = {"step": 3, "epoch": 0.5, "time": 1.0}
SHAPE = (1, 8, 8)


def of(layers: list[dict[str, Any]], shape: tuple[int, ...] = SHAPE, **more: Any) -> torch.nn.Module:
    return build(ModelSpec.model_validate({"layers": layers, **more}), shape, seed=0)


def test_masks_are_the_likeliest_class_of_every_pixel():
    data = MarkedData(split(8, 0), split(6, 1))
    model = of(unet(3, (4, 8)), data.shape)
    x = torch.randn(3, *data.shape)
    (panel,) = seen(Masks(data), model, x, AT)
    assert (panel.topic, panel.step, panel.data["classes"]) == ("masks", 3, list(data.classes))
    expected = model.eval()(x).argmax(dim=1).numpy()
    np.testing.assert_array_equal(panel.arrays["predicted"], expected)


def test_large_masks_are_thinned_and_keep_their_numbers():
    mask = np.kron(np.arange(4, dtype=np.uint8).reshape(1, 2, 2), np.ones((1, 100, 100), np.uint8))
    small = thinned(mask)
    assert max(small.shape[1:]) <= 96
    assert set(np.unique(small)) == {0, 1, 2, 3}


@pytest.mark.parametrize("draws", [False, True])
def test_an_autoencoder_shows_what_comes_out_and_where_its_codes_lie(draws):
    data = images(40, 24, SHAPE)
    model = of(autoencoder(SHAPE, 3, draws=draws))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x, before = torch.randn(2, *SHAPE), torch.get_rng_state()
    scene = Codes(data, seed=1)
    first, second = ({panel.topic: panel for panel in seen(scene, model, x, AT)} for _ in range(2))
    assert set(first) == {"reconstructions", "latent"} | ({"made"} if draws else set())
    assert first["reconstructions"].arrays["made"].shape == (2, 8, 8)
    assert first["latent"].arrays["points"].shape == (24, 2)
    np.testing.assert_array_equal(first["latent"].arrays["labels"], data.validation.y)
    np.testing.assert_array_equal(first["latent"].arrays["points"], second["latent"].arrays["points"])
    if draws:
        np.testing.assert_array_equal(first["made"].arrays["images"], second["made"].arrays["images"])
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training


def test_the_narrow_place_is_found_and_the_way_back_goes_on_from_it():
    model = of(autoencoder(SHAPE, 3, draws=True)).eval()
    place = drawn_at(model)
    assert place is not None
    x = torch.randn(4, *SHAPE)
    assert narrowest(model, x) == str(place)
    code = model[: place + 1](x)
    assert code.shape == (4, 3)
    assert torch.equal(after(model, place, code), model(x))
    plain = of(autoencoder(SHAPE, 3)).eval()
    assert plain[: int(narrowest(plain, x) or 0) + 1](x).shape == (4, 3)


def test_codes_lie_along_their_principal_axes_as_scikit_learn_finds_them():
    codes = np.random.default_rng(0).normal(size=(60, 5)) @ np.diag([4.0, 3, 2, 1, 0.5])
    points, by, explained = flat(codes)
    found = PCA(2).fit(codes)
    expected = found.transform(codes)
    assert by == "pca"
    assert explained == pytest.approx(found.explained_variance_ratio_.sum(), rel=1e-6)
    np.testing.assert_allclose(np.abs(points), np.abs(expected), rtol=1e-4, atol=1e-4)
    again, _, _ = flat(-codes, points)  # turned round, it would jump
    assert (np.sign((again * points).sum(axis=0)) >= 0).all()


def test_codes_of_two_numbers_are_shown_as_they_are():
    codes = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    assert np.array_equal(flat(codes)[0], codes)


def test_a_generator_paints_the_same_noise_at_every_look():
    task = GenerationTask(latent=5, samples=7)
    spec = ModelSpec.model_validate({"layers": generator(SHAPE, 8), "decoder": discriminator(SHAPE, 4)})
    model = build(spec, task.input(SHAPE, 0), seed=0)
    scene = Made(images(8, 4, SHAPE), task, seed=2)
    (first,), (second,) = (seen(scene, model, torch.zeros(1, *SHAPE), AT) for _ in range(2))
    assert first.arrays["images"].shape == (7, 8, 8)
    np.testing.assert_array_equal(first.arrays["images"], second.arrays["images"])
    with torch.no_grad():
        next(model.generator.parameters()).add_(0.5)
    (third,) = seen(scene, model, torch.zeros(1, *SHAPE), AT)
    assert not np.array_equal(first.arrays["images"], third.arrays["images"])

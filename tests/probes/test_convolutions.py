"""Pictures from inside a model: right by hand, and without a trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.models.build import build
from workbench.probes.convolutions import conv_layers, feature_maps, filters, watched
from workbench.probes.hooks import looking, outputs_of
from workbench.probes.tiles import scaled, shrunk
from workbench.specs.errors import ProbeError
from workbench.specs.presets import preset


def values(tiles) -> np.ndarray:
    """What the pixels stand for, as the page shows them."""
    lows, highs = (v.reshape(-1, *[1] * (tiles.pixels.ndim - 1)) for v in (tiles.lows, tiles.highs))
    return lows + tiles.pixels / 255 * (highs - lows)


def edge_detector() -> nn.Sequential:
    """One filter that answers right minus left."""
    conv = nn.Conv2d(1, 1, 3, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]]]]))
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(9, 2))


def traces(model: nn.Module) -> dict[str, object]:
    """All that a probe might leave behind."""
    return {
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "modes": [m.training for m in model.modules()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "rng": torch.get_rng_state(),
    }


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_an_edge_detector_sees_the_edge():
    x = torch.zeros(1, 1, 5, 5)
    x[..., 3:] = 2.0  # dark left, bright right: the step lies between columns 2 and 3
    (maps,) = feature_maps(edge_detector(), [0], x)
    # Windows begin at columns 0, 1, 2; right minus left over three rows: 0, 6, 6.
    assert np.allclose(values(maps)[0], [[0, 6, 6]] * 3)
    assert (maps.lows.tolist(), maps.highs.tolist(), maps.group) == ([0.0], [6.0], 1)
    assert maps.pixels[0].tolist() == [[0, 255, 255]] * 3


def test_its_filter_is_shown_with_zero_in_the_middle():
    tiles = filters(edge_detector(), 0)
    assert (tiles.lows.tolist(), tiles.highs.tolist(), tiles.signed) == ([-1.0], [1.0], True)
    assert tiles.pixels[0].tolist() == [[0, 128, 255]] * 3


def test_colour_filters_are_colour_tiles():
    model = nn.Sequential(nn.Conv2d(3, 5, 3))
    tiles = filters(model, 0)
    assert tiles.pixels.shape == (5, 3, 3, 3)
    expected = model[0].weight.detach().permute(0, 2, 3, 1).numpy()
    assert np.allclose(values(tiles), expected, atol=0.01)


def test_filters_over_many_channels_are_slices_in_groups():
    model = nn.Sequential(nn.Conv2d(8, 4, 3))
    tiles = filters(model, 0)
    assert (tiles.pixels.shape, tiles.group, tiles.title) == ((32, 3, 3), 8, "Filters of layer 0")
    assert np.allclose(values(tiles)[8 + 2], model[0].weight[1, 2].detach().numpy(), atol=0.01)


@pytest.mark.parametrize(
    ("conv", "n", "group", "title"),
    [
        ((32, 64), 256, 32, "(the first 256 of 2,048 slices)"),
        ((300, 5), 256, 256, "(the first 256 of 1,500 slices)"),
        ((100, 5), 200, 100, "(the first 200 of 500 slices)"),
        ((1, 300), 256, 0, "(the first 256 of 300 filters)"),
    ],
)
def test_what_is_left_out_is_said(conv, n, group, title):
    tiles = filters(nn.Sequential(nn.Conv2d(*conv, 1)), 0)
    assert (len(tiles.pixels), tiles.group) == (n, group)
    assert title in tiles.title


def test_maps_are_bounded_and_say_so():
    model = nn.Sequential(nn.Conv2d(1, 100, 1))
    (maps,) = feature_maps(model, [0], torch.randn(16, 1, 130, 65))
    assert maps.pixels.shape == (16 * 24, 64, 32)
    assert maps.group == 24
    assert maps.title == "Feature maps of layer 0 (the first 24 of 100 channels) (averaged down from 130×65)"


def test_nothing_is_left_behind():
    layers = [*preset("cnn-fashion").spec.model.layers]
    model = build(preset("cnn-fashion").spec.model, (1, 28, 28), seed=0)
    model[1].eval()  # one frozen norm among training modules
    model(torch.randn(4, 1, 28, 28)).sum().backward()
    before = traces(model)
    assert conv_layers(model) == [i for i, layer in enumerate(layers) if layer.kind == "conv2d"]
    feature_maps(model, conv_layers(model), torch.randn(2, 1, 28, 28, generator=torch.Generator()))
    for layer in conv_layers(model):
        filters(model, layer)
    assert same(before, traces(model))


def test_nothing_is_left_behind_by_an_error_either():
    model = edge_detector().train()
    before = traces(model)
    with pytest.raises(RuntimeError, match="channels"):
        feature_maps(model, [0, 1], torch.zeros(1, 4, 9, 9))
    with pytest.raises(ProbeError, match="there is no layer 9"):
        feature_maps(model, [0, 9], torch.zeros(1, 1, 5, 5))
    with pytest.raises(ZeroDivisionError), looking(model), outputs_of(model, [0]):
        raise ZeroDivisionError
    assert same(before, traces(model))


def test_maps_are_those_of_eval_mode():
    model = nn.Sequential(nn.Dropout(0.9), nn.Conv2d(1, 1, 1, bias=False)).train()
    x = torch.rand(1, 1, 4, 4)
    (maps,) = feature_maps(model, [1], x)
    expected = (x * model[1].weight.item()).detach()[0].numpy()
    assert np.allclose(values(maps), expected, atol=0.005)


def test_probes_that_do_not_fit_are_refused():
    with pytest.raises(
        ProbeError, match=r"filters belong to a convolution, but it is ReLU\. Choose one of \[0\]"
    ):
        filters(edge_detector(), 1)
    with pytest.raises(ProbeError, match="feature maps need an image"):
        feature_maps(edge_detector(), [3], torch.zeros(1, 1, 5, 5))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), min_size=1, max_size=5),
    st.booleans(),
)
def test_pixels_are_within_half_a_level_of_the_values(rows, signed):
    given_ = torch.tensor(rows).reshape(-1, 2, 2)
    found = scaled(given_, signed)
    span = (found.highs - found.lows).reshape(-1, 1, 1).astype(np.float64)
    back = found.lows.reshape(-1, 1, 1) + found.pixels / 255 * span
    assert (np.abs(back - given_.numpy()) <= span * (0.5 / 255 + 1e-5) + 1e-30).all()


def test_flat_and_broken_tiles_are_calm():
    tile = torch.tensor([[[2.0, 2.0]], [[float("nan"), float("inf")]]])
    assert scaled(tile).pixels.tolist() == [[[0, 0]], [[0, 0]]]
    assert scaled(torch.zeros(1, 2, 2), signed=True).pixels.tolist() == [[[128, 128], [128, 128]]]


def test_small_maps_are_not_resized():
    x = torch.rand(2, 64, 10)
    assert shrunk(x, 64) is x
    assert torch.allclose(shrunk(torch.ones(1, 128, 128), 64), torch.ones(1, 64, 64))


def test_convolutions_inside_groups_are_looked_at_by_name():
    spec = preset("resnet-20").spec.model
    model = build(spec, (1, 28, 28), seed=0)
    names = watched(spec)
    assert len(names) == 19  # of 20 layers one is dense; He et al. count no projections
    assert set(names) <= set(conv_layers(model))
    assert {"3.0.0.layers.0", "4.layers.3", 0} <= set(names)
    assert "4.shortcut.0" in conv_layers(model)
    maps = feature_maps(model, names, torch.randn(2, 1, 28, 28, generator=torch.Generator()))
    assert [m.topic for m in maps] == [f"maps/{name}" for name in names]
    tiles = filters(model, "3.0.0.layers.0")
    assert tiles.topic == "filters/3.0.0.layers.0"
    weight = model.get_submodule("3.0.0.layers.0").weight.detach().numpy()
    assert np.allclose(values(tiles)[0], weight[0, 0], atol=float(tiles.highs[0] - tiles.lows[0]) / 250)

"""Attention over patches as pictures: nothing is lost of few patches, and many are put together by place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.models.build import build
from workbench.probes.patches import grid_of, is_of_patches, patch_tiles, rollout
from workbench.probes.watch import Watcher
from workbench.records import Panel, Tiles
from workbench.specs.model import ModelSpec
from workbench.specs.training import WatchSpec
from workbench.specs.vision_presets import vit


def some(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)


def values(tiles: Tiles) -> np.ndarray:
    span = (tiles.highs - tiles.lows)[:, None, None]
    return tiles.lows[:, None, None] + tiles.pixels / 255 * span


def test_attention_over_few_patches_is_kept_as_it_is():
    weights = some(2, 3, 50, 50)
    tiles = patch_tiles("4", weights, (7, 7), step=9)
    assert (tiles.topic, tiles.step, tiles.group) == ("attention/4", 9, 3)
    assert values(tiles) == pytest.approx(weights.flatten(0, 1).numpy(), abs=weights.max().item() / 500)


def test_many_patches_are_put_together_by_their_place_and_the_class_token_stays():
    weights = some(1, 2, 1 + 32 * 32, 1 + 32 * 32)
    tiles = patch_tiles("0", weights, (32, 32))
    assert grid_of((32, 32)) == (16, 16, 8, 8)
    found = values(tiles)
    assert found.shape == (2, 1 + 64, 1 + 256)
    assert found.sum(axis=2) == pytest.approx(np.ones((2, 65)), abs=0.05)
    exact = weights[0, 1].numpy()
    to_class, to_patches = exact[0, 0], exact[0, 1:].reshape(16, 2, 16, 2).sum(axis=(1, 3))
    near = float(tiles.highs[1]) / 400
    assert found[1, 0, 0] == pytest.approx(to_class, abs=near)
    assert found[1, 0, 1:].reshape(16, 16) == pytest.approx(to_patches, abs=near)
    of_patches = exact[1:, 1:].reshape(8, 4, 8, 4, 16, 2, 16, 2).sum(axis=(5, 7)).mean(axis=(1, 3))
    assert found[1, 1:, 1:].reshape(8, 8, 16, 16) == pytest.approx(of_patches, abs=near)
    assert "32×32 patches put together" in tiles.title


def test_only_maps_over_the_patches_are_taken_for_such():
    assert is_of_patches(some(2, 3, 50, 50), (7, 7), 2)
    assert is_of_patches(some(2, 3, 49, 49), (7, 7), 2)
    assert is_of_patches(some(2, 1, 1, 50), (7, 7), 2)  # a pooling that weighs
    assert not is_of_patches(some(8, 3, 16, 16), (7, 7), 2)  # of windows
    assert not is_of_patches(some(2, 3, 28, 28), (7, 7), 2)


def test_the_whole_way_is_the_product_of_the_layers():
    layers = [some(2, 4, 5, 5), some(2, 4, 5, 5).flip(0)]
    first, second = (0.5 * w.mean(dim=1).numpy() + 0.5 * np.eye(5) for w in layers)
    found = rollout(layers).numpy()
    assert found == pytest.approx(second @ first, abs=1e-6)
    assert found.sum(axis=2) == pytest.approx(np.ones((2, 5)), abs=1e-5)


def test_a_watcher_tells_of_the_patches_and_follows_every_layer():
    model = ModelSpec.model_validate({"layers": vit(4, 16, 2, 2, 16, 3)})
    x = torch.randn(4, 1, 12, 8)
    watcher = Watcher(
        model, WatchSpec(), x, {"labels": ["a"], "patches": grid_of((3, 2))._asdict()},
        {"images": np.zeros((4, 12, 8), np.uint8)}, patches=(3, 2),
    )  # fmt: skip
    panel, *tiles = watcher.look(build(model, (1, 12, 8), seed=0), 1, 0.1, 0.0)
    assert isinstance(panel, Panel)
    assert panel.data["patches"] == {"rows": 3, "columns": 2, "query_rows": 3, "query_columns": 2}
    assert [t.topic for t in tiles] == ["attention/3.0.0", "attention/3.1.0"]
    assert tiles[0].pixels.shape == (4 * 2, 7, 7)

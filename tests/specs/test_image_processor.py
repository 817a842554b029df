"""Colours as the library's own processors give them, and sizes as they tell them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.specs.image_processor import processor

PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTImageProcessor", {}),
    "siglip, another factor": (
        "SiglipImageProcessor", {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0]},
    ),
    "clip": ("CLIPImageProcessor", {"size": {"shortest_edge": 24}}),
    "convnext, no colours": ("ConvNextImageProcessor", {"do_normalize": False}),
    "efficientnet": ("EfficientNetImageProcessor", {"image_std": [0.47, 0.5, 0.6]}),
    "efficientnet, shifted": (
        "EfficientNetImageProcessor",
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False},
    ),
    "mobilevit": ("MobileViTImageProcessor", {}),
    "levit, as they are": ("LevitImageProcessor", {"do_rescale": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("is_inside", [False, True])
def test_colours_are_scaled_as_the_library_scales_them(name: str, is_inside: bool, tmp_path: Path) -> None:
    import transformers

    word, told = PROCESSORS[name]
    theirs = getattr(transformers, f"{word}Pil")(**told)
    facts = json.loads(theirs.to_json_string())
    if is_inside:  # as processors of images and texts are saved today
        (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": facts}))
    else:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    found = processor(tmp_path, name.partition(",")[0], {}, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 24), dtype=np.uint8)
    steps = {"do_resize": False, "do_center_crop": False}
    wanted = theirs(pixels, return_tensors="np", input_data_format="channels_first", **steps)["pixel_values"][
        0
    ]
    x = pixels[::-1] if found.flipped else pixels
    mean, std = (np.array(part).reshape(3, 1, 1) for part in (found.mean, found.std))
    assert np.allclose((x / 255 - mean) / std, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("told", "side", "shrunk"),
    [
        ({"size": {"height": 224, "width": 224}}, 224, None),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, 224, 256),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, 224, 256),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, 384, None),
        ({"size": {"shortest_edge": 256}, "crop_size": 240, "do_center_crop": False}, 256, None),
        ({"size": 192}, 192, None),
        ({}, 96, None),
        ({"size": {"height": -1}}, 96, None),
    ],
)
def test_sizes_are_those_that_it_was_taught_at(
    told: dict[str, Any], side: int, shrunk: int | None, tmp_path: Path
) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**told, "resample": 3}))
    found = processor(tmp_path, "vit", {"image_size": 96}, 3)
    assert (found.side, found.shrunk, found.filter) == (side, shrunk, "bicubic")

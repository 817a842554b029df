"""What a pretrained image classifier does to colours and sizes, from the configuration of its processor.

x: a colour from 0 to 1. The processor's steps (times 255, times its factor, less the mean, by the deviation)
are one step here: (x - mean) / std, with the channels in the order that it was taught.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workbench.specs.checkpoint_folder import damaged, json_of
from workbench.specs.layer import refuse

PROCESSOR, INSIDE = "preprocessor_config.json", "processor_config.json"  # today's has one inside another
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # where a folder does not say what it was taught on
PLAIN = ("mobilevit", "mobilevitv2")  # they were taught on colours as they are, blue first
FILTERS = {0: "nearest", 1: "Lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "Hamming"}
MOST_SIDE = 10_000


class Processor(NamedTuple):
    """mean, std: of the channels as they come, on the 0..1 scale; flipped: blue comes first; side: of the
    images that the network sees; shrunk: the side that images are brought to before their middle is cut out,
    None where nothing is cut; filter: how they are resized."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flipped: bool
    side: int
    shrunk: int | None
    filter: str


def processor_files(folder: Path) -> list[Path]:
    """Those of the two files that are there."""
    return [folder / name for name in (PROCESSOR, INSIDE) if (folder / name).is_file()]


def processor(folder: Path, kind: str, config: Mapping[str, Any], channels: int) -> Processor:
    """As the folder says, or where it does not as networks of that kind were mostly taught.

    Raises: LayerError for numbers that cannot be.
    """
    told = _told(folder)
    mean, std, flipped = _colours(folder, kind, told, channels)
    size, crop = _side(told.get("size")), _side(told.get("crop_size"))
    if told.get("do_center_crop") is False:
        crop = None
    share = told.get("crop_pct")
    wanted = crop or size
    shrunk = size if crop and size and size > crop else None
    if wanted and isinstance(share, int | float) and 0 < share < 1 and (crop or wanted < 384):
        shrunk = int(wanted / share)
    side = wanted or _side(config.get("image_size")) or 224
    kept = FILTERS.get(told.get("resample", 2), "bilinear") if type(told.get("resample")) is int else ""
    return Processor(mean, std, flipped, side if 0 < side <= MOST_SIDE else 224, shrunk, kept or "bilinear")


def _told(folder: Path) -> Mapping[str, Any]:
    for path in processor_files(folder):
        found = json_of(path)
        inner = found.get("image_processor", found if path.name == PROCESSOR else None)
        if isinstance(inner, dict):
            return inner
    return {}


def _colours(
    folder: Path, kind: str, told: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    usual = IMAGENET if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    if told.get("do_normalize", kind not in PLAIN) is False:
        mean, std = (0.0,) * channels, (1.0,) * channels
    else:
        mean, std = (
            usual[i] if told.get(name) is None else _numbers(told[name], channels)
            for i, name in enumerate(("image_mean", "image_std"))
        )
    if any(n <= 0 for n in std):
        raise damaged(folder / PROCESSOR, "its image_std is not above zero")
    factor = told.get("rescale_factor", 1 / 255)
    if not isinstance(factor, int | float) or not 0 < factor <= 1:
        raise damaged(folder / PROCESSOR, "its rescale_factor is no share")
    scale = 255 * factor if told.get("do_rescale", True) is not False else 255.0
    lift = 1.0 if told.get("rescale_offset") is True and kind == "efficientnet" else 0.0
    mean = tuple((n + lift) / scale for n in mean)
    again = kind == "efficientnet" and told.get("include_top", True) is not False  # by the deviation, twice
    std = tuple(n * (n if again else 1.0) / scale for n in std)
    flipped = channels == 3 and bool(told.get("do_flip_channel_order", kind in PLAIN))
    return mean, std, flipped


def _side(size: Any) -> int | None:
    """A side, of what may be a number, a pair or a mapping."""
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    if isinstance(size, list) and size:
        size = size[0]
    return size if type(size) is int and 0 < size <= MOST_SIDE else None


def _numbers(value: Any, channels: int) -> tuple[float, ...]:
    parts = value if isinstance(value, list) else [value] * channels
    if len(parts) != channels or not all(
        isinstance(n, int | float) and math.isfinite(n) and abs(n) < 1e6 for n in parts
    ):
        raise refuse(
            f"{PROCESSOR} must give a mean and a deviation for each of {channels} channels",
            f"it gives {str(value)[:60]}", "Fetch or copy the model again.",
        )  # fmt: skip
    return tuple(float(n) for n in parts)

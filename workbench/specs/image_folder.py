"""What lies in the folder of a pretrained image classifier: config.json, its processor, its weights' header.

Weights are never loaded and nothing is ever run; see `checkpoint_folder`. Kept until a file changes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from workbench.specs.checkpoint_folder import (
    Checkpoint,
    Shapes,
    damaged,
    folder_of,
    header,
    json_of,
    number,
    other_weights,
    read,
    state_of,
    unreadable,
    weight_files,
)
from workbench.specs.encoders import FAMILIES as ENCODERS
from workbench.specs.encoders import TABLES
from workbench.specs.layer import refuse

PROCESSOR = "preprocessor_config.json"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # where a folder does not say what it was taught on
STAGE = r"encoder\.stages\.(\d+)\.(?:layers\.(\d+)\.)?"  # of a downsampling between stages it has no second


class ImageFamily(NamedTuple):
    """One `model_type`. base: the attribute that holds all but the classifier; layers: how a weight's layer
    is told by its name below the base, in files and in today's library; head: the classifier; targets: where
    LoRA goes unless said otherwise; unused: modules of the base that a classifier does without; fixed:
    whether images must be cut into whole patches; first: where a stage's downsampling stands, before its
    layers or behind; wide: numbers for each feature of the base that the classifier reads."""

    base: str
    layers: str
    head: str = "classifier"
    targets: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    fixed: bool = False
    first: bool = True
    wide: int = 1


ATTENTION = ("query", "value", "q_proj", "v_proj")  # as files and as today's library name them
_VIT = r"(?:encoder\.layer|layers)\.(\d+)\."

FAMILIES: dict[str, ImageFamily] = {
    "vit": ImageFamily("vit", _VIT, targets=ATTENTION, unused=("pooler.",), fixed=True),
    "dinov2": ImageFamily("dinov2", _VIT, targets=ATTENTION, fixed=True, wide=2),
    "swin": ImageFamily(
        "swin", r"encoder\.layers\.(\d+)\.(?:blocks\.(\d+)\.)?", targets=ATTENTION, first=False
    ),
    "resnet": ImageFamily("resnet", STAGE, "classifier.1"),
    "regnet": ImageFamily("regnet", STAGE, "classifier.1"),
    "convnext": ImageFamily("convnext", STAGE, targets=("pwconv1", "pwconv2")),
    "convnextv2": ImageFamily("convnextv2", STAGE, targets=("pwconv1", "pwconv2")),
}
TRANSFORMERS = ("vit", "dinov2")  # whose steps are patches, all the way


@dataclass(frozen=True)
class ImageCheckpoint:
    """An image classifier on disk. base: shapes of its weights by their names below the base; depths: layers
    of each stage (one stage where it has none); features: what the classifier reads; side: of the images it
    was taught on; mean, std: of their channels on the 0..1 scale; labels: classes of its own classifier, None
    where it has none."""

    folder: Path
    kind: str
    family: ImageFamily
    config: Mapping[str, Any]
    base: Shapes
    depths: tuple[int, ...]
    features: int
    channels: int
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: int | None
    label_names: tuple[str, ...] = ()

    @property
    def layers(self) -> int:
        return sum(self.depths)

    @property
    def patch(self) -> int:
        """Side of a patch; 1 where images are not cut."""
        value = self.config.get("patch_size", 1)
        return value if self.kind in TRANSFORMERS and type(value) is int and value > 0 else 1

    @property
    def files(self) -> list[Path]:
        """Its safetensors."""
        return weight_files(self.folder)

    def layer_of(self, name: str) -> int | None:
        """The layer of a weight by its name below the base, from the input on; None: of none."""
        found = re.match(self.family.layers, name)
        if found is None:
            return None
        numbers = [None if part is None else int(part) for part in found.groups()]
        if len(numbers) == 1:
            return numbers[0]
        stage, inner = numbers
        assert stage is not None, "the pattern begins with the stage"
        between = 0 if self.family.first else self.depths[stage] - 1
        return sum(self.depths[:stage]) + (between if inner is None else inner)

    def depth(self, name: str) -> int:
        """0 for what is before the layers, i + 1 for layer i, one more than all for what is behind them.
        name: below the network, as files or as today's library have it."""
        prefix = f"{self.family.base}."
        if not name.startswith(prefix):
            return self.layers + 1
        index = self.layer_of(name.removeprefix(prefix))
        if index is not None:
            return index + 1
        is_top = name.removeprefix(prefix).startswith(("layernorm.", "pooler."))
        return self.layers + 1 if is_top else 0


def read_image(source: str) -> ImageCheckpoint:
    """The classifier that `source` names: a folder by its whole path, or a model of the hub that was fetched.

    Raises: LayerError when there is none, or one that cannot be fine-tuned here.
    """
    try:
        folder = folder_of(source, "pretrained_image")
        if not (folder / "config.json").is_file():
            raise refuse(
                f"the folder of a model has a config.json ({folder.name})", "it has none",
                "Choose the folder that the model was saved to: `save_pretrained` writes config.json.",
            )  # fmt: skip
        files = [folder / "config.json", *weight_files(folder)]
        files += [folder / PROCESSOR] if (folder / PROCESSOR).is_file() else []
        return _read(folder, tuple((str(path), *state_of(path)) for path in files))
    except (OSError, RuntimeError) as error:
        raise unreadable(source, error) from None


def any_model(source: str) -> Checkpoint | ImageCheckpoint:
    """A text encoder or an image classifier, whichever config.json says it is. Raises: LayerError."""
    try:
        path = folder_of(source) / "config.json"
        kind = json_of(path).get("model_type") if path.is_file() else None
    except OSError as error:
        raise unreadable(source, error) from None
    if kind in FAMILIES:
        return read_image(source)
    if isinstance(kind, str) and kind not in ENCODERS:
        known = f"texts: {', '.join(sorted(ENCODERS))}; images: {', '.join(sorted(FAMILIES))}"
        rule = "the model must be a text encoder or an image classifier that is known here"
        raise refuse(rule, f"config.json says `{kind[:40]}`", f"Known for {known}.")
    return read(source)


@lru_cache(maxsize=32)  # asked at every keystroke
def _read(folder: Path, seen: tuple[tuple[Any, ...], ...]) -> ImageCheckpoint:
    config = json_of(folder / "config.json")
    kind = config.get("model_type") or ""
    if not isinstance(kind, str):
        raise damaged(folder / "config.json", "its model_type is no word")
    if kind not in FAMILIES:
        fact = f"config.json says `{kind[:40]}`" if kind else "config.json does not say its model_type"
        known = ", ".join(sorted(FAMILIES))
        raise refuse("the model must be an image classifier that is known here", fact, f"Known: {known}.")
    family = FAMILIES[kind]
    tensors: dict[str, tuple[int, ...]] = {}
    for path, *_ in seen[1:]:
        if str(path).endswith(".safetensors"):
            tensors |= header(Path(path))
    base, head = _split(tensors, family)
    depths = _depths(config, kind, base, family)
    channels = number(config, "num_channels", 3)
    mean, std, side = _processor(folder, config, channels)
    features = head[1] if len(head) == 2 else _features(config)
    names = config.get("id2label")
    told = tuple(str(v)[:80] for v in names.values()) if isinstance(names, dict) and head else ()
    return ImageCheckpoint(
        folder, kind, family, config, base, depths, features, channels, side, mean, std,
        head[0] if head else None, told,
    )  # fmt: skip


def _split(tensors: Shapes, family: ImageFamily) -> tuple[Shapes, tuple[int, ...]]:
    """Weights of the base by their names below it, and the shape of the classifier's weight; () for none."""
    prefix = f"{family.base}."
    is_whole = any(name.startswith(prefix) for name in tensors)
    base: dict[str, tuple[int, ...]] = {}
    for name, shape in tensors.items():
        inner = name.removeprefix(prefix)
        is_base = name.startswith(prefix) if is_whole else not name.startswith("classifier.")
        if not is_base or inner.startswith(family.unused or ("\0",)) or name.rpartition(".")[2] in BUFFERS:
            continue
        base[inner] = shape
    return base, tensors.get(f"{family.head}.weight", ())


BUFFERS = (*TABLES, "running_mean", "running_var")  # what is kept beside the weights


def _depths(config: Mapping[str, Any], kind: str, base: Shapes, family: ImageFamily) -> tuple[int, ...]:
    """Layers of each stage. Raises: LayerError where config and weights speak of others."""
    told = config.get("depths")
    if told is None:
        said: tuple[int, ...] = (number(config, "num_hidden_layers", 12),)
    elif isinstance(told, list) and told and all(type(n) is int and 0 < n <= 1000 for n in told):
        said = tuple(told)
    else:
        raise refuse(
            "depths in config.json must be whole numbers", f"they are {str(told)[:60]}", "Fetch it again."
        )
    found = [set[int]() for _ in said]
    for name in base:
        match = re.match(family.layers, name)
        if match is None:
            continue
        stage, inner = (0, match[1]) if len(match.groups()) == 1 else (int(match[1]), match[2])
        if stage >= len(said):
            raise other_weights(kind, f"config.json speaks of {len(said)} stages and they hold more")
        if inner is not None:
            found[stage].add(int(inner))
    if [set(range(n)) for n in said] != found:
        held = sum(map(len, found))
        raise other_weights(kind, f"config.json speaks of {sum(said)} layers and they hold {held}")
    return said


def _features(config: Mapping[str, Any]) -> int:
    """What the classifier reads of a checkpoint that brings none."""
    sizes = config.get("hidden_sizes")
    if isinstance(sizes, list) and sizes and type(sizes[-1]) is int:
        return int(sizes[-1])
    wide = FAMILIES[str(config["model_type"])].wide
    return wide * number(config, "hidden_size", 768)


def _processor(
    folder: Path, config: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Mean and deviation of the channels, and the side of the images. Raises: LayerError."""
    told = json_of(folder / PROCESSOR) if (folder / PROCESSOR).is_file() else {}
    mean, std = (told.get(name) for name in ("image_mean", "image_std"))
    if told.get("do_normalize") is False:
        mean, std = [0.0] * channels, [1.0] * channels
    usual = IMAGENET if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    found = tuple(
        usual[i] if value is None else _numbers(value, channels) for i, value in enumerate((mean, std))
    )
    if any(n <= 0 for n in found[1]):
        raise damaged(folder / PROCESSOR, "its image_std is not above zero")
    size = told.get("crop_size") or told.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    side = size if type(size) is int else number(config, "image_size", 224)
    return found[0], found[1], side if 0 < side <= 10_000 else 224


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

"""What lies in the folder of a pretrained image classifier: config.json, its processor, its weights' header.

Weights are never loaded and nothing is ever run; see `checkpoint_folder`. Kept until a file changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

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
from workbench.specs.image_families import FAMILIES, REFUSED, TAUGHT, ImageFamily, Layering, layering
from workbench.specs.image_processor import Processor, processor, processor_files
from workbench.specs.layer import refuse

BUFFERS = (*TABLES, "running_mean", "running_var", "relative_coords_table")  # kept beside the weights
MASKED = ("dinov2", "dinov2_with_registers")  # whose classifiers too have a word for a hidden patch
SIZES = ("hidden_sizes", "embed_dims", "hidden_size", "embed_dim")


@dataclass(frozen=True)
class ImageCheckpoint:
    """An image classifier on disk. base: shapes of all its weights but the scores', by their names in the
    network; features: what the classifier reads; labels: classes of its own classifier, None where it has
    none; part: what of config.json describes the network; has_batches: its norms are over batches."""

    folder: Path
    kind: str
    family: ImageFamily
    config: Mapping[str, Any]
    part: Mapping[str, Any]
    base: Shapes
    layering: Layering
    features: int
    channels: int
    processor: Processor
    labels: int | None
    label_names: tuple[str, ...] = ()
    has_batches: bool = False

    @property
    def layers(self) -> int:
        return sum(self.layering.stages)

    @property
    def stages(self) -> tuple[int, ...]:
        """Layers of each stage."""
        return self.layering.stages

    @property
    def side(self) -> int:
        """Pixels of a side that it was taught at."""
        told = self.part.get("image_size")
        is_fixed = self.family.sizes == "exact" and type(told) is int
        return told if is_fixed and isinstance(told, int) else self.processor.side

    @property
    def mean(self) -> tuple[float, ...]:
        return self.processor.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self.processor.std

    @property
    def patch(self) -> int:
        """Side of a patch; 1 where images are not cut."""
        if self.family.sizes != "patches":
            return 1
        cut = [size for name, size in self.base.items() if "patch_embedding" in name and len(size) == 4]
        return cut[0][-1] if cut else number(self.part, "patch_size", 16)

    @property
    def unit(self) -> int:
        """What the sides of an image must be multiples of."""
        if self.kind != "hiera":
            return self.patch
        return math.prod(_firsts(self.part, "patch_stride", "masked_unit_size", default=1))

    @property
    def first(self) -> int:
        """By how much a side is smaller behind the stem."""
        told = _firsts(self.part, "patch_stride" if self.kind == "hiera" else "patch_size", default=0)[0]
        has_patches = self.kind in (
            "hiera",
            "swin",
            "swinv2",
            "donut-swin",
            "focalnet",
            "convnext",
            "convnextv2",
        )
        return (told or self.family.first) if has_patches else self.family.first

    @property
    def before(self) -> int:
        """Steps before those of the patches: for the class, for a teacher, registers."""
        one = ("cls_token", "distillation_token", "class_embedding")
        many = (size[1] for name, size in self.base.items() if name.endswith("register_tokens"))
        return sum(name.endswith(one) for name in self.base) + sum(many)

    @property
    def files(self) -> list[Path]:
        """Its safetensors."""
        return weight_files(self.folder)

    @property
    def outer(self) -> tuple[str, ...]:
        """Modules that are no part of the base: what gives scores, and norms before it."""
        return (*self.family.heads, *self.family.fresh)

    def is_outer(self, name: str) -> bool:
        """Whether a weight is one of those."""
        return name.startswith(tuple(f"{module}." for module in self.outer))

    def weights(self, labels: int) -> Shapes:
        """Name -> shape of every weight of a classifier of so many classes, as the files name them."""
        found = dict(self.base)
        for module in self.family.fresh:
            found.setdefault(f"{module}.weight", (self.features,))
            found.setdefault(f"{module}.bias", (self.features,))
        for module in self.family.heads:
            found[f"{module}.weight"] = (labels, self.features)
            found[f"{module}.bias"] = (labels,)
        return found

    def depth(self, name: str) -> int:
        """0 for what is before the layers, i + 1 for layer i, one more than all for what is behind them."""
        return self.layering.depths.get(name, self.layers + 1)


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
        _family(folder)  # before its weights: a kind that is unknown is the greater fault
        files = [folder / "config.json", *weight_files(folder), *processor_files(folder)]
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
    if kind in FAMILIES or kind in REFUSED:
        return read_image(source)
    if isinstance(kind, str) and kind not in ENCODERS:
        known = f"texts: {', '.join(sorted(ENCODERS))}; images: {', '.join(sorted(FAMILIES))}"
        rule = "the model must be a text encoder or an image classifier that is known here"
        raise refuse(rule, f"config.json says `{kind[:40]}`", f"Known for {known}.")
    return read(source)


def _family(folder: Path) -> tuple[str, ImageFamily, Mapping[str, Any]]:
    """model_type, family and configuration. Raises: LayerError."""
    config = json_of(folder / "config.json")
    kind = config.get("model_type") or ""
    if not isinstance(kind, str):
        raise damaged(folder / "config.json", "its model_type is no word")
    if kind in REFUSED:
        raise refuse(
            "the model must be one that transformers and torch alone can run on images",
            f"{kind}: {REFUSED[kind]}", "Choose another model, such as a vit, a convnext or a resnet.",
        )  # fmt: skip
    if kind not in FAMILIES:
        fact = f"config.json says `{kind[:40]}`" if kind else "config.json does not say its model_type"
        known = ", ".join(sorted(FAMILIES))
        raise refuse("the model must be an image classifier that is known here", fact, f"Known: {known}.")
    kinds = config.get("architectures")
    names = kinds if isinstance(kinds, list) else []
    taught = next((TAUGHT[name] for name in names if isinstance(name, str) and name in TAUGHT), None)
    return kind, taught or FAMILIES[kind], config


def _firsts(part: Mapping[str, Any], *names: str, default: int) -> list[int]:
    """Numbers in the configuration; of lists the first."""
    told = [part.get(name) for name in names]
    firsts = [value[0] if isinstance(value, list) and value else value for value in told]
    return [value if type(value) is int and value > 0 else default for value in firsts]


@lru_cache(maxsize=32)  # asked at every keystroke
def _read(folder: Path, seen: tuple[tuple[Any, ...], ...]) -> ImageCheckpoint:
    kind, family, config = _family(folder)
    inner = config.get("vision_config")
    part: Mapping[str, Any] = inner if isinstance(inner, dict) else config
    tensors: dict[str, tuple[int, ...]] = {}
    for path, *_ in seen[1:]:
        if str(path).endswith(".safetensors"):
            tensors |= header(Path(path))
    named = _named(tensors, kind, family)
    scores = tuple(f"{module}." for module in family.heads)
    base = {name: size for name, size in named.items() if not name.startswith(scores)}
    found = layering(base, (*family.heads, *family.fresh))
    _counted(found, kind, part)
    head = next((named[f"{m}.weight"] for m in family.heads if f"{m}.weight" in named), ())
    if len(head) != 2:
        head = ()
        if not family.whole:
            raise refuse(
                f"a {kind} must bring its classifier, whose parts its base lacks",
                "the folder has none", "Choose the folder of a model for image classification.",
            )  # fmt: skip
    channels = number(part, "num_channels", 3)
    names = config.get("id2label")
    told = tuple(str(v)[:80] for v in names.values()) if isinstance(names, dict) and head else ()
    return ImageCheckpoint(
        folder, kind, family, config, part, base, found,
        head[1] if head else _features(base, found, part, family), channels,
        processor(folder, kind, part, channels), head[0] if head else None, told,
        any(name.endswith("running_mean") for name in tensors),
    )  # fmt: skip


def _named(tensors: Shapes, kind: str, family: ImageFamily) -> Shapes:
    """The weights of the classifier by their names in the network: those of other networks in the file (of
    texts, say, or what was taught with it) are left out."""
    prefix = f"{family.base}." if family.base else ""
    outer = tuple(f"{module}." for module in (*family.heads, *family.fresh))
    is_whole = any(name.startswith(prefix) for name in tensors)
    found: dict[str, tuple[int, ...]] = {}
    for name, size in tensors.items():
        last = name.rpartition(".")[2]
        if last in BUFFERS or (last == "mask_token" and kind not in MASKED):
            continue
        if is_whole and not name.startswith((prefix, *outer)):
            if kind != "vit_msn" or not name.startswith(
                "encoder."
            ):  # some of its files lack the prefix there
                continue
            name = prefix + name
        full = name if is_whole else prefix + name
        if not full.removeprefix(prefix).startswith(family.unused or ("\0",)):
            found[full] = size
    return found


def _counted(found: Layering, kind: str, part: Mapping[str, Any]) -> None:
    """Raises: LayerError where config and weights speak of other layers."""
    if not sum(found.stages):
        raise other_weights(kind, "they hold no layers")
    if found.gap:
        raise other_weights(kind, f"layer {found.gap} is missing")
    told, one = part.get("depths"), part.get("num_hidden_layers")
    if told is not None and not (isinstance(told, list) and all(type(n) is int and n > 0 for n in told)):
        raise refuse(
            "depths in config.json must be whole numbers", f"they are {str(told)[:60]}", "Fetch it again."
        )
    said = (number(part, "num_hidden_layers", 0),) if one and FAMILIES[kind].attends else tuple(told or ())
    if kind in ("levit", "swiftformer") or not said:  # whose stages hold more than what they call depths
        return
    if said != found.stages:
        held = sum(found.stages)
        raise other_weights(kind, f"config.json speaks of {sum(said)} layers and they hold {held}")


def _features(base: Shapes, found: Layering, part: Mapping[str, Any], family: ImageFamily) -> int:
    """What the classifier reads of a checkpoint that brings none."""
    layers = sum(found.stages)
    norms = {name: size[0] for name, size in base.items() if len(size) == 1}
    top = {size for name, size in norms.items() if found.depths[name] > layers}
    if len(top) == 1:
        return family.wide * top.pop()
    last = [
        size for name, size in norms.items() if "conv_projection" in name and found.depths[name] == layers
    ]
    if last:  # of a MobileViT that has nothing behind its layers
        return last[0]
    for name in SIZES:
        told = part.get(name)
        told = told[-1] if isinstance(told, list) and told else told
        if type(told) is int and told > 0:
            return family.wide * told
    return family.wide * max(
        (size for name, size in norms.items() if found.depths[name] == layers), default=1
    )

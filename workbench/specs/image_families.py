"""The image classifiers of Hugging Face: where their networks differ, and how layers are told by names.

Every family that `AutoModelForImageClassification` opens stands here, or in REFUSED with the reason; tests
hold both against the library. What is the same everywhere is found from the names of the weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple


class ImageFamily(NamedTuple):
    """One `model_type`. base: the attribute that holds all but the classifier, "" for none; heads: the layers
    that give scores; fresh: norms that a base saved by itself lacks; unused: modules of the base that a
    classifier does without; sizes: images of any size, of whole patches or of the one it was taught at;
    least: pixels of the smallest side; attends: whether it gives attention from patch to patch; wide: numbers
    for each feature of the base that the classifier reads; first: how much smaller the stem leaves a side;
    stem: how much smaller it is where most of the stem works; stages: how much smaller each stage makes a
    side: "each" but the first, or "all"; whole: a base saved by itself can become a classifier."""

    base: str
    heads: tuple[str, ...] = ("classifier",)
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    sizes: Literal["any", "patches", "exact"] = "any"
    least: int = 32
    attends: bool = False
    wide: int = 1
    first: int = 4
    stem: int = 4
    stages: Literal["each", "all"] = "each"
    whole: bool = True


VIT = ImageFamily("vit", sizes="patches", least=1, attends=True)
RESNET = ImageFamily("resnet", ("classifier.1",), stem=2)
MOBILE = ImageFamily("mobilenet_v1", first=2, stem=2)

FAMILIES: dict[str, ImageFamily] = {
    "vit": VIT._replace(unused=("pooler.",)),
    "deit": VIT._replace(base="deit", unused=("pooler.",)),
    "vit_msn": VIT,
    "ijepa": VIT._replace(base="ijepa", unused=("pooler.",)),
    "beit": VIT._replace(base="beit"),
    "data2vec-vision": VIT._replace(base="data2vec_vision", fresh=("data2vec_vision.pooler.layernorm",)),
    "dinov2": VIT._replace(base="dinov2", wide=2),
    "dinov2_with_registers": VIT._replace(base="dinov2_with_registers", wide=2),
    "clip": VIT._replace(base="vision_model"),
    "metaclip_2": VIT._replace(base="vision_model"),
    "siglip": VIT._replace(base="vision_model"),
    "siglip2": VIT._replace(base="vision_model"),
    "swin": ImageFamily("swin"),
    "swinv2": ImageFamily("swinv2"),
    "donut-swin": ImageFamily("donut"),
    "focalnet": ImageFamily("focalnet"),
    "resnet": RESNET,
    "regnet": RESNET._replace(base="regnet", first=2, stages="all"),
    "bit": RESNET._replace(base="bit"),
    "convnext": ImageFamily("convnext"),
    "convnextv2": ImageFamily("convnextv2"),
    "mobilenet_v1": MOBILE,
    "mobilenet_v2": MOBILE._replace(base="mobilenet_v2"),
    "mobilevit": MOBILE._replace(base="mobilevit"),
    "mobilevitv2": MOBILE._replace(base="mobilevitv2", least=64),
    "efficientnet": MOBILE._replace(base="efficientnet"),
    "poolformer": ImageFamily("poolformer", fresh=("norm",)),
    "levit": ImageFamily(
        "levit", ("classifier.linear",), fresh=("classifier.batch_norm",), sizes="exact", first=16, stem=8
    ),
    "cvt": ImageFamily("cvt", fresh=("layernorm",)),
    "hgnet_v2": ImageFamily("", ("fc",), stem=2),
    "hiera": ImageFamily("hiera"),
    "perceiver": ImageFamily("perceiver", ("perceiver.decoder.decoder.final_layer",), whole=False),
    "pp_lcnet": MOBILE._replace(base="", heads=("head",), whole=False),
    "pvt": ImageFamily("pvt", sizes="exact"),
    "pvt_v2": ImageFamily("pvt_v2"),
    "segformer": ImageFamily("segformer"),
    "swiftformer": ImageFamily("swiftformer", ("head", "dist_head"), fresh=("norm",)),
    "textnet": ImageFamily("textnet", ("fc",), first=2, stem=2, stages="all"),
}
# With a teacher: two classifiers, whose mean counts.
TAUGHT = {
    "DeiTForImageClassificationWithTeacher": FAMILIES["deit"]._replace(
        heads=("cls_classifier", "distillation_classifier")
    ),
    "LevitForImageClassificationWithTeacher": FAMILIES["levit"]._replace(
        heads=("classifier.linear", "classifier_distill.linear"),
        fresh=("classifier.batch_norm", "classifier_distill.batch_norm"),
    ),
}
# Whose places stretch when told to; DINOv2's and SigLIP 2's always do.
STRETCHED = (
    "vit", "deit", "vit_msn", "ijepa", "beit", "data2vec-vision", "clip", "metaclip_2", "siglip", "swin",
    "swinv2", "donut-swin", "hiera", "perceiver",
)  # fmt: skip
REFUSED = {
    "dinat": "its attention is computed by a library (natten) that is none of the workbench's",
    "timm_wrapper": "its network is one of the library timm, which is none of the workbench's",
    "imagegpt": "it reads colours as words, and no images",
    "shieldgemma2": "it is a language model that judges images by questions",
}


# ---------------------------------------------------------------- layers by names

_HOLDS = r"(?:stages|layers|layer|blocks|block|network|self_attends)"
_LAYER = re.compile(rf"(?:.*?\.)??{_HOLDS}\.(\d+)\.(.*)")
_INNER = re.compile(r"(?:(?:layers|layer|blocks|block|stage|transformer\.layer)\.)?(\d+)\.")
_BESIDE = re.compile(r"(?:.*\.)?(patch_embeddings|layer_norm|layernorm)\.(\d+)\.")  # a list for all stages
_BEHIND = ("layer_norm", "layernorm", "norm", "conv_projection", "fusion")
_STEM = (
    "embed", "patch_embed", "conv_stem", "stem", "cls_token", "position", "input_preprocessor",
    "pre_layrnorm", "mask_token", "convolution", "cross_attention",
)  # fmt: skip


class Layering(NamedTuple):
    """depths: name of a weight -> 0 for what is before the layers, i + 1 for layer i, one more than all for
    what is behind them; stages: layers of each stage (one stage where it has none); gap: the first number
    that is missing among them, "" for none."""

    depths: Mapping[str, int]
    stages: tuple[int, ...]
    gap: str = ""


def layering(names: Iterable[str], heads: tuple[str, ...]) -> Layering:
    """The layers of a network by the names of its weights, as files or as today's library have them.

    A layer is what is numbered in a stage, or where there are no stages what is numbered at all. What stands
    beside the layers of a stage belongs to the one that it feeds, or where it is behind them to the last.
    Check: a weight is never used before one of a lower depth.
    """
    places = {name: _place(name, heads) for name in names}
    inner: dict[int, set[int]] = {}
    for place in places.values():
        if isinstance(place, tuple):
            inner.setdefault(place[0], set()).update([] if place[1] is None else [place[1]])
    stages = sorted(inner)
    behind = _ends(places, stages)
    if any(inner.values()):
        layers = [(stage, i) for stage in stages for i in sorted(inner[stage]) or [0]]
    else:
        layers = [(stage, 0) for stage in stages]
    number = {layer: i + 1 for i, layer in enumerate(layers)}
    top = len(layers) + 1
    depths: dict[str, int] = {}
    for name, place in places.items():
        if isinstance(place, str):
            depths[name] = 0 if place == "stem" else top
            continue
        stage, index, beside = place
        held = sorted(inner[stage]) or [0]
        if index is not None or not inner[stage]:
            depths[name] = number[stage, held[0] if index is None else index]
        elif beside in behind or beside in _BEHIND:
            depths[name] = number[stage, held[-1]]
        else:
            depths[name] = 0 if stage == stages[0] else number[stage, held[0]]
    counts = tuple(max(1, len(inner[stage])) for stage in stages) if any(inner.values()) else (len(layers),)
    return Layering(depths, counts, _gap(stages, inner))


def _gap(stages: list[int], inner: Mapping[int, set[int]]) -> str:
    """The first number that is missing, of a stage or of a layer in one."""
    for i, stage in enumerate(stages):
        if stage != i:
            return str(i)
        missing = set(range(len(inner[stage]))) - inner[stage]
        if missing:
            return f"{stage}.{min(missing)}"
    return ""


Place = str | tuple[int, int | None, str]


def _place(name: str, heads: tuple[str, ...]) -> Place:
    """stem or top; or stage, layer in it (None: beside them) and the first word behind the stage."""
    if name.startswith(tuple(f"{head}." for head in heads)):
        return "top"
    found = _LAYER.match(name)
    if found is not None:
        rest = found[2]
        inner = _INNER.match(rest)
        return int(found[1]), int(inner[1]) if inner else None, rest.partition(".")[0]
    beside = _BESIDE.match(name)
    if beside is not None:
        return int(beside[2]), None, beside[1]
    words = [word for word in name.split(".") if word not in ("encoder", "vision_model")]
    return "stem" if any(word.startswith(_STEM) for word in words[:2]) else "top"


def _ends(places: Mapping[str, Place], stages: list[int]) -> set[str]:
    """Modules beside the layers that the first stage has and the last has not: they stand at its end."""
    found: dict[int, set[str]] = {stage: set() for stage in stages}
    for place in places.values():
        if isinstance(place, tuple) and place[1] is None:
            found[place[0]].add(place[2])
    return found[stages[0]] - found[stages[-1]] if len(stages) > 1 else set()

"""Named RunSpecs: complete, ready to run, each on data that ships with the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.specs.base import did_you_mean
from workbench.specs.errors import SpecError
from workbench.specs.picture_presets import PICTURE_PRESETS
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.series_presets import SERIES_PRESETS
from workbench.specs.table_presets import TABLE_PRESETS
from workbench.specs.text_presets import TEXT_PRESETS
from workbench.specs.vision_presets import VISION_PRESETS


@dataclass(frozen=True)
class Preset:
    """A run to start from: what it is for, in one sentence, and its spec as plain data. needs: a model of the
    Hugging Face hub that must have been fetched; empty where all it needs ships with the product."""

    name: str
    title: str
    about: str
    tree: dict[str, Any]
    needs: str = ""

    @property
    def spec(self) -> RunSpec:
        return from_dict({"name": self.name, **self.tree})


def conv(out_channels: int, **more: Any) -> dict[str, Any]:
    return {"kind": "conv2d", "out_channels": out_channels, **more}


def linear(out_features: int) -> dict[str, Any]:
    return {"kind": "linear", "out_features": out_features}


def dropout(p: float) -> dict[str, Any]:
    return {"kind": "dropout", "p": p}


def norm_conv(out_channels: int, **more: Any) -> list[dict[str, Any]]:
    """A convolution that keeps the size at stride 1, without bias, and a batch norm."""
    padding = more.get("kernel_size", 3) // 2
    return [conv(out_channels, **{"padding": padding, **more}, bias=False), NORM]


def residual(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "residual", "layers": list(layers), **more}


def repeat(times: int, *layers: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "repeat", "times": times, "layers": list(layers)}


def basic_block(out_channels: int, stride: int = 1) -> dict[str, Any]:
    """Two 3×3 convolutions around which the input is led (He et al. 2016, figure 2)."""
    first = norm_conv(out_channels, **({"stride": stride} if stride > 1 else {}))
    return residual(*first, RELU, *norm_conv(out_channels))


def resnet(widths: list[int], blocks: int, classes: int) -> list[dict[str, Any]]:
    """Stages of `blocks` basic blocks each; every stage but the first halves the image."""
    stages: list[dict[str, Any]] = []
    for i, width in enumerate(widths):
        rest = blocks if i == 0 else blocks - 1
        stages += [] if i == 0 else [basic_block(width, stride=2)]
        stages.append(repeat(rest, basic_block(width)) if rest > 1 else basic_block(width))
    return [*stages, {"kind": "global_avg_pool2d"}, linear(classes)]


def vgg(classes: int) -> list[dict[str, Any]]:
    """Configuration D of Simonyan & Zisserman 2015, as torchvision builds it."""
    layers: list[dict[str, Any]] = []
    for times, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        layers += [*[conv(width, padding=1), RELU] * times, POOL]
    layers += [{"kind": "adaptive_avg_pool2d", "output_size": 7}, FLAT]
    layers += [linear(4096), RELU, dropout(0.5), linear(4096), RELU, dropout(0.5), linear(classes)]
    return layers


def convnext(widths: list[int], depths: list[int], patch: int, classes: int) -> list[dict[str, Any]]:
    """ConvNeXt (Liu et al. 2022) without stochastic depth."""
    channel_norm = {"kind": "layer_norm2d"}
    layers = [conv(widths[0], kernel_size=patch, stride=patch), channel_norm]
    for i, (width, times) in enumerate(zip(widths, depths, strict=True)):
        layers += [channel_norm, conv(width, kernel_size=2, stride=2)] if i else []
        block = residual(
            {"kind": "depthwise_conv2d", "kernel_size": 7, "padding": 3},
            channel_norm,
            conv(4 * width, kernel_size=1),
            {"kind": "gelu"},
            conv(width, kernel_size=1),
            {"kind": "layer_scale"},
            activation="none",
        )
        layers.append(repeat(times, block))
    return [*layers, {"kind": "global_avg_pool2d"}, {"kind": "layer_norm", "eps": 1e-6}, linear(classes)]


def inception(out: int) -> dict[str, Any]:
    """1×1, 3×3 and 5×5 filters and a pooling side by side (Szegedy et al. 2015), 4 · `out` channels."""
    return {
        "kind": "parallel",
        "branches": [
            [*norm_conv(out, kernel_size=1), RELU],
            [*norm_conv(out, kernel_size=1), RELU, *norm_conv(out), RELU],
            [*norm_conv(out, kernel_size=1), RELU, *norm_conv(out, kernel_size=5), RELU],
            [POOL_3X3, *norm_conv(out, kernel_size=1), RELU],
        ],
    }  # fmt: skip


RELU = {"kind": "relu"}
POOL_3X3 = {"kind": "max_pool2d", "kernel_size": 3, "stride": 1, "padding": 1}  # keeps the size
POOL = {"kind": "max_pool2d"}
FLAT = {"kind": "flatten"}
NORM = {"kind": "batch_norm"}

ADAM = {"optimizer": {"kind": "adam", "lr": 1e-3}}

_ALL = [
    Preset(
        "cnn-mnist",
        "Two convolutions and a dense layer",
        "The classic first convolutional network: 225,034 parameters on 28×28 grey images.",
        {
            "model": {
                "family": "cnn",
                "layers": [conv(32), RELU, POOL, conv(64), RELU, POOL, FLAT, linear(128), RELU, linear(10)],
            },
            "training": {**ADAM, "batch_size": 128, "epochs": 5},
        },
    ),
    Preset(
        "cnn-compact",
        "Two convolutions, dropout, one dense layer",
        "The Keras documentation's MNIST network: 34,826 parameters; above 0.99 on MNIST.",
        {
            "model": {
                "family": "cnn",
                "layers": [conv(32), RELU, POOL, conv(64), RELU, POOL, FLAT, dropout(0.5), linear(10)],
            },
            "training": {**ADAM, "batch_size": 128, "epochs": 12},
        },
    ),
    Preset(
        "cnn-rgb",
        "Two convolutions on colour images",
        "Padded convolutions for small colour photographs: 315,722 parameters at 24×24, any size works.",
        {
            "data": {"size": 24, "channels": 3},
            "model": {
                "family": "cnn",
                "layers": [
                    conv(32, padding=1),
                    RELU,
                    POOL,
                    conv(64, padding=1),
                    RELU,
                    POOL,
                    FLAT,
                    linear(128),
                    RELU,
                    linear(10),
                ],
            },
            "training": {**ADAM, "batch_size": 64, "epochs": 5},
        },
    ),
    Preset(
        "cnn-small",
        "Two convolutions, plain gradient descent",
        "421,642 parameters, pooled to 7×7 before the dense layer, trained by SGD.",
        {
            "model": {
                "family": "cnn",
                "layers": [
                    conv(32, padding=1),
                    RELU,
                    POOL,
                    conv(64, padding=1),
                    RELU,
                    POOL,
                    FLAT,
                    linear(128),
                    RELU,
                    linear(10),
                ],
            },
            "training": {"optimizer": {"kind": "sgd", "lr": 0.05}, "batch_size": 64, "epochs": 5},
        },
    ),
    Preset(
        "cnn-fashion",
        "Three convolutions under 100,000 parameters",
        "Batch norm, dropout and a one-cycle schedule: 83,050 parameters, accurate on Fashion-MNIST.",
        {
            "model": {
                "family": "cnn",
                "layers": [
                    conv(32, padding=1, bias=False),
                    NORM,
                    RELU,
                    POOL,
                    conv(64, padding=1, bias=False),
                    NORM,
                    RELU,
                    POOL,
                    conv(96, padding=1, bias=False),
                    NORM,
                    RELU,
                    POOL,
                    FLAT,
                    dropout(0.3),
                    linear(10),
                ],
            },
            "training": {
                "optimizer": {"kind": "adamw", "lr": 3e-3, "weight_decay": 0.05},
                "schedule": {"kind": "one_cycle"},
                "batch_size": 128,
                "epochs": 12,
            },
        },
    ),
    Preset(
        "mlp-image",
        "Dense layers only",
        "256 and 128 hidden units on flattened images: the baseline every convolution should beat.",
        {
            "model": {"family": "mlp", "layers": [FLAT, linear(256), RELU, linear(128), RELU, linear(10)]},
            "training": {**ADAM, "batch_size": 128, "epochs": 5},
        },
    ),
    Preset(
        "mlp-tiny",
        "A tiny dense network",
        "Under 6,000 parameters on 8×8 handwritten digits; trains in seconds, for trying things out.",
        {
            "data": {"name": "digits"},
            "model": {"family": "mlp", "layers": [FLAT, linear(56), RELU, linear(32), RELU, linear(10)]},
            "training": {**ADAM, "batch_size": 32, "epochs": 20},
        },
    ),
    Preset(
        "cnn-digits",
        "A small convolutional network on 8×8 digits",
        "Handwritten digits from scikit-learn: above 0.97 within a minute on a laptop.",
        {
            "data": {"name": "digits"},
            "model": {
                "family": "cnn",
                "layers": [
                    conv(16, padding=1),
                    RELU,
                    conv(32, padding=1),
                    RELU,
                    POOL,
                    FLAT,
                    linear(64),
                    RELU,
                    linear(10),
                ],
            },
            "training": {**ADAM, "batch_size": 32, "epochs": 15},
        },
    ),
    Preset(
        "resnet-20",
        "ResNet-20 for small images",
        "The residual network of the CIFAR papers: 272,186 parameters on grey images, any size from 8×8.",
        {
            "model": {"family": "cnn", "layers": [*norm_conv(16), RELU, *resnet([16, 32, 64], 3, 10)]},
            "training": {
                "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
                "schedule": {"kind": "one_cycle"},
                "batch_size": 128,
                "epochs": 15,
            },
        },
    ),
    Preset(
        "resnet-small",
        "ResNet-14 for a few thousand small images",
        "Mirrored and moved images keep it from learning them by heart: 174,970 parameters on grey images.",
        {
            "data": {"augment": [{"kind": "flip"}, {"kind": "shift", "p": 0.8, "strength": 0.125}]},
            "model": {"family": "cnn", "layers": [*norm_conv(16), RELU, *resnet([16, 32, 64], 2, 10)]},
            "training": {
                "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4},
                "schedule": {"kind": "cosine", "warmup": 0.1},
                "batch_size": 64,
                "epochs": 20,
            },
        },
    ),
    Preset(
        "resnet-18",
        "ResNet-18",
        "Four stages of residual blocks, 11.7 million parameters at 1,000 classes. Wants a GPU.",
        {
            "data": {"size": 64, "channels": 3},
            "model": {
                "family": "cnn",
                "layers": [
                    *norm_conv(64, kernel_size=7, stride=2),
                    RELU,
                    {"kind": "max_pool2d", "kernel_size": 3, "stride": 2, "padding": 1},
                    *resnet([64, 128, 256, 512], 2, 10),
                ],
            },
            "training": {
                "optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
                "schedule": {"kind": "one_cycle"},
                "batch_size": 64,
                "epochs": 10,
            },
        },
    ),
    Preset(
        "convnext-mini",
        "A small ConvNeXt",
        "Depthwise 7×7 filters, channel norms and learned scales, as in ConvNeXt: 0.9 million parameters.",
        {
            "data": {"size": 32, "channels": 3},
            "model": {"family": "cnn", "layers": convnext([48, 96, 192], [2, 2, 2], 2, 10)},
            "training": {
                "optimizer": {"kind": "adamw", "lr": 2e-3, "weight_decay": 0.05},
                "schedule": {"kind": "cosine", "warmup": 0.1},
                "batch_size": 64,
                "epochs": 15,
            },
        },
    ),
    Preset(
        "inception-mini",
        "Filters of several sizes side by side",
        "Two inception blocks: small and large patterns are looked for at once. 55,978 parameters.",
        {
            "model": {
                "family": "cnn",
                "layers": [
                    *norm_conv(32),
                    RELU,
                    POOL,
                    inception(16),
                    POOL,
                    inception(32),
                    {"kind": "global_avg_pool2d"},
                    dropout(0.2),
                    linear(10),
                ],
            },
            "training": {
                "optimizer": {"kind": "adamw", "lr": 3e-3, "weight_decay": 0.01},
                "schedule": {"kind": "one_cycle"},
                "batch_size": 128,
                "epochs": 10,
            },
        },
    ),
    Preset(
        "vgg-16",
        "VGG-16",
        "Thirteen convolutions and three wide dense layers: 138 million parameters. Wants a GPU.",
        {
            "data": {"size": 64, "channels": 3},
            "model": {"family": "cnn", "layers": vgg(10)},
            "training": {
                "optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
                "clip_norm": 1.0,
                "batch_size": 16,
                "epochs": 5,
            },
        },
    ),
]

_OTHERS = (*VISION_PRESETS, *PICTURE_PRESETS, *TEXT_PRESETS, *SERIES_PRESETS, *TABLE_PRESETS)
_ALL += [Preset(*row) for row in _OTHERS]

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
READY = {name: preset for name, preset in PRESETS.items() if not preset.needs}


def preset(name: str) -> Preset:
    """The preset of that name. Raises SpecError with the nearest name."""
    if name not in PRESETS:
        raise SpecError.of(
            "preset", "the preset must be a known one", f"`{name}` is not", did_you_mean(name, PRESETS)
        )
    return PRESETS[name]

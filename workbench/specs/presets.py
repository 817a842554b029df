"""Named RunSpecs: complete, ready to run, each on data that ships with the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.specs.base import did_you_mean
from workbench.specs.errors import SpecError
from workbench.specs.run import RunSpec, from_dict


@dataclass(frozen=True)
class Preset:
    """A run to start from: what it is for, in one sentence, and its spec as plain data."""

    name: str
    title: str
    about: str
    tree: dict[str, Any]

    @property
    def spec(self) -> RunSpec:
        return from_dict({"name": self.name, **self.tree})


def conv(out_channels: int, **more: Any) -> dict[str, Any]:
    return {"kind": "conv2d", "out_channels": out_channels, **more}


def linear(out_features: int) -> dict[str, Any]:
    return {"kind": "linear", "out_features": out_features}


def dropout(p: float) -> dict[str, Any]:
    return {"kind": "dropout", "p": p}


RELU = {"kind": "relu"}
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
]

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def preset(name: str) -> Preset:
    """The preset of that name. Raises SpecError with the nearest name."""
    if name not in PRESETS:
        raise SpecError.of(
            "preset", "the preset must be a known one", f"`{name}` is not", did_you_mean(name, PRESETS)
        )
    return PRESETS[name]

"""Stacks to begin with where an image is the answer: a U-Net, autoencoders, a GAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.specs.base import Shape

Raw = dict[str, Any]
RELU: Raw = {"kind": "relu"}
LEAKY: Raw = {"kind": "leaky_relu", "negative_slope": 0.2}
NORM: Raw = {"kind": "batch_norm"}


def conv(out_channels: int, **more: Any) -> Raw:
    return {"kind": "conv2d", "out_channels": out_channels, **more}


def doubled(out_channels: int, **more: Any) -> Raw:
    """A transposed convolution that makes each side twice as long."""
    return {
        "kind": "conv_transpose2d", "out_channels": out_channels, "kernel_size": 4, "stride": 2, "padding": 1,
        **more,
    }  # fmt: skip


def halved(out_channels: int, **more: Any) -> Raw:
    """A convolution that makes each side half as long."""
    return {**conv(out_channels, kernel_size=4, stride=2, padding=1), **more}


def linear(out_features: int) -> Raw:
    return {"kind": "linear", "out_features": out_features}


def twice(width: int) -> list[Raw]:
    """Two 3×3 convolutions, each with a norm."""
    one = [conv(width, padding=1, bias=False), NORM, RELU]
    return [*one, *one]


def unet(n_classes: int, widths: Sequence[int] = (16, 32, 64)) -> list[Raw]:
    """A U-Net (Ronneberger et al. 2015): each width but the last is a step down and up again, around which
    what was seen before is led."""
    return [*_level(list(widths)), conv(n_classes, kernel_size=1)]


def _level(widths: list[int]) -> list[Raw]:
    first, *deeper = widths
    if not deeper:
        return twice(first)
    inner = [{"kind": "max_pool2d"}, *_level(deeper), {"kind": "upsample"}, conv(first, padding=1)]
    return [*twice(first), {"kind": "skip", "layers": inner}, *twice(first)]


def halvings(shape: Shape, most: int = 2) -> int:
    """How often both sides can be halved without a rest, `most` times at most."""
    n = 0
    while n < most and all(side % 2 ** (n + 1) == 0 and side >= 2 ** (n + 2) for side in shape[1:]):
        n += 1
    return n


def autoencoder(shape: Shape, code: int = 16, *, draws: bool = False) -> list[Raw]:
    """Convolutions down to `code` numbers and the same way back; draws: as a variational one."""
    times = halvings(shape)
    widths = [32 * 2**i for i in range(times)]
    height, width = (side // 2**times for side in shape[1:])
    deepest = widths[-1] if widths else 8
    down = [layer for n in widths for layer in (halved(n), RELU)]
    middle = [linear(2 * code), {"kind": "reparameterize"}] if draws else [linear(code)]
    back = [linear(deepest * height * width), RELU, {"kind": "unflatten", "height": height, "width": width}]
    up = [layer for n in widths[-2::-1] for layer in (doubled(n), RELU)]
    last = doubled(shape[0]) if times else conv(shape[0], padding=1)
    return [*down, {"kind": "flatten"}, *middle, *back, *up, last, {"kind": "sigmoid"}]


def generator(shape: Shape, width: int = 64) -> list[Raw]:
    """Noise to images from -1 to 1, after Radford et al. 2016."""
    times = halvings(shape)
    height, side = (n // 2**times for n in shape[1:])
    widest = width * 2 ** max(0, times - 1)
    layers = [
        linear(widest * height * side), {"kind": "unflatten", "height": height, "width": side}, NORM, RELU,
    ]  # fmt: skip
    for i in range(times - 1):
        layers += [doubled(widest // 2 ** (i + 1), bias=False), NORM, RELU]
    return [*layers, doubled(shape[0]) if times else conv(shape[0], padding=1), {"kind": "tanh"}]


def discriminator(shape: Shape, width: int = 32) -> list[Raw]:
    """Images to one score, high for true ones."""
    layers: list[Raw] = []
    for i in range(halvings(shape)):
        layers += [halved(width), LEAKY] if not i else [halved(width * 2**i, bias=False), NORM, LEAKY]
    return [*layers, {"kind": "flatten"}, linear(1)]

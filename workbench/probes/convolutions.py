"""What convolutions have learned, as pictures: their filters, and what they make of fixed images.

Notation: O out channels, I in channels per group, k kernel side, P probe images.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence

from torch import Tensor, nn

from workbench.probes.hooks import Name, looking, outputs_of
from workbench.probes.tiles import Scaled, scaled, shrunk
from workbench.records import Tiles
from workbench.specs.convolution import Conv2d, DepthwiseConv2d
from workbench.specs.errors import ProbeError
from workbench.specs.inside import duels
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import named

MOST_LAYERS = 24  # of a deep network, from the input on: each costs a snapshot at every look
MOST_FILTERS = 256  # tiles of one layer's filters
MOST_CHANNELS = 64  # maps of one image
MOST_MAPS = 384  # maps of one layer, all images together
LARGEST_SIDE = 64  # pixels of a map


def conv_layers(model: nn.Module) -> list[Name]:
    """The model's 2-d convolutions, in order: children by their index, those in groups by their name."""
    found = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    return [int(name) if name.isdecimal() else name for name in found]


def watched(model: ModelSpec) -> list[Name]:
    """The convolutions of a stack that are worth looking at, by the names they have once built.

    Gates and the projections that a residual adds by itself are not among them. Of two networks that learn
    against each other, those of the one that looks at images.
    """
    layers = named(model.decoder, "discriminator.") if duels(model) else named(model.layers)
    found = [name for name, layer in layers if isinstance(layer, Conv2d | DepthwiseConv2d)]
    return [int(name) if name.isdecimal() else name for name in found[:MOST_LAYERS]]


def filters(
    model: nn.Module, layer: Name, *, step: int = 0, epoch: float = 0.0, time: float | None = None
) -> Tiles:
    """The filters of a convolution as tiles, zero in the middle of each tile's range.

    One input channel: a tile (k, k) per filter. Three: a colour tile (k, k, 3) per filter. Otherwise a
    tile per slice, in groups of I slices that make one filter. At most 256 tiles; whole filters first,
    and the title says what is left out.
    Raises: ProbeError when the layer is not a convolution.
    """
    weight = _conv(model, layer).weight.detach()  # (O, I, k, k)
    n_out, n_in = weight.shape[:2]
    group, label = 0, "filter"
    if n_in == 1:
        shown, total = min(n_out, MOST_FILTERS), n_out
        values = weight[:shown, 0]  # (O, k, k)
    elif n_in == 3:
        shown, total = min(n_out, MOST_FILTERS), n_out
        values = weight[:shown].permute(0, 2, 3, 1)  # (O, k, k, 3)
    else:
        group, label = min(n_in, MOST_FILTERS), "slice"
        n_filters = min(n_out, max(1, MOST_FILTERS // n_in))
        values = weight[:n_filters, :group].reshape(-1, *weight.shape[2:])  # (n_filters * group, k, k)
        shown, total = len(values), n_out * n_in
    title = f"Filters of layer {layer}"
    if shown < total:
        title += f" (the first {shown} of {total:,} {label}s)"
    found = scaled(values, signed=True)
    return _tiles(f"filters/{layer}", found, title, label, group, True, step, epoch, time)


def feature_maps(
    model: nn.Module,
    layers: Sequence[Name],
    x: Tensor,
    *,
    step: int = 0,
    epoch: float = 0.0,
    time: float | None = None,
) -> list[Tiles]:
    """What each of `layers` answers to the images x (P, C, H, W), in one forward pass in eval mode.

    Tiles come image by image, in groups of the channels shown: the first 64 of each image, fewer where
    384 maps in all would be passed; sides above 64 pixels are averaged down. The title says so.
    Check: the model's mode, gradients, hooks and torch's random state are as before.
    Raises: ProbeError when there is no such layer, or its output is not an image.
    """
    with looking(model), outputs_of(model, layers) as seen:
        model(x)
        return [_maps(layer, seen[layer], step, epoch, time) for layer in layers]


def _maps(layer: Name, output: Tensor, step: int, epoch: float, time: float | None) -> Tiles:
    if output.ndim != 4:
        raise ProbeError.of(
            f"layer {layer}",
            "feature maps need an image (C, H, W)",
            f"the layer gives {tuple(output.shape[1:])}",
            "Choose a layer before flatten.",
        )
    n_images, n_channels = output.shape[:2]
    shown = min(n_channels, MOST_CHANNELS, max(1, MOST_MAPS // n_images))
    maps = output[:, :shown].reshape(-1, *output.shape[2:])  # (P * shown, h, w)
    small = shrunk(maps, LARGEST_SIDE)
    title = f"Feature maps of layer {layer}"
    if shown < n_channels:
        title += f" (the first {shown} of {n_channels:,} channels)"
    if small.shape != maps.shape:
        h, w = output.shape[2:]
        title += f" (averaged down from {h}×{w})"
    return _tiles(f"maps/{layer}", scaled(small), title, "channel", shown, False, step, epoch, time)


def _tiles(
    topic: str,
    found: Scaled,
    title: str,
    label: str,
    group: int,
    signed: bool,
    step: int,
    epoch: float,
    time: float | None,
) -> Tiles:
    return Tiles(
        topic=topic,
        step=step,
        epoch=epoch,
        time=clock.time() if time is None else time,
        pixels=found.pixels,
        lows=found.lows,
        highs=found.highs,
        label=label,
        title=title,
        group=group,
        signed=signed,
    )


def _conv(model: nn.Module, layer: Name) -> nn.Conv2d:
    child = dict(model.named_modules()).get(str(layer))
    if not isinstance(child, nn.Conv2d):
        raise ProbeError.of(
            f"layer {layer}",
            "filters belong to a convolution",
            f"it is {'missing' if child is None else type(child).__name__}",
            f"Choose one of {conv_layers(model)}.",
        )
    return child

"""ModelSpec -> nn.Module. One builder per layer kind, in a plain table; input sizes follow the shapes.

Shapes leave out the batch axis: (C, H, W) for images, (D,) for vectors. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from workbench.specs import layers as spec
from workbench.specs.base import Shape
from workbench.specs.errors import SpecError
from workbench.specs.layer import Layer
from workbench.specs.model import ModelSpec


def build(model: ModelSpec, shape: Shape, seed: int | None = None) -> nn.Sequential:
    """The network for inputs of `shape`, on the CPU, with torch's own initial weights.

    Shapes: input (B, *shape) -> scores (B, K). Child i is layer i of the spec, named str(i).
    Check: its parameters number `model.n_params(shape)`; the same seed gives the same weights, and
    torch's random state is left as it was when a seed is given.
    Raises: SpecError at the first layer that cannot work.
    """
    if not model.layers:
        raise SpecError(*model.problems(shape, 0))
    model.out_shape(shape)  # refuses a stack that cannot work, before anything is allocated
    if seed is None:
        return _stack(model, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _stack(model, shape)


def build_layer(layer: Layer, shape: Shape) -> nn.Module:
    """The module of one layer for an input of `shape`, which is not checked here."""
    return BUILDERS[type(layer)](layer, shape)


def _stack(model: ModelSpec, shape: Shape) -> nn.Sequential:
    modules = []
    for layer in model.layers:
        modules.append(build_layer(layer, shape))
        shape = layer.out_shape(shape)
    return nn.Sequential(*modules)


def _conv2d(layer: spec.Conv2d, shape: Shape) -> nn.Module:
    return nn.Conv2d(
        shape[0],
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
    )


def _batch_norm(layer: spec.BatchNorm, shape: Shape) -> nn.Module:
    norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return norm(shape[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)


# singledispatch would do the same with more ceremony; a new layer is one line here.
BUILDERS: dict[type[Layer], Callable[[Any, Shape], nn.Module]] = {
    spec.Conv2d: _conv2d,
    spec.MaxPool2d: lambda layer, shape: nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding),
    spec.AvgPool2d: lambda layer, shape: nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding),
    spec.AdaptiveAvgPool2d: lambda layer, shape: nn.AdaptiveAvgPool2d(layer.output_size),
    spec.BatchNorm: _batch_norm,
    spec.LayerNorm: lambda layer, shape: nn.LayerNorm(
        shape, eps=layer.eps, elementwise_affine=layer.elementwise_affine
    ),
    spec.GroupNorm: lambda layer, shape: nn.GroupNorm(
        layer.num_groups, shape[0], eps=layer.eps, affine=layer.affine
    ),
    spec.InstanceNorm: lambda layer, shape: nn.InstanceNorm2d(shape[0], eps=layer.eps, affine=layer.affine),
    spec.ReLU: lambda layer, shape: nn.ReLU(),
    spec.LeakyReLU: lambda layer, shape: nn.LeakyReLU(layer.negative_slope),
    spec.ELU: lambda layer, shape: nn.ELU(layer.alpha),
    spec.GELU: lambda layer, shape: nn.GELU(),
    spec.SiLU: lambda layer, shape: nn.SiLU(),
    spec.Tanh: lambda layer, shape: nn.Tanh(),
    spec.Sigmoid: lambda layer, shape: nn.Sigmoid(),
    spec.Hardswish: lambda layer, shape: nn.Hardswish(),
    spec.Mish: lambda layer, shape: nn.Mish(),
    spec.Softplus: lambda layer, shape: nn.Softplus(),
    spec.Softmax: lambda layer, shape: nn.Softmax(dim=1),
    spec.LogSoftmax: lambda layer, shape: nn.LogSoftmax(dim=1),
    spec.Dropout: lambda layer, shape: nn.Dropout(layer.p),
    spec.Dropout2d: lambda layer, shape: nn.Dropout2d(layer.p),
    spec.Flatten: lambda layer, shape: nn.Flatten(),
    spec.Linear: lambda layer, shape: nn.Linear(shape[0], layer.out_features, bias=layer.bias),
}

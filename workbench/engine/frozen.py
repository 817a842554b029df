"""Layers that stay as they are while the others learn.

A frozen layer's weights get no gradient, which also saves the time to compute it, and its batch norms
use and keep the statistics they have, as in evaluation. Dropout inside it goes on: it holds nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.specs.errors import SpecError


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """The layers in the order of `ModelSpec.numbered`, by their names in the model: its children, or where
    these are an encoder and a decoder the children of both, the encoder's first."""
    children = dict(model.named_children())
    if children.keys() != {"encoder", "decoder"}:
        return children
    stacks = ((name, children[name]) for name in ("encoder", "decoder"))
    return {f"{name}.{place}": layer for name, stack in stacks for place, layer in stack.named_children()}


def frozen_names(model: nn.Module, layers: Collection[int], trained: Collection[str]) -> frozenset[str]:
    """The parameters among `trained` that lie in the model's layers number `layers`, or below them.

    Raises: SpecError when there is no such layer, or nothing would be left to train.
    """
    if not layers:
        return frozenset()
    names = list(layers_of(model))
    for index in layers:
        if not 0 <= index < len(names):
            raise SpecError.of(
                "training.freeze",
                f"the model's layers are 0 to {len(names) - 1}",
                f"there is no layer {index}",
                "Choose among them.",
            )
    heads = tuple(f"{names[index]}." for index in layers)
    found = frozenset(name for name in trained if name.startswith(heads))
    if len(found) == len(trained):
        raise SpecError.of(
            "training.freeze",
            "something must be left to train",
            "every layer with weights is frozen",
            "Take at least one of them out.",
        )
    return found


def freeze(
    model: nn.Module, layers: Collection[int], names: Collection[str], trained: Collection[str]
) -> None:
    """Exactly the parameters `names` of `trained`, and the batch norms in layers number `layers`, rest.

    The model is in training mode otherwise.
    """
    for name, parameter in model.named_parameters():
        if name in trained:
            parameter.requires_grad_(name not in names)
    for index, layer in enumerate(layers_of(model).values()):
        for module in layer.modules():
            if isinstance(module, _BatchNorm):
                module.train(index not in layers)
        for module in layer.modules():
            if hasattr(module, "hold_still"):  # a pretrained network, some of whose own layers rest
                module.hold_still()

"""The weights of a trained model, cut to those of the same model with fewer channels.

Of each layer that lost outputs the filters with the largest L1 norm stay, in their order; what reads them
loses the same. Source: Li et al. 2017, https://arxiv.org/abs/1608.08710.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.specs.base import AnyShape
from workbench.specs.errors import RunError
from workbench.specs.model import ModelSpec
from workbench.specs.slim import COUNTS, INNER, chains, groups, stacks


def slimmed(
    tensors: Mapping[str, Tensor], model: ModelSpec, shape: AnyShape, wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """`tensors` of a wider model as the weights of `model`, whose state has the shapes of `wanted`.

    Check: with the dropped filters, biases and running means at zero, ReLU between, the wide model gives the
    same scores. Raises: RunError where the two do not belong together.
    """
    cut = dict(tensors)
    for prefix, layers in stacks(model, shape):
        _row(cut, prefix, layers)
    for name, tensor in wanted.items():
        if name not in cut or cut[name].shape != tensor.shape:
            have = tuple(cut[name].shape) if name in cut else "none"
            raise RunError.of(
                "training.prune", "the model must be its parent's with fewer channels",
                f"{name} needs the shape {tuple(tensor.shape)} and gets {have}",
                "Make it with `workbench shrink RUN --structured`.",
            )  # fmt: skip
    return {name: cut[name].contiguous() for name in wanted}


def _row(cut: dict[str, Tensor], prefix: str, layers: Sequence[Any]) -> None:
    for place, layer in enumerate(layers):
        for begin, inner in groups(layer):
            _row(cut, f"{prefix}{place}.{begin}", inner)
        if layer.kind in INNER:
            _feed_forward(cut, f"{prefix}{place}.", getattr(layer, INNER[layer.kind]))
    for chain in chains(layers):
        maker, name = layers[chain.maker], f"{prefix}{chain.maker}."
        weight, axis, block = cut.get(f"{name}weight"), _outputs(maker), chain.block
        n = getattr(maker, COUNTS[maker.kind]) // block
        if weight is None or weight.shape[axis] // block <= n:
            continue
        whole = weight.shape[axis] // block
        kept = _strongest(weight.transpose(0, axis).reshape(whole, -1), n)
        rows = _spread(kept, block)
        cut[f"{name}weight"] = weight.index_select(axis, rows)
        if f"{name}bias" in cut:
            cut[f"{name}bias"] = cut[f"{name}bias"][rows]
        own, count = rows, whole * block  # of a vector that is no image yet, every number is a channel
        for place in chain.between:
            if layers[place].kind == "unflatten":
                own, count = kept, whole
            _take(cut, f"{prefix}{place}.", own, count)
        reader = layers[chain.reader]
        _read(cut, f"{prefix}{chain.reader}.weight", kept, whole, 1 - _outputs(reader), steps=chain.steps)


def _outputs(layer: Any) -> int:
    """The axis of a weight along which its outputs lie; its inputs lie along the other of the first two."""
    return 1 if layer.kind == "conv_transpose2d" else 0


def _feed_forward(cut: dict[str, Tensor], prefix: str, n: int) -> None:
    first = cut.get(f"{prefix}linear1.weight")
    if first is None or first.shape[0] <= n:
        return
    whole, kept = first.shape[0], _strongest(first, n)
    _take(cut, f"{prefix}linear1.", kept)
    _read(cut, f"{prefix}linear2.weight", kept, whole)


def _strongest(weight: Tensor, n: int) -> Tensor:
    """Places (n,) of the filters with the largest L1 norm, in rising order."""
    sizes = weight.abs().flatten(1).sum(dim=1)
    return sizes.argsort(descending=True, stable=True)[:n].sort().values


def _take(cut: dict[str, Tensor], prefix: str, kept: Tensor, whole: int | None = None) -> None:
    """Of a layer's own tensors the outputs `kept`; whole: only tensors of so many numbers."""
    for part in ("weight", "bias", "running_mean", "running_var"):
        tensor = cut.get(prefix + part)
        if tensor is not None and tensor.ndim and (whole is None or tensor.shape[0] == whole):
            cut[prefix + part] = tensor[kept]


def _read(
    cut: dict[str, Tensor], name: str, kept: Tensor, whole: int, axis: int = 1, *, steps: bool = False
) -> None:
    """Of a reader's weight, its inputs along `axis`, the inputs `kept`; behind a flatten each stands for a
    block, or for one number of every step where `steps`."""
    weight = cut.get(name)
    if weight is None or weight.ndim < 2 or weight.shape[axis] % whole:
        return  # another model's: `slimmed` says so
    block = weight.shape[axis] // whole
    places = (torch.arange(block).unsqueeze(1) * whole + kept).reshape(-1) if steps else _spread(kept, block)
    cut[name] = weight.index_select(axis, places)


def _spread(kept: Tensor, block: int) -> Tensor:
    """The places of all numbers of the channels `kept`, `block` of each."""
    return (kept.unsqueeze(1) * block + torch.arange(block)).reshape(-1)

"""Weights held at zero: which ones, and that they stay there.

Notation: n trainable weights in the flat vector.
Source: Han et al. 2015, https://arxiv.org/abs/1506.02626: small weights out, the rest trained on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from workbench.engine.flat import Flat
from workbench.specs.errors import SpecError
from workbench.specs.smaller import Prune


class Masks:
    """kept (n,) float32: 1 where a weight lives, 0 where it is held at zero; laid out like the weights."""

    def __init__(self, flat: Flat, kept: Tensor, names: tuple[str, ...]) -> None:
        self._flat = flat
        self.kept = kept
        self.names = names  # of the parameters that may be pruned

    @classmethod
    def smallest(cls, model: nn.Module, flat: Flat, prune: Prune) -> Masks:
        """Masks of the smallest weights by size, over all layers together or within each. Biases, norms,
        embeddings and positions stay whole.

        Check: the share of zeros is prune.amount to one weight (per layer, or on the whole).
        Raises: SpecError where the model has no weights of that kind.
        """
        names = prunable(model, flat)
        if not names:
            raise SpecError.of(
                "training.prune", "pruning needs linear, convolutional or recurrent layers", "there are none",
                "Leave training.prune empty.",
            )  # fmt: skip
        parts = flat.split(flat.weights.detach())
        kept = torch.ones_like(flat.grad)
        views = flat.split(kept)
        if prune.scope == "layer":
            for name in names:
                views[name].copy_(_largest(parts[name].abs(), prune.amount))
        else:
            sizes = torch.cat([parts[name].abs().reshape(-1) for name in names])
            chosen = _largest(sizes, prune.amount).split([parts[name].numel() for name in names])
            for name, mask in zip(names, chosen, strict=True):
                views[name].copy_(mask.view(parts[name].shape))
        return cls(flat, kept, names)

    @classmethod
    def restored(cls, flat: Flat, packed: Mapping[str, Tensor]) -> Masks:
        """The masks that `packed` wrote."""
        kept = torch.ones_like(flat.grad)
        views = flat.split(kept)
        for name, bits in packed.items():
            flags = np.unpackbits(bits.numpy(), count=views[name].numel())
            views[name].copy_(torch.from_numpy(flags).view(views[name].shape))
        return cls(flat, kept, tuple(packed))

    def packed(self) -> dict[str, Tensor]:
        """Parameter name → uint8, a bit a weight, on the CPU: what a checkpoint keeps."""
        views = self._flat.split(self.kept)
        return {
            name: torch.from_numpy(np.packbits(views[name].cpu().contiguous().view(-1).numpy() > 0))
            for name in self.names
        }

    def hold(self) -> None:
        """Zero what is masked, in the weights."""
        self._flat.weights.detach().mul_(self.kept)

    @property
    def zeros(self) -> int:
        """Weights held at zero. Waits for the device."""
        return int((self.kept == 0).sum())


def prunable(model: nn.Module, flat: Flat) -> tuple[str, ...]:
    """Names of the trainable weights of linear, convolutional and recurrent layers, in the vector's order;
    those shared with an embedding are left out. Of two networks, those of the one that is used later."""
    head = f"{model.product}." if getattr(model, "product", "") else ""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    wanted = set()
    for module in model.modules():
        if isinstance(module, nn.Linear | _ConvNd | nn.RNNBase | nn.RNNCellBase):
            wanted |= {id(p) for p in module.parameters(recurse=False) if p.ndim >= 2 and id(p) not in tables}
    return tuple(
        name
        for name, p in model.named_parameters()
        if id(p) in wanted and name in flat.spans and name.startswith(head)
    )


def _largest(sizes: Tensor, amount: float) -> Tensor:
    """1 for all but the `amount` smallest, ties by place; the shape of `sizes`."""
    out = torch.ones_like(sizes)
    n = min(round(amount * sizes.numel()), sizes.numel() - 1)
    if n:
        order = sizes.reshape(-1).argsort(stable=True)
        out = out.reshape(-1).index_fill(0, order[:n], 0.0).view(sizes.shape)
    return out

"""Two networks that learn against each other, as one module."""

# mypy: disable-error-code="misc"
# (torch is not type-checked here, and mypy minds subclassing what it does not know)

from __future__ import annotations

import torch
from torch import nn


def product_of(model: nn.Module) -> nn.Module:
    """What is used of a trained model: of two networks the generator, else all of it."""
    name = getattr(model, "product", "")
    return model.get_submodule(name) if name else model


class Adversaries(nn.Module):
    """generator: noise (B, D) -> images (B, C, H, W); discriminator: images -> scores (B, 1), high for true.

    Called as a whole it tells scores of images. The children learn in turns (`turns`, in the order in which
    their weights lie).
    """

    turns = ("generator", "discriminator")
    product = "generator"  # what is used, pruned and quantised once they have learned

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.discriminator(x)

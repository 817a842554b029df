"""The image itself, through a narrow place: how far what comes out is from what came in.

Notation: B images; scores and y (B, C, H, W) float, both on the scale on which the model sees images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.tasks.quiet import Quiet

NARROW = 1e-6  # from 0 and 1: a logarithm needs it


class Reconstruction(Quiet):
    """Mean squared difference or cross-entropy of pixels; with codes that are drawn, their distance from a
    standard normal distribution too (the negative ELBO of Kingma & Welling 2014, per pixel)."""

    kind = "reconstruction"
    per_token = False
    counted = "mae"
    n_classes = 0

    def __init__(
        self, loss: str = "mse", kl_weight: float = 1.0, *, draws: bool = False, std: Sequence[float] = (1.0,)
    ) -> None:
        """draws: whether the model draws its codes; std (C,): what a pixel of 1 is on the 0..1 scale."""
        self.form = loss
        self.kl_weight = kl_weight
        self.parts = ("reconstruction", "kl") if draws else ()
        self._std = torch.tensor([float(value) for value in std]).view(1, -1, 1, 1)

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean over all numbers of the batch, a scalar; bce in nats. Check: 0 for mse of equals."""
        if self.form == "bce":
            return F.binary_cross_entropy(scores.clamp(NARROW, 1.0 - NARROW), y.clamp(0.0, 1.0))
        return F.mse_loss(scores, y)

    def whole(self, model: nn.Module, loss: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss with the distance of the codes of the last forward pass; and its parts (2,)."""
        if not self.parts:
            return loss, None
        found = [module.divergence for module in model.modules() if hasattr(module, "divergence")]
        distance = torch.stack([one.float() for one in found if one is not None]).sum() / y[0].numel()
        return loss + self.kl_weight * distance, torch.stack([loss.detach(), distance.detach()])

    def mass(self, y: Tensor) -> int | Tensor:
        """Images."""
        return len(y)

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How far pixels from 0 to 1 are off, in sum: (..., B, C, H, W) each -> (...)."""
        return ((scores - y).abs() * self._std.to(y.device)).sum(dim=(-4, -3, -2, -1))

    def count(self, y: Tensor) -> Tensor | None:
        """Pixels of all channels: (..., B, C, H, W) -> (...)."""
        return torch.full(y.shape[:-4], y[(0,) * (y.ndim - 4)].numel(), device=y.device)

    def predict(self, scores: Tensor) -> Tensor:
        """What came out, as it is."""
        return scores.float()

    def sums(self, scores: Tensor, y: Tensor) -> Tensor | None:
        """(4 + C * H * W,): images, errors without sign, squared errors, squares, and the sum of each pixel;
        of pixels from 0 to 1."""
        std = self._std.to(y.device)
        off, own = (scores - y) * std, y * std
        n = torch.tensor(float(len(y)), device=y.device)
        facts = [n, off.abs().sum(), off.square().sum(), own.square().sum()]
        return torch.cat([torch.stack(facts), own.sum(dim=0).flatten()]).to(torch.float32)

    def marks_of(self, sums: np.ndarray) -> dict[str, float]:
        """mae and mse of pixels from 0 to 1; psnr in decibels; explained: the share of the variance about the
        mean image that is not lost, 0 for one who always gives that image."""
        n, off, error, squares = sums[:4]
        total = sums[4:]
        spread = squares - float(total @ total) / max(n, 1.0)
        mse = error / max(n * len(total), 1.0)
        return {
            "mae": off / max(n * len(total), 1.0),
            "mse": mse,
            "psnr": -10.0 * math.log10(max(mse, 1e-12)),
            "explained": 1.0 - error / spread if spread > 0 else math.nan,
        }

"""Images out of noise: what each of two networks must reach, and how far made images are from true ones.

Notation: B images (B, C, H, W); scores (B,) or (B, 1) float of the discriminator, high for true images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.tasks.quiet import Quiet

SIDE = 14  # pixels to which images are averaged down before they are compared
MOST = 1000  # images that are compared
BATCH = 100
SEED = 20_141_211  # of the noise that is judged: the same at every validation


class Generation(Quiet):
    """The losses of Goodfellow et al. 2014 (https://arxiv.org/abs/1406.2661), the generator's as section 3
    advises: -log D of what it made."""

    kind = "generation"
    per_token = False
    counted = "told_apart"  # by the discriminator: 0.5 where it cannot tell
    n_classes = 1
    parts = ("discriminator_loss",)

    def __init__(self, latent: int, real_label: float = 1.0) -> None:
        self.latent = latent
        self.real_label = real_label

    def noise(self, n: int) -> Tensor:
        """(n, latent) on the CPU, from torch's global generator: a checkpoint holds its state."""
        return torch.randn(n, self.latent)

    def loss(self, scores: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy in nats of scores with y (1 true, 0 made). Check: log 2 for scores of 0."""
        return F.binary_cross_entropy_with_logits(scores.flatten(), y.flatten().to(scores.dtype))

    def generator_loss(self, made: Tensor) -> Tensor:
        """From the scores of made images: low where they are taken for true ones."""
        return self.loss(made, torch.ones_like(made))

    def discriminator_loss(self, true: Tensor, made: Tensor) -> Tensor:
        """From scores of true and of made images, each half. Check: log 2 for scores of 0, real_label 1."""
        right = self.loss(true, torch.full_like(true, self.real_label))
        return 0.5 * (right + self.loss(made, torch.zeros_like(made)))

    def whole(self, model: nn.Module, loss: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Two networks have a trainer of their own, which tells both losses."""
        return loss, None

    def mass(self, y: Tensor) -> int | Tensor:
        """Images, true and made."""
        return y.numel()

    def hits(self, scores: Tensor, y: Tensor) -> Tensor:
        """How many were told right: (..., 2 B) each -> (...)."""
        return ((scores > 0) == (y > 0.5)).sum(dim=-1)

    def count(self, y: Tensor) -> Tensor | None:
        """True and made images: (..., 2 B) -> (...)."""
        return torch.full(y.shape[:-1], y.shape[-1], device=y.device)

    def predict(self, scores: Tensor) -> Tensor:
        """The chance that each image is a true one."""
        return torch.sigmoid(scores.float())

    def judged(
        self, model: Any, batches: Iterable[tuple[Tensor, Tensor]],
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> tuple[float, dict[str, float]]:  # fmt: skip
        """Of a whole split: (distance, marks). The two losses say who is ahead and nothing of the images, so
        the mark to choose by is `frechet` of images made of fixed noise. In eval mode, without gradients."""
        true, told, n, device = [], [], 0, torch.device("cpu")
        for x, _ in batches:
            device = x.device
            with autocast():
                told.append(model(x).float().flatten())
            true.append(_small(x))
            n += len(x)
        if not n:
            return float("nan"), {"told_apart": float("nan")}
        generator = torch.Generator().manual_seed(SEED)
        noise = torch.randn(min(n, MOST), self.latent, generator=generator).to(device)
        made, answered = [], []
        for some in noise.split(BATCH):
            with autocast():
                images = model.generator(some)
                answered.append(model(images).float().flatten())
            made.append(_small(images))
        scores, against = torch.cat(told), torch.cat(answered)
        distance = frechet(torch.cat(true)[:MOST], torch.cat(made))
        right = float((scores > 0).float().mean() + (against < 0).float().mean()) / 2
        marks = {
            "told_apart": right,
            "discriminator_loss": float(self.discriminator_loss(scores, against)),
            "generator_loss": float(self.generator_loss(against)),
            "distance": distance,
        }
        return distance, marks


def frechet(true: Tensor, made: Tensor) -> float:
    """How far the second set of vectors is from the first in mean and covariance: 0 for equal ones, 1 for one
    that is the first's mean throughout.

    Shapes: (n, D), (m, D). The squared Fréchet distance of two normal distributions (Dowson & Landau 1982,
    https://doi.org/10.1016/0047-259X(82)90077-X) over the first's total variance. Finite samples of one
    distribution are a little apart: about D / n.
    """
    a, b = (part.double().cpu() for part in (true, made))
    if not torch.isfinite(b).all() or len(a) < 2 or len(b) < 2:
        return float("nan")
    covariances = [torch.cov(part.T).reshape(a.shape[1], -1) for part in (a, b)]
    values, vectors = torch.linalg.eigh(covariances[0])
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    mixed = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    spread = covariances[0].trace()
    apart = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    total = apart + spread + covariances[1].trace() - 2 * mixed
    return float(total.clamp(min=0) / spread) if spread > 0 else float("nan")


def _small(images: Tensor) -> Tensor:
    """Images as vectors of at most 14×14 pixels: (B, D) float32."""
    sides = [min(SIDE, side) for side in images.shape[2:]]
    return F.adaptive_avg_pool2d(images.float(), sides).flatten(1)

"""Tasks whose answer is an image: segmentation, reconstruction, generation."""

from __future__ import annotations

from typing import Literal

from workbench.specs.base import AnyShape, Duel, Picture, knob
from workbench.specs.task import TaskSpec

PICTURE_TASKS = ("segmentation", "reconstruction", "generation")  # images come out, not scores of classes
UNLABELLED = ("reconstruction", "generation")  # any set of images serves them; its labels are not asked for


class SegmentationTask(TaskSpec):
    """A class for every pixel; the loss is cross-entropy, and one minus the Dice overlap if wanted."""

    kind: Literal["segmentation"] = "segmentation"
    dice: float = knob(
        0.5,
        "Weight of the Dice loss beside cross-entropy: small things count as much as large ones; 0 for none",
        ge=0, le=10,
    )  # fmt: skip

    def input(self, shape: AnyShape, n_scores: int) -> AnyShape:
        return Picture(shape, (n_scores, *shape[1:]), scored=True)  # type: ignore[arg-type]


class ReconstructionTask(TaskSpec):
    """The image itself, through a narrow place; labels are not needed."""

    kind: Literal["reconstruction"] = "reconstruction"
    loss: Literal["mse", "bce"] = knob(
        "mse",
        "mse: mean squared difference of pixels; bce: cross-entropy of pixels from 0 to 1, for a network "
        "that ends with a sigmoid on images normalized to unit",
    )
    kl_weight: float = knob(
        1.0,
        "Of a network with a reparameterize layer: how much the distance of its codes from a standard normal "
        "distribution counts, in nats per pixel",
        ge=0, le=1000,
    )  # fmt: skip

    def input(self, shape: AnyShape, n_scores: int) -> AnyShape:
        return Picture(shape, shape)  # type: ignore[arg-type]


class GenerationTask(TaskSpec):
    """Two networks against each other: one makes images of noise, the other tells them from true ones
    (Goodfellow et al. 2014). Labels are not needed."""

    kind: Literal["generation"] = "generation"
    latent: int = knob(64, "Random numbers of which an image is made", unit="numbers", ge=1, le=4096)
    real_label: float = knob(
        0.9, "What the discriminator shall say of a true image; below 1 it stays less sure of itself",
        gt=0.5, le=1,
    )  # fmt: skip
    samples: int = knob(
        24,
        "Images made of the same noise at each look, so that one sees them form",
        unit="images",
        ge=1,
        le=64,
    )

    def input(self, shape: AnyShape, n_scores: int) -> AnyShape:
        return Duel(shape, (self.latent,))  # type: ignore[arg-type]

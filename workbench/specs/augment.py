"""Random changes of the training images, batch by batch: what they are; `engine.augment` does them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workbench.specs.base import Spec, knob


class Augmentation(Spec):
    """One random change. Each image of a batch is drawn for itself, with probability `p`."""

    p: float = knob(0.5, "Share of the images that is changed", ge=0, le=1)
    mixes: ClassVar[bool] = False  # whether it blends images of a batch, and their labels with them


class Flip(Augmentation):
    """Mirrors left and right (or top and bottom)."""

    kind: Literal["flip"] = "flip"
    axis: Literal["horizontal", "vertical"] = knob("horizontal", "Direction of the mirroring")


class Shift(Augmentation):
    """Moves the image; the border is filled with its edge."""

    kind: Literal["shift"] = "shift"
    strength: float = knob(0.1, "Largest move, as a share of the side", gt=0, le=0.5)


class Rotate(Augmentation):
    """Turns the image about its centre."""

    kind: Literal["rotate"] = "rotate"
    strength: float = knob(15.0, "Largest angle either way", unit="degrees", gt=0, le=180)


class Scale(Augmentation):
    """Zooms in or out."""

    kind: Literal["scale"] = "scale"
    strength: float = knob(0.1, "Largest change of size, as a share", gt=0, le=0.9)


class Shear(Augmentation):
    """Slants the image."""

    kind: Literal["shear"] = "shear"
    strength: float = knob(10.0, "Largest slant either way", unit="degrees", gt=0, le=45)


class Colour(Augmentation):
    """Changes brightness and contrast, and on colour images the saturation."""

    kind: Literal["colour"] = "colour"
    strength: float = knob(0.2, "Largest change, as a share", gt=0, le=1)


class Blur(Augmentation):
    """Softens the image with a Gaussian."""

    kind: Literal["blur"] = "blur"
    strength: float = knob(1.0, "Largest standard deviation", unit="pixels", gt=0, le=10)


class Noise(Augmentation):
    """Adds independent noise to every pixel."""

    kind: Literal["noise"] = "noise"
    strength: float = knob(0.1, "Standard deviation, in units of the full pixel range", gt=0, le=1)


class Cutout(Augmentation):
    """Blanks one square (DeVries 2017)."""

    kind: Literal["cutout"] = "cutout"
    strength: float = knob(0.3, "Side of the square, as a share of the image's", gt=0, le=0.9)


class Mixup(Augmentation):
    """Blends two images and their labels (Zhang 2018)."""

    mixes: ClassVar[bool] = True
    kind: Literal["mixup"] = "mixup"
    strength: float = knob(0.2, "Alpha of the beta distribution the blend is drawn from", gt=0, le=10)


class Cutmix(Augmentation):
    """Pastes a rectangle of another image, and mixes the labels by its area (Yun 2019)."""

    mixes: ClassVar[bool] = True
    kind: Literal["cutmix"] = "cutmix"
    strength: float = knob(1.0, "Alpha of the beta distribution the area is drawn from", gt=0, le=10)


AnyAugmentation = Annotated[
    Flip | Shift | Rotate | Scale | Shear | Colour | Blur | Noise | Cutout | Mixup | Cutmix,
    Field(discriminator="kind"),
]

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    cls.model_fields["kind"].default: cls
    for cls in AnyAugmentation.__origin__.__args__  # type: ignore[attr-defined]
}

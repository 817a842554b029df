"""Which data a run sees, and how it is cut into splits. The data itself is the data room's."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workbench.specs.augment import AnyAugmentation
from workbench.specs.base import Shape, Spec, knob

DataName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class DataSpec(Spec):
    """A registered data set by name, with what is done to its images before training."""

    name: DataName = knob("fashion-mnist-sample", "The data set, by the name it was registered with")
    size: int | None = knob(
        None,
        "Side to which every image is resized; empty keeps the size the set was imported with",
        unit="pixels",
        ge=4,
        le=512,
    )
    channels: Literal[1, 3] | None = knob(
        None, "1 turns images to grey, 3 to colour; empty keeps what the set has", advanced=True
    )
    validation: float = knob(
        0.1,
        "Share of the training images held out for validation when the set brings no validation split",
        ge=0.01,
        le=0.5,
    )
    test: float = knob(
        0.1,
        "Share of the images held out for the final test when the set brings no test split",
        ge=0.0,
        le=0.5,
        advanced=True,
    )
    split_seed: int = knob(
        0, "Seed of the stratified split; the same seed cuts the same way", ge=0, le=2**31 - 1, advanced=True
    )
    groups: Literal["none", "given", "prefix"] = knob(
        "none",
        "Keeps images that belong together in one split. given: by the groups the set was imported with "
        "(one patient, one scene); prefix: by file names up to their last _ or -",
        advanced=True,
    )
    folds: int = knob(
        5, "Parts for cross-validation; used when a fold is chosen", unit="parts", ge=2, le=20, advanced=True
    )
    fold: int | None = knob(
        None,
        "Which part is validated on, from 1; empty holds out the validation share instead",
        ge=1,
        le=20,
        advanced=True,
    )
    normalize: Literal["standardize", "unit"] = knob(
        "standardize",
        "standardize: zero mean and unit variance per channel, measured on the training split; "
        "unit: pixel values from 0 to 1",
        advanced=True,
    )
    limit: int | None = knob(
        None,
        "Use at most this many training images, drawn evenly over the classes; empty uses all",
        unit="images",
        ge=1,
        advanced=True,
    )
    augment: tuple[AnyAugmentation, ...] = knob(
        (), "Random changes of the training images, in this order; none by default", max_length=16
    )

    @model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.fold is not None and self.fold > self.folds:
            raise ValueError("the fold is one of the folds; choose a smaller fold, or more folds")
        return self


class DataSchema(Spec):
    """What a data set is, as far as a model and a form must know. Written once at import."""

    kind: Literal["images"] = "images"
    task: Literal["classification"] = "classification"
    shape: Shape = (1, 28, 28)  # (C, H, W) as stored
    classes: tuple[str, ...] = ()
    source: str = ""  # where it came from, for people
    licence: str = ""

    def shape_for(self, spec: DataSpec) -> Shape:
        """(C, H, W) that a model sees under `spec`."""
        channels, height, width = self.shape
        if spec.size is not None:
            height = width = spec.size
        return (spec.channels or channels, height, width)

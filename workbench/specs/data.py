"""Which data a run sees, and how it is cut into splits. The data itself is the data room's."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workbench.specs.augment import AnyAugmentation
from workbench.specs.base import Shape, Spec, knob
from workbench.specs.picture_tasks import UNLABELLED
from workbench.specs.tables import TableColumn, TableSpec

DataName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class TextSpec(Spec):
    """How texts become numbers: the tokenizer is trained on the training split alone, or a model's own."""

    tokenizer: Literal["character", "word", "bpe", "wordpiece", "pretrained"] = knob(
        "word",
        "character: every character a token; word: words and punctuation; bpe and wordpiece: frequent parts "
        "of words, which leave no word unknown; pretrained: that of a model named in source, as it is",
    )
    source: str = knob(
        "", "For pretrained: whose tokenizer, a model's whole folder path or its name on huggingface.co",
        max_length=500, advanced=True,
    )  # fmt: skip
    vocabulary: int = knob(
        10_000, "Different tokens at most, the most frequent first; texts may need fewer", unit="tokens",
        ge=16, le=200_000,
    )  # fmt: skip
    length: int = knob(
        128,
        "Tokens of a text that the model sees; what is longer is cut off. Of a text to continue the context: "
        "how far back the model looks; nothing is cut off, the text is read in windows of it",
        unit="tokens", ge=2, le=8192,
    )  # fmt: skip
    lowercase: bool = knob(False, "Read Capitals as small letters", advanced=True)
    min_frequency: int = knob(
        1, "Tokens seen less often in the training texts count as unknown", unit="times", ge=1, le=1000,
        advanced=True,
    )  # fmt: skip


class SeriesSpec(Spec):
    """How a series becomes samples: windows of its past, and the steps that follow and are to be told."""

    look_back: int = knob(96, "Steps of the past that the model sees", unit="steps", ge=1, le=20_000)
    horizon: int = knob(24, "Steps ahead that it tells, all of them at once", unit="steps", ge=1, le=10_000)
    target: str = knob(
        "", "The one variate that is told, by name; empty: all of them. The model sees all either way",
        max_length=200,
    )  # fmt: skip
    scaling: Literal["standardize", "none"] = knob(
        "standardize",
        "standardize: each variate with zero mean and unit variance on the training steps; none: as it is",
    )
    stride: int = knob(
        1, "Steps from the beginning of one training window to that of the next", unit="steps", ge=1,
        le=100_000, advanced=True,
    )  # fmt: skip
    season: int | None = knob(
        None,
        "Steps after which things come round again, for the seasonal floor and MASE; empty: as its frequency "
        "suggests (24 of hours, 7 of days, 12 of months)",
        unit="steps", ge=1, le=1_000_000, advanced=True,
    )  # fmt: skip
    rows: int | None = knob(
        None,
        "Use the first so many steps only; empty uses all. Papers on ETTh1 use 14,400, cut 12/4/4 months",
        unit="steps", ge=4, advanced=True,
    )  # fmt: skip


class DataSpec(Spec):
    """A registered data set by name, with what is done to its samples before training."""

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
        "Share of the training samples held out for validation when the set brings no validation split; of a "
        "text to continue a stretch of it, cut where a passage ends",
        ge=0.01,
        le=0.5,
    )
    test: float = knob(
        0.1,
        "Share of the samples held out for the final test when the set brings no test split; of a text to "
        "continue its end, cut where a passage ends",
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
    normalize: Literal["standardize", "unit", "symmetric"] = knob(
        "standardize",
        "standardize: zero mean and unit variance per channel, measured on the training split; "
        "unit: pixel values from 0 to 1; symmetric: from -1 to 1",
        advanced=True,
    )
    limit: int | None = knob(
        None,
        "Use at most this many training images, drawn evenly over the classes; empty uses all",
        unit="images",
        ge=1,
        advanced=True,
    )
    text: TextSpec = Field(default_factory=TextSpec, description="How texts become tokens; texts only")
    series: SeriesSpec = Field(
        default_factory=SeriesSpec, description="How a series is cut into windows; series only"
    )
    table: TableSpec = Field(default_factory=TableSpec, description="How cells become numbers; tables only")
    augment: tuple[AnyAugmentation, ...] = knob(
        (), "Random changes of the training images, in this order; none by default", max_length=16
    )

    @model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.fold is not None and self.fold > self.folds:
            raise ValueError("the fold is one of the folds; choose a smaller fold, or more folds")
        return self


class TextImport(Spec):
    """How a person wants texts to be read, where it should not be guessed. Empty fields are guessed."""

    task: Literal["classification", "language_model", "translation"] | None = knob(
        None, "What the texts are for: to be classified, continued or translated; empty guesses"
    )
    text_columns: tuple[str, ...] = knob(
        (),
        "Columns of the text, by name or by number from 1; several are joined by a blank. Of aligned files: "
        "the language that is translated",
        max_length=20,
    )
    label_column: str | None = knob(None, "Column of the class", max_length=200)
    target_column: str | None = knob(
        None,
        "Column of the translation. Of aligned files: the language that is translated into",
        max_length=200,
    )
    header: bool | None = knob(None, "Whether the first row of a table names its columns; empty guesses")
    encoding: str | None = knob(
        None, "Encoding of the files, such as shift_jis; empty: UTF-8, UTF-16 or cp1252, as found",
        max_length=40, advanced=True,
    )  # fmt: skip


class DataSchema(Spec):
    """What a data set is, as far as a model and a form must know. Written once at import."""

    kind: Literal["images", "text", "series", "table"] = "images"
    task: Literal[
        "classification", "language_model", "translation", "segmentation", "forecasting", "regression",
        "multi_label", "reconstruction",
    ] = "classification"  # fmt: skip
    shape: Shape = (1, 28, 28)  # (C, H, W) as stored; () for all but images
    classes: tuple[str, ...] = ()  # of segmentation: of the pixels; none of images without classes
    # Of a table: what became text, label and target; of a series also how it was read.
    columns: dict[str, str] = Field(default_factory=dict)
    variates: tuple[str, ...] = ()  # of a series, in the order of its columns
    frequency: str = ""  # of a series: "1 h", "1 month"; empty where its steps are only numbered
    fields: tuple[TableColumn, ...] = ()  # of a table of numbers and words, its columns
    source: str = ""  # where it came from, for people
    licence: str = ""

    def serves(self, task: str) -> bool:
        """Whether a task of that kind can be learned from the set: its own, and of images those without
        labels."""
        return task == self.task or (self.kind == "images" and task in UNLABELLED)

    def class_of(self, label: int) -> str:
        """The name of a class; empty where the set has none."""
        return self.classes[label] if self.classes else ""

    def shape_for(self, spec: DataSpec) -> Shape:
        """(C, H, W) that a model sees under `spec`. Images only: texts need their tokenizer for it."""
        channels, height, width = self.shape
        if spec.size is not None:
            height = width = spec.size
        return (spec.channels or channels, height, width)

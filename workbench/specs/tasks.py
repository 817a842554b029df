"""What a model is trained to tell: the tasks, each with its loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from workbench.specs.base import knob
from workbench.specs.picture_tasks import GenerationTask, ReconstructionTask, SegmentationTask
from workbench.specs.task import TaskSpec


class ClassificationTask(TaskSpec):
    """One class per sample, told by the highest score; the loss is cross-entropy."""

    kind: Literal["classification"] = "classification"
    label_smoothing: float = knob(
        0.0, "Share of the target spread over all classes, against overconfidence", ge=0, lt=1
    )
    class_weights: Literal["none", "balanced"] = knob(
        "none",
        "balanced: samples of rare classes count more in the loss, by the inverse of their class's share of "
        "the training samples",
    )


class LanguageModelTask(TaskSpec):
    """The next token at every place of a text; the loss is cross-entropy. Each validation writes a text."""

    kind: Literal["language_model"] = "language_model"
    prompt: str = knob(
        "", "Beginning of the text written at each validation; empty begins as the data does", max_length=2000
    )
    sample_tokens: int = knob(
        200, "Tokens written at each validation; 0 writes nothing", unit="tokens", ge=0, le=4096
    )
    temperature: float = knob(
        0.8, "Below 1 the likely tokens become likelier, above 1 less likely; 0 always takes the likeliest",
        ge=0, le=10,
    )  # fmt: skip
    top_k: int | None = knob(
        None, "Draw from so many likeliest tokens only; empty: from all", unit="tokens", ge=1, le=200_000
    )
    top_p: float | None = knob(
        None,
        "Draw from the likeliest tokens that together have this probability; empty: from all",
        gt=0,
        le=1,
    )


class TranslationTask(TaskSpec):
    """A text for a text, token by token (teacher forcing); the loss is cross-entropy."""

    kind: Literal["translation"] = "translation"
    label_smoothing: float = knob(
        0.0, "Share of the target spread over all tokens, against overconfidence", ge=0, lt=1
    )
    beam: int = knob(
        4, "Translations followed side by side when the model is asked; 1 takes the likeliest token",
        unit="beams", ge=1, le=32,
    )  # fmt: skip
    scored: int = knob(
        100, "Validation texts translated at each validation, for BLEU; 0 translates none", unit="texts",
        ge=0, le=5000, advanced=True,
    )  # fmt: skip


MIDDLE = 0.5  # half of the values fall below it: the forecast
MOST_QUANTILES = 19


class ForecastingTask(TaskSpec):
    """The next steps of a series, from a window of its past."""

    kind: Literal["forecasting"] = "forecasting"
    loss: Literal["mse", "mae", "huber", "quantile"] = knob(
        "mse",
        "mse: squared errors, which large ones rule; mae: absolute errors; huber: squared where small, "
        "absolute where large; quantile: tells a band, by the pinball loss of each quantile",
    )
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = knob(
        (0.1, 0.5, 0.9),
        "What the quantile loss tells: 0.1 is the value that one in ten falls below; 0.5 is the forecast and "
        "must be among them",
        min_length=1, max_length=MOST_QUANTILES,
    )  # fmt: skip
    calibrate: bool = knob(
        True,
        "Quantile: the band is stretched around its middle until it holds as many values of the validation "
        "as it is meant to; the factors go with the model. Up to 1024 times as wide: where that is not "
        "enough, what it holds stands beside it",
    )
    delta: float = knob(
        1.0, "Errors up to this are squared by the huber loss, in standard deviations", gt=0, le=1000,
        advanced=True,
    )  # fmt: skip

    @model_validator(mode="after")
    def _rising(self) -> ForecastingTask:
        if any(a >= b for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)):
            raise ValueError("quantiles rise, and none occurs twice; sort them")
        return self

    @property
    def told(self) -> tuple[float, ...]:
        """The quantiles that are told of every value; one number alone where the loss is another."""
        return self.quantiles if self.loss == "quantile" else (0.5,)

    @property
    def has_middle(self) -> bool:
        """Whether one of them is the forecast. Specs of before may tell a band alone."""
        return any(abs(q - MIDDLE) < 1e-6 for q in self.told)


def score_columns(task: TaskSpec, n: int) -> int:
    """Columns of the scores where the data asks for `n`: of a forecast, so many for each quantile."""
    return n * len(task.told) if isinstance(task, ForecastingTask) else n


class RegressionTask(TaskSpec):
    """A number per sample. Marks are told in the target's own unit."""

    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "mae", "huber"] = knob(
        "mse",
        "mse: squared error, large ones count most; mae: absolute error; huber: squared near zero, absolute "
        "beyond delta",
    )
    delta: float = knob(
        1.0,
        "Huber: where it turns from squared to absolute, in the target's spread",
        gt=0,
        le=1000,
        advanced=True,
    )


class MultiLabelTask(TaskSpec):
    """Several labels per sample, each yes or no; the loss is binary cross-entropy."""

    kind: Literal["multi_label"] = "multi_label"


TOKEN_TASKS = ("language_model", "translation")  # one score row per token, not per sample


def _named_kind(value: object) -> object:
    """Specs of before there were several tasks may leave the kind out."""
    return {"kind": "classification", **value} if isinstance(value, dict) else value


AnyTask = Annotated[
    ClassificationTask
    | LanguageModelTask
    | TranslationTask
    | ForecastingTask
    | RegressionTask
    | MultiLabelTask
    | SegmentationTask
    | ReconstructionTask
    | GenerationTask,
    Field(discriminator="kind"),
    BeforeValidator(_named_kind),
]

"""How a model is trained: optimizer, schedule, length, stopping, precision, checkpoints."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from workbench.specs.base import Spec, knob
from workbench.specs.picture_tasks import GenerationTask, ReconstructionTask, SegmentationTask
from workbench.specs.smaller import Distill, Prune
from workbench.specs.task import TaskSpec

# ---------------------------------------------------------------- optimizers


class Optimizer(Spec):
    """What all optimizers share."""

    lr: float = knob(1e-3, "Learning rate: the size of a step at the schedule's peak", gt=0, le=10)
    weight_decay: float = knob(0.0, "Pulls the weights towards zero at every step", ge=0, le=1)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum."""

    kind: Literal["sgd"] = "sgd"
    lr: float = knob(0.05, "Learning rate: the size of a step at the schedule's peak", gt=0, le=10)
    momentum: float = knob(0.9, "Share of the last step that is kept", ge=0, lt=1)
    nesterov: bool = knob(False, "Look ahead along the momentum before taking the gradient", advanced=True)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; set momentum to 0.9 or turn nesterov off")
        return self


class Adam(Optimizer):
    """Steps scaled per weight by running moments of the gradient."""

    kind: Literal["adam"] = "adam"
    beta1: float = knob(0.9, "Decay of the running mean of the gradient", ge=0, lt=1, advanced=True)
    beta2: float = knob(0.999, "Decay of the running mean of its square", ge=0, lt=1, advanced=True)
    eps: float = knob(1e-8, "Added to the divisor, against division by zero", gt=0, le=1, advanced=True)


class AdamW(Adam):
    """Adam with weight decay kept apart from the gradient."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: float = knob(0.01, "Pulls the weights towards zero at every step", ge=0, le=1)


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: float = knob(0.99, "Decay of the running mean of the squared gradient", ge=0, lt=1, advanced=True)
    momentum: float = knob(0.0, "Share of the last step that is kept", ge=0, lt=1, advanced=True)
    eps: float = knob(1e-8, "Added to the divisor, against division by zero", gt=0, le=1, advanced=True)


AnyOptimizer = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="kind")]

# ---------------------------------------------------------------- schedules


class Schedule(Spec):
    """A learning rate as a factor on the optimizer's `lr`, after a linear warm-up."""

    warmup: float = knob(0.0, "Share of all steps over which the rate climbs from zero", ge=0, le=0.5)

    def factor(self, step: int, total: int, steps_per_epoch: int) -> float:
        """Factor for update number `step` (0-based) of `total`."""
        warm = round(self.warmup * total)
        if step < warm:
            return (step + 1) / warm
        return self.after_warmup(step, warm, total, steps_per_epoch)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        return 1.0


class Constant(Schedule):
    """The same rate throughout."""

    kind: Literal["constant"] = "constant"


class Step(Schedule):
    """Multiplies the rate by gamma every so many epochs."""

    kind: Literal["step"] = "step"
    every: float = knob(5.0, "Epochs between two drops", unit="epochs", gt=0, le=10_000)
    gamma: float = knob(0.5, "Factor of each drop", gt=0, le=1)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        return self.gamma ** int(step / steps_per_epoch / self.every)


class Cosine(Schedule):
    """Falls along half a cosine to a final fraction of the rate."""

    kind: Literal["cosine"] = "cosine"
    final: float = knob(0.0, "Rate at the end, as a fraction of the peak", ge=0, le=1)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        done = (step - warm) / max(1, total - warm - 1)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class OneCycle(Schedule):
    """Climbs from a low rate to the peak, then falls to almost nothing (Smith 2018)."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = knob(0.3, "Share of all steps spent climbing", gt=0, lt=1)
    start: float = knob(0.04, "Rate at the start, as a fraction of the peak", gt=0, le=1, advanced=True)
    final: float = knob(0.0004, "Rate at the end, as a fraction of the peak", ge=0, le=1, advanced=True)

    def after_warmup(self, step: int, warm: int, total: int, steps_per_epoch: int) -> float:
        done = (step - warm) / max(1, total - warm - 1)
        if done < self.rise:
            low, high, part = self.start, 1.0, done / self.rise
        else:
            low, high, part = 1.0, self.final, (done - self.rise) / (1 - self.rise)
        return low + (high - low) * 0.5 * (1 - math.cos(math.pi * min(1.0, part)))


class Plateau(Schedule):
    """Multiplies the rate by gamma when the validation loss stops improving."""

    kind: Literal["plateau"] = "plateau"
    patience: int = knob(
        2, "Validations without improvement before a drop", unit="validations", ge=0, le=1000
    )
    gamma: float = knob(0.3, "Factor of each drop", gt=0, lt=1)
    # The drops depend on what is measured, so the engine holds them; `factor` gives the warm-up only.


AnySchedule = Annotated[Constant | Step | Cosine | OneCycle | Plateau, Field(discriminator="kind")]


class EarlyStopping(Spec):
    """Ends the run when validation stops improving; the best checkpoint is kept either way."""

    metric: Literal[
        "val/loss",
        "val/accuracy",
        "val/f1",
        "val/auroc",
        "val/bleu",
        "val/exact_match",
        "val/scaled_mae",
        "val/mae",
        "val/rmse",
        "val/r2",
        "val/iou",
        "val/dice",
    ] = knob("val/loss", "What must keep improving; the task must measure it")
    patience: int = knob(
        5, "Validations without improvement before stopping", unit="validations", ge=1, le=1000
    )
    min_delta: float = knob(0.0, "Smallest change that counts as improvement", ge=0, le=10, advanced=True)


# ---------------------------------------------------------------- the whole


class TrainingSpec(Spec):
    """Everything about training but the data and the model."""

    optimizer: AnyOptimizer = Field(default_factory=AdamW, description="How weights are updated")
    schedule: AnySchedule = Field(
        default_factory=Constant, description="How the learning rate changes over the run"
    )
    batch_size: int = knob(128, "Samples per update", unit="samples", ge=1, le=65_536)
    epochs: float | None = knob(
        5.0, "Passes over the training samples; empty when steps is given", unit="epochs", gt=0, le=100_000
    )
    steps: int | None = knob(
        None, "Updates in all; takes the place of epochs", unit="steps", ge=1, le=100_000_000, advanced=True
    )
    stop_at_loss: float | None = knob(
        None,
        "Stop as soon as the validation loss is at or below this; empty never",
        ge=0,
        le=1e6,
        advanced=True,
    )
    early_stopping: EarlyStopping | None = Field(None, description="Stop when validation no longer improves")
    validate_every: float = knob(
        1.0, "Epochs between two validations", unit="epochs", gt=0, le=1000, advanced=True
    )
    clip_norm: float | None = knob(
        None, "Gradients are scaled down to at most this norm; empty never", gt=0, le=1e6, advanced=True
    )
    accumulation_steps: int = knob(
        1,
        "Parts into which each batch is cut; their gradients are summed before the update: "
        "less memory, the same update (batch norm sees the parts)",
        unit="parts", ge=1, le=1024, advanced=True,
    )  # fmt: skip
    ema: float | None = knob(
        None,
        "Decay of a running average of the weights, which is validated and kept; 0.999 is usual, empty none",
        gt=0, lt=1, advanced=True,
    )  # fmt: skip
    freeze: tuple[int, ...] = knob(
        (),
        "Layers (by their place in the model, from 0; a decoder's count on from the encoder's) whose weights "
        "stay as they are",
        max_length=256, advanced=True,
    )  # fmt: skip
    l1: float = knob(
        0.0,
        "Weight of the sum of all weights' sizes (L1), which pulls small ones to zero; L2 is the optimizer's "
        "weight decay",
        ge=0, le=1, advanced=True,
    )  # fmt: skip
    start_weights: Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = (
        knob(
            None,
            "Imported weights that the run begins with, by their name (workbench import); empty draws them",
            advanced=True,
        )
    )
    distill: Distill | None = Field(None, description="Learn from another run's model")
    prune: Prune | None = Field(None, description="Leave out the smallest of the weights it starts with")
    precision: Literal["fp32", "bf16", "fp16"] = knob(
        "fp32", "Number format of the forward pass; bf16 and fp16 are faster on recent GPUs", advanced=True
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")] = knob(
        "auto", "auto takes a GPU when there is one; or cpu, cuda, cuda:1, mps", advanced=True
    )
    threads: int | None = knob(
        None, "CPU threads of the run; empty takes all cores", unit="threads", ge=1, le=256, advanced=True
    )
    processes: int = knob(
        1,
        "Processes that share each batch: a part of the machine's cores each, or a GPU each. The same batch, "
        "the same losses but for rounding",
        unit="processes", ge=1, le=16, advanced=True,
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSpec:
        if self.epochs is None and self.steps is None:
            raise ValueError("give epochs or steps; one of the two says how long the run lasts")
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Updates of the whole run; `steps` wins over `epochs` when both are given."""
        if self.steps is not None:
            return self.steps
        return max(1, round((self.epochs or 0) * steps_per_epoch))


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
        "What the quantile loss tells: 0.1 is the value that one in ten falls below; the middle one is the "
        "forecast",
        min_length=1, max_length=19,
    )  # fmt: skip
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


class WatchSpec(Spec):
    """What is looked at while the model learns, and what that may cost."""

    budget: float = knob(
        0.03,
        "Share of the run's time that looking inside may take; pictures come less often when they cost more",
        gt=0,
        le=0.5,
    )
    probe_images: int = knob(6, "Fixed samples whose inside is followed", unit="samples", ge=1, le=16)
    filters: bool = knob(True, "Follow the filters of every convolution")
    feature_maps: bool = knob(True, "Follow what every convolution sees in the probe images")
    attention: bool = knob(True, "Follow the attention of every head on the probe texts")
    samples: int = knob(24, "Predictions shown per validation", unit="samples", ge=0, le=200, advanced=True)
    tensorboard: bool = knob(False, "Also write TensorBoard event files into the run's folder", advanced=True)
    mlflow: str | None = knob(
        None,
        "Also log to this MLflow tracking address, such as sqlite:////path/mlflow.db or http://host:5000",
        max_length=500,
        advanced=True,
    )
    interval: float = knob(
        0.5, "Shortest time between two looks inside", unit="seconds", ge=0.05, le=3600, advanced=True
    )

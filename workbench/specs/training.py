"""How a model is trained: optimizer, schedule, length, stopping, precision, checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workbench.specs.base import Spec, knob
from workbench.specs.optimizers import AdamW, AnyOptimizer
from workbench.specs.schedules import AnySchedule, Constant
from workbench.specs.smaller import Distill, Prune


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
    squashed_twice: bool = knob(
        False,
        "Train although the model ends in a sigmoid or softmax and the loss applies another: its scores stay "
        "close to each other",
        advanced=True,
    )
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
        "the same losses but for rounding; dropout draws otherwise, and batch norm sees the parts",
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

"""The task of a spec."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.specs.errors import SpecError
from workbench.specs.picture_tasks import GenerationTask, ReconstructionTask, SegmentationTask
from workbench.specs.tasks import (
    AnyTask,
    ClassificationTask,
    ForecastingTask,
    LanguageModelTask,
    MultiLabelTask,
    RegressionTask,
    TranslationTask,
)
from workbench.tasks.classification import Classification, balanced
from workbench.tasks.forecasting import Forecasting
from workbench.tasks.generation import Generation
from workbench.tasks.labels import MultiLabel
from workbench.tasks.numbers import Regression
from workbench.tasks.reconstruction import Reconstruction
from workbench.tasks.segmentation import Segmentation
from workbench.tasks.tokens import LanguageModel, TokenTask

Task = (
    Classification | LanguageModel | TokenTask | Forecasting | Regression | MultiLabel | Segmentation
    | Reconstruction | Generation
)  # fmt: skip


def task_for(
    spec: AnyTask,
    n_classes: int,
    labels: np.ndarray | None = None,
    characters: float | None = None,
    numbers: tuple[float, float, str] = (0.0, 1.0, ""),
    classes: Sequence[str] = (),
) -> Task:
    """The task of a spec. n_classes: columns of the scores: classes, or entries of the vocabulary. labels
    (n,) int64: of the training split; without them classes weigh the same. characters: per token. numbers:
    mean, spread and unit of a target that is a number. classes: of pixels, by name.

    Raises SpecError when there are fewer than two to tell apart.
    """
    if isinstance(spec, ForecastingTask):
        raise SpecError.of("task", "a forecast is made of a series", "the data is none", "Choose other data.")
    if isinstance(spec, RegressionTask):
        return Regression(spec.loss, spec.delta, *numbers)
    if isinstance(spec, MultiLabelTask):
        return MultiLabel(n_classes)
    if isinstance(spec, GenerationTask):
        return Generation(spec.latent, spec.real_label)
    if isinstance(spec, ReconstructionTask):
        return Reconstruction(spec.loss, spec.kl_weight)
    if n_classes < 2:
        what = "classes" if spec.kind in ("classification", "segmentation") else "tokens"
        rule, fact = f"{spec.kind} needs at least two {what}", f"the data has {n_classes}"
        raise SpecError.of("task", rule, fact, "Use other data.")
    if isinstance(spec, SegmentationTask):
        return Segmentation(n_classes, spec.dice, classes)
    if isinstance(spec, LanguageModelTask):
        return LanguageModel(n_classes, characters)
    if isinstance(spec, TranslationTask):
        return TokenTask(n_classes, spec.label_smoothing)
    assert isinstance(spec, ClassificationTask), "all others are told above"
    weights = None
    if spec.class_weights == "balanced" and labels is not None:
        weights = balanced(labels, n_classes)
    return Classification(n_classes, spec.label_smoothing, weights)

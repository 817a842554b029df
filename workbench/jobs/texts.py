"""What the check and the outlook must know of a set of texts: how many, how long, how many unknown words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from workbench.data.text.dataset import load
from workbench.data.text.tokenizer import UNK
from workbench.specs.base import AnyShape, Pair, Window
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.picture_tasks import UNLABELLED
from workbench.specs.run import RunSpec
from workbench.specs.sizes import TextSizes, text_sizes
from workbench.store.datasets import DatasetRow

SPLITS = ("train", "validation", "test")
LOOKED_AT = 1_000_000  # tokens of a split among which unknown ones are counted
MOST_RANKED = 4_000_000  # scores of which areas under curves are told (tasks.metrics)
MEASURED = {  # task -> the metrics that an early stop may wait for
    "classification": ("val/loss", "val/accuracy", "val/f1", "val/auroc"),
    "language_model": ("val/loss", "val/accuracy"),
    "translation": ("val/loss", "val/accuracy", "val/bleu", "val/exact_match"),
    "forecasting": ("val/loss", "val/scaled_mae"),
    "regression": ("val/loss", "val/mae", "val/rmse", "val/r2"),
    "multi_label": ("val/loss", "val/accuracy", "val/f1", "val/auroc"),
    "segmentation": ("val/loss", "val/accuracy", "val/iou", "val/dice"),
    "reconstruction": ("val/loss",),
    "generation": ("val/loss",),
}
NAMES = {
    "classification": "classification",
    "language_model": "language models",
    "translation": "translation",
    "forecasting": "forecasting",
    "regression": "regression",
    "multi_label": "several labels",
    "segmentation": "segmentation",
    "reconstruction": "reconstruction",
    "generation": "generation",
}
ADD_AGAIN = {  # of images without classes, what other tasks of images need
    "classification": "in a folder per class",
    "segmentation": "with their masks",
}


@dataclass(frozen=True)
class TextFacts:
    """shape: what a model sees; columns: of its scores; unknown: the share of the validation tokens (or the
    training's) that the tokenizer does not know; cut: of the training texts that are as long as may be, and
    may go on."""

    sizes: TextSizes
    shape: AnyShape
    columns: int
    unknown: float
    cut: float


def facts(row: DatasetRow, spec: DataSpec) -> TextFacts:
    """Of a registered set of texts, cut and tokenized as `spec` says. Raises DataError."""
    return _facts(row.path, row.fingerprint, spec.model_dump_json())


@lru_cache(maxsize=64)  # asked at every keystroke
def _facts(folder: Path, fingerprint: str, data: str) -> TextFacts:
    found = load(folder, DataSpec.model_validate_json(data))
    context = found.shape.source.length if isinstance(found.shape, Pair) else found.shape.length
    task = found.schema.task
    sizes = text_sizes({name: getattr(found, name) for name in SPLITS}, task, context)
    looked = found.validation if sizes.tokens("validation") else found.train
    ids = np.asarray(looked.ids.values[:LOOKED_AT])
    most = context - (1 if task == "translation" else 0)
    long = sum(texts for tokens, texts in sizes.lengths["train"].pairs if tokens >= most)
    cut = long / max(1, sizes["train"]) if task != "language_model" else 0.0
    return TextFacts(sizes, found.shape, found.columns, float((ids == UNK).mean()) if len(ids) else 0.0, cut)


def task_problems(spec: RunSpec, schema: DataSchema) -> list[Problem]:
    """Whether the task is the one that the set serves."""
    if schema.serves(spec.task.kind):
        return []
    fact, repair = f"it is a set for {NAMES[schema.task]}", f"Set task.kind to {schema.task}."
    if schema.kind == "images" and not schema.classes and spec.task.kind in ADD_AGAIN:
        fact = "it holds images without classes"
        instead = " or ".join(UNLABELLED)
        repair = f"Set task.kind to {instead}, or add the images again {ADD_AGAIN[spec.task.kind]}."
    return [
        Problem(
            where="task.kind",
            rule=f"the task must be the one that {spec.data.name} serves",
            fact=f"{fact}, and the task is {spec.task.kind}",
            repair=repair,
        )
    ]


def metric_problems(spec: RunSpec, n_classes: int, sizes: Mapping[str, int]) -> list[Problem]:
    """Whether an early stop waits for something that is measured."""
    stopping = spec.training.early_stopping
    if stopping is None:
        return []
    task, metric = spec.task, stopping.metric
    known = MEASURED[task.kind]
    if getattr(task, "scored", 1) == 0:
        known = tuple(name for name in known if name not in ("val/bleu", "val/exact_match"))
        reason = "task.scored is 0, so no validation text is translated"
    elif metric == "val/auroc" and sizes["validation"] * n_classes > MOST_RANKED:
        known = tuple(name for name in known if name != "val/auroc")
        reason = f"{sizes['validation']:,} samples in {n_classes:,} classes are too many for it"
    else:
        reason = f"{task.kind} measures {', '.join(known)}"
    if metric in known:
        return []
    return [
        Problem(
            where="training.early_stopping.metric",
            rule="an early stop waits for a metric that is measured",
            fact=f"it waits for {metric}, and {reason}",
            repair="Set training.early_stopping.metric to val/loss.",
        )
    ]


def text_problems(spec: RunSpec, sizes: Mapping[str, int], shape: AnyShape) -> list[Problem]:
    """What can only be wrong with texts."""
    found = []
    if spec.data.augment:
        found.append(
            Problem(
                where="data.augment",
                rule="random changes are made to images",
                fact=f"{spec.data.name} is a set of texts",
                repair="Take the changes away.",
            )
        )
    if spec.task.kind != "language_model" or not isinstance(sizes, TextSizes) or isinstance(shape, Pair):
        return found
    for name in SPLITS:
        tokens, context = sizes.tokens(name), shape[0]
        if 0 < tokens <= context:
            found.append(
                Problem(
                    where="data.text.length",
                    rule="a language model's text must be longer than its context",
                    fact=f"the {name} split has {tokens:,} tokens, and the context is {context:,}",
                    repair=f"Set data.text.length to {max(2, tokens // 4):,} or less, or add text.",
                )
            )
    return found


def one_of(spec: RunSpec, shape: AnyShape) -> str:
    """What a sample is called: image, text, pair or window."""
    if isinstance(shape, Pair):
        return "pair"
    if spec.task.kind == "language_model" or isinstance(shape, Window):
        return "window"
    if hasattr(shape, "vocabulary"):
        return "text"
    return "row" if len(shape) == 1 else "image"


def told(row: DatasetRow, spec: RunSpec) -> TextFacts | None:
    """`facts`, where the set is one of texts and can be read."""
    if row.schema.kind != "text":
        return None
    try:
        return facts(row, spec.data)
    except WorkbenchError:
        return None

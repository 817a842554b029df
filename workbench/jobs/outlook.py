"""What a run will do, in numbers and in sentences, before it starts. The page and the command line say these.

Sentences hold names of the user as they are: whoever shows them takes care of markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from workbench import catalog
from workbench.jobs import outlook_texts, series, texts
from workbench.jobs.check import CheckReport, gpu_count, split_sizes
from workbench.specs import inside
from workbench.specs.errors import WorkbenchError
from workbench.specs.nesting import every
from workbench.specs.run import RunSpec
from workbench.specs.schedules import AnySchedule
from workbench.specs.tasks import ClassificationTask, ForecastingTask
from workbench.specs.training import TrainingSpec
from workbench.store import Store
from workbench.store.datasets import DatasetRow

OPTIMIZERS = {"sgd": "gradient descent", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
LOSSES = {
    "classification": "cross-entropy",
    "regression": "error of the number",
    "multi_label": "binary cross-entropy of every label",
    "language_model": "cross-entropy of every next token",
    "translation": "cross-entropy of every token of the translation",
    "forecasting": "errors of the scaled values",
    "segmentation": "cross-entropy of every pixel",
    "reconstruction": "difference of every pixel from the picture that came in",
    "generation": "each network's cross-entropy of true and made pictures",
}
CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "squeeze_excitation")


@dataclass(frozen=True)
class Plan:
    """Samples per split by the names train, validation and test; updates."""

    sizes: Mapping[str, int]
    steps_per_epoch: int
    total_steps: int

    @property
    def epochs(self) -> float:
        return self.total_steps / self.steps_per_epoch


def plan(spec: RunSpec, sizes: Mapping[str, int]) -> Plan:
    """The counts of a run on splits of these sizes, as the engine will cut its batches."""
    n, size = sizes["train"], spec.training.batch_size
    joins = has_layer(spec, "batch_norm") and n > size > 1 and n % size == 1  # a lone last image joins
    steps = max(1, math.ceil(n / size) - joins)
    return Plan(sizes, steps, spec.training.total_steps(steps))


def has_layer(spec: RunSpec, *kinds: str) -> bool:
    """Whether some layer is of these kinds, inside blocks of layers too."""
    text = spec.model.model_dump_json()
    return any(f'"kind":"{kind}"' in text for kind in kinds)


def outlook(
    store: Store, spec: RunSpec, report: CheckReport, measured: Mapping[str, object] | None = None
) -> list[tuple[str, str]]:
    """(heading, sentence) pairs. measured: a preflight's result, which adds how long it takes."""
    planned, training = plan(spec, split_sizes(store, spec)), spec.training
    found = _texts(store, spec)
    row = _series(store, spec)
    sample = "window" if row else "image" if found is None else texts.one_of(spec, found.shape)
    told = series.told(spec, row, planned.sizes) if row else _data(spec, planned.sizes)
    sample = "row" if _is_table(store, spec) else sample
    lines = [
        ("Data", told if found is None else outlook_texts.data(spec, found)),
        ("Windows", series.windows(spec, row) if row else ""),
        ("Texts", "" if found is None else outlook_texts.texts(spec, found)),
        ("Model", _model(spec, report)),
        ("Loss", _loss(spec)),
        ("Teacher", _teacher(store, spec)),
        ("Left out", _left_out(spec)),
        ("Learning", f"{_optimizer(training)}; {_schedule(training.schedule)}"),
        ("Length", _length(spec, planned, sample)),
        ("Validation", _validation(spec, planned)),
        ("Written", outlook_texts.written(spec, planned.sizes["validation"] > 0)),
        ("Ends early", _early_ends(training)),
        ("Kept", "the best state by validation loss and the last one; older ones are replaced"
         if planned.sizes["validation"] else "the last state"),
        ("Where", where(training.device) + _shared(training)),
        ("Time", duration(measured) + _measured_alone(training, measured)),
        ("Memory", f"about {size(report.memory_bytes)} at most, the process itself included"
         if report.memory_bytes else ""),
        ("Watching", _watching(spec)),
    ]  # fmt: skip
    return [(head, sentence) for head, sentence in lines if sentence]


def count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def size(n_bytes: float) -> str:
    """1.2 GB, 35 MB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes:.0f} bytes"


def duration(measured: Mapping[str, object] | None) -> str:
    """`about 3 min`, from a preflight."""
    if measured is None:
        return "not known before a preflight"
    seconds = float(str(measured["eta_s"]))
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def where(device: str) -> str:
    """Where it will compute, on this machine."""
    if device == "auto":
        return "the first free GPU" if gpu_count() else "this machine's processor; no GPU was found"
    words = {"cpu": "this machine's processor", "cuda": "the first free GPU", "mps": "the Apple GPU"}
    return words.get(device, device)


def _measured_alone(training: TrainingSpec, measured: Mapping[str, object] | None) -> str:
    return ", as measured with one process" if measured and training.processes > 1 else ""


def _shared(training: TrainingSpec) -> str:
    n = training.processes
    return f", in {n} processes that share each batch" if n > 1 else ""


def _data(spec: RunSpec, sizes: Mapping[str, int]) -> str:
    parts = ", ".join(
        f"{sizes[name]:,} {words}"
        for name, words in (
            ("train", "to learn from"),
            ("validation", "to validate on"),
            ("test", "to test on"),
        )
    )
    changes = (
        f"; {count(len(spec.data.augment), 'random change')} of the training images"
        if spec.data.augment
        else ""
    )
    return f"{spec.data.name}: {parts}{changes}"


def _texts(store: Store, spec: RunSpec) -> texts.TextFacts | None:
    try:
        return texts.told(catalog.with_shipped(store, spec.data.name), spec)
    except WorkbenchError:  # the check tells of it
        return None


def _series(store: Store, spec: RunSpec) -> DatasetRow | None:
    try:
        row = catalog.with_shipped(store, spec.data.name)
        return row if row.schema.kind == "series" and series.sizes(row, spec.data) else None
    except WorkbenchError:  # the check tells of it
        return None


def _is_table(store: Store, spec: RunSpec) -> bool:
    try:
        return catalog.schema(store, spec.data.name).kind == "table"
    except WorkbenchError:
        return False


def _model(spec: RunSpec, report: CheckReport) -> str:
    model = spec.model
    reading, writing = (len(list(every(part))) for part in (model.layers, model.decoder))
    layers = count(reading, "layer")  # as the editor counts them: those in groups too
    if model.decoder:
        layers = f"{count(reading, 'layer')} that read, {writing} that write,"
    shared = "; the last shares its weights with the embedding" if model.tie_embeddings else ""
    return f"{layers} with {count(report.parameters, 'parameter')}{shared}"


def _loss(spec: RunSpec) -> str:
    if isinstance(spec.task, ForecastingTask):
        return series.loss(spec.task)
    text = LOSSES[spec.task.kind]
    if smoothing := getattr(spec.task, "label_smoothing", 0.0):
        text += f", targets smoothed by {smoothing:g}"
    if weight := getattr(spec.task, "dice", 0.0):
        text += f", and {weight:g} times what is lacking of a whole overlap (Dice)"
    if isinstance(spec.task, ClassificationTask) and spec.task.class_weights == "balanced":
        text += ", rare classes weighing more"
    return text


def _teacher(store: Store, spec: RunSpec) -> str:
    asked = spec.training.distill
    if asked is None:
        return ""
    try:
        name = store.runs.get(asked.teacher).name
    except WorkbenchError:  # the check tells of it
        return ""
    return (
        f"{asked.weight:.0%} of the loss is how far its scores, softened by {asked.temperature:g}, are from "
        f"those of {name} ({asked.checkpoint})"
    )


def _left_out(spec: RunSpec) -> str:
    prune = spec.training.prune
    if prune is None:
        return ""
    if prune.what == "channels":
        return "it takes over the strongest channels of the run it is forked from"
    over = "of the whole model" if prune.scope == "global" else "of each layer"
    return f"the smallest {prune.amount:.0%} of the weights {over} that it starts with are held at zero"


def _optimizer(training: TrainingSpec) -> str:
    optimizer = training.optimizer
    text = f"{OPTIMIZERS[optimizer.kind]} at a learning rate of {optimizer.lr:g}"
    if training.accumulation_steps > 1:
        text += f", each batch in {training.accumulation_steps} parts"
    if training.clip_norm is not None:
        text += f", gradients cut at {training.clip_norm:g}"
    if training.l1:
        text += f", sizes of weights weighing {training.l1:g} (L1)"
    if training.ema is not None:
        text += f", weights averaged (decay {training.ema:g})"
    if training.freeze:
        text += f", {count(len(training.freeze), 'layer')} frozen"
    return text


def _schedule(schedule: AnySchedule) -> str:
    warm = f"warming up over the first {schedule.warmup:.0%}, then " if schedule.warmup else ""
    words = {
        "constant": "the same rate throughout",
        "step": f"times {getattr(schedule, 'gamma', 0):g} every {getattr(schedule, 'every', 0):g} epochs",
        "cosine": f"falling along a cosine to {getattr(schedule, 'final', 0):.0%}",
        "one_cycle": f"climbing over the first {getattr(schedule, 'rise', 0):.0%}, then falling to near 0",
        "plateau": f"times {getattr(schedule, 'gamma', 0):g} whenever the validation loss stalls",
    }
    return warm + words[schedule.kind]


def _length(spec: RunSpec, planned: Plan, sample: str) -> str:
    passes = f"{planned.epochs:.3g} {'pass' if planned.epochs == 1 else 'passes'}"
    updates, samples = count(planned.total_steps, "update"), count(spec.training.batch_size, sample)
    each = count(planned.steps_per_epoch, "update")
    return f"{updates} of {samples}: {passes} over the training {sample}s, {each} each"


def _validation(spec: RunSpec, planned: Plan) -> str:
    every = max(1, round(spec.training.validate_every * planned.steps_per_epoch))
    return f"{count(-(-planned.total_steps // every), 'time')}, every {count(every, 'update')}"


def _early_ends(training: TrainingSpec) -> str:
    ends = []
    if training.early_stopping:
        metric = training.early_stopping.metric.replace("val/", "validation ")
        ends.append(
            f"after {count(training.early_stopping.patience, 'validation')} without a better {metric}"
        )
    if training.stop_at_loss is not None:
        ends.append(f"at a validation loss of {training.stop_at_loss:g} or below")
    return ", or ".join(ends)


def _watching(spec: RunSpec) -> str:
    watch = spec.watch
    seen = [word for on, word in ((watch.filters, "filters"), (watch.feature_maps, "feature maps")) if on]
    words = ["curves", *(seen if has_layer(spec, *CONVOLUTIONS) else [])]
    if watch.attention and inside.attends(spec.model):
        words.append("attention")
    if inside.reads_text(spec.model) and inside.recurs(spec.model):
        words.append("states")
    told = ", ".join(words)
    return f"{told} live, for at most {watch.budget:.0%} of the time"

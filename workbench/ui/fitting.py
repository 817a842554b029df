"""What of a draft fits a data set: images or texts, and what they are for. Presets for it; a set taken up."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from workbench import catalog
from workbench.specs.base import AnyShape, Duel, Picture
from workbench.specs.data import DataSchema, DataSpec, TextSpec
from workbench.specs.edits import apply_to
from workbench.specs.inside import TABULAR, reads_table, reads_text
from workbench.specs.picture_starts import autoencoder, discriminator, generator
from workbench.specs.picture_tasks import (
    UNLABELLED,
    GenerationTask,
    ReconstructionTask,
    SegmentationTask,
)
from workbench.specs.presets import PRESETS, Preset
from workbench.specs.run import RunSpec
from workbench.specs.starts import start
from workbench.specs.task import TaskSpec
from workbench.specs.tasks import (
    TOKEN_TASKS,
    ClassificationTask,
    ForecastingTask,
    LanguageModelTask,
    MultiLabelTask,
    RegressionTask,
    TranslationTask,
    score_columns,
)
from workbench.store import Store
from workbench.ui import stack
from workbench.ui.state import Draft, begin, overwrite

TASKS: dict[str, type[TaskSpec]] = {
    "classification": ClassificationTask,
    "language_model": LanguageModelTask,
    "translation": TranslationTask,
    "forecasting": ForecastingTask,
    "regression": RegressionTask,
    "multi_label": MultiLabelTask,
    "segmentation": SegmentationTask,
    "reconstruction": ReconstructionTask,
    "generation": GenerationTask,
}
OF_TABLES = ("classification", "regression", "multi_label")
WORDS = {
    ("images", "classification"): "images in classes",
    ("images", "segmentation"): "images with masks",
    ("images", "reconstruction"): "images to be painted anew",
    ("images", "generation"): "images to be made of noise",
    ("text", "classification"): "texts in classes",
    ("text", "language_model"): "text to be continued",
    ("text", "translation"): "pairs of texts to be translated",
    ("series", "forecasting"): "a series to be forecast",
    ("table", "classification"): "rows of a table in classes",
    ("table", "regression"): "rows of a table with a number to be told",
    ("table", "multi_label"): "rows of a table with several labels",
}


class Purpose(NamedTuple):
    """What data is, and what it is for."""

    kind: str  # images, text, series, table
    task: str

    @property
    def words(self) -> str:
        return WORDS.get(self, f"{self.kind} for {self.task.replace('_', ' ')}")

    @property
    def per_token(self) -> bool:
        return self.task in TOKEN_TASKS


def of_set(schema: DataSchema) -> Purpose:
    """What a registered set is for."""
    return Purpose(schema.kind, schema.task)


def words_of(schema: DataSchema) -> str:
    """What a registered set is for, in words."""
    if schema.kind == "images" and not schema.classes:
        return "images without classes, to be painted anew or made of noise"
    return of_set(schema).words


def purpose_on(schema: DataSchema, now: Draft) -> Purpose:
    """What a draft is for on that set: what the set is for, or what any images can be used for."""
    task = now.tree.get("task")
    kind = str(task.get("kind", "")) if isinstance(task, dict) else ""
    return Purpose(schema.kind, kind) if kind in UNLABELLED and schema.serves(kind) else of_set(schema)


def of_run(spec: RunSpec) -> Purpose:
    """What a run's model and task are for."""
    if spec.task.kind == "forecasting":
        return Purpose("series", spec.task.kind)
    if spec.task.kind in OF_TABLES and reads_table(spec.model):
        return Purpose("table", spec.task.kind)
    is_text = spec.task.kind in TOKEN_TASKS or reads_text(spec.model)
    return Purpose("text" if is_text else "images", spec.task.kind)


def of_draft(now: Draft) -> Purpose | None:
    """What a draft's layers and task are for; None while it has none that can be read."""
    tree = now.model
    kinds = {raw.get("kind") for _, raw in stack.places(tree)}
    if not kinds:
        return None
    task = now.tree.get("task")
    name = str(task.get("kind", "classification")) if isinstance(task, dict) else "classification"
    if name == "forecasting":
        return Purpose("series", name)
    model = stack.build(tree)
    if name in OF_TABLES and (kinds & {*TABULAR} or (model is not None and reads_table(model))):
        return Purpose("table", name)
    is_text = bool(kinds & {"embedding", "pretrained_text"}) or (
        bool(tree["decoder"]) and name != "generation"
    )
    return Purpose("text" if is_text else "images", name)


def presets_for(purpose: Purpose) -> list[Preset]:
    """The presets for that kind of data, in their order; those that need a model's files last."""
    found = [preset for preset in PRESETS.values() if of_run(preset.spec) == purpose]
    return sorted(found, key=lambda preset: bool(preset.needs))


def starts_for(purpose: Purpose) -> list[Preset]:
    """Those of them that can begin at once: they need no files of a pretrained model."""
    return [one for one in presets_for(purpose) if not one.needs]


def usual_text(purpose: Purpose) -> TextSpec:
    """How texts are read where nobody has said so: as the first preset for them does."""
    starts = starts_for(purpose)
    if starts:
        return starts[0].spec.data.text
    characters = purpose.task == "language_model"
    return TextSpec(tokenizer="character", length=64) if characters else TextSpec(length=64)


def plain_start(store: Store, data: DataSpec, purpose: Purpose) -> RunSpec:
    """The small stack that an empty model is repaired with, on this set. Raises DataError."""
    task = TASKS[purpose.task]()
    shape, n_scores = input_of(store, data, task)
    fix = start(shape, n_scores, purpose.per_token)
    model = stack.build(stack.read(apply_to(stack.model([]), fix)))
    assert model is not None, "the stacks to begin with are within bounds"
    return RunSpec.model_validate({"data": data, "model": model, "task": task.model_dump()})


def input_of(store: Store, data: DataSpec, task: TaskSpec) -> tuple[AnyShape, int]:
    """What a model sees and how many scores it gives; tokenizes texts at the first time. Raises DataError."""
    shape, n = catalog.shape_and_classes(store, data)
    n = score_columns(task, n)
    return task.input(shape, n), n


def task_of(now: Draft) -> TaskSpec:
    """The draft's task; the usual one where it cannot be read."""
    task = now.tree.get("task")
    kind = str(task.get("kind", "classification")) if isinstance(task, dict) else "classification"
    return now.section("task", TASKS.get(kind, ClassificationTask))


def begun(
    store: Store, preset: Preset, data: DataSpec, name: str = "run", text: TextSpec | None = None,
    split: DataSpec | None = None,
) -> RunSpec:  # fmt: skip
    """The preset on another set of its kind, its last layer fitted. text: how texts are read, split: how the
    set is cut, where they are not as in the preset. Raises DataError."""
    spec = preset.spec
    kept = {
        "text": spec.data.text,
        "series": spec.data.series.model_copy(update={"target": "", "rows": None}),
    }
    if split is not None:
        mine = split.model_copy(update={**kept, "series": split.series})
    else:
        mine = spec.data if spec.data.name == data.name else data.model_copy(update=kept)
    mine = mine.model_copy(update={"text": text}) if text else mine
    if of_run(spec).kind == "table" and spec.data.name != data.name:
        mine = mine.model_copy(update={"table": spec.data.table})
    shape, n_scores = input_of(store, mine, spec.task)
    per_token = spec.task.kind in TOKEN_TASKS
    tree = refitted(stack.dump(spec.model), shape, n_scores, per_token=per_token)
    model = stack.build(tree) or spec.model
    return spec.model_copy(update={"name": name, "data": mine, "model": model})


def refitted(tree: stack.Model, shape: AnyShape, n_scores: int, *, per_token: bool = False) -> stack.Model:
    """A model on other data: its outputs fitted; one that makes images built anew in their size, where its
    own differs."""
    if not isinstance(shape, Duel | Picture) or (isinstance(shape, Picture) and shape.scored):
        return stack.fitted(tree, shape, n_scores, per_token=per_token)
    if not any(p.severity == "error" for p in stack.all_problems(tree, shape, n_scores)):
        return tree
    if isinstance(shape, Duel):
        return stack.read({**tree, "layers": generator(shape.image), "decoder": discriminator(shape.image)})
    draws = any(raw["kind"] == "reparameterize" for _, raw in stack.places(tree))
    return stack.read({**tree, "layers": autoencoder(shape, draws=draws)})


def tried(name: str, schema: DataSchema, now: DataSpec) -> DataSpec:
    """How a set that the draft does not use is cut: as was asked for on its page, else as a new run does."""
    asked, starts = asked_split(name), starts_for(of_set(schema))
    usual = now.series
    if schema.kind == "series" and starts:
        usual = starts[0].spec.data.series.model_copy(update={"target": "", "rows": None})
    return asked or DataSpec(name=name, text=now.text, series=usual)


def keep_tried(data: DataSpec) -> None:
    st.session_state[f"split.tried.{data.name}"] = data.model_dump_json()


def asked_split(name: str) -> DataSpec | None:
    """How a set was asked to be cut before any run of it."""
    kept = st.session_state.get(f"split.tried.{name}")
    return DataSpec.model_validate_json(kept) if isinstance(kept, str) else None


def taken_up(
    store: Store, now: Draft, name: str, schema: DataSchema, text: TextSpec | None = None,
    split: DataSpec | None = None,
) -> Draft:  # fmt: skip
    """A draft for this set: the one there is, its outputs fitted, where it is for such data; else a new one
    from the first preset that is. text: how its texts were looked at; split: how it was asked to be cut.
    Raises DataError."""
    wanted = of_set(schema)
    if of_draft(now) is not None and of_draft(now) == purpose_on(schema, now):
        wanted = purpose_on(schema, now)
    data = now.section("data", DataSpec)
    if data.name == name and of_draft(now) == wanted:
        return now
    starts = starts_for(wanted)
    if of_draft(now) not in (wanted, None):
        return begin(
            begun(store, starts[0], DataSpec(name=name), text=text, split=split)
            if starts
            else plain_start(store, DataSpec(name=name, text=text or usual_text(wanted)), wanted)
        )
    data = DataSpec(name=name, text=text or data.text)
    task = now.tree.get("task") if of_draft(now) == wanted else TASKS[wanted.task]()
    asked = task_of(now) if of_draft(now) == wanted else TASKS[wanted.task]()
    shape, n_scores = input_of(store, data, asked)
    model = refitted(now.model, shape, n_scores, per_token=wanted.per_token)
    return overwrite(now, data=data, task=task, model=model)

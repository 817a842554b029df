"""Pieces of the train page: the forms, the schedule's curve, the checklist and the launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

import streamlit as st

from workbench.figures.schedule import schedule_figure, schedule_info
from workbench.figures.theme import BAD, GOOD, PLAIN, WARN
from workbench.jobs import folds
from workbench.jobs.check import CheckReport, check, split_sizes
from workbench.jobs.outlook import Plan, outlook, plan
from workbench.jobs.texts import MEASURED
from workbench.specs.data import DataSpec
from workbench.specs.errors import Problem, RunError, SpecError, WorkbenchError
from workbench.specs.inside import attends
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec
from workbench.specs.task import TaskSpec
from workbench.specs.tasks import ForecastingTask
from workbench.specs.training import TrainingSpec, WatchSpec
from workbench.ui import datasets, fitting, nav, stack
from workbench.ui.augment import augment_form
from workbench.ui.errors import problem_boxes
from workbench.ui.forms import fill
from workbench.ui.lineage import fork
from workbench.ui.marks import message, plain, section
from workbench.ui.mismatch import known_schema
from workbench.ui.model import refitted
from workbench.ui.presets import launch
from workbench.ui.series import quantile_field, window_fields
from workbench.ui.state import Draft, save, store
from workbench.ui.steer import freeze_choice
from workbench.ui.teaching import teacher_form
from workbench.ui.tokens import text_fields

FIRST = ("batch_size", "epochs")
BY_STEPS = ("batch_size", "steps", "epochs")
DEFAULT_NAMES = {"run", *PRESETS}


def forms(now: Draft) -> tuple[Draft, list[Problem]]:
    """All forms of the page; the draft with what they say now, and what is wrong in them."""
    key = f"{now.id}.{now.rev}"
    problems: list[Problem] = []
    spec = now.section("data", DataSpec)
    # The data set decides which settings there are, and is drawn below some of them.
    name = str(st.session_state.get(f"data.name.{key}", spec.name))
    schema = known_schema(name)
    purpose = fitting.purpose_on(schema, now) if schema else fitting.of_draft(now) or IMAGES
    task_class = fitting.TASKS[purpose.task]
    with st.container(border=True, key="box-training"):
        section("Training")
        training = now.section("training", TrainingSpec)
        # Where a design comes with its length in updates; who chooses so later finds the field where it was.
        by_steps = st.session_state.setdefault(f"by_steps.{key}", training.steps is not None)
        training, found = fill(
            training, key=f"training.{key}", order=BY_STEPS if by_steps else FIRST, where="training",
            only={"early_stopping.metric": MEASURED[purpose.task]}, skip={"distill"},
        )  # fmt: skip
        problems += found
        distill, found = teacher_form(training.distill, name, key=f"distill.{key}")
        problems += found
        training = training.model_copy(update={"distill": distill})
        training = training.model_copy(update={"freeze": freeze(now, training, f"freeze.{key}")})
    with st.container(border=True, key="box-data"):
        section("Data")
        data, found = data_form(spec, purpose, key)
        problems += found
    with st.container(border=True, key="box-task"):
        section("Targets", help=TARGETS[purpose.task])
        task, found = task_form(section_of(now, task_class), f"task.{key}.{purpose.task}")
        problems += found
    with st.container(border=True, key="box-watch"):
        section("Watching", help="What is looked at inside the model while it learns, and what that may cost")
        watch, found = fill(
            now.section("watch", WatchSpec), key=f"watch.{key}", where="watch", skip=unseen(now, purpose)
        )
        problems += found
    changed = now.with_(training=training, data=data, task=task, watch=watch)
    if changed != now:
        save(changed)
        told = [changed.section("data", DataSpec).series, now.section("data", DataSpec).series]
        if purpose.kind == "series" and (
            told[0] != told[1] or fitting.task_of(changed) != fitting.task_of(now)
        ):
            changed = refitted(changed, afresh=False)
    return changed, problems


def task_form(task: TaskSpec, key: str) -> tuple[TaskSpec, list[Problem]]:
    """The settings of the task; of a forecast the quantiles too, where its loss tells some."""
    loss = getattr(task, "loss", "") if isinstance(task, ForecastingTask) else ""
    loss = str(st.session_state.get(f"{key}.loss", loss))
    told, found = fill(task, key=key, where="task", skip={"calibrate"} if loss != "quantile" else set())
    if not isinstance(told, ForecastingTask) or told.loss != "quantile":
        return told, found
    told, more = quantile_field(told, key=f"{key}.quantiles")
    return told, found + more


IMAGES = fitting.Purpose("images", "classification")
TARGETS = {
    "classification": "What the model's scores are compared with",
    "language_model": "The next token of the text is what the model's scores are compared with. At each "
    "validation it writes a text, so that one reads how far it is",
    "translation": "The translation, token by token, is what the model's scores are compared with",
    "forecasting": "The scaled steps that follow each window are what the model's numbers are compared with",
    "regression": "The number that the model tells is compared with the true one",
    "multi_label": "Each label by itself is compared with what the model tells of it",
    "segmentation": "The mask, pixel by pixel, is what the model's scores are compared with",
    "reconstruction": "The picture itself is what the model's output is compared with",
    "generation": "True pictures are what the discriminator learns to tell those of the generator from",
}
OF_IMAGES = {"size", "channels", "normalize"}  # settings of a set that texts do not have


SHUFFLED = {"split_seed", "groups"}  # settings of sets that are not cut by time


def data_form(spec: DataSpec, purpose: fitting.Purpose, key: str) -> tuple[DataSpec, list[Problem]]:
    """The set, how it is cut, and what is done to its images or texts."""
    names = datasets.names()
    options = names if spec.name in names else [spec.name, *names]
    st.session_state.setdefault(f"data.name.{key}", spec.name)
    name = st.selectbox("Data set", options, key=f"data.name.{key}", width=300)
    is_text, is_table = purpose.kind == "text", purpose.kind == "table"
    problems: list[Problem] = []
    text, windows = spec.text, spec.series
    if purpose.kind == "series":
        schema = known_schema(name)
        windows, problems = window_fields(spec.series, schema.variates if schema else (), key=f"series.{key}")
    if is_text:
        text, problems = text_fields(spec.text, purpose.task, key=f"text.{key}")
    data, found = fill(
        spec.model_copy(update={"name": name, "text": text, "series": windows}),
        key=f"data.{key}", where="data",
        skip={"name", "text", "series", "table", *(OF_IMAGES if purpose.kind != "images" else ()),
              *(SHUFFLED if purpose.kind == "series" else ())},
    )  # fmt: skip
    problems += found
    if is_table:
        section("How cells become numbers")
        table, found = fill(data.table, key=f"table.{key}", where="data.table")
        data, problems = data.model_copy(update={"table": table}), problems + found
    if purpose.kind != "images":
        return data.model_copy(update={"augment": ()}), problems
    augment, found = augment_form(spec.augment, key=f"augment.{key}")
    return data.model_copy(update={"augment": augment}), problems + found


def section_of(now: Draft, cls: type[TaskSpec]) -> TaskSpec:
    """The draft's task, or the usual one where its kind is another."""
    task = now.tree.get("task")
    kind = task.get("kind", "classification") if isinstance(task, dict) else ""
    return now.section("task", cls) if kind == cls.model_fields["kind"].default else cls()


def unseen(now: Draft, purpose: fitting.Purpose) -> set[str]:
    """What cannot be looked at, since the model has no such layers."""
    model = stack.build(now.model)
    skip = set() if purpose.kind == "images" else {"filters", "feature_maps"}
    return skip if model is not None and attends(model) else skip | {"attention"}


def freeze(now: Draft, training: TrainingSpec, key: str) -> tuple[int, ...]:
    """The frozen layers, by name; as they are while the model cannot be read."""
    try:
        spec = now.with_(training=training).spec()
    except SpecError:
        return training.freeze
    return tuple(freeze_choice(spec, key=key))


def identity(now: Draft) -> Draft:
    """Name and seed of the run."""
    key = f"{now.id}.{now.rev}"
    name_key, seed_key = f"name.{key}", f"seed.{key}"
    kept = str(now.tree.get("name", "run"))
    st.session_state.setdefault(name_key, "" if kept in DEFAULT_NAMES else kept)
    st.session_state.setdefault(seed_key, int(now.tree.get("seed", 0)))
    n_layers = len(stack.places(now.model))
    suggestion = f"{now.section('data', DataSpec).name}, {n_layers} layers"
    left, right = st.columns([2, 1], gap="small")
    name = left.text_input(
        "Name", key=name_key, max_chars=200, placeholder=suggestion, help="Shown in lists; any text"
    )
    seed = right.number_input(
        "Seed",
        min_value=0,
        max_value=2**31 - 1,
        step=1,
        key=seed_key,
        help="Of weights, order and dropout: the same seed gives the same run",
    )
    changed = now.with_(name=name.strip() or suggestion, seed=int(seed))
    return changed if changed == now else save(changed)


def planned(spec: RunSpec) -> Plan | None:
    """Counts of the run, or None while its data set cannot serve; the check says why."""
    sizes = split_sizes(store(), spec)
    return plan(spec, sizes) if sizes["train"] else None


def schedule_view(training: TrainingSpec, steps_per_epoch: int) -> None:
    """The learning rate over the run."""
    info = schedule_info(training, steps_per_epoch)
    st.plotly_chart(schedule_figure(info), key="schedule", config=PLAIN)
    if info.waits:
        st.caption(
            "Each drop waits for the validation loss to stall, so only the rate before the first is known."
        )


def verdict(
    spec: RunSpec,
    report: CheckReport,
    counts: Plan | None,
    form_problems: list[Problem],
    measured: Mapping[str, Any] | None = None,
) -> list[str]:
    """The checklist and the problems; returns the reasons that stand against launching.

    measured: what a preflight of this very spec has found.
    """
    problems = [*form_problems, *report.problems]
    errors = [p for p in problems if p.severity == "error"]
    if counts is not None:
        lines = outlook(store(), spec, report, measured)
        colour = BAD if errors else WARN if problems else GOOD
        items = "".join(f"<div><b>{escape(head)}</b> {escape(text)}</div>" for head, text in lines)
        st.html(f'<div class="wb-list" style="--c:{colour}">{items}</div>')
    problem_boxes(problems)
    return [f"{p.where}: {p.rule}" for p in errors]


def checked(now: Draft) -> tuple[RunSpec | None, CheckReport | None]:
    """The spec and what is known about it; tells what keeps it from being one."""
    try:
        spec = now.spec()
    except SpecError:
        problem_boxes(now.problems())
        return None, None
    return spec, check(store(), spec)


def origin(now: Draft, spec: RunSpec | None) -> tuple[Draft, list[str]]:
    """Where a fork starts from, with a way to fresh weights; and what stands against its launch."""
    if not now.parent:
        return now, []
    reasons: list[str] = []
    try:
        parent = store().runs.get(now.parent)
    except RunError:
        st.warning("The run it was forked from is gone; it starts with fresh weights.")
        return save(replace(now, parent="", checkpoint="")), []
    with st.container(border=True, key="origin", gap="xsmall"):
        start = f"Starts from {now.checkpoint} of" if now.checkpoint else "With fresh weights; a fork of"
        st.caption(start)
        nav.link("live", plain(parent.name, 60), icon=":material/call_split:", run=parent.id)
        if now.checkpoint and spec is not None and spec.model != parent.spec.model:
            reasons.append("model: weights fit only the architecture that learned them")
            st.error("The model was changed, but weights fit only the architecture that learned them.")
        if now.checkpoint and st.button("Use fresh weights", key="draft.fresh", icon=":material/refresh:"):
            save(replace(now, checkpoint=""))
            st.rerun()
    return now, reasons


def fold_choice(now: Draft) -> int:
    """How many folds are trained, one run each; 0 for a single run."""
    key = f"folds.{now.id}"
    if not st.toggle(
        "Cross-validate", key=f"{key}.on",
        help="A run for each fold, which is validated on while the others are learned from. Runs and Compare "
        "tell their mean and standard deviation",
    ):  # fmt: skip
        return 0
    return int(
        st.number_input(
            "Folds", min_value=folds.FEWEST, max_value=folds.MOST, value=5, step=1, key=key, width=120
        )
    )


def launch_button(now: Draft, spec: RunSpec | None, reasons: list[str]) -> None:
    """Start the run, or say why not."""
    n_folds = 0 if now.parent else fold_choice(now)
    blocked = spec is None or bool(reasons)
    why = (
        f"Not yet: {message(reasons[0], 200)}" if reasons else "Mend the problems first" if blocked else None
    )
    pressed = st.button(
        "Launch",
        type="primary",
        icon=":material/play_arrow:",
        disabled=blocked,
        help=why,
        key="launch",
        width="stretch",
    )
    if blocked:
        st.caption(why or "")
    if pressed and spec is not None:
        try:
            if n_folds:
                group, _ = folds.cross_validate(store(), spec, n_folds)
                nav.go("runs", tags=group)
            if now.parent:
                nav.go("live", run=fork(spec, now.parent, now.checkpoint))
            launch(spec)
        except WorkbenchError as error:
            problem_boxes(error.problems)

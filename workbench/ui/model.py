"""Pieces of the model page: the start, the editor with its draft, and the model in other forms."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import streamlit as st

from workbench import catalog
from workbench.export.code import pytorch_code
from workbench.jobs import answers
from workbench.specs.base import AnyShape
from workbench.specs.data import DataSpec
from workbench.specs.errors import SpecError, WorkbenchError
from workbench.specs.likeness import like
from workbench.specs.model import ModelSpec
from workbench.specs.picture_tasks import UNLABELLED
from workbench.specs.presets import PRESETS
from workbench.specs.rows import Row
from workbench.specs.run import RunSpec, parse
from workbench.ui import datasets, fitting, links, stack
from workbench.ui.drawing import drawing
from workbench.ui.editor import layer_editor
from workbench.ui.errors import problem_boxes
from workbench.ui.fields import option_word
from workbench.ui.marks import plain
from workbench.ui.mismatch import known_schema
from workbench.ui.series import window_fields
from workbench.ui.state import Draft, begin, draft, overwrite, save, store
from workbench.ui.tokens import text_form

MAX_YAML = 1_000_000  # characters of an imported spec
MINE = "own:"  # before the names of presets of one's own, which so never meet a built-in one


class Input(NamedTuple):
    """What the model sees, how many scores it gives, and whether every token has some."""

    shape: AnyShape
    n_scores: int
    per_token: bool


FALLBACK = Input((1, 28, 28), 10, False)  # what the editor assumes while the data set is missing


def input_of(now: Draft) -> Input:
    """What the model of the draft sees. Tells why when the data set cannot say."""
    data = now.section("data", DataSpec)
    try:
        is_text = catalog.schema(store(), data.name).kind == "text"
        with st.spinner("Learning the vocabulary") if is_text else nullcontext():
            return Input(*fitting.input_of(store(), data, fitting.task_of(now)), now.per_token)
    except WorkbenchError as error:
        problem_boxes(error.problems)
        return FALLBACK


def data_choice(now: Draft) -> Draft:
    """The data set of the draft; another one keeps the layers, and takes its own task."""
    known = datasets.names()
    spec = now.section("data", DataSpec)
    options = known if spec.name in known else [spec.name, *known]
    key = f"data.{now.id}.{now.rev}"
    st.session_state.setdefault(key, spec.name)
    name = st.selectbox(
        "Data set",
        options,
        key=key,
        width=300,
        help="Decides what comes in and how many scores must come out",
    )
    if name == spec.name:
        return now
    task = fitting.purpose_on(catalog.schema(store(), name), now).task
    same = isinstance(now.tree.get("task"), dict) and now.tree["task"].get("kind") == task
    changes = {} if same else {"task": fitting.TASKS[task]()}
    return save(now.with_(data=DataSpec(name=name, text=spec.text), **changes))


def tokens_choice(now: Draft) -> Draft:
    """How the texts of the set become tokens: it decides the shapes. Nothing for images."""
    spec = now.section("data", DataSpec)
    schema = known_schema(spec.name)
    if schema is None or schema.kind != "text":
        return now
    told = f"{option_word(spec.text.tokenizer)} tokens, {spec.text.length:,} a text"
    with st.popover(told, icon=":material/abc:", key=f"tokens.{now.id}.{now.rev}", width="content"):
        text = text_form(spec.text, schema.task, key=f"text.{now.id}.{now.rev}")
    return now if text == spec.text else save(now.with_(data=spec.model_copy(update={"text": text})))


def windows_choice(now: Draft) -> Draft:
    """How the series of the set becomes windows: it decides the shapes. Nothing for other sets."""
    spec = now.section("data", DataSpec)
    schema = known_schema(spec.name)
    if schema is None or schema.kind != "series":
        return now
    told = f"{spec.series.look_back:,} steps seen, {spec.series.horizon:,} told"
    with st.popover(told, icon=":material/show_chart:", key=f"windows.{now.id}.{now.rev}", width="content"):
        series, _ = window_fields(spec.series, schema.variates, key=f"series.{now.id}.{now.rev}")
    if series == spec.series:
        return now
    return refitted(save(now.with_(data=spec.model_copy(update={"series": series}))))


def refitted(now: Draft, *, afresh: bool = True) -> Draft:
    """The draft with as many outputs as its windows and its task ask for, where that is all that is amiss.

    afresh: forms and editor begin anew. Without it they go on: what is typed next would be lost to forms
    that have just been replaced.
    """
    try:
        given = fitting.input_of(store(), now.section("data", DataSpec), fitting.task_of(now))
    except WorkbenchError:
        return now
    model = stack.fitted(now.model, *given)
    if model == now.model:
        return now
    return overwrite(now, model=model) if afresh else save(now.with_(model=model))


def task_choice(now: Draft) -> Draft:
    """What images are to be used for: what the set is for, to be painted anew, or to be made of noise.
    Another choice brings its first preset. Nothing for texts."""
    schema = known_schema(now.section("data", DataSpec).name)
    if schema is None or schema.kind != "images":
        return now
    free = [fitting.Purpose("images", kind) for kind in UNLABELLED]
    options = [one for one in (fitting.of_set(schema),) if one not in free] + free
    chosen = fitting.purpose_on(schema, now)
    key = f"purpose.{now.id}.{now.rev}"
    st.session_state.setdefault(key, options.index(chosen) if chosen in options else 0)
    place = st.selectbox(
        "What for", range(len(options)), key=key, width=230,
        format_func=lambda i: TASK_WORDS.get(options[i].task, options[i].task),
        help="Any pictures can be painted anew by an autoencoder, or be the example of a GAN; their classes "
        "are not asked for then",
    )  # fmt: skip
    if options[place] == chosen:
        return now
    starts = fitting.starts_for(options[place])
    data = now.section("data", DataSpec)
    spec = fitting.begun(store(), starts[0], data.model_copy(update={"augment": ()}))
    data = spec.data.model_copy(update={"normalize": starts[0].spec.data.normalize})
    overwrite(now, data=data, model=spec.model, task=spec.task, training=spec.training)
    st.rerun()
    return now


TASK_WORDS = {
    "classification": "Tell their classes",
    "segmentation": "Mark every pixel",
    "reconstruction": "Paint them anew",
    "generation": "Make new ones",
}


def preset_choice(now: Draft) -> None:
    """Replace the layers by a preset's; undo in the editor brings the old ones back."""
    schema = known_schema(now.section("data", DataSpec).name)
    usual = fitting.Purpose("images", "classification")
    wanted = fitting.purpose_on(schema, draft()) if schema else usual
    own = {MINE + kept.name: kept.spec for kept in store().presets.list() if kept.spec is not None}
    specs = {**own, **{name: preset.spec for name, preset in PRESETS.items()}}
    fits = [name for name, spec in specs.items() if fitting.of_run(spec) == wanted]
    others = [name for name in specs if name not in fits]

    def chosen() -> None:
        name = st.session_state["preset"]
        st.session_state["preset"] = None
        if name == "":
            overwrite(draft(), model=stack.model([]))
        elif name is not None:
            take_preset(specs[name], fits=name in fits)

    def title(name: str) -> str:
        if not name:
            return "An empty stack"
        words = PRESETS[name].title if name in PRESETS else f"{name.removeprefix(MINE)} (your own)"
        return words if name in fits else f"{words} · with {specs[name].data.name}"

    st.selectbox(
        "Start from",
        ["", *fits, *others],
        index=None,
        key="preset",
        on_change=chosen,
        width=340,
        placeholder="Choose a preset",
        format_func=title,
        help="Replaces the layers below by those of a preset; its last layer is fitted to the data set. "
        "Presets for another kind of data bring a set of their own.",
    )


def take_preset(spec: RunSpec, *, fits: bool) -> None:
    """The layers of a preset on the draft's set, or all of it where the set is of another kind."""
    now = draft()
    if not fits:
        overwrite(now, data=spec.data, model=spec.model, task=spec.task, training=spec.training)
        return
    data = now.section("data", DataSpec)
    if fitting.of_run(spec).kind == "table":
        data = data.model_copy(update={"table": spec.data.table})
    if fitting.of_run(spec).kind == "text":  # its layers are made for its tokens
        data = data.model_copy(update={"text": spec.data.text})
    task = now.tree.get("task")
    if fitting.of_run(spec).kind == "series":  # a band is told by a task of its own
        task = spec.task
    told = spec.task
    try:
        shape, n_scores = fitting.input_of(store(), data, told)
    except WorkbenchError:
        shape, n_scores = FALLBACK.shape, FALLBACK.n_scores
    tree = fitting.refitted(stack.dump(spec.model), shape, n_scores, per_token=now.per_token)
    overwrite(now, data=data, model=tree, task=task)


def editor(given: Input) -> dict[str, Any]:
    """The layer editor on the current draft; its report."""

    def keep(model: stack.Model) -> None:
        save(draft().with_(model=model))

    now = draft()
    return layer_editor(
        now.model, given.shape, given.n_scores, per_token=given.per_token, rev=f"{now.id}.{now.rev}",
        on_edit=keep,
    )  # fmt: skip


# ---------------------------------------------------------------- the model in other forms


def sound(given: Input, what: str) -> ModelSpec | None:
    """The model of the draft where it works; else says that `what` waits for it."""
    model = stack.build(draft().model)
    problems = model.problems(given.shape, given.n_scores, per_token=given.per_token) if model else []
    if model is None or any(p.severity == "error" for p in problems):
        st.info(f"Mend the marked layer first; then the {what} stands here.")
        return None
    return model


def drawn(given: Input) -> None:
    """The network as a picture for a slide."""
    model = sound(given, "drawing")
    if model is not None:
        known = PRESETS.get(like(model))
        drawing(model.rows(given.shape), given.shape, known.title if known else "Network")


def link_view() -> None:
    """The design as a link: it carries the layers themselves, and works on any workbench."""
    address = str(st.context.url or "").partition("?")[0]
    st.caption(
        "Whoever opens this link gets these layers as a design of their own. No run or data goes with it."
    )
    st.code(f"{address}?design={links.packed(draft().model)}", language=None, wrap_lines=True)


def design_from_link() -> None:
    """A design in the URL becomes a new draft, and leaves the URL."""
    text = str(st.query_params.get("design", ""))
    if not text:
        return
    del st.query_params["design"]
    model = links.unpacked(text)  # refuses what is no design
    fresh = overwrite(begin(start_of(model)), model=model)
    st.query_params["draft"] = fresh.id
    n = len(model["layers"]) + len(model["decoder"])
    st.toast(f"Took over {n} layers from the link.")


def start_of(model: stack.Model) -> RunSpec:
    """A run to begin with for a design that came without data: the preset of its family, or the usual one."""
    known = ("rnn", "encoder", "gpt", "seq2seq", "unet", "autoencoder", "gan")
    family = model["family"] if model["family"] in known else None
    kinds = {raw.get("kind") for _, raw in stack.places(model)}
    if family is None or (family == "rnn" and "embedding" not in kinds):
        return RunSpec()
    fit = (preset.spec for preset in PRESETS.values() if preset.spec.model.family == family)
    if family in ("unet", "autoencoder", "gan"):
        return next(fit, RunSpec())
    return next((spec for spec in fit if fitting.of_run(spec).kind == "text"), RunSpec())


def code_view(given: Input) -> None:
    """The model as plain PyTorch, to run without this workbench."""
    model = sound(given, "code")
    if model is None:
        return
    code = pytorch_code(model, given.shape, given.n_scores)
    st.caption("Needs torch alone. Same layers, same shapes, same number of parameters.")
    st.code(code, language="python")
    st.download_button("Download", code, "model.py", "text/x-python", key="code.save", on_click="ignore")


def yaml_view() -> None:
    """The whole run as YAML: what `workbench train` takes."""
    try:
        text = draft().spec().to_yaml()
    except SpecError as error:
        problem_boxes(error.problems)
        return
    st.caption("The whole run, to keep or to start from the command line: workbench train run.yaml")
    st.code(text, language="yaml")
    st.download_button("Download", text, "run.yaml", "application/yaml", key="yaml.save", on_click="ignore")


def cross_check(given: Input) -> None:
    """Ask torch itself: the model is built and counted by torchinfo."""
    st.caption("Builds the model in PyTorch and counts its parameters with torchinfo, beside our own count.")
    if not st.button("Count with torchinfo", key="check.go"):
        return
    now = draft()
    with st.spinner("Building the model in PyTorch"):
        answer = answers.ask(store(), "summary", {"spec": now.spec().model_dump(mode="json")}, timeout_s=60)
    ours = stack.report(now.model, given.shape, given.n_scores, per_token=given.per_token)["totals"]
    theirs = int(answer.get("parameters", -1))
    if theirs == ours["parameters"]:
        st.success(f"Both count {theirs:,} parameters.", icon=":material/check:")
    else:
        st.error(
            f"PyTorch counts {theirs:,} parameters, we count {ours['parameters']:,}. Please report this."
        )
    st.code(str(answer.get("text", "")), language=None)


def yaml_import() -> None:
    """Take a model, or a whole run, from YAML text or a file."""
    file = st.file_uploader(
        "A YAML or JSON file", type=["yaml", "yml", "json"], max_upload_size=1, key="import.file"
    )
    typed = st.text_area(
        "Or its text",
        height=160,
        key="import.text",
        max_chars=MAX_YAML,
        placeholder="model:\n  layers:\n  - kind: conv2d",
    )
    text = file.getvalue().decode("utf-8", "replace") if file else typed
    if st.button("Take it over", key="import.go", disabled=not text.strip()):
        spec = parse(text, file.name[:80] if file else "text")
        blocks: dict[str, Any] = spec.model_dump(mode="json")
        if not mentions_data(text):
            blocks.pop("data")
        overwrite(draft(), **blocks)
        st.toast(f"Took over {plain(spec.name)}: {len(spec.model.layers) + len(spec.model.decoder)} layers.")
        st.rerun()


def mentions_data(text: str) -> bool:
    """Whether the text has a `data` block of its own; otherwise the draft keeps its data set."""
    return any(line.startswith(("data:", '"data"', "{")) for line in text.splitlines())


def rows_of(shape: AnyShape) -> list[Row]:
    """The layer table of the draft's model; nothing while a field is at fault."""
    model = stack.build(draft().model)
    return model.rows(shape) if model else []

"""Pieces of the model page: the start, the editor with its draft, and the model in other forms."""

from __future__ import annotations

from typing import Any

import streamlit as st

from workbench import catalog
from workbench.export.code import pytorch_code
from workbench.jobs import answers
from workbench.specs.base import Shape
from workbench.specs.data import DataSpec
from workbench.specs.errors import SpecError, WorkbenchError
from workbench.specs.likeness import like
from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec, parse
from workbench.ui import datasets, links, stack
from workbench.ui.drawing import drawing
from workbench.ui.editor import layer_editor
from workbench.ui.errors import problem_boxes
from workbench.ui.marks import plain
from workbench.ui.stack import fitted
from workbench.ui.state import Draft, begin, draft, overwrite, save, store

FALLBACK: tuple[Shape, int] = ((1, 28, 28), 10)  # what the editor assumes while the data set is missing
MAX_YAML = 1_000_000  # characters of an imported spec
MINE = "own:"  # before the names of presets of one's own, which so never meet a built-in one


def input_of(now: Draft) -> tuple[Shape, int]:
    """(C, H, W) that the model sees, and its classes. Tells why when the data set cannot say."""
    try:
        return catalog.shape_and_classes(store(), now.section("data", DataSpec))
    except WorkbenchError as error:
        problem_boxes(error.problems)
        return FALLBACK


def data_choice(now: Draft) -> Draft:
    """The data set of the draft; another one keeps the layers."""
    known = datasets.names()
    spec = now.section("data", DataSpec)
    options = known if spec.name in known else [spec.name, *known]
    key = f"data.{now.id}.{now.rev}"
    st.session_state.setdefault(key, spec.name)
    name = st.selectbox(
        "Data set", options, key=key, width=300, help="Decides the input's size and the number of classes"
    )
    return now if name == spec.name else save(now.with_(data=DataSpec(name=name)))


def preset_choice() -> None:
    """Replace the layers by a preset's; undo in the editor brings the old ones back."""
    mine = {MINE + kept.name: kept.spec for kept in store().presets.list() if kept.spec is not None}

    def chosen() -> None:
        name = st.session_state["preset"]
        st.session_state["preset"] = None
        if name == "":
            overwrite(draft(), model=stack.model_tree([]))
        elif name is not None:
            now = draft()
            spec = mine[name] if name in mine else PRESETS[name].spec
            overwrite(now, model=stack.model_tree(fitted(stack.dump(spec.model), *_input(now))))

    def title(name: str) -> str:
        if name in PRESETS:
            return PRESETS[name].title
        return f"{name.removeprefix(MINE)} (your own)" if name else "An empty stack"

    st.selectbox(
        "Start from",
        ["", *mine, *PRESETS],
        index=None,
        key="preset",
        on_change=chosen,
        width=340,
        placeholder="Choose a preset",
        format_func=title,
        help="Replaces the layers below by those of a preset; its last layer is fitted to the data set.",
    )


def _input(now: Draft) -> tuple[Shape, int]:
    try:
        return catalog.shape_and_classes(store(), now.section("data", DataSpec))
    except WorkbenchError:
        return FALLBACK


def editor(shape: Shape, n_classes: int) -> dict[str, Any]:
    """The layer editor on the current draft; its report."""

    def keep(layers: list[stack.Raw]) -> None:
        save(draft().with_(model=stack.model_tree(layers)))

    now = draft()
    return layer_editor(now.layers, shape, n_classes, rev=f"{now.id}.{now.rev}", on_edit=keep)


# ---------------------------------------------------------------- the model in other forms


def drawn(shape: Shape, n_classes: int) -> None:
    """The network as a picture for a slide."""
    model = stack.build(draft().layers)
    if model is None or any(p.severity == "error" for p in model.problems(shape, n_classes)):
        st.info("Mend the marked layer first; then the drawing stands here.")
        return
    known = PRESETS.get(like(model))
    drawing(model.rows(shape), shape, known.title if known else "Network")


def link_view() -> None:
    """The design as a link: it carries the layers themselves, and works on any workbench."""
    address = str(st.context.url or "").partition("?")[0]
    st.caption(
        "Whoever opens this link gets these layers as a design of their own. No run or data goes with it."
    )
    st.code(f"{address}?design={links.packed(draft().layers)}", language=None, wrap_lines=True)


def design_from_link() -> None:
    """A design in the URL becomes a new draft, and leaves the URL."""
    text = str(st.query_params.get("design", ""))
    if not text:
        return
    del st.query_params["design"]
    layers = links.unpacked(text)  # refuses what is no design
    fresh = overwrite(begin(RunSpec()), model=stack.model_tree(layers))
    st.query_params["draft"] = fresh.id
    st.toast(f"Took over {len(layers)} layers from the link.")


def code_view(shape: Shape, n_classes: int) -> None:
    """The model as plain PyTorch, to run without this workbench."""
    model = stack.build(draft().layers)
    if model is None or any(p.severity == "error" for p in model.problems(shape, n_classes)):
        st.info("Mend the marked layer first; then the code stands here.")
        return
    code = pytorch_code(model, shape, n_classes)
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


def cross_check(shape: Shape, n_classes: int) -> None:
    """Ask torch itself: the model is built and counted by torchinfo."""
    st.caption("Builds the model in PyTorch and counts its parameters with torchinfo, beside our own count.")
    if not st.button("Count with torchinfo", key="check.go"):
        return
    now = draft()
    with st.spinner("Building the model in PyTorch"):
        answer = answers.ask(store(), "summary", {"spec": now.spec().model_dump(mode="json")}, timeout_s=60)
    ours = stack.report(now.layers, shape, n_classes)["totals"]
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
        st.toast(f"Took over {plain(spec.name)}: {len(spec.model.layers)} layers.")
        st.rerun()


def mentions_data(text: str) -> bool:
    """Whether the text has a `data` block of its own; otherwise the draft keeps its data set."""
    return any(line.startswith(("data:", '"data"', "{")) for line in text.splitlines())


def rows_of(model: ModelSpec | None, shape: Shape) -> list[Any]:
    return model.rows(shape) if model else []

"""Cards of presets: what each is, and two ways on: train it now, or open it in the editor."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from workbench.jobs import runs
from workbench.specs.presets import PRESETS, Preset
from workbench.specs.run import RunSpec
from workbench.ui import fitting, nav
from workbench.ui.state import begin, store

QUICK = "cnn-mnist"
QUICK_LABEL = "Train a CNN on Fashion-MNIST"
QUICK_TEXT = "gpt-char"
QUICK_TEXT_LABEL = "Teach a small GPT to write like Shakespeare"
HEADINGS = {
    fitting.Purpose("images", "classification"): "Pictures in classes",
    fitting.Purpose("images", "segmentation"): "Every pixel in classes",
    fitting.Purpose("images", "reconstruction"): "Pictures through a narrow place",
    fitting.Purpose("images", "generation"): "New pictures",
    fitting.Purpose("text", "classification"): "Texts in classes",
    fitting.Purpose("text", "language_model"): "Text to be continued",
    fitting.Purpose("text", "translation"): "Translation",
    fitting.Purpose("series", "forecasting"): "Series to be forecast",
    fitting.Purpose("table", "classification"): "Rows of tables in classes",
    fitting.Purpose("table", "regression"): "Numbers from rows of tables",
}


def launch(spec: RunSpec) -> None:
    """Put the run in the queue and go and watch it. Raises SpecError."""
    nav.go("live", run=runs.submit(store(), spec))


def quick_start(*, primary: bool = True) -> None:
    """The one click: a small convolutional network on pictures of clothes."""
    if st.button(
        QUICK_LABEL, type="primary" if primary else "secondary", key="quick", icon=":material/play_arrow:",
        help="CNN: a convolutional neural network, the usual kind for pictures. Fashion-MNIST: small "
        "pictures of clothes. It starts at once, and you watch it learn",
    ):  # fmt: skip
        launch(PRESETS[QUICK].spec.model_copy(update={"name": "CNN on Fashion-MNIST"}))


def quick_text() -> None:
    """The other one: a language model that is read while it learns to spell."""
    if st.button(
        QUICK_TEXT_LABEL, key="quick-text", icon=":material/edit_note:",
        help="GPT: a Transformer that tells the next letter from those before. It starts at once, and writes "
        "a text at every validation",
    ):  # fmt: skip
        launch(PRESETS[QUICK_TEXT].spec.model_copy(update={"name": "GPT on Shakespeare"}))


def nothing_yet(text: str) -> None:
    """What a page says that has nothing to show, and the two ways to something."""
    st.info(text, icon=":material/info:")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        quick_start()
        nav.link("model", "or build a model of your own", icon=":material/layers:")


def preset_cards() -> None:
    """Every preset as a card, by what it is for."""
    for number, (purpose, words) in enumerate(HEADINGS.items()):
        st.markdown(f"**{words}**")
        _cards(fitting.presets_for(purpose), f"presets-{number}")


def _cards(presets: Sequence[Preset], key: str) -> None:
    with st.grid(min_column_width=255, gap="small", key=key) as grid:
        for preset in presets:
            with (
                grid.cell(),
                st.container(border=True, height="stretch", gap="xsmall", key=f"card-{preset.name}"),
            ):
                _card(preset)


def _card(preset: Preset) -> None:
    st.markdown(f"**{preset.title}**")
    st.caption(preset.about)
    spec = preset.spec
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if st.button("Edit", key=f"edit-{preset.name}", help="Open its layers in the editor"):
            nav.go("model", draft=begin(spec).id)
        if preset.needs:  # such as the files of a pretrained model
            return
        if st.button("Train now", key=f"train-{preset.name}", help=f"Starts at once on {spec.data.name}"):
            launch(spec)

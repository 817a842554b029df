"""Model: choose the data, edit the layers, see what comes out of each and what it costs."""

from __future__ import annotations

import streamlit as st

from workbench.figures.layers import layers_bars, layers_info
from workbench.ui import kept, model, nav
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.mismatch import mismatch
from workbench.ui.state import draft
from workbench.ui.weights import weights_view


@st.fragment
def bench(given: model.Input) -> None:
    """Everything that answers to an edit, rerun alone while typing."""
    with guard():
        report = model.editor(given)
        with st.container(horizontal=True, horizontal_alignment="right"):
            why = None if report["ok"] else "Mend the marked layer first"
            if st.button("Continue to training", type="primary", icon=":material/arrow_forward:", key="next",
                         disabled=not report["ok"], help=why):  # fmt: skip
                nav.go("train", draft=draft().id)
        views = [
            "Parameters by layer",
            "Drawing",
            "PyTorch code",
            "YAML",
            "Link",
            "Cross-check",
            "Weights",
            "Import",
        ]
        tabs = st.tabs(views, on_change="rerun", key="form", bind="query-params")
        for tab, view in zip(tabs, views, strict=True):
            if not tab.open:
                continue
            with tab, guard():
                if view == "Parameters by layer":
                    info = layers_info(model.rows_of(given.shape))
                    if info.names:
                        st.html(layers_bars(info))
                    else:
                        st.caption("No layer has parameters yet.")
                elif view == "Drawing":
                    model.drawn(given)
                elif view == "Link":
                    model.link_view()
                elif view == "PyTorch code":
                    model.code_view(given)
                elif view == "YAML":
                    model.yaml_view()
                elif view == "Cross-check":
                    model.cross_check(given)
                elif view == "Weights":
                    if model.sound(given, "place for weights") is not None:
                        weights_view(draft().spec())
                else:
                    model.yaml_import()


with guard():
    model.design_from_link()
    heading("Model", "Each row is a layer. Its output shape and its parameters follow while you type.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        now = model.data_choice(draft())
        now = model.task_choice(now)
        model.preset_choice(now)
        now = model.tokens_choice(now)
        now = model.windows_choice(now)
        kept.save_button()
    mismatch(now)
    bench(model.input_of(now))

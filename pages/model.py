"""Model: choose the data, edit the layers, see what comes out of each and what it costs."""

from __future__ import annotations

import streamlit as st

from workbench.figures.layers import layers_figure, layers_info
from workbench.figures.theme import PLAIN
from workbench.specs.base import Shape
from workbench.ui import kept, model, nav, stack
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.state import draft


@st.fragment
def bench(shape: Shape, n_classes: int) -> None:
    """Everything that answers to an edit, rerun alone while typing."""
    with guard():
        report = model.editor(shape, n_classes)
        with st.container(horizontal=True, horizontal_alignment="right"):
            why = None if report["ok"] else "Mend the marked layer first"
            if st.button("Continue to training", type="primary", icon=":material/arrow_forward:", key="next",
                         disabled=not report["ok"], help=why):  # fmt: skip
                nav.go("train", draft=draft().id)
        views = ["Parameters by layer", "Drawing", "PyTorch code", "YAML", "Link", "Cross-check", "Import"]
        tabs = st.tabs(views, on_change="rerun", key="form", bind="query-params")
        for tab, view in zip(tabs, views, strict=True):
            if not tab.open:
                continue
            with tab, guard():
                if view == "Parameters by layer":
                    info = layers_info(model.rows_of(stack.build(draft().layers), shape))
                    if info.names:
                        st.plotly_chart(layers_figure(info), key="layers", config=PLAIN)
                    else:
                        st.caption("No layer has parameters yet.")
                elif view == "Drawing":
                    model.drawn(shape, n_classes)
                elif view == "Link":
                    model.link_view()
                elif view == "PyTorch code":
                    model.code_view(shape, n_classes)
                elif view == "YAML":
                    model.yaml_view()
                elif view == "Cross-check":
                    model.cross_check(shape, n_classes)
                else:
                    model.yaml_import()


with guard():
    model.design_from_link()
    heading("Model", "Each row is a layer. Its output shape and its parameters follow while you type.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        now = model.data_choice(draft())
        model.preset_choice()
        kept.save_button()
    shape, n_classes = model.input_of(now)
    bench(shape, n_classes)

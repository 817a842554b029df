"""Data: the sets there are, what is in them, and how to add one."""

from __future__ import annotations

import streamlit as st

from workbench import catalog
from workbench.specs.data import DataSpec
from workbench.ui import datasets, hardest, nav, preview, quality
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.state import draft, save, store

with guard():
    heading(
        "Data",
        "Labelled pictures to learn from. Two small sets come with the workbench; add your own beside them.",
    )
    datasets.imports_panel()
    rows = catalog.list(store())
    datasets.missing(rows)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        row = datasets.choose(rows)
        if st.button("Add data", icon=":material/add:", key="add"):
            datasets.add_dialog()
        st.space("stretch")
        if st.button("Use for a new run", type="primary", icon=":material/arrow_forward:", key="use"):
            now = draft()
            same = now.tree.get("data", {}).get("name") == row.name
            chosen = now if same else datasets.taken_up(now, row)
            nav.go("model", draft=chosen.id)
    datasets.facts(row)
    views = {
        "Samples": datasets.samples,
        "Class balance": datasets.balance,
        "Statistics": quality.statistics,
        "Copies": quality.copies,
        hardest.VIEW: hardest.hard_and_odd,
        "Split": None,
        "Augmentation": preview.augmentation,
        "Import report": datasets.report_table,
        "About": datasets.about,
    }
    tabs = st.tabs(list(views), on_change="rerun", key="view", bind="query-params")
    for tab, show in zip(tabs, views.values(), strict=True):
        if not tab.open:
            continue
        with tab, guard():
            if show is not None:
                show(row)
                continue
            now = draft()
            spec = now.section("data", DataSpec)
            mine = spec if spec.name == row.name else DataSpec(name=row.name)
            changed = datasets.split_form(row, mine, key=f"split.{now.id}.{now.rev}.{row.name}")
            if changed != mine:
                save(now.with_(data=changed))
                st.caption(f"Kept for the next run, which will use {row.name}.")

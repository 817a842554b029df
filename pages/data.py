"""Data: the sets there are, what is in them, and how to add one."""

from __future__ import annotations

import streamlit as st

from workbench import catalog
from workbench.specs.data import DataSpec
from workbench.store.datasets import DatasetRow
from workbench.ui import (
    adding,
    datasets,
    fitting,
    hardest,
    masks,
    nav,
    preview,
    quality,
    series,
    tables,
    texts,
    tokens,
)
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.state import draft, save, store


def split(row: DatasetRow) -> None:
    """Held-out shares, kept for the next run."""
    now = draft()
    spec = now.section("data", DataSpec)
    mine = spec if spec.name == row.name else fitting.tried(row.name, row.schema, spec)
    changed = datasets.split_form(row, mine, key=f"split.{now.id}.{now.rev}.{row.name}")
    if changed == mine:
        return
    fits = fitting.of_draft(now) in (None, fitting.purpose_on(row.schema, now))
    if spec.name == row.name or fits:
        save(now.with_(data=changed))
        st.caption(f"Kept for the next run, which will use {row.name}.")
    else:
        fitting.keep_tried(changed)
        st.caption("Kept: a new run of this set begins with it.")


with guard():
    heading(
        "Data",
        "Pictures, texts, tables and series to learn from. Some come with the workbench; add your own.",
    )
    adding.imports_panel()
    with st.spinner("Looking through the data sets"):  # the first time, those shipped are written
        rows = catalog.list(store())
    datasets.missing(rows)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        row = datasets.choose(rows)
        if st.button("Add data", icon=":material/add:", key="add"):
            adding.add_dialog()
        st.space("stretch")
        if st.button("Use for a new run", type="primary", icon=":material/arrow_forward:", key="use"):
            with st.spinner("Learning the vocabulary" if row.schema.kind == "text" else "Taking it up"):
                now = fitting.taken_up(store(), draft(), row.name, row.schema, tokens.tried(row.name),
                                       fitting.asked_split(row.name))  # fmt: skip
            nav.go("model", draft=now.id)
    datasets.facts(row)
    is_text, masked = row.schema.kind == "text", row.schema.task == "segmentation"
    is_images, is_table = row.schema.kind == "images", row.schema.kind == "table"
    has_classes = bool(row.schema.classes) and not masked and row.schema.task != "multi_label"
    is_told = row.schema.task in ("regression", "forecasting")  # numbers, and no class
    pictures = masks.samples if masked else datasets.samples if is_images else None
    views = {
        "Curves": series.curves if row.schema.kind == "series" else None,
        "Columns": tables.columns if is_table else None,
        "Rows": tables.rows if is_table else None,
        "Samples": texts.samples if is_text else pictures,
        "Target": tables.target if row.schema.task == "regression" else None,
        "Class balance": datasets.balance if has_classes else None,
        "Tokens": tokens.tokens if is_text else None,
        "Statistics": quality.statistics if is_images else None,
        "Copies": texts.copies if is_text else quality.copies if is_images else None,
        hardest.VIEW: hardest.hard_and_odd if has_classes or is_told else None,
        "Split": split,
        "Augmentation": preview.augmentation if is_images else None,
        "Import report": datasets.report_table,
        "About": datasets.about,
    }
    offered = {name: show for name, show in views.items() if show is not None}
    tabs = st.tabs(list(offered), on_change="rerun", key="view", bind="query-params")
    for tab, show in zip(tabs, offered.values(), strict=True):
        if not tab.open:
            continue
        with tab, guard():
            show(row)

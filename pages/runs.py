"""Runs: everything that was started here, with its state, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from workbench.store import Query
from workbench.ui import board, controls, folds, nav, queue
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.presets import nothing_yet
from workbench.ui.state import store


@st.fragment(run_every=2)
def listing(query: Query, columns: list[str]) -> None:
    """The table, its pages and the chosen runs."""
    with guard():
        rows, total, pages = board.find(query)
        if not rows:
            st.info("No run fits. Take a filter away, or look among the archived ones.")
        elif opened := board.table(rows, columns):
            nav.go("live", run=opened)
        with st.container(horizontal=True, gap="medium", vertical_alignment="center", key="pages"):
            st.caption("1 run" if total == 1 else f"{total:,} runs", width="content")
            if pages > 1:
                board.turn_pages(pages)
        chosen = board.chosen()
        if len(chosen) == 1:
            controls.panel(chosen[0])
        elif chosen:
            controls.many(chosen)
        elif rows:
            st.caption(
                "Click a run to see what can be done with it; its name opens it. Choose several to compare."
            )


@st.fragment(run_every=2)
def line() -> None:
    """What the devices do, and who waits."""
    with guard():
        queue.panel()


with guard():
    heading(
        "Runs", "Every training started here. States are read from the facts: a killed process shows as lost."
    )
    if not store().runs.count():
        nothing_yet("Nothing has been trained yet. What you start is listed here.")
    else:
        board.arrive()
        line()
        folds.panel()
        asked, shown = board.filters()
        listing(asked, shown)

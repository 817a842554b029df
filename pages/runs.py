"""Runs: everything that was started here, with its state, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from workbench.records import RunState
from workbench.ui import controls, nav, runs
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.presets import quick_start
from workbench.ui.state import store


@st.fragment(run_every=2)
def board(text: str, states: list[str], shown: int = 200) -> None:
    """The table and the chosen run, kept true while runs go on."""
    with guard():
        rows = runs.matching(store().runs.list(), text, states)
        if not rows:
            st.info("No run fits the search.")
            return
        ids, opened = runs.runs_table(rows[:shown])
        if opened:
            nav.go("live", run=opened)
        if len(rows) > shown:
            st.caption(f"The newest {shown} of {len(rows)} runs; search to find older ones.")
        chosen = [run for run in rows if run.id in ids]
        if len(chosen) == 1:
            controls.panel(chosen[0])
        elif chosen:
            controls.many(chosen)
        else:
            st.caption("Click a run to see what can be done with it; its name opens it.")


with guard():
    heading(
        "Runs", "Every training started here. States are read from the facts: a killed process shows as lost."
    )
    if not store().runs.list(limit=1):
        st.info("Nothing has been trained yet.")
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            quick_start()
            nav.link("model", "or build a model of your own", icon=":material/layers:")
    else:
        with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
            text = st.text_input(
                "Search", key="search", placeholder="Name, id or data set", width=300, bind="query-params"
            )
            options = [state.value for state in RunState]
            states = st.pills(
                "State", options, selection_mode="multi", key="states", wrap=True, bind="query-params"
            )
        board(text or "", list(states))

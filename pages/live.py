"""Live: one run, from the outside and from the inside, while it learns."""

from __future__ import annotations

import time

import streamlit as st

from workbench.jobs import runs as control
from workbench.store import RunRow
from workbench.ui import live, nav
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.state import store

RECENT = 200  # runs offered in the list
DONE = {
    "pause": "It pauses at its next step.",
    "resume": "It goes on.",
    "stop": "It ends; its model is kept.",
}


def choose(found: list[RunRow]) -> RunRow:
    """The run that the URL names, else the newest; another choice changes the URL."""
    by_id = {run.id: run for run in found}
    asked = nav.asked("run")
    if asked and asked not in by_id:
        with guard():  # an older run, a prefix or a name; what matches nothing is said
            run = store().runs.get(asked)
            by_id[run.id] = run
            asked = run.id
    current = asked if asked in by_id else found[0].id
    if nav.asked("run") != current:
        st.query_params["run"] = current
    st.session_state["live_run"] = current
    st.selectbox(
        "Run", list(by_id), key="live_run", on_change=carry_over, label_visibility="collapsed",
        format_func=lambda run_id: label(by_id[run_id]), filter_mode="contains", width=420,
    )  # fmt: skip
    return by_id[current]


def label(run: RunRow) -> str:
    """A run among others, unmistakable: the list sends labels, not ids. Nothing in it changes with time."""
    return f"{run.name} · {time.strftime('%d %b %H:%M', time.localtime(run.created))} · {run.id[-4:]}"


def carry_over() -> None:
    """Put the choice into the URL, where a reload and a second browser find it."""
    st.query_params["run"] = st.session_state["live_run"]


def no_run() -> None:
    heading("Live", "Curves, filters and feature maps of a run, while it learns.")
    st.info("There is no run yet. Start one, and it appears here.", icon=":material/monitoring:")
    nav.link("home", "Train a first network", icon=":material/rocket_launch:")


def act(run: RunRow, verb: live.Verb) -> None:
    """Do what a button asked. The strip shows the new state by itself."""
    if verb == "predict":
        nav.go("predict", run=run.id)
    with guard():
        getattr(control, verb)(store(), run.id)
        st.toast(DONE[verb])


recent = store().runs.list(limit=RECENT)
if not recent:
    no_run()
else:
    run = choose(recent)
    pressed = live.status(run.id, name=run.name)
    if pressed:
        act(run, pressed)
    live.tabs(run.id)

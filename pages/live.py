"""Live: one run, from the outside and from the inside, while it learns; and the hands on it."""

from __future__ import annotations

import time

import streamlit as st

from workbench.jobs import runs as control
from workbench.live.views import is_text
from workbench.store import RunRow
from workbench.ui import hardest, live, nav, steer, tryout
from workbench.ui.errors import guard
from workbench.ui.lineage import fork_panel, lineage
from workbench.ui.marks import heading
from workbench.ui.presets import nothing_yet
from workbench.ui.state import store

RECENT = 200  # runs offered in the list
DONE = {
    "pause": "It pauses at its next step.",
    "park": "It saves itself and gives its memory back.",
    "step": "It does its steps, then pauses.",
    "resume": "It goes on.",
    "offer": "It goes on with the changed settings.",
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
    # Said anew also where a link to this very page named it: the browser's address stays behind there.
    if nav.asked("run") != current or st.session_state.get("live_run") != current:
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
    heading("Live", "Curves, filters, feature maps and attention of a run, while it learns.")
    nothing_yet("There is no run yet. Start one, and it appears here.")


def act(run: RunRow, asked: live.Act) -> None:
    """Do what a button asked. The strip shows the new state by itself."""
    if asked.verb == "predict":
        nav.go("predict", run=run.id)
    if asked.verb in ("steer", "fork"):
        st.query_params["panel"] = "" if nav.asked("panel") == asked.verb else asked.verb
        st.rerun()
    with guard():
        if asked.verb == "step":
            control.step(store(), run.id, asked.steps)
        elif asked.verb == "offer":
            control.accept_offer(store(), run.id)
        else:
            getattr(control, asked.verb)(store(), run.id)
        st.toast(DONE[asked.verb])


with guard():
    recent = store().runs.list(limit=RECENT)
    if not recent:
        no_run()
    else:
        run = choose(recent)
        panel = nav.asked("panel")
        pressed = live.status(run.id, name=run.name, panel=panel)
        if pressed:
            act(run, pressed)
        lineage(run, recent)
        if is_text(run.spec):
            tryout.box(run)
        hardest.link(run)
        if panel == "steer":
            steer.panel(run.id)
        elif panel == "fork":
            fork_panel(run)
        live.tabs(run.id, run.spec)

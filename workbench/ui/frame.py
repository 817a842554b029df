"""What stands around every page: colours, brand, the training service, the runs at work.

Called by the entry script before the page. The run list refreshes itself in a fragment of its own
(one short query every few seconds), so that it is true on whatever page one is.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import streamlit as st

from workbench.figures.theme import GOOD, MUTED, STATES, css_variables
from workbench.jobs.launch import supervisor
from workbench.live.silence import is_silent
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow
from workbench.ui import nav, tour
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.marks import duration, heading, pill, plain
from workbench.ui.state import reopen, store

_ASSETS = Path(__file__).parent / "assets"
_VARIABLES = "".join(f"{name}:{colour};" for name, colour in css_variables().items())
_RULES = (_ASSETS / "pages.css").read_text()
_STYLE = f"<style>.stApp{{{_VARIABLES}--wb-ink:light-dark(#10141d,#f4f6fb)}}\n{_RULES}</style>"
SIDEBAR_PX = 248  # at first; its edge can be drawn. A row of the layer editor then fits at 1440 px
_SHOWN = 5  # runs at work listed in the sidebar


def frame(page: str) -> None:
    """Draw what stands around `page` (its name in the URL). Cheap: a style, a logo, a few short queries."""
    st.set_page_config(initial_sidebar_state=SIDEBAR_PX)
    st.html(_STYLE)
    st.logo(_ASSETS / "logo.svg", size="large")
    with st.sidebar:
        tour.card(page)
        _service()


def is_open() -> bool:
    """Whether the store can be used. Where it cannot, this page says why, and what helps."""
    try:
        store()
        return True
    except WorkbenchError as error:
        heading("The workbench cannot open its home", "Runs that are at work go on by themselves.")
        problem_boxes(error.problems)
        st.button("Try again", icon=":material/refresh:", key="reopen", on_click=reopen)
        return False


@st.fragment(run_every=3)
def _service() -> None:
    with guard(brief=True):
        active = [run for run in store().runs.active() if not run.state.is_over]
        alive = supervisor(store()) is not None
        colour = GOOD if alive else MUTED
        text = "Training service ready" if alive else "Training service starts with the next run"
        st.html(f'<div class="wb-status"><i style="--c:{colour}"></i>{text}</div>')
        if not active:
            return
        st.caption("At work" if len(active) == 1 else f"At work · {len(active)}")
        for run in active[:_SHOWN]:
            nav.link("live", plain(run.name, 40), run=run.id)
            st.html(run_line(run, "parked" if run.parked else ""))
            if is_silent(run):
                st.caption(f"No sign of life for {duration(run.silent_s)}")
        if len(active) > _SHOWN:
            nav.link("runs", f"and {len(active) - _SHOWN} more")


def run_line(run: RunRow, kind: str = "") -> str:
    """HTML of a run's state, what is left of it, and its progress bar. Holds no text of a user."""
    left = f"{duration(run.eta_s)} left" if run.eta_s and run.at_work else ""
    return (
        f'<div class="wb-run" title="{escape(f"{run.progress:.0%} of {run.total_steps or 0:,} steps")}">'
        f'<span>{pill(run.state, kind)}</span><span style="opacity:.7">{left}</span></div>'
        f'<span class="wb-bar" style="--c:{STATES[run.state]};margin-top:.35rem">'
        f'<i style="width:{100 * run.progress:.1f}%"></i></span>'
    )

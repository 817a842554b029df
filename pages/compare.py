"""Compare: several runs' curves in one chart, their scores side by side, and what differs in their specs."""

from __future__ import annotations

import streamlit as st

from workbench.ui import compare, folds, nav
from workbench.ui.errors import guard
from workbench.ui.marks import heading, section
from workbench.ui.presets import nothing_yet
from workbench.ui.state import store

REFRESH_S = 3.0


def draw(ids: list[str], options: compare.Options) -> None:
    with guard():
        compare.overlay(ids, options)


with guard():
    heading("Compare", "Curves of one metric over each other, and what made the difference.")
    if not store().runs.count():
        nothing_yet(
            "There is nothing to compare yet. Train two networks, and lay their curves over each other."
        )
        st.stop()
    runs, gone = compare.asked_runs()
    compare.choose(runs)
    if gone:
        st.caption(f"{gone} of the named runs are gone, or more than {nav.MAX_COMPARED} were named.")
    if not runs:
        st.info(
            "Choose runs here, or mark several on the Runs page and press Compare.", icon=":material/info:"
        )
        nav.link("runs", "Go to the runs", icon=":material/table_rows:")
        st.stop()
    options = compare.toolbar(runs)
    if options is None:
        st.info("None of these runs has logged anything yet. Curves appear with the first values.")
    else:
        moving = any(not run.state.is_over for run in runs)
        st.fragment(draw, run_every=REFRESH_S if moving else None)([run.id for run in runs], options)
        section("Scores", help="Final and best values; the best of a column stands out.")
        compare.scores(runs, options.metric)
        folds.spreads(runs)
    if len(runs) > 1:
        section("What differs", help="Settings that are not the same in all of these runs.")
        compare.spec_diff(runs)

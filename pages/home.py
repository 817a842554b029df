"""Home: one click to a first training for a newcomer; the runs first for everyone else."""

from __future__ import annotations

import streamlit as st

from workbench.ui import nav
from workbench.ui.datasets import first_pictures
from workbench.ui.errors import guard
from workbench.ui.marks import heading, section
from workbench.ui.presets import preset_cards, quick_start, quick_text
from workbench.ui.runs import recent_runs
from workbench.ui.state import store

RECENT = 8  # whole rows, whether two or four cards stand side by side


def newcomer() -> None:
    heading(
        "Train a neural network and watch it learn",
        "Pick data, edit the layers, launch. Training runs in the background: close the browser, come "
        "back, and it is still there.",
    )
    with st.container(border=True, key="welcome"):
        with st.container(key="wrap-welcome"):
            left, right = st.columns([1.2, 1], gap="large", vertical_alignment="center")
        with left:
            st.markdown("#### A first run in one click")
            st.caption(
                "A small convolutional network learns to tell ten kinds of clothes apart, from 10,000 "
                "pictures that come with the workbench. It takes a minute or two, and its filters form as "
                "you look. Or a small GPT reads Shakespeare letter by letter, and writes what it has learned."
            )
            with st.container(horizontal=True, gap="small"):
                quick_start()
                quick_text()
        with right, guard():
            first_pictures()
    section("Or step by step")
    with st.container(horizontal=True, gap="medium"):
        nav.link("data", "1 · Choose or add data", icon=":material/photo_library:")
        nav.link("model", "2 · Edit the layers", icon=":material/layers:")
        nav.link("train", "3 · Set up and launch", icon=":material/tune:")


def returning() -> None:
    heading("Your runs", "What is at work and what was done last.")
    recent_runs(RECENT)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if st.button("New run", type="primary", icon=":material/add:", key="new"):
            nav.go("model")
        quick_start(primary=False)
        quick_text()
        nav.link("runs", "All runs", icon=":material/table_rows:")


with guard():
    if store().runs.list(limit=1):
        returning()
    else:
        newcomer()
    section("Start from a preset", help="Complete, ready to run, each on data that ships with the workbench.")
    preset_cards()

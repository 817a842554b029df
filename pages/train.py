"""Train: every setting of the run, what it will do in words, and the launch."""

from __future__ import annotations

import streamlit as st

from workbench.ui import nav, train
from workbench.ui.errors import guard
from workbench.ui.marks import heading, section
from workbench.ui.mismatch import mismatch
from workbench.ui.preflight import measured, preflight_card
from workbench.ui.state import draft

with guard():
    heading(
        "Train", "How the model learns. Usual values are filled in; change what you like, or launch as it is."
    )
    now = draft()
    with st.container(key="wrap-train"):
        left, right = st.columns([1.6, 1], gap="medium")
    with left, guard():
        mismatch(now)
        now, form_problems = train.forms(now)
        nav.link("model", "Back to the layers", icon=":material/arrow_back:", draft=now.id)
    with right, guard():
        with st.container(border=True, key="box-launch"):
            section("Launch")
            now = train.identity(now)
            spec, report = train.checked(now)
            now, reasons = train.origin(now, spec)
            if spec is not None and report is not None:
                counts = train.planned(spec)
                reasons += train.verdict(spec, report, counts, form_problems, measured(now, spec))
            train.launch_button(now, spec, reasons)
        if spec is not None and report is not None:
            preflight_card(now, spec, report)
        if spec is not None and counts is not None:
            with st.container(border=True, key="box-schedule"):
                section("Learning rate", help="Size of an update over the run, as the schedule will set it")
                train.schedule_view(spec.training, counts.steps_per_epoch)

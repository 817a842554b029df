"""Predict: show a trained model a picture and see what it says."""

from __future__ import annotations

import streamlit as st

from workbench.ui import predict
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.presets import nothing_yet

with guard():
    heading("Predict", "Show a trained model a picture and see what it makes of it.")
    rows = predict.ready_runs()
    if not rows:
        nothing_yet("No run has saved a model yet. A run saves one after its first validation.")
        st.stop()
    run, checkpoint = predict.choose_run(rows)
    given = predict.choose_input(run)
    if given is not None:
        with st.spinner("The model is looking"):
            answer = predict.ask(run, checkpoint, given)
        with st.container(key="wrap-predict"):
            left, right = st.columns([1, 2], gap="large")
        with left, guard():
            predict.show_picture(given, answer)
        with right, guard():
            predict.show_answer(answer, given.truth)

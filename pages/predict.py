"""Predict: show a trained model a picture, a text or a row, or look ahead in a series."""

from __future__ import annotations

import streamlit as st

from workbench.live.views import PICTURES, is_series, is_table, is_text
from workbench.store import RunRow
from workbench.ui import masks, predict, predict_table, predict_text, series
from workbench.ui.errors import guard
from workbench.ui.marks import heading
from workbench.ui.presets import nothing_yet


def text_page(run: RunRow, checkpoint: str) -> None:
    """Ask a model of texts."""
    sent = predict_text.ask_form(run)
    if sent is None:
        return
    text, asked = sent
    with st.spinner("The model is at work"):
        answer = predict_text.ask(run, checkpoint, text, asked)
    truth = predict_text.truth_of(run, text)
    with st.container(border=True, key="box-answer"):
        if "text" in answer:
            predict_text.show_written(run, answer, truth)
        else:
            predict.show_answer(answer, truth)


def image_page(run: RunRow, checkpoint: str) -> None:
    """Show a model of images a picture."""
    given = predict.choose_input(run)
    if given is None:
        return
    with st.spinner("The model is looking"):
        answer = predict.ask(run, checkpoint, given)
    with st.container(key="wrap-predict"):
        left, right = st.columns([1, 2], gap="large")
    with left, guard():
        predict.show_picture(given, answer)
    with right, guard():
        predict.show_answer(answer, given.truth)


def picture_page(run: RunRow, checkpoint: str) -> None:
    """A model whose answer is a picture: a mask, the picture once more, or new ones."""
    if run.spec.task.kind == "generation" or predict.wants_new(run):
        asked = predict.new_form(run)
        with st.spinner("The model is at work"):
            answers = predict.ask_new(run, checkpoint, asked)
        masks.show_made(run, answers)
        return
    given = predict.choose_input(run)
    if given is None:
        return
    with st.spinner("The model is looking"):
        answer = predict.ask(run, checkpoint, given)
    if run.spec.task.kind == "segmentation":
        masks.show_mask(answer, given.mask)
    else:
        masks.show_reconstruction(answer)


with guard():
    heading("Predict", "Show a trained model a picture, a text or a row, or let it look ahead in a series.")
    rows = predict.ready_runs()
    if not rows:
        nothing_yet("No run has saved a model yet. A run saves one after its first validation.")
        st.stop()
    run, checkpoint = predict.choose_run(rows)
    with guard():
        if is_series(run.spec):
            series.page(run, checkpoint)
        elif is_table(run.spec):
            predict_table.page(run, checkpoint)
        elif run.spec.task.kind in PICTURES:
            picture_page(run, checkpoint)
        else:
            (text_page if is_text(run.spec) else image_page)(run, checkpoint)

"""The predict page for models of texts: what to ask, and what the model says, goes on with, or translates."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.data.dataset import rows_of
from workbench.data.text.stored import Stored
from workbench.jobs import answers
from workbench.specs.inside import attends
from workbench.specs.tasks import LanguageModelTask, TranslationTask
from workbench.store import RunRow
from workbench.ui import nav
from workbench.ui.marks import plain
from workbench.ui.state import store

WAIT_S = 120.0
LONGEST = 20_000  # characters
TEASER = 240  # characters of the data that a language model goes on from


class Example(NamedTuple):
    """A text held out from training, with its class or its translation."""

    text: str
    truth: str


def ask_form(run: RunRow) -> tuple[str, dict[str, Any]] | None:
    """The text and the settings of the answer once they were sent; None before."""
    task = run.spec.task
    key = f"predict.text.{run.id}"
    truth_key = f"{key}.truth"
    if key not in st.session_state:
        first = example(run, 0)
        st.session_state[key] = first.text
        st.session_state[truth_key] = (first.text, first.truth)

    def another() -> None:
        found = example(run, None)
        st.session_state[key] = found.text
        st.session_state[truth_key] = (found.text, found.truth)

    words = {"language_model": "Prompt", "translation": "Text to translate"}.get(task.kind, "Text")
    text = st.text_area(
        words, key=key, height=130, max_chars=LONGEST,
        help="Empty: it begins as the data does" if task.kind == "language_model" else None,
    )  # fmt: skip
    asked = settings(task, f"predict.asked.{run.id}")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        go = {"language_model": "Write on", "translation": "Translate"}.get(task.kind, "Ask the model")
        again = task.kind == "language_model" and st.session_state.get(f"{key}.asked")
        pressed = st.button("Write anew" if again else go, type="primary", key="predict.go",
                            icon=":material/play_arrow:")  # fmt: skip
        st.button("Another example", icon=":material/shuffle:", key="predict.another", on_click=another,
                  help="A text that was held out from training")  # fmt: skip
        if attends(run.spec.model):
            nav.link("live", "Where its heads look", icon=":material/visibility:", run=run.id,
                     help="Try a text on the live page: it shows the attention too")  # fmt: skip
    if pressed:
        asked["seed"] = int(np.random.default_rng().integers(2**31)) if again else run.spec.seed
        st.session_state[f"{key}.asked"] = (text, asked)
    sent = st.session_state.get(f"{key}.asked")
    return sent if sent is not None else None


def settings(task: Any, key: str) -> dict[str, Any]:
    """What may be chosen anew for each answer: it begins as the run had it."""
    if isinstance(task, LanguageModelTask):
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            temperature = st.number_input(
                "Temperature", 0.0, 10.0, float(task.temperature), 0.1, key=f"{key}.temperature", width=130,
                help="Below 1 the likely tokens become likelier; 0 always takes the likeliest",
            )  # fmt: skip
            top_k = st.number_input(
                "Top k", 1, 200_000, task.top_k, 1, key=f"{key}.top_k", width=120, placeholder="all",
                help="Draw from so many likeliest tokens only; empty: from all",
            )  # fmt: skip
            top_p = st.number_input(
                "Top p", 0.01, 1.0, task.top_p, 0.05, key=f"{key}.top_p", width=120, placeholder="all",
                help="Draw from the likeliest tokens that together have this probability; empty: from all",
            )  # fmt: skip
            tokens = st.number_input(
                "Tokens", 1, 4096, max(1, task.sample_tokens), 10, key=f"{key}.tokens", width=120,
                help="How many are written",
            )  # fmt: skip
        return {
            "temperature": temperature, "top_k": top_k, "top_p": top_p, "sample_tokens": int(tokens),
        }  # fmt: skip
    if isinstance(task, TranslationTask):
        beam = st.number_input(
            "Beams", 1, 32, task.beam, 1, key=f"{key}.beam", width=120,
            help="Translations followed side by side; 1 takes the likeliest token each time",
        )  # fmt: skip
        return {"beam": int(beam)}
    return {}


def example(run: RunRow, place: int | None) -> Example:
    """A held-out text by its place; None draws one. Raises DataError."""
    row = catalog.with_shipped(store(), run.spec.data.name, run.data_version)
    stored, rows = Stored(row.path), rows_of(row.path, run.spec.data)
    if row.schema.task == "language_model":  # its rows are windows; the pieces of the text are not
        at = int(np.random.default_rng().integers(len(stored))) if place is None else len(stored) - 1
        return Example(stored.text(at)[:TEASER].rsplit(" ", 1)[0], "")
    held = rows.validation if len(rows.validation) else rows.test if len(rows.test) else rows.train
    at = int(held[int(np.random.default_rng().integers(len(held))) if place is None else place])
    if row.schema.task == "translation":
        return Example(stored.text(at), stored.text(at, "target"))
    return Example(stored.text(at), row.schema.classes[int(stored.labels[at])])


def truth_of(run: RunRow, text: str) -> str | None:
    """The class or translation of the example, as long as its text was left as it is."""
    kept = st.session_state.get(f"predict.text.{run.id}.truth")
    return kept[1] if kept and kept[0] == text and kept[1] else None


def ask(run: RunRow, checkpoint: str, text: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the model says. Raises the error of the answering side."""
    payload = {"run": run.id, "checkpoint": checkpoint, "texts": [text], "asked": dict(asked)}
    answer: Mapping[str, Any] = answers.ask(store(), "predict", payload, timeout_s=WAIT_S)[0]
    return answer


def show_written(run: RunRow, answer: Mapping[str, Any], truth: str | None) -> None:
    """A continuation behind its prompt, or a translation beside what is known to be one."""
    text = str(answer["text"])
    if run.spec.task.kind == "language_model":
        st.html(
            f'<div class="wb-passage"><em>{escape(str(answer["input"]))}</em>{escape(text)}</div>'
        )  # fmt: skip
        return
    st.caption("The model translates")
    st.subheader(plain(text, 2000) or "(nothing)", anchor=False)
    if truth is not None:
        same = text.strip() == truth.strip()
        st.markdown(":green[The same as the reference.]" if same else f"Reference: {plain(truth, 2000)}")

"""Try it: a text of one's own for the newest checkpoint of a run on texts, while it trains or after.

The answer comes from the process that has torch loaded; what it says and where its heads looked is drawn
by the live page's own components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from workbench.jobs import answers
from workbench.store import RunRow
from workbench.ui import live
from workbench.ui.errors import guard
from workbench.ui.state import store

LONGEST = 2000  # characters of a text
WRITTEN = 32  # tokens of a continuation: an answer is to come at once
WAIT_S = 60.0  # the first question may have to start the answering process
PROMPTS = {
    "classification": "Type a text and press Enter: what the newest checkpoint makes of it",
    "language_model": "Type a beginning and press Enter: how the newest checkpoint goes on",
    "translation": "Type a sentence and press Enter: how the newest checkpoint translates it",
}


@st.fragment
def box(run: RunRow) -> None:
    """One line to type in; below it the answer, as long as there is a text."""
    task = run.spec.task.kind
    with st.container(key="tryout"):
        text = st.text_input(
            "Try it", key=f"try.{run.id}", placeholder=PROMPTS[task], label_visibility="collapsed",
            icon=":material/edit_note:", max_chars=LONGEST,
        )  # fmt: skip
        if not text or not text.strip():
            return
        with guard():
            newest = _newest(run.id)
            if newest is None:
                st.caption(
                    "It has not saved a model yet; it does so at its first validation. Then try again."
                )
                return
            live.tried(run.id, task, _asked(run, newest, text))


def _newest(run_id: str) -> tuple[str, int] | None:
    """Name and step of the checkpoint that is furthest along; `last` before others of the same step."""
    found = max(
        (c for c in store().checkpoints.list(run_id) if c.is_own),
        key=lambda c: (c.step, c.name == "last"),
        default=None,
    )
    return (found.name, found.step) if found else None


def _asked(run: RunRow, checkpoint: tuple[str, int], text: str) -> Mapping[str, Any]:
    """The answer of this checkpoint, asked once: a rerun of the page for another reason asks nothing."""
    known = st.session_state.get("tryout.answer")
    question = (run.id, checkpoint, text)
    if known and known[0] == question:
        return dict(known[1])
    payload: dict[str, Any] = {"run": run.id, "checkpoint": checkpoint[0], "text": text}
    if run.spec.task.kind == "language_model":
        payload["asked"] = {"sample_tokens": WRITTEN}
    answer: Mapping[str, Any] = answers.ask(store(), "try", payload, timeout_s=WAIT_S)
    st.session_state["tryout.answer"] = (question, answer)
    return answer

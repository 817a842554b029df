"""The choice of a teacher on the Train page: a run that has learned the same data, and how much it counts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from workbench.specs.errors import Problem
from workbench.specs.smaller import Distill
from workbench.specs.training import TrainingSpec
from workbench.store import Query, RunRow
from workbench.ui.fields import summary
from workbench.ui.forms import fill
from workbench.ui.marks import plain
from workbench.ui.predict import label
from workbench.ui.state import store

OFFERED = 100  # runs in the list, newest first
LABEL = "Learn from another run (distillation)"


def teacher_form(now: Distill | None, data: str, key: str) -> tuple[Distill | None, list[Problem]]:
    """A switch, and behind it the teacher and the weight of what it says. data: the set's name."""
    if not st.toggle(LABEL, value=now is not None, key=f"{key}.on", help=plain(summary(Distill), 300)):
        return None, []
    asked = now or Distill()
    rows = _teachers(data, asked.teacher)
    if not rows:
        st.caption(f"No run has learned {plain(data)} yet. Train one first; then it can teach.")
        return asked, []
    names = {row.id: label(row) for row in rows}
    chosen = st.selectbox(
        "Teacher", list(names), index=list(names).index(asked.teacher) if asked.teacher in names else 0,
        key=f"{key}.teacher", format_func=lambda run_id: names[run_id],
        help=plain(TrainingSpec.model_fields["distill"].description or "", 200),
    )  # fmt: skip
    found, problems = fill(asked, key=key, skip={"teacher"}, where="training.distill")
    return found.model_copy(update={"teacher": chosen}), problems


def _teachers(data: str, asked: str) -> Sequence[RunRow]:
    """Runs with a saved model of the set, newest first, and the one that is named, however old."""
    found, _ = store().runs.search(Query(data=[data], saved=True), limit=OFFERED)
    rows = [row for row in found if not row.is_own_loop]
    if asked and asked not in {row.id for row in rows}:
        rows += store().runs.many([asked])
    return rows

"""Presets of one's own on the model page: the design is kept under a name, replaced, or deleted."""

from __future__ import annotations

import contextlib

import streamlit as st

from workbench.specs.errors import SpecError, WorkbenchError
from workbench.store.presets import LONGEST, Kept, clean_name
from workbench.ui.errors import guard, problem_box, problem_boxes
from workbench.ui.marks import count, plain
from workbench.ui.state import draft, store

REPLACE = "kept.replace"  # the name about whose preset was asked


def save_button() -> None:
    """Opens the dialog that keeps the design of the draft."""
    if st.button("Save as preset", icon=":material/bookmark_add:", key="kept.open"):
        st.session_state.pop(REPLACE, None)
        save_dialog()


@st.dialog("Save as preset")
def save_dialog() -> None:
    save_form()


def save_form() -> None:
    """A name for the design; asks before it replaces or deletes one."""
    with guard():
        st.caption(
            "Keeps these layers, with the data set and the training settings, for designs to come. It is "
            "offered under “Start from” here, and to `workbench train` by its name."
        )
        name = st.text_input(
            "Name", max_chars=LONGEST, key="kept.name", help="Letters, digits, spaces, dots, dashes"
        )
        if st.button("Save", type="primary", disabled=not name.strip(), key="kept.save"):
            _save(name, replace=False)
        asked = str(st.session_state.get(REPLACE, ""))
        if asked and asked == _kept_as(name):
            st.warning(f"There is a preset {plain(asked)} already.")
            if st.button("Replace it", key="kept.replace.go"):
                _save(name, replace=True)
        mine = store().presets.list()
        if mine:
            st.markdown("**Your presets**")
        for kept in mine:
            _line(kept)


def _kept_as(name: str) -> str:
    """The name as it would be kept; empty for what cannot be one."""
    with contextlib.suppress(SpecError):
        return clean_name(name)
    return ""


def _save(name: str, *, replace: bool) -> None:
    try:
        name = clean_name(name)
        if not replace and name in store().presets.names():
            st.session_state[REPLACE] = name
            return
        store().presets.put(name, draft().spec(), replace=replace)
    except WorkbenchError as error:
        problem_boxes(error.problems)
        return
    st.session_state.pop(REPLACE, None)
    st.toast(f"Kept as {plain(name)}.")
    st.rerun()


def _line(kept: Kept) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(plain(kept.name), width="stretch")
        if kept.spec is not None:
            st.caption(f"{count(len(kept.spec.model.layers))} layers", width="content")
        with st.popover("Delete", icon=":material/delete:"):
            st.caption("Runs and designs made from it stay.")
            if st.button("Delete it", type="primary", key=f"kept.delete.{kept.name}"):
                store().presets.delete(kept.name)
                st.rerun()
    if kept.problem is not None:
        problem_box(kept.problem)

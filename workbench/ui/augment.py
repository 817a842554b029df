"""The list of random changes of the training images: add, set, order, take away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from workbench.specs.augment import AUGMENTATIONS, AnyAugmentation
from workbench.specs.errors import Problem
from workbench.ui.fields import option_word, summary
from workbench.ui.forms import fill
from workbench.ui.marks import plain

MOST = 16


def augment_form(
    current: Sequence[AnyAugmentation], *, key: str
) -> tuple[tuple[AnyAugmentation, ...], list[Problem]]:
    """The list as the widgets say it, and what is wrong with it. Starts from `current`.

    Check: without a touch, the list returned equals the one given.
    """
    rows = st.session_state.setdefault(f"{key}.rows", [(i, op) for i, op in enumerate(current)])
    found: list[Any] = []
    problems: list[Problem] = []
    for place, (uid, op) in enumerate(rows):
        with st.container(border=True, gap="xsmall", key=f"{key}.{uid}.box"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{plain(option_word(op.kind))}**", width="content")
                st.caption(plain(summary(type(op)), 160))
                if place:
                    st.button(
                        "", icon=":material/arrow_upward:", key=f"{key}.{uid}.up", type="tertiary",
                        help="Do it earlier", on_click=_swap, args=(key, uid, place),
                    )  # fmt: skip
                st.button(
                    "", icon=":material/close:", key=f"{key}.{uid}.remove", type="tertiary",
                    help=f"Take {option_word(op.kind)} away", on_click=_remove, args=(key, uid),
                )  # fmt: skip
            changed, odd = fill(op, key=f"{key}.{uid}", where=f"data.augment[{place}]", folded=False)
        found.append(changed)
        problems += odd
    # Widgets forget what they hold while another page is open; the list does not.
    st.session_state[f"{key}.rows"] = [(uid, op) for (uid, _), op in zip(rows, found, strict=True)]
    if len(rows) < MOST:
        n = st.session_state.get(f"{key}.n", len(rows))
        st.selectbox(
            "Augmentation", list(AUGMENTATIONS), index=None, key=f"{key}.add.{n}", format_func=option_word,
            placeholder="Add a random change", on_change=_add, args=(key, n), width=260,
            help="Random changes of the training images, in this order; validation images are never changed",
        )  # fmt: skip
    return tuple(found), problems


# Streamlit may hand one click to two runs of the script, so doing it twice must do it once.


def _add(key: str, n: int) -> None:
    kind = st.session_state.get(f"{key}.add.{n}")
    rows = st.session_state[f"{key}.rows"]
    uid = f"new{n}"
    if kind in AUGMENTATIONS and all(known != uid for known, _ in rows):
        st.session_state[f"{key}.rows"] = [*rows, (uid, AUGMENTATIONS[kind]())]
    st.session_state[f"{key}.n"] = n + 1


def _remove(key: str, uid: object) -> None:
    st.session_state[f"{key}.rows"] = [row for row in st.session_state[f"{key}.rows"] if row[0] != uid]


def _swap(key: str, uid: object, place: int) -> None:
    rows = list(st.session_state[f"{key}.rows"])
    if place < len(rows) and rows[place][0] == uid:
        rows[place - 1], rows[place] = rows[place], rows[place - 1]
        st.session_state[f"{key}.rows"] = rows

"""A table before it is imported: its target, what it is for, and the role of each column, to be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from workbench.data.report import shown
from workbench.specs.tables import INPUTS, TableImport
from workbench.ui.marks import count, message, plain

TASKS = {
    "classification": "Classes to be told apart",
    "regression": "A number to be told",
    "multi_label": "Several labels, each yes or no",
}
SHOWN = 5  # rows
SAID = 8  # lines of what was mended; the import report has all
DECIMALS = {"Guess": None, "Point": "point", "Comma": "comma"}
HEADERS = {"Guess": None, "Yes": True, "No": False}
DATES = {"Guess": None, "Day first": "day", "Month first": "month"}


def asked_of(source: str) -> TableImport:
    """What the widgets of this source say; empty where nothing was changed."""
    state = st.session_state
    told: Mapping[str, Any] = {name: state.get(_key(source, name)) for name in (
        "target", "task", "ignored", "used", "numeric", "categorical", "missing", "decimal", "header",
        "dates",
    )}  # fmt: skip
    missing = [part.strip() for part in str(told["missing"] or "").split(",") if part.strip()]
    return TableImport(
        target=tuple(told["target"] or ()), task=told["task"], ignored=tuple(told["ignored"] or ()),
        used=tuple(told["used"] or ()), numeric=tuple(told["numeric"] or ()),
        categorical=tuple(told["categorical"] or ()), missing=tuple(missing),
        decimal=DECIMALS.get(str(told["decimal"])), header=HEADERS.get(str(told["header"])),
        dates=DATES.get(str(told["dates"])),
    )  # type: ignore[arg-type]  # fmt: skip


def choices(source: str, found: Mapping[str, Any], asked: TableImport) -> None:
    """Target and task, and behind a fold what each column is for."""
    names = list(found.get("names", ())) or list(st.session_state.get(_key(source, "names"), ()))
    if names:
        st.session_state[_key(source, "names")] = names
    target = [name for name in asked.target or found.get("target", ()) if name in names]
    task, key = found.get("task"), _key(source, "task")
    if task in TASKS and not st.session_state.get(key):
        st.session_state[key] = task
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.multiselect(
            "To be told (target)", names, default=target, key=_key(source, "target"), width=300,
            on_change=_forget, args=(key,),
            help="The column that a model shall tell from the others; several for several labels",
        )  # fmt: skip
        st.selectbox(
            "What it is for", list(TASKS), index=None, key=key, format_func=TASKS.__getitem__, width=250,
            placeholder="Guess",
            help="Guessed from the target",
        )  # fmt: skip
    if found.get("unsure") or asked.dates:
        dates_choice(_key(source, "dates"), [str(name) for name in found.get("unsure", ())])
    with st.expander("Columns and how they are read", icon=":material/view_column:"):
        _more(source, names)


def dates_choice(key: str, unsure: Sequence[str]) -> None:
    """Whether the day or the month comes first, asked where nothing in the table tells it."""
    names = ", ".join(plain(name, 40) for name in unsure[:4])
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.segmented_control(
            "Dates such as 03/04/2024", list(DATES), default="Guess", required=True, key=key,
            help="A number above 12 tells, or the order of the rows. Where nothing does, the day is taken",
        )  # fmt: skip
        if names:
            st.caption(
                f":material/help: Nothing tells the order of day and month in {names}: the day is taken."
            )


def preview(found: Mapping[str, Any]) -> None:
    """The first rows under the names of the columns, each with its role."""
    roles, reasons = found.get("roles", {}), found.get("reasons", {})
    used = sum(role in INPUTS for role in roles.values())
    st.caption(
        f"A table of {count(int(found['rows']))} rows; a model sees {used} of {count(len(roles))} columns."
    )
    examples, names = list(found.get("examples", ()))[:SHOWN], list(found.get("names", ()))
    table = {
        f"{shown(name, 60)} · {roles[name]}": [str(row[i]) for row in examples]
        for i, name in enumerate(names)
    }
    st.dataframe(table, hide_index=True, key="add.table.preview", height=36 * (len(examples) + 1))
    odd = [f"{name}: {reason}" for name, reason in reasons.items()]
    worth = [f"{r['file']}: {r['reason']}" for r in found.get("report", ()) if r["action"] != "kept"]
    for line in (*odd[:4], *worth[:SAID]):
        st.caption(message(line))


def _more(source: str, names: Sequence[str]) -> None:
    for name, label, words in (
        ("ignored", "Not to be seen", "Columns that a model shall not see"),
        ("used", "To be seen all the same", "Columns that were left out since they look like ids or names"),
        ("categorical", "Categories", "Columns whose numbers are codes of categories"),
        ("numeric", "Numbers", "Columns that are numbers, whatever they look like"),
    ):
        st.multiselect(label, names, key=_key(source, name), help=words)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.text_input(
            "Cells that say nothing", key=_key(source, "missing"), width=240,
            placeholder="such as -200, unknown",
            help="With commas between. Empty: blank cells, ?, NA and their kin, numbers such as -999 "
            "far from all others, the target's aside",
        )  # fmt: skip
        st.segmented_control(
            "Decimal sign", list(DECIMALS), default="Guess", required=True, key=_key(source, "decimal")
        )
        st.segmented_control(
            "First row is a header", list(HEADERS), default="Guess", required=True, key=_key(source, "header")
        )


def _forget(key: str) -> None:
    """Another target is for something else: what it is for is guessed anew."""
    st.session_state[key] = None


def _key(source: str, name: str) -> str:
    return f"add.table.{name}.{source}"

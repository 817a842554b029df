"""A series before it is imported: its moments, its variates and its steps as guessed, to be changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from pydantic import ValidationError

from workbench import catalog
from workbench.specs.base import problems_of
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport
from workbench.ui.errors import problem_boxes
from workbench.ui.guess_table import DATES, dates_choice
from workbench.ui.marks import count, plain

SHOWN = 5  # rows
WIDEST = 240  # characters of a cell
GAPS = {"last": "Filled with the value before", "interpolate": "Filled along a line", "keep": "Left out"}
DUPLICATES = {"mean": "Their mean", "first": "The first", "last": "The last"}


def form(source: str) -> SeriesImport:
    """How the series of a source is to be read, as the widgets say; with its first rows."""
    asked = asked_of(source)
    found: dict[str, Any] = {}
    error: DataError | None = None
    try:
        found = _look_at(source, asked.model_dump_json())
    except DataError as refused:
        error = refused
    _choices(source, found)
    if error is not None:
        problem_boxes(error.problems)
    else:
        _preview(found)
    return asked


@st.cache_data(show_spinner="Looking at the series", max_entries=32)
def _look_at(source: str, asked: str) -> dict[str, Any]:
    return catalog.look(source, kind="series", series=SeriesImport.model_validate_json(asked))


def _key(source: str, name: str) -> str:
    return f"add.series.{name}.{source}"


def asked_of(source: str) -> SeriesImport:
    """What was chosen so far, from session state: the widgets are drawn after what it leads to."""
    state = st.session_state
    tree: dict[str, Any] = {
        "time_column": state.get(_key(source, "time")),
        "value_columns": tuple(state.get(_key(source, "values")) or ()),
        "frequency": str(state.get(_key(source, "frequency")) or "").strip() or None,
        "timezone": str(state.get(_key(source, "zone")) or "").strip() or None,
        "gaps": state.get(_key(source, "gaps")) or "last",
        "duplicates": state.get(_key(source, "duplicates")) or "mean",
        "dates": DATES.get(str(state.get(_key(source, "dates")))),
    }
    try:
        return SeriesImport.model_validate(tree)
    except ValidationError as error:
        problem_boxes(problems_of(error, tree))
        return SeriesImport()


def _choices(source: str, found: Mapping[str, Any]) -> None:
    names = list(found.get("names", ())) or list(st.session_state.get(_key(source, "names"), ()))
    if names:
        st.session_state[_key(source, "names")] = names
    time = str(found.get("columns", {}).get("time", "")).partition(" + ")[0]
    values = [name for name in found.get("variates", ()) if name in names]
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.selectbox(
            "Moments", names, index=names.index(time) if time in names else None, key=_key(source, "time"),
            width=200, placeholder="Rows are numbered",
            help="The column of dates, times or seconds since 1970",
        )  # fmt: skip
        st.multiselect(
            "Variates", names, default=values[:50], key=_key(source, "values"), width=320,
            help="Columns of numbers; none chosen: all that vary",
        )  # fmt: skip
    if found.get("unsure") or st.session_state.get(_key(source, "dates"), "Guess") != "Guess":
        dates_choice(_key(source, "dates"), [str(name) for name in found.get("unsure", ())])
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.text_input(
            "A step every", key=_key(source, "frequency"), width=150,
            placeholder=str(found.get("frequency") or "uneven"),
            help="Such as 15 min, 1 h, 1 d, 1 month; empty: as found",
        )  # fmt: skip
        st.selectbox(
            "Missing steps", list(GAPS), key=_key(source, "gaps"), format_func=GAPS.__getitem__, width=210
        )
        st.selectbox(
            "Same moment twice", list(DUPLICATES), key=_key(source, "duplicates"),
            format_func=DUPLICATES.__getitem__, width=150,
        )  # fmt: skip
        st.text_input(
            "Time zone", key=_key(source, "zone"), width=170, placeholder="as it stands",
            help="Of moments that tell none, such as Europe/Berlin: then summer time is told right",
        )  # fmt: skip


def _preview(found: Mapping[str, Any]) -> None:
    step = f"a step every {found['frequency']}" if found.get("frequency") else "uneven steps"
    left = [plain(name) for name in found.get("left", {})]
    st.caption(
        f"Read as a series: {count(found['rows'])} rows, {step}."
        + (f" Left out: {', '.join(left[:8])}{' …' if len(left) > 8 else ''}." if left else "")
    )
    rows = list(found.get("examples", ()))[:SHOWN]
    names = list(found.get("names", ()))
    if rows and names:
        table = {name: [str(row[i])[:WIDEST] for row in rows] for i, name in enumerate(names)}
        st.dataframe(table, hide_index=True, key="add.preview", height=36 * (len(rows) + 1))

"""The runs page's table: what is asked of the store, one page of rows, and which of them are chosen.

The URL carries the whole question (search, filters, order, columns, page), so a link shows the same
table. The database finds, sorts and pages (store/search.py): ten thousand runs cost as fifty do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.live.silence import is_silent, silence
from workbench.records import LOWER_IS_BETTER, RunState
from workbench.specs.errors import RunError
from workbench.store import Query, RunRow
from workbench.store.search import PLAIN
from workbench.ui import nav
from workbench.ui.marks import KIND_HELP, STATE_HELP, ago, metric_help, metric_text, metric_words, plain
from workbench.ui.runs import kind, progress_words, took
from workbench.ui.state import store

PAGE_ROWS = 50
SHOW = {"Current": False, "Archived": True, "All": None}
GROUPS = {"Data set": "data", "Model": "model", "Tag": "tag"}
MAX_GROUPS = 24
DEFAULT_COLUMNS = ["best:val/accuracy", "best:val/loss", "took", "created"]
FIXED = {"took": "Took", "created": "Started", "model": "Model"}
HELP = {
    "took": "Time from start to end, or until now",
    "created": "When it was put in the queue",
    "model": "The preset it is built like, or its family and depth",
}
DEFAULT_SORT = "-created"
KEY = "table"

_ASSETS = Path(__file__).parent / "assets"
_component = st.components.v2.component(
    "workbench.runs_table",
    html='<div class="wb-runs"></div>',
    css=(_ASSETS / "runs.css").read_text(),
    js="\n".join((_ASSETS / name).read_text() for name in ("press.js", "elements.js", "runs.js")),
)


# ---------------------------------------------------------------- what is asked


def filters() -> tuple[Query, list[str]]:
    """Draw the filters; what they ask, and the columns to show."""
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="filters"):
        text = st.text_input(
            "Search", key="search", placeholder="Name, id, data set, tag or note", width=270,
            bind="query-params", on_change=_first_page,
        )  # fmt: skip
        tags = [tag for tag, _ in store().labels.tags()]
        chosen_tags = (
            st.multiselect(
                "Tags", tags, key="tags", width=220, bind="query-params", on_change=_first_page,
                placeholder="Any", help="Runs that have all of these",
            )
            if tags
            else []
        )  # fmt: skip
        show = st.segmented_control(
            "Show", list(SHOW), key="show", default="Current", required=True, bind="query-params",
            on_change=_first_page,
        )  # fmt: skip
        by = st.selectbox(
            "Group by", list(GROUPS), index=None, key="group", width=150, placeholder="Nothing",
            bind="query-params", on_change=_regroup,
        )  # fmt: skip
        with st.popover("Columns", icon=":material/view_column:"):
            columns = _columns()
    states = st.pills(
        "State", [state.value for state in RunState], selection_mode="multi", key="states", wrap=True,
        bind="query-params", on_change=_first_page, label_visibility="collapsed",
    )  # fmt: skip
    query = Query(text or "", list(states), list(chosen_tags), SHOW[show or "Current"])
    return _grouped(query, by), columns


def _grouped(query: Query, by: str | None) -> Query:
    """One pill per group with its count; a chosen one narrows the question."""
    if by is None:
        return query
    counted = store().runs.groups(GROUPS[by], query)  # type: ignore[arg-type]
    names = {value: f"{plain(value, 30)} · {n:,}" for value, n in counted[:MAX_GROUPS]}
    if not names:
        st.caption("No run has a tag yet." if by == "Tag" else "There is nothing to group.")
        return query
    value = st.pills(
        by, list(names), format_func=lambda v: names[v], key=f"group.{GROUPS[by]}", wrap=True,
        on_change=_first_page, label_visibility="collapsed",
    )  # fmt: skip
    if len(counted) > MAX_GROUPS:
        st.caption(f"The {MAX_GROUPS} largest of {len(counted)} groups")
    if value is None:
        return query
    asked: dict[str, Sequence[str]] = {"data": query.data, "model": query.model, "tags": query.tags}
    name = "tags" if by == "Tag" else GROUPS[by]
    asked[name] = [*asked[name], value]
    return Query(query.text, query.states, asked["tags"], query.archived, asked["data"], asked["model"])


def _columns() -> list[str]:
    keys = store().runs.metric_keys()
    options = [f"{kind}:{key}" for key in keys for kind in ("best", "last")]
    options += [c for c in (*DEFAULT_COLUMNS, *FIXED) if c not in options]
    return list(
        st.multiselect(
            "Columns", options, default=DEFAULT_COLUMNS, key="columns", bind="query-params", width=420,
            format_func=column_words, help="A click on a column's head sorts all runs by it",
        )
    )  # fmt: skip


def column_words(column: str) -> str:
    """`best:val/loss` → `val/loss, best`."""
    sort, sign, key = column.partition(":")
    return f"{key}, {'best' if sort == 'best' else 'newest'}" if sign else FIXED[column]


def arrive() -> None:
    """Take sort and page from the URL, at the start of each run of the whole page.

    The list itself is drawn by a timer too, whose request may carry the URL from before the last press.
    """
    for name in ("sort", "page"):
        st.session_state[f"listed.{name}"] = nav.asked(name)


def _listed(name: str) -> str:
    return str(st.session_state.get(f"listed.{name}", ""))


def _list_by(name: str, value: str) -> None:
    st.session_state[f"listed.{name}"] = value
    if value:
        st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]


def _first_page() -> None:
    _list_by("page", "")


def turn_pages(pages: int) -> None:
    """Numbers of the pages; the URL says which one is shown, so that a link and a filter can say it too."""
    nonce = st.session_state.get("pages.turned", 0)
    key = f"pages.{nonce}.{_page(pages)}"  # a new element after each turn: it begins at the page shown
    st.pagination(pages, default=_page(pages), key=key, on_change=_turn, args=(key,), width=480)


def _turn(key: str) -> None:
    _list_by("page", str(st.session_state[key]))
    st.session_state["pages.turned"] = st.session_state.get("pages.turned", 0) + 1


def _page(pages: int | None = None) -> int:
    """The page that was asked for, as far as there are pages."""
    text = _listed("page")
    page = int(text) if text.isdecimal() and len(text) < 9 else 1
    return max(1, min(page, pages) if pages else page)


def _regroup() -> None:
    _first_page()
    for name in GROUPS.values():
        st.session_state.pop(f"group.{name}", None)


def order() -> tuple[str, bool]:
    """The column that is sorted by, and whether downwards."""
    text = _listed("sort") or DEFAULT_SORT
    key = text.removeprefix("-")
    known = key in PLAIN or key.partition(":")[0] in ("best", "last")
    return (key, text.startswith("-")) if known else ("created", True)


def _reorder() -> None:
    """A click on a column's head: what to sort by, and whether downwards."""
    asked = st.session_state[KEY].get("sort")
    if asked:
        _list_by("sort", ("-" if asked[1] else "") + str(asked[0]))
        _first_page()


def find(query: Query) -> tuple[Sequence[RunRow], int, int]:
    """The rows of the page that is looked at, how many runs fit, and the number of pages."""
    key, down = order()
    page = _page()
    ask = store().runs.search
    try:
        rows, total = ask(
            query, sort_key=key, descending=down, limit=PAGE_ROWS, offset=PAGE_ROWS * (page - 1)
        )
    except RunError:
        rows, total = ask(query, limit=PAGE_ROWS)
    pages = max(1, -(-total // PAGE_ROWS))
    if page > pages:  # the runs of that page are gone
        rows, total = ask(
            query, sort_key=key, descending=down, limit=PAGE_ROWS, offset=PAGE_ROWS * (pages - 1)
        )
    return rows, total, pages


# ---------------------------------------------------------------- the table


def chosen() -> Sequence[RunRow]:
    """The chosen runs, on whatever page they stand."""
    kept = st.session_state.get(KEY) or {}
    return store().runs.many([str(run_id) for run_id in kept.get("chosen") or []][:1000])


def unchoose() -> None:
    """Let go of all chosen runs."""
    st.session_state["unchosen"] = st.session_state.get("unchosen", 0) + 1


def table(rows: Sequence[RunRow], columns: Sequence[str]) -> str | None:
    """Draw the table; the id of a run that is to be opened."""
    base = "/" + str(st.get_option("server.baseUrlPath") or "").strip("/")
    kept = st.session_state.get(KEY) or {}
    key, down = order()
    data = {
        "rows": [cells(run, columns) for run in rows],
        "columns": [head(column) for column in columns],
        "sort": key,
        "down": down,
        "gone": sorted(set(kept.get("chosen") or []) - {run.id for run in chosen()}),
        "cleared": st.session_state.get("unchosen", 0),
        "base": base if base.endswith("/") else base + "/",
    }
    result = _component(
        key=KEY, data=data, on_chosen_change=_nothing, on_open_change=_nothing, on_sort_change=_reorder
    )
    opened = result.get("open")
    return opened if opened in {run.id for run in rows} else None


def head(column: str) -> dict[str, Any]:
    """A column's title, what hovering tells, what a click sorts by, and whether from the least."""
    which, sign, key = column.partition(":")
    if not sign:
        sort = column if column in PLAIN else ""
        return {"key": column, "title": FIXED[column], "help": HELP[column], "sort": sort}
    told = "best, and newest below" if which == "best" else "newest, and best below"
    words = metric_words(key)
    title = words[:1].upper() + words[1:] if key.startswith("val/") else key
    about = metric_help(key)
    return {
        "key": column,
        "title": title,
        "help": f"{key}. {about}{'. ' if about else ''}{told}",
        "sort": column,
        "rises": key.endswith(LOWER_IS_BETTER),
    }


def cells(run: RunRow, columns: Sequence[str]) -> dict[str, Any]:
    """What one row shows."""
    texts: dict[str, list[str]] = {}
    for column in columns:
        which, sign, key = column.partition(":")
        texts[column] = _metric(run.metrics.get(key), which, key) if sign else [_fixed(run, column)]
    return {
        "id": run.id,
        "name": run.name,
        "data": run.data,
        "tags": list(run.tags),
        "note": run.note[:300],
        "archived": run.archived,
        "state": run.state.value,
        "kind": kind(run),
        "state_help": silence(run) or KIND_HELP.get(kind(run)) or STATE_HELP[run.state],
        "silent": is_silent(run),
        "progress": run.progress,
        "progress_text": progress_words(run),
        "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created)),
        "cells": texts,
    }


def _fixed(run: RunRow, column: str) -> str:
    return {"took": took(run), "created": ago(run.created), "model": run.model}[column]


def _metric(values: Mapping[str, float] | None, which: str, key: str) -> list[str]:
    """The asked value and, below it, the other; no best while every value was NaN."""
    if not values:
        return ["–"]
    best, last = values.get("best"), values.get("last")
    if which == "last":
        return [metric_text(key, last), "" if best is None else f"best {metric_text(key, best)}"]
    return [metric_text(key, last if best is None else best), f"now {metric_text(key, last)}"]


def _nothing() -> None:
    """A state needs a callback to exist; the page reads the value instead."""

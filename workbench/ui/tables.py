"""Views of a table on the data page: its columns with their roles, and its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import streamlit as st

from workbench.data.report import shown
from workbench.data.table.stored import StoredTable
from workbench.specs.tables import INPUTS, TableColumn
from workbench.store.datasets import DatasetRow
from workbench.ui.marks import count

PAGE = 50  # rows
WORDS = {
    "number": "number", "date": "date", "category": "category", "target": "target", "id": "id, not used",
    "constant": "constant, not used", "ignored": "not used", "split": "tells the split",
    "group": "tells the group",
}  # fmt: skip


def columns(row: DatasetRow) -> None:
    """Every column: what it is for, its gaps, its range or its words, and how its numbers are spread."""
    fields = row.schema.fields
    used = sum(own.role in INPUTS for own in fields)
    st.caption(
        f"A model sees {used} of {count(len(fields))} columns. To change what a column is for, add the table "
        "again and say so."
    )
    table = {
        "Column": [shown(own.name, 80) for own in fields],
        "For": [WORDS[own.role] for own in fields],
        "Missing": [own.missing / max(1, row.rows) for own in fields],
        "Different": [own.distinct for own in fields],
        "From": [_end(own, own.least) for own in fields],
        "To": [_end(own, own.greatest) for own in fields],
        "Spread": [list(own.counts) if own.counts else [n for _, n in own.common] for own in fields],
        "Most frequent": [
            ", ".join(f"{shown(w, 20)} ({count(n)})" for w, n in own.common[:3]) for own in fields
        ],
        "Why": [own.reason for own in fields],
    }
    config = {
        "Column": st.column_config.TextColumn(pinned=True, width=150),
        "For": st.column_config.TextColumn(width=120, help="Guessed at the import, or as it was asked for"),
        "Missing": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, width=90),
        "Different": st.column_config.NumberColumn(help="How many different values", width=80),
        "From": st.column_config.TextColumn(width=95),
        "To": st.column_config.TextColumn(width=95),
        "Spread": st.column_config.BarChartColumn(
            help="Of numbers a histogram from the least to the greatest; of words the most frequent", y_min=0,
            width=140,
        ),
        "Most frequent": st.column_config.TextColumn(width=230),
        "Why": st.column_config.TextColumn(help="Why a column is not used", width="medium"),
    }  # fmt: skip
    st.dataframe(table, hide_index=True, column_config=config, key=f"columns.{row.name}")


def target(row: DatasetRow) -> None:
    """How the number that is told is spread."""
    own = next((own for own in row.schema.fields if own.role == "target"), None)
    if own is None or not own.counts:
        st.info("There is nothing to draw of this target.")
        return
    middles = middles_of(own.edges)
    name = shown(own.name, 60) + (f" ({shown(own.unit, 20)})" if own.unit else "")
    st.bar_chart({"told": middles, "rows": list(own.counts)}, x="told", y="rows", x_label=name, height=280)
    st.caption(f"{count(sum(own.counts))} rows, from {_end(own, own.least)} to {_end(own, own.greatest)}.")


def middles_of(edges: Sequence[float]) -> list[float]:
    """Middles of bins to a tenth of their width, as an axis writes them: 304, not 304.45799999999997."""
    width = edges[1] - edges[0]
    digits = 1 - math.floor(math.log10(width)) if width > 0 else 6
    return [round((a + b) / 2, digits) for a, b in pairwise(edges)]


def rows(row: DatasetRow) -> None:
    """Rows as they were read, page by page."""
    stored = StoredTable(row.path)
    pages = max(1, -(-len(stored) // PAGE))
    key = f"rows.page.{row.name}"
    at = min(pages, int(st.session_state.get(key, 1))) - 1
    index = np.arange(at * PAGE, min(len(stored), (at + 1) * PAGE))
    found = stored.rows(index)
    names = [own.name for own in row.schema.fields]
    st.dataframe(
        {shown(name, 60): [_cell(one.get(name)) for one in found] for name in names}, hide_index=True,
        key=f"rows.{row.name}.{at}",
    )  # fmt: skip
    if pages > 1:
        st.pagination(pages, key=key)
    st.caption(f"{count(len(stored))} rows, as they were read; empty cells are missing.")


def _cell(value: Any) -> Any:
    return shown(value, 200) if isinstance(value, str) else value


def _end(own: TableColumn, value: float | None) -> str:
    if value is None:
        return ""
    if own.kind == "moment":
        return (
            str(np.datetime64(int(value), "us").astype("datetime64[m]"))
            .replace("T", " ")
            .removesuffix(" 00:00")
        )
    text = f"{value:,.0f}" if abs(value) >= 1e5 and abs(value) < 1e15 else f"{value:,.6g}"
    return text + (f" {shown(own.unit, 12)}" if own.unit else "")

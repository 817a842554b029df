"""The predict page for models of tables: a form of the columns, and a file of rows with answers."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.data.dataset import rows_of
from workbench.data.report import shown
from workbench.data.table.moments import examples
from workbench.data.table.stored import StoredTable
from workbench.jobs import answers
from workbench.specs.tables import INPUTS, TableColumn
from workbench.store import RunRow
from workbench.ui.marks import count, message, plain
from workbench.ui.predict import show_answer
from workbench.ui.state import store

WAIT_S = 120.0
MOST_FIELDS = 60  # of a form; a table of more columns is asked about by a file
SHOWN = 500  # answers in the page; the file holds all
MAX_UPLOAD_MB = 50
TYPES = ["csv", "tsv", "txt", "data", "parquet", "xlsx", "json", "jsonl", "gz"]


def page(run: RunRow, checkpoint: str) -> None:
    """One row by a form, or many by a file."""
    row = catalog.with_shipped(store(), run.spec.data.name, run.data_version)
    fields = [own for own in row.schema.fields if own.role in INPUTS]
    ways = ["One row", "A file of rows"] if len(fields) <= MOST_FIELDS else ["A file of rows"]
    way = st.segmented_control("Ask about", ways, default=ways[0], required=True, key="predict.rows.way",
                               bind="query-params")  # fmt: skip
    if way == "One row":
        target = next((own.name for own in row.schema.fields if own.role == "target"), "")
        _one(run, checkpoint, fields, target)
    else:
        _many(run, checkpoint, fields)


def _one(run: RunRow, checkpoint: str, fields: Sequence[TableColumn], target: str) -> None:
    key = f"predict.row.{run.id}"
    if f"{key}.truth" not in st.session_state:
        _take(run, key, fields, 0)
    with st.container(border=True, key="box-row"), st.grid(min_column_width=170, gap="small") as grid:
        values = {}
        for own in fields:
            with grid.cell():
                values[own.name] = _field(own, f"{key}.{own.name}")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Another example", icon=":material/shuffle:", key="predict.row.another",
            on_click=lambda: _take(run, key, fields, None), help="A row that was held out from training",
        )  # fmt: skip
        st.caption("Empty fields count as missing. The answer follows every change.")
    with st.spinner("The model is at work"):
        answer = _ask(run, checkpoint, {"rows": [values]})[0]
    first, truth = st.session_state[f"{key}.truth"]
    with st.container(border=True, key="box-answer"):
        _told(answer, target, truth if values == first else None)


def _many(run: RunRow, checkpoint: str, fields: Sequence[TableColumn]) -> None:
    names = [own.name for own in fields]
    file = st.file_uploader(
        "A table of rows", type=TYPES, max_upload_size=MAX_UPLOAD_MB, key="predict.rows.file",
        help="CSV and its kin, Parquet, XLSX or JSON, with the columns of the training table by their names",
    )  # fmt: skip
    st.download_button(
        "An empty table to fill in", _as_csv([names]), "rows.csv", "text/csv", icon=":material/table:",
        key="predict.rows.template",
    )  # fmt: skip
    if file is None:
        st.caption("Its columns: " + ", ".join(plain(name, 40) for name in names[:30]))
        return
    content = base64.b64encode(file.getvalue()).decode("ascii")
    with st.spinner("The model is at work"):
        told = _ask(run, checkpoint, {"files": [{"name": file.name[:80], "content": content}]})
    for repair in told[0].get("repairs", ()):
        st.caption(message(str(repair), 200))
    classes = sorted({name for one in told for name in one.get("probabilities", {})})
    own = {"row", "prediction", *classes}
    beside = list(told[0].get("beside", ()))
    table = [
        ["row", *(f"{name} (as given)" if name in own else name for name in beside), "prediction", *classes]
    ]
    for i, one in enumerate(told, 1):
        shares = one.get("probabilities", {})
        said = one["prediction"]
        said = ", ".join(said) if isinstance(said, list) else said
        cells = [one["beside"][name] for name in beside]
        table.append([i, *cells, said, *(shares.get(name) for name in classes)])  # type: ignore[list-item]
    st.download_button(
        f"Download {count(len(told))} predictions", _as_csv(table), "predictions.csv", "text/csv",
        type="primary", icon=":material/download:", key="predict.rows.download",
    )  # fmt: skip
    columns = list(zip(*table[1 : SHOWN + 1], strict=True))
    st.dataframe(
        {shown(str(name), 40): _short(column) if name in classes else list(column)
         for name, column in zip(table[0], columns, strict=True)},
        hide_index=True, key="predict.rows.table",
    )  # fmt: skip
    if len(told) > SHOWN:
        st.caption(f"The first {SHOWN} of {count(len(told))}; the file has all.")


def _short(column: Sequence[Any]) -> list[Any]:
    """Shares to four digits after the point; the file has them all."""
    return [None if cell is None else round(cell, 4) for cell in column]


def _ask(run: RunRow, checkpoint: str, more: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    payload = {"run": run.id, "checkpoint": checkpoint, **more}
    found: list[Mapping[str, Any]] = answers.ask(store(), "predict", payload, timeout_s=WAIT_S)
    return found


def _told(answer: Mapping[str, Any], target: str, truth: str | None) -> None:
    said = answer["prediction"]
    if "probabilities" in answer and not isinstance(said, list):
        show_answer(answer, truth)
        return
    st.caption(
        f"The model says of {plain(target, 60)}" if isinstance(said, float | int) else "The model says"
    )
    unit = f" {answer.get('unit')}" if answer.get("unit") else ""
    text = ", ".join(said) or "none of the labels" if isinstance(said, list) else f"{_number(said)}{unit}"
    st.subheader(plain(text, 200), anchor=False)
    if truth is not None:
        st.caption(f"It was {plain(truth, 200)}.")


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:,.4g}"


def _field(own: TableColumn, key: str) -> Any:
    label = plain(own.name, 60) + (f" ({plain(own.unit, 12)})" if own.unit else "")
    if own.kind == "number":
        value = st.number_input(
            label, value=None, key=key, placeholder="missing", step=1.0 if own.is_whole else None,
            format="%.6g",
            help=None if own.least is None else f"From {own.least:,.6g} to {own.greatest:,.6g} in the table",
        )  # fmt: skip
        return None if value is None else float(value)
    if own.kind == "word" and own.common:
        words = [word for word, _ in own.common]
        return st.selectbox(label, words, index=None, key=key, placeholder="missing", accept_new_options=True)
    written = " or ".join(dict.fromkeys([*examples(own.way), "2024-12-31"])) if own.kind == "moment" else ""
    text = st.text_input(
        label,
        key=key,
        placeholder="missing",
        max_chars=200,
        help=f"Written as {written}" if written else None,
    )
    return text.strip() or None


def _take(run: RunRow, key: str, fields: Sequence[TableColumn], place: int | None) -> None:
    """A held-out row into the widgets, and what was to be told of it."""
    row = catalog.with_shipped(store(), run.spec.data.name, run.data_version)
    stored, rows = StoredTable(row.path), rows_of(row.path, run.spec.data)
    held = rows.test if len(rows.test) else rows.validation
    at = int(held[int(np.random.default_rng().integers(len(held))) if place is None else place])
    cells = stored.rows(np.array([at]))[0]
    values: dict[str, Any] = {}
    for own in fields:
        value = cells.get(own.name)
        values[own.name] = None if value is None else float(value) if own.kind == "number" else str(value)
        st.session_state[f"{key}.{own.name}"] = (
            values[own.name] if own.kind != "moment" or value is not None else ""
        )
    names = [own.name for own in row.schema.fields if own.role == "target"]
    truth = ", ".join(f"{cells[name]}" if len(names) == 1 else f"{name}: {cells[name]}" for name in names)
    if row.schema.task == "classification":
        truth = row.schema.classes[int(stored.labels[at])]
    st.session_state[f"{key}.truth"] = (values, truth)


def _as_csv(rows: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8")

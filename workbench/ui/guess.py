"""Texts and tables before they are imported: what they are taken for, to be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from workbench import catalog
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport
from workbench.specs.tables import TableImport
from workbench.ui import guess_series, guess_table
from workbench.ui.errors import problem_boxes
from workbench.ui.marks import plain

KINDS = {"text": "Texts", "table": "A table", "series": "A series"}
TASKS = {
    "classification": "Texts in classes",
    "language_model": "Text to be continued",
    "translation": "Texts and their translations",
}
FORMS = {
    "tables": "a table",
    "pairs": "aligned files",
    "lines": "plain text",
    "folders": "a folder per class",
    "classes": "a file per class",
}
SHOWN = 5  # rows
WIDEST = 240  # characters of a cell
SHORTEST = 60  # of a plain text of which more is not known


def guess_form(source: str, *, sure: bool) -> TextImport | TableImport | SeriesImport | None:
    """How the texts, table or series of a source is to be read, as the widgets say; None for anything else.

    sure: whether its files are texts by their names. Another source is looked into when a button is pressed.
    """
    looked = f"add.look.{source}"
    if not sure and not st.session_state.get(looked):
        if not st.button("Look inside", icon=":material/search:", key="add.look",
                         help="Texts are looked at before the import; images need it not"):  # fmt: skip
            return None
        st.session_state[looked] = True
    kind = _kind(source)
    if kind == "table":
        return _table(source)
    if kind == "series":
        return _series(source)
    asked = _asked(source)
    found, error = _look(source, asked)
    if found is not None and found.get("kind") == "images":
        if not sure:
            st.caption("It holds images.")
        return None
    with st.container(border=True, key="add-guess", gap="small"):
        _kinds(source, kind)
        _choices(source, found or {}, asked)
        if error is not None:
            problem_boxes(error.problems)
        elif found is not None:
            _preview(found)
    return asked


def typed_form(source: str) -> TextImport | None:
    """Columns of a set that cannot be looked at beforehand, by name; None where all is to be guessed."""
    with st.expander("Texts: name the columns", expanded=False):
        task = st.selectbox(
            "What it is for", list(TASKS), index=None, key=f"add.named.task.{source}", placeholder="Guess",
            format_func=TASKS.__getitem__,
            help="Guessed from the columns where nothing is named; the set's page on the hub names them",
        )  # fmt: skip
        wanted = {"text": "Text", "label": "Class", "target": "Translation"}
        columns = st.columns(len(wanted), gap="small")
        said = {
            role: str(column.text_input(words, key=f"add.named.{role}.{source}", placeholder="guess")).strip()
            for column, (role, words) in zip(columns, wanted.items(), strict=True)
        }
    if not task and not any(said.values()):
        return None
    text = tuple(part.strip() for part in said["text"].split(",") if part.strip())
    return TextImport(
        task=task, text_columns=text[:20], label_column=said["label"][:200] or None,
        target_column=said["target"][:200] or None,
    )  # fmt: skip


def _table(source: str) -> TableImport:
    """The same for a table: its target, its columns and its first rows."""
    asked = guess_table.asked_of(source)
    found: dict[str, Any] = {}
    error = None
    try:
        found = _look_at_table(source, asked.model_dump_json())
    except DataError as refused:
        error = refused
    with st.container(border=True, key="add-guess", gap="small"):
        _kinds(source, "table")
        guess_table.choices(source, found, asked)
        if error is not None:
            problem_boxes(error.problems)
        else:
            guess_table.preview(found)
    return asked


def _series(source: str) -> SeriesImport:
    """The same for a series: its moments, its variates and its steps."""
    with st.container(border=True, key="add-guess", gap="small"):
        _kinds(source, "series")
        return guess_series.form(source)


def _kinds(source: str, kind: str) -> None:
    """Texts, tables and series come in the same kinds of files: which it is can be changed."""
    st.segmented_control(
        "It is", list(KINDS), default=kind, required=True, key=_key(source, "kind"),
        format_func=KINDS.__getitem__,
        help="Texts: a model reads the words of a cell. A table: columns are numbers, dates or categories. A "
        "series: rows follow each other in time",
    )  # fmt: skip


def _kind(source: str) -> str:
    """text, table, series or images: as chosen, else as it looks."""
    chosen = st.session_state.get(_key(source, "kind"))
    if chosen in KINDS:
        return str(chosen)
    try:
        return str(_guessed_kind(source))
    except DataError:
        return "text"


@st.cache_data(show_spinner="Looking at the file", max_entries=32)
def _guessed_kind(source: str) -> str:
    return catalog.kind_of(source)


@st.cache_data(show_spinner="Looking at the table", max_entries=32)
def _look_at_table(source: str, asked: str) -> dict[str, Any]:
    return catalog.look(source, kind="table", table=TableImport.model_validate_json(asked))


@st.cache_data(show_spinner="Looking at the texts", max_entries=32)
def _look_at(source: str, asked: str) -> dict[str, Any]:
    kind = "text" if st.session_state.get(_key(source, "kind")) == "text" else None
    return catalog.look(source, kind=kind, texts=TextImport.model_validate_json(asked))


def _look(source: str, asked: TextImport) -> tuple[dict[str, Any] | None, DataError | None]:
    try:
        return _look_at(source, asked.model_dump_json()), None
    except DataError as error:
        return None, error


# What was chosen stands in session state, since the widgets are drawn after what it leads to was looked up.


def _key(source: str, name: str) -> str:
    return f"add.guess.{name}.{source}"


def _asked(source: str) -> TextImport:
    state = st.session_state
    columns = state.get(_key(source, "text")) or ()
    typed = str(state.get(_key(source, "typed"), ""))
    if not columns and typed.strip():
        columns = tuple(part.strip() for part in typed.split(",") if part.strip())
    header = {"Yes": True, "No": False}.get(str(state.get(_key(source, "header"))))
    return TextImport(
        task=state.get(_key(source, "task")), text_columns=tuple(columns)[:20],
        label_column=state.get(_key(source, "label")) or None,
        target_column=state.get(_key(source, "target")) or None, header=header,
    )  # fmt: skip


def _choices(source: str, found: Mapping[str, Any], asked: TextImport) -> None:
    task = asked.task or found.get("task")
    names = list(found.get("names", ())) or list(st.session_state.get(_key(source, "names"), ()))
    meaning = found.get("columns", {})
    if names:
        st.session_state[_key(source, "names")] = names
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.selectbox(
            "What it is for", list(TASKS), index=list(TASKS).index(task) if task in TASKS else None,
            key=_key(source, "task"), format_func=TASKS.__getitem__, width=250, placeholder="Choose",
            help="Guessed from the columns; decides what is learned",
        )  # fmt: skip
        if found.get("form") == "tables" or not found:
            _columns(source, names, meaning, str(task))
            st.segmented_control(
                "First row is a header", ["Guess", "Yes", "No"], default="Guess", required=True,
                key=_key(source, "header"),
            )  # fmt: skip
        elif found.get("form") == "pairs" and len(names) > 1:
            st.caption(f"from {plain(names[0])} to {plain(names[1])}")


def _columns(source: str, names: Sequence[str], meaning: Mapping[str, str], task: str) -> None:
    if not names:
        st.text_input(
            "Text columns", key=_key(source, "typed"), width=240,
            placeholder="names or numbers from 1, with commas",
        )  # fmt: skip
        return
    text = [name for name in names if name in str(meaning.get("text", "")).split(" + ")]
    st.multiselect("Text", names, default=text, key=_key(source, "text"), width=260, max_selections=20)
    for role, label, wanted in (
        ("label", "Class", "classification"),
        ("target", "Translation", "translation"),
    ):
        if task == wanted:
            at = names.index(meaning[role]) if meaning.get(role) in names else None
            st.selectbox(label, names, index=at, key=_key(source, role), width=190, placeholder="Choose")


def _preview(found: Mapping[str, Any]) -> None:
    form = FORMS.get(str(found.get("form")), str(found.get("form")))
    files = list(found.get("files", ()))
    of = f"{len(files)} files" if len(files) != 1 else plain(str(files[0]).rsplit("/", 1)[-1])
    st.caption(f"Read as {form}: {of}.")
    examples, meaning = list(found.get("examples", ()))[:SHOWN], found.get("columns", {})
    names = list(found.get("names", ()))
    if not examples or not names:
        return
    roles = {name: role for role, told in meaning.items() for name in names if name in str(told).split(" + ")}
    table = {
        (f"{name} · {roles[name]}" if name in roles else name): [
            str(row[i])[:WIDEST] if i < len(row) else "" for row in examples
        ]
        for i, name in enumerate(names)
    }
    st.dataframe(table, hide_index=True, key="add.preview", height=36 * (len(examples) + 1))

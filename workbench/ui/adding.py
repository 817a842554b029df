"""The dialog that adds a data set, and the imports under way.

Texts are looked at before they are imported: what they are taken for, the first rows and the columns stand
in the dialog, and each can be changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from workbench.catalog.sets import checked_name, free_name
from workbench.data.limits import MIB, Limits, human
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport
from workbench.specs.tables import TableImport
from workbench.ui import imports
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.guess import guess_form, typed_form
from workbench.ui.marks import count, plain
from workbench.ui.state import store

WAYS = ("Upload", "Paste text", "Folder on this server", "Hugging Face")
LONGEST_PASTE = 2_000_000  # characters


@st.dialog("Add a data set", width="large")
def add_dialog() -> None:
    add_form()


def add_form() -> None:
    """Upload, pasted text, server path or hub name; the import then runs beside the page."""
    with guard():
        way = st.segmented_control("From", WAYS, default=WAYS[0], required=True, key="add.way")
        source, names = _source(str(way))
        options: dict[str, Any] = {}
        is_text = False
        if way == "Hugging Face":
            named = typed_form("hub")
            if named is not None:
                options["texts"] = named
        elif source:
            chosen = guess_form(source, sure=way == "Paste text" or any(map(imports.is_text, names)))
            is_text = chosen is not None
            if isinstance(chosen, TableImport):
                options |= {"kind": "table", "table": chosen}
            elif isinstance(chosen, SeriesImport):
                options |= {"kind": "series", "series": chosen}
            elif chosen is not None:
                options["texts"] = chosen
        name, size = _named(suggested(names, source), is_text)
        if size:
            options["size"] = size
        ready = bool(source.removeprefix("hf:").strip()) and bool(name) and _may_be_named(name)
        if st.button("Import", type="primary", disabled=not ready, key="add.go"):
            if way in ("Upload", "Paste text"):
                imports.start_staged(store(), Path(source), name, **options)
                st.session_state.pop("add.staged", None)
            else:
                imports.start_path(store(), source.strip(), name, **options)
            st.rerun()


def _source(way: str) -> tuple[str, list[str]]:
    """Where the set is: a path, or `hf:name`; and the names of the files as they were sent."""
    if way == "Hugging Face":
        hub = st.text_input(
            "Name on the hub", placeholder="ylecun/mnist, stanfordnlp/imdb or abisee/cnn_dailymail:3.0.0",
            key="add.hub", help="Labelled images, or texts: owner/name, or owner/name:configuration. Needs a "
            "connection to huggingface.co",
        )  # fmt: skip
        return (f"hf:{hub.strip()}" if hub.strip() else ""), [hub.strip()]
    if way == "Folder on this server":
        path = st.text_input(
            "Path", placeholder="/data/pictures", key="add.path",
            help="A folder, an archive, a table, a text, an idx or NumPy file",
        ).strip()  # fmt: skip
        return path, [path] if path else []
    if way == "Paste text":
        text = st.text_area(
            "Text", height=180, key="add.text", max_chars=LONGEST_PASTE,
            placeholder="A long text to learn to write like, or lines with columns: text and class, text and "
            "translation, with tabs or commas between.",
        )  # fmt: skip
        return _staged(("pasted", text), [], text) if text.strip() else "", ["pasted text"]
    limits = Limits.from_environment()
    files = st.file_uploader(
        "Images: a zip or tar, .npz, or images with their table. Texts: plain text, aligned files. Tables "
        "and series: CSV, Parquet, XLSX",
        type=list(imports.TYPES),
        accept_multiple_files=True,
        max_upload_size=uploadable(limits),
        key="add.files",
        help="In a zip or tar: one folder per class, directly or inside train, val and test. Together: "
        "images and the CSV of their names and labels; idx, the format of MNIST; or NumPy: x_train, y_train, "
        "x_test, y_test or images and labels. Texts: CSV, TSV, JSON lines or Parquet with a column of texts "
        "and one of classes or translations; one text file per class; two aligned files such as train.de and "
        "train.en; or plain text for a language model. Tables of numbers and words: CSV and its kin, "
        "Parquet, XLSX or JSON. All of them gzipped, too.",
    )
    st.caption(limit_words(limits))
    names = [str(file.name) for file in files]
    return (_staged(tuple(file.file_id for file in files), files) if files else ""), names


def _staged(mark: tuple[Any, ...], files: list[Any], text: str = "") -> str:
    """The path at which an upload lies; laid down once, and again when it is another."""
    kept = st.session_state.get("add.staged")
    if kept and kept[0] == mark and Path(kept[1]).exists():
        return str(kept[1])
    source = imports.pasted(text) if not files else imports.staged(files)
    st.session_state["add.staged"] = (mark, str(source))
    return str(source)


def _named(suggestion: str, is_text: bool) -> tuple[str, int | None]:
    """Name of the set, and the side to which images are resized."""
    left, right = st.columns(2)
    name = left.text_input(
        "Name", value=suggestion, key=f"add.name.{suggestion}", max_chars=120,
        help="Letters, digits, dots, dashes and underscores",
    )  # fmt: skip
    if is_text:
        return name, None
    size = right.number_input(
        "Resize to (pixels)", min_value=4, max_value=512, value=None, placeholder="keep", key="add.size",
        help="Side to which every picture is resized; needed when the pictures differ in size. "
        "Empty: the importer chooses one size for all.",
    )  # fmt: skip
    return name, int(size) if size else None


def _may_be_named(name: str) -> bool:
    """Whether a set may have this name. Why not stands in the dialog, where all that was chosen still is."""
    try:
        checked_name(store(), name)
    except DataError as error:
        problem_boxes(error.problems)
        return False
    return True


def uploadable(limits: Limits) -> int:
    """MB that one file of an upload may have: as many as an import, and no more than the server takes."""
    return max(1, min(limits.bytes // MIB, int(st.get_option("server.maxUploadSize"))))


def limit_words(limits: Limits) -> str:
    """What an import may hold, as it is set."""
    whole = f"{human(limits.bytes)} unpacked, {count(limits.files)} files, {count(limits.classes)} classes"
    return f"At most {whole}; an image {human(limits.file_bytes)} and {count(limits.pixels)} pixels."


def suggested(names: list[str], source: str) -> str:
    """A free name for the set, made from what is added."""
    if not source.removeprefix("hf:").strip():
        return ""
    name = imports.suggested_from(names) or source
    for tail in ("-images-idx3-ubyte", "-labels-idx1-ubyte"):
        name = name.replace(tail, "")
    return free_name(store(), name)


# ---------------------------------------------------------------- under way


def imports_panel() -> None:
    """Imports under way with progress and a stop; finished ones until they are dismissed."""
    under_way = any(not item.over for item in imports.imports(store()))
    st.fragment(_imports_panel, run_every=0.5 if under_way else None)(under_way)


def _imports_panel(under_way: bool) -> None:
    with guard():
        items = imports.imports(store())
        for index, item in enumerate(items):
            with st.container(border=True, key=f"import-{index}"):
                _import(item, index)
        if under_way and all(item.over for item in items):
            for item in items:
                if item.name:
                    st.session_state["set"] = item.name  # the newest wins
            st.rerun()  # the list of sets has grown, and the timer can rest


def _import(item: imports.Import, index: int) -> None:
    label = plain(item.label)
    if not item.over:
        st.progress(item.share, text=f"**{label}** · {plain(item.words, 100)}")
        if st.button("Stop", key=f"import-stop-{index}", disabled=item.stop.is_set()):
            item.stop.set()
        return
    problem_boxes(item.problems)
    with st.container(horizontal=True, vertical_alignment="center"):
        if item.name:
            st.markdown(f":green[:material/check_circle:] **{plain(item.name)}** is ready.", width="stretch")
        if st.button("Dismiss", key=f"import-over-{index}"):
            imports.dismiss(item)
            st.rerun()

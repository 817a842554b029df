"""Pieces of the data page: the form that adds a set, imports under way, and what a set holds."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from workbench import catalog
from workbench.catalog.sets import free_name
from workbench.data import SHIPPED
from workbench.data.dataset import rows_of
from workbench.data.limits import MIB, Limits, human
from workbench.figures.balance import balance_figure, balance_info
from workbench.figures.theme import PLAIN
from workbench.specs.base import did_you_mean
from workbench.specs.data import DataSpec
from workbench.store.datasets import DatasetRow
from workbench.ui import classes, imports, nav, stack
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.forms import fill
from workbench.ui.marks import ago, count, megabytes, message, plain
from workbench.ui.state import Draft, draft, overwrite, store
from workbench.ui.tiles import TILE_PX
from workbench.ui.tiles import enlarged as enlarged  # of the predict page too

PAGE_SIZE = 48
WORDS = {
    "train": "to learn from",
    "validation": "to validate on while training",
    "test": "for the final test",
}


# ---------------------------------------------------------------- choosing and adding


def names() -> list[str]:
    """All registered sets, the shipped ones too."""
    return [row.name for row in catalog.list(store())]


def missing(rows: list[DatasetRow]) -> None:
    """Say so when the URL names a set that is not there."""
    known = [row.name for row in rows]
    asked = nav.asked("set")
    if asked and asked not in known:
        st.warning(message(f"There is no data set `{asked}`. {did_you_mean(asked, known)}"))


def choose(rows: list[DatasetRow]) -> DatasetRow:
    """The set that the URL names, or the first; the choice goes into the URL."""
    by_name = {row.name: row for row in rows}
    asked = nav.asked("set")
    drafted = str(draft().tree.get("data", {}).get("name", ""))
    first = next((name for name in (asked, drafted) if name in by_name), next(iter(by_name)))
    st.session_state.setdefault("set", first)
    if (fresh := st.session_state.pop("set.next", None)) in by_name:  # a copy just made
        st.session_state["set"] = fresh
    if st.session_state["set"] not in by_name:
        st.session_state["set"] = first
    name = st.selectbox("Data set", list(by_name), key="set", format_func=lambda n: n, width=360)
    if nav.asked("set") != name:
        st.query_params["set"] = name
    return by_name[name]


@st.dialog("Add a data set", width="medium")
def add_dialog() -> None:
    """Upload, server path or hub name; the import then runs beside the page."""
    with guard():
        way = st.segmented_control(
            "From",
            ["Upload", "Folder on this server", "Hugging Face"],
            default="Upload",
            required=True,
            key="add.way",
        )
        files: list[Any] = []
        source = ""
        if way == "Upload":
            limits = Limits.from_environment()
            files = st.file_uploader(
                "One zip or tar of images, one .npz, or files that belong together",
                type=list(imports.TYPES),
                accept_multiple_files=True,
                max_upload_size=uploadable(limits),
                key="add.files",
                help="In a zip or tar: one folder per class, directly or inside train, val and test. "
                "Together: images and the CSV of their names and labels; idx, the format of MNIST, plain or "
                "gzipped; or NumPy: x_train, y_train, x_test, y_test or images and labels.",
            )
            st.caption(limit_words(limits))
        elif way == "Hugging Face":
            source = "hf:" + st.text_input(
                "Name on the hub",
                placeholder="ylecun/mnist",
                key="add.hub",
                help="Needs a connection to huggingface.co",
            )
        else:
            source = st.text_input(
                "Path", placeholder="/data/pictures", key="add.path", help="A folder, archive or idx file"
            )
        left, right = st.columns(2)
        name = left.text_input(
            "Name", value=suggested(files, source), key=f"add.name.{suggested(files, source)}", max_chars=120,
            help="Letters, digits, dots, dashes and underscores",
        )  # fmt: skip
        size = right.number_input(
            "Resize to (pixels)", min_value=4, max_value=512, value=None, placeholder="keep", key="add.size",
            help="Side to which every picture is resized; needed when the pictures differ in size. "
            "Empty: the importer chooses one size for all.",
        )  # fmt: skip
        ready = bool(files or source.removeprefix("hf:").strip()) and bool(name)
        if st.button("Import", type="primary", disabled=not ready, key="add.go"):
            options = {"size": int(size)} if size else {}
            if files:
                imports.start_uploads(store(), files, name, **options)
            else:
                imports.start_path(store(), source.strip(), name, **options)
            st.rerun()


def uploadable(limits: Limits) -> int:
    """MB that one file of an upload may have: as many as an import, and no more than the server takes."""
    return max(1, min(limits.bytes // MIB, int(st.get_option("server.maxUploadSize"))))


def limit_words(limits: Limits) -> str:
    """What an import may hold, as it is set."""
    whole = f"{human(limits.bytes)} unpacked, {count(limits.files)} files, {count(limits.classes)} classes"
    return f"At most {whole}; an image {human(limits.file_bytes)} and {count(limits.pixels)} pixels."


def suggested(files: list[Any], source: str) -> str:
    """A free name for the set, made from what is added."""
    if not files and not source.removeprefix("hf:").strip():
        return ""
    name = imports.suggested_from([str(file.name) for file in files]) if files else source
    for tail in ("-images-idx3-ubyte", "-labels-idx1-ubyte"):
        name = name.replace(tail, "")
    return free_name(store(), name)


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


def taken_up(now: Draft, row: DatasetRow) -> Draft:
    """The draft with this set, and with as many outputs of its model as the set has classes."""
    shape, n_classes = row.schema.shape, len(row.schema.classes)
    model = stack.model_tree(stack.fitted(now.layers, shape, n_classes)) if now.layers else None
    return overwrite(now, data=DataSpec(name=row.name), **({"model": model} if model else {}))


# ---------------------------------------------------------------- showing


def split_sizes(row: DatasetRow, spec: DataSpec) -> dict[str, int]:
    """Images per split as a run under `spec` would cut the set. Reads labels only. Raises DataError."""
    rows = rows_of(row.path, spec)
    return {"train": len(rows.train), "validation": len(rows.validation), "test": len(rows.test)}


def facts(row: DatasetRow) -> None:
    """The head line of a set in numbers."""
    channels, height, width = row.schema.shape
    parts = {name: n for name, n in row.splits.items() if n}
    brought = ", ".join(f"{count(n)} {name}" for name, n in parts.items()) if len(parts) > 1 else "none"
    items = [
        (count(row.rows), "images"),
        (count(len(row.schema.classes)), "classes"),
        (f"{width} × {height}", "pixels, " + ("grey" if channels == 1 else "colour")),
        (brought, "splits it brought"),
        (megabytes(row.rows * channels * height * width), "as pixels"),
        (str(row.version), "version"),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in items)
    st.html(f'<div class="wb-facts">{cells}</div>')  # numbers and our own words only


def samples(row: DatasetRow) -> None:
    """Pictures of the set, by class and by the splits it brought, page by page."""
    brought = [name for name, n in row.splits.items() if n]
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        wanted = st.selectbox(
            "Class",
            range(-1, len(row.schema.classes)),
            key=f"class.{row.name}",
            width=260,
            format_func=lambda k: "All classes" if k < 0 else row.schema.classes[k],
        )
        part = None
        if len(brought) > 1:
            part = st.segmented_control(
                "Split", brought, key=f"part.{row.name}", help="None chosen: all of them"
            )
        changing = row.name not in SHIPPED and st.toggle(
            "Change labels", key=f"changing.{row.name}", help="Choose images to relabel or to drop"
        )
    page_key = f"page.{row.name}.{part}.{wanted}"
    page = catalog.samples(
        store(),
        row.name,
        class_index=None if wanted < 0 else wanted,
        split=part,
        page=int(st.session_state.get(page_key, 1)) - 1,
        per_page=PAGE_SIZE,
    )
    if not page.total:
        st.info("There is no picture of that class in this split.")
        return
    names = [row.schema.classes[k] for k in page.labels]
    if changing:
        classes.relabel_grid(row, page)
    else:
        _grid(page, names, wanted < 0)
    if page.pages > 1:
        st.pagination(page.pages, key=page_key)
    st.caption(f"{count(page.total)} pictures")


def _grid(page: catalog.Samples, names: list[str], captions: bool) -> None:
    with st.container(key="grid-images"):
        st.image(
            [enlarged(image) for image in page.images],
            caption=[plain(n, 18) for n in names] if captions else None,
            width=TILE_PX,
            alt=[n[:60] for n in names],
        )


def first_pictures() -> None:
    """One row of each class of the first set, without words."""
    page = catalog.samples(store(), SHIPPED[0], per_page=20)
    with st.container(key="grid-images-first"):
        st.image(
            [enlarged(image) for image in page.images], width=44, alt=["a sample image"] * len(page.images)
        )


def balance(row: DatasetRow) -> None:
    """Images per class and split."""
    info = balance_info(catalog.class_balance(store(), row.name), row.schema.classes)
    st.plotly_chart(balance_figure(info), key=f"balance.{row.name}", config=PLAIN)
    if math.isinf(info.ratio):
        st.warning("A class has no image at all: the model cannot learn it.")
    elif info.ratio > 3:
        st.warning(
            f"The largest class has {info.ratio:.1f} times the images of the smallest: accuracy alone will "
            "flatter a model that prefers large classes."
        )
    elif info.ratio < 1.1:
        st.caption("Balanced: every class has about as many images as any other.")
    else:
        st.caption(
            f"Nearly balanced: the largest class has {info.ratio:.1f} times the images of the smallest."
        )
    classes.editor(row)


def split_form(row: DatasetRow, spec: DataSpec, key: str) -> DataSpec:
    """Held-out shares of this set, with what they come to."""
    brings = {name for name, n in row.splits.items() if n}
    skip = {"name", "size", "channels", "normalize", "limit"}
    skip |= {name for name in ("validation", "test") if name in brings}
    told = sorted(brings - {"train"})
    if told:
        st.caption(f"The set brings its own {' and '.join(told)} split; it is used as it is.")
    changed, _ = fill(spec, key=key, skip=skip, where="data")
    sizes = split_sizes(row, changed)
    cells = "".join(f"<div><b>{count(n)}</b><span>{WORDS[name]}</span></div>" for name, n in sizes.items())
    st.html(f'<div class="wb-facts">{cells}</div>')
    return changed


def report_table(row: DatasetRow) -> None:
    """What happened to each file of the import."""
    rows = list(row.report)
    if not rows:
        st.caption("Nothing to report: every file was taken as it was.")
        return
    order = ("refused", "repaired", "kept")  # what needs a look comes first
    rows.sort(key=lambda item: order.index(item["action"]) if item.get("action") in order else len(order))
    kinds = [str(item.get("action", "")) for item in rows]
    st.caption(" · ".join(f"{kinds.count(k)} {k}" for k in order if k in kinds))
    columns = {key: [str(item.get(key, "")) for item in rows] for key in ("action", "file", "reason")}
    config = {
        "action": st.column_config.TextColumn("What happened", width=100),
        "file": st.column_config.TextColumn("File", width=150),
        "reason": st.column_config.TextColumn("Why", width="large"),
    }
    st.dataframe(columns, hide_index=True, column_config=config, key=f"report.{row.name}")


def about(row: DatasetRow) -> None:
    """Where the set came from and how it is kept."""
    schema = row.schema
    items = {
        "Source": schema.source or "–",
        "Licence": schema.licence or "not stated",
        "Classes": ", ".join(schema.classes),
        "Shape": "×".join(map(str, schema.shape)) + " (channels × height × width)",
        "Version": str(row.version),
        "Fingerprint": row.fingerprint,
        "Added": ago(row.added),
    }
    for name, text in items.items():
        left, right = st.columns([1, 4], gap="small")
        left.caption(name)
        right.text(text[:2000])
    classes.versions(row)
    if row.name in SHIPPED:
        classes.copy_hint(row)
    else:
        with st.container(horizontal=True, gap="small"):
            if st.button("Rename", icon=":material/edit:", key="set.rename"):
                rename_dialog(row.name)
            if st.button("Remove", icon=":material/delete:", key="set.remove"):
                remove_dialog(row.name, row.rows)


@st.dialog("Rename the data set")
def rename_dialog(name: str) -> None:
    with guard():
        new = st.text_input("Name", value=name, max_chars=120, key=f"set.name.{name}")
        st.caption("Runs keep the name they were started with.")
        if st.button("Rename", type="primary", disabled=new.strip() in ("", name), key="set.rename.go"):
            catalog.rename(store(), name, new.strip())
            imports.forget(store(), name)
            st.session_state["set"] = st.query_params["set"] = new.strip()
            st.rerun()


@st.dialog("Remove the data set?")
def remove_dialog(name: str, n_images: int) -> None:
    """Asks first; the files a person brought stay theirs, only our copy goes."""
    with guard():
        st.text(name)
        st.caption(f"Our copy of its {count(n_images)} images goes. Finished runs keep their models.")
        with st.container(horizontal=True, gap="small"):
            if st.button("Remove", type="primary", key="set.remove.go"):
                catalog.delete(store(), name)
                imports.forget(store(), name)
                st.session_state.pop("set", None)
                st.query_params.pop("set", None)
                st.rerun()
            if st.button("Keep", key="set.remove.keep"):
                st.rerun()

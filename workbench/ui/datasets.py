"""Pieces of the data page: which set, and what it holds. Texts have views of their own (ui/texts.py)."""

from __future__ import annotations

import math
from html import escape

import streamlit as st

from workbench import catalog
from workbench.data import SHIPPED
from workbench.data.dataset import rows_of
from workbench.data.report import shown
from workbench.figures.balance import balance_figure, balance_info
from workbench.figures.theme import PLAIN
from workbench.specs.base import did_you_mean
from workbench.specs.data import DataSchema, DataSpec
from workbench.specs.tables import INPUTS
from workbench.store.datasets import DatasetRow
from workbench.ui import classes, fitting, imports, nav, series
from workbench.ui.errors import guard
from workbench.ui.forms import fill
from workbench.ui.marks import ago, count, megabytes, message, plain
from workbench.ui.state import draft, store
from workbench.ui.tiles import TILE_PX
from workbench.ui.tiles import enlarged as enlarged  # of the predict page too

PAGE_SIZE = 48
HOW_IT_WAS_READ = ("dates", "gaps", "duplicates", "timezone")  # kept beside the columns of a series
WORDS = {
    "train": "to learn from",
    "validation": "to validate on while training",
    "test": "for the final test",
}


# ---------------------------------------------------------------- choosing


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


# ---------------------------------------------------------------- showing


def split_sizes(row: DatasetRow, spec: DataSpec) -> dict[str, int]:
    """Images or texts per split as a run under `spec` would cut the set; of a language model's text, windows.
    Raises DataError."""
    rows = rows_of(row.path, spec)
    return {"train": len(rows.train), "validation": len(rows.validation), "test": len(rows.test)}


def noun(schema: DataSchema) -> str:
    """What the set has many of."""
    if schema.kind == "series":
        return "steps"
    if schema.kind == "table":
        return "rows"
    if schema.kind != "text":
        return "images"
    return {"language_model": "passages", "translation": "pairs"}.get(schema.task, "texts")


def facts(row: DatasetRow) -> None:
    """The head line of a set in numbers."""
    parts = {name: n for name, n in row.splits.items() if n}
    brought = ", ".join(f"{count(n)} {name}" for name, n in parts.items()) if len(parts) > 1 else "none"
    items = [(count(row.rows), noun(row.schema))]
    if row.schema.classes:
        items.append((count(len(row.schema.classes)), "classes"))
    if row.schema.kind == "series":
        items += series.facts(row)
    elif row.schema.kind == "table":
        used = sum(own.role in INPUTS for own in row.schema.fields)
        items.append((f"{used} of {len(row.schema.fields)}", "columns are used"))
        items.append((escape(shown(row.schema.columns.get("target", ""), 30)), "is told"))
    elif row.schema.kind == "text":
        items.append((fitting.of_set(row.schema).words, "what it is for"))
    else:
        channels, height, width = row.schema.shape
        if not row.schema.classes:
            items.append(("without classes", "to be painted anew, or made of noise"))
        items.append((f"{width} × {height}", "pixels, " + ("grey" if channels == 1 else "colour")))
        items.append((megabytes(row.rows * channels * height * width), "as pixels"))
    items += [(brought, "splits it brought"), (str(row.version), "version")]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in items)
    st.html(f'<div class="wb-facts">{cells}</div>')  # numbers and our own words only


def samples(row: DatasetRow) -> None:
    """Pictures of the set, by class and by the splits it brought, page by page."""
    brought = [name for name, n in row.splits.items() if n]
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        wanted = -1
        if row.schema.classes:
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
            "Change labels" if row.schema.classes else "Drop images", key=f"changing.{row.name}",
            help="Choose images to relabel or to drop" if row.schema.classes else "Choose images to drop",
        )  # fmt: skip
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
        st.info("There is no picture here: choose another class, or all splits.")
        return
    names = [row.schema.class_of(k) for k in page.labels]
    if changing:
        classes.relabel_grid(row, page)
    else:
        _grid(page, names, wanted < 0 and bool(row.schema.classes))
    if page.pages > 1:
        st.pagination(page.pages, key=page_key)
    st.caption(f"{count(page.total)} pictures")


def _grid(page: catalog.Samples, names: list[str], captions: bool) -> None:
    with st.container(key="grid-images"):
        st.image(
            [enlarged(image) for image in page.images],
            caption=[plain(n, 18) for n in names] if captions else None,
            width=TILE_PX,
            alt=[n[:60] or f"picture {row}" for n, row in zip(names, page.rows, strict=True)],
        )


def first_pictures() -> None:
    """One row of each class of the first set, without words."""
    page = catalog.samples(store(), SHIPPED[0], per_page=20)
    with st.container(key="grid-images-first"):
        st.image(
            [enlarged(image) for image in page.images], width=44, alt=["a sample image"] * len(page.images)
        )


def balance(row: DatasetRow) -> None:
    """Images or texts per class and split."""
    info = balance_info(catalog.class_balance(store(), row.name), row.schema.classes)
    st.plotly_chart(balance_figure(info, noun(row.schema)), key=f"balance.{row.name}", config=PLAIN)
    if math.isinf(info.ratio):
        st.warning("A class has no sample at all: the model cannot learn it.")
    elif info.ratio > 3:
        st.warning(
            f"The largest class has {info.ratio:.1f} times the samples of the smallest: accuracy alone will "
            "flatter a model that prefers large classes."
        )
    elif info.ratio < 1.1:
        st.caption("Balanced: every class has about as many images as any other.")
    else:
        st.caption(
            f"Nearly balanced: the largest class has {info.ratio:.1f} times the samples of the smallest."
        )
    classes.editor(row)


def split_form(row: DatasetRow, spec: DataSpec, key: str) -> DataSpec:
    """Held-out shares of this set, with what they come to."""
    brings = {name for name, n in row.splits.items() if n}
    is_series = row.schema.kind == "series"
    skip = {"name", "size", "channels", "normalize", "limit", "text", "series", "table"}
    skip |= {"split_seed", "groups"} if is_series else set()
    skip |= {name for name in ("validation", "test") if name in brings}
    told = sorted(brings - {"train"})
    if told:
        st.caption(f"The set brings its own {' and '.join(told)} split; it is used as it is.")
    changed, _ = fill(spec, key=key, skip=skip, where="data")
    if is_series:
        st.caption("Cut by time: the earliest steps are learned from, the latest are for the test.")
        windows, _ = series.window_fields(changed.series, row.schema.variates, key=f"{key}.series")
        changed = changed.model_copy(update={"series": windows})
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
    columns = {
        "What happened": kinds,
        "To what": [message(str(item.get("file", ""))) for item in rows],
        "Why": [message(str(item.get("reason", "")), 600) for item in rows],
    }
    st.table(columns, border="horizontal", hide_index=True)  # its cells wrap: a reason is read whole


def about(row: DatasetRow) -> None:
    """Where the set came from and how it is kept."""
    schema = row.schema
    items = {
        "Source": schema.source or "–",
        "Licence": schema.licence or "not stated",
        "Purpose": fitting.words_of(schema).capitalize(),
        "Classes": ", ".join(schema.classes),
        "Columns": "; ".join(
            f"{role}: {name}" for role, name in schema.columns.items() if role not in HOW_IT_WAS_READ
        ),
        "Variates": ", ".join(schema.variates),
        "Step": schema.frequency,
        "Shape": "×".join(map(str, schema.shape)) + " (channels × height × width)" if schema.shape else "",
        "Version": str(row.version),
        "Fingerprint": row.fingerprint,
        "Added": ago(row.added),
    }
    for name, text in items.items():
        if not text:
            continue
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
                remove_dialog(row.name, f"{count(row.rows)} {noun(row.schema)}")


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
def remove_dialog(name: str, holds: str) -> None:
    """Asks first; the files a person brought stay theirs, only our copy goes."""
    with guard():
        st.text(name)
        st.caption(f"Our copy of its {holds} goes. Finished runs keep their models.")
        with st.container(horizontal=True, gap="small"):
            if st.button("Remove", type="primary", key="set.remove.go"):
                catalog.delete(store(), name)
                imports.forget(store(), name)
                st.session_state.pop("set", None)
                st.query_params.pop("set", None)
                st.rerun()
            if st.button("Keep", key="set.remove.keep"):
                st.rerun()

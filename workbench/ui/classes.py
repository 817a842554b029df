"""Changing a set: rename, merge and drop classes, relabel and drop images, former versions.

Every change makes a new version of the set. A run keeps the version it started with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from workbench import catalog
from workbench.catalog.looking import Samples
from workbench.catalog.sets import free_name
from workbench.data import SHIPPED
from workbench.specs.errors import WorkbenchError
from workbench.store.datasets import DatasetRow
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.marks import ago, count, plain
from workbench.ui.state import store
from workbench.ui.tiles import TILE_PX, enlarged

ACTIONS = ("Rename", "Merge", "Drop")


def editor(row: DatasetRow) -> None:
    """Rename, merge or drop classes."""
    if row.name in SHIPPED:
        copy_hint(row)
        return
    classes = list(row.schema.classes)
    with st.container(border=True, key="box-classes"):
        st.markdown("**Change the classes**")
        key = f"classes.{row.name}.{row.version}"
        action = st.segmented_control(
            "Change", ACTIONS, default="Rename", required=True, key=f"{key}.action",
            label_visibility="collapsed",
        )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            if action == "Rename":
                old = st.selectbox("Class", classes, key=f"{key}.old", width=240)
                new = st.text_input("New name", max_chars=80, key=f"{key}.new", width=240)
                ready, run = (
                    bool(old and new.strip()),
                    lambda: catalog.rename_class(store(), row.name, old, new),
                )
            elif action == "Merge":
                some = st.multiselect("Classes", classes, key=f"{key}.some", width=360)
                into = st.text_input(
                    "Into",
                    value=some[0] if some else "",
                    max_chars=80,
                    key=f"{key}.into.{some[:1]}",
                    width=240,
                )
                ready, run = (
                    len(some) > 1 and bool(into.strip()),
                    lambda: catalog.merge_classes(store(), row.name, some, into),
                )
            else:
                some = st.multiselect("Classes", classes, key=f"{key}.drop", width=360)
                ready, run = bool(some), lambda: catalog.drop_classes(store(), row.name, some)
            pressed = st.button(f"{action}", type="primary", disabled=not ready, key=f"{key}.go")
        if pressed:
            _do(run)
        st.caption(f"Makes version {row.version + 1} of the set. Runs keep the version they started with.")


def relabel_grid(row: DatasetRow, page: Samples) -> None:
    """The page's images with a box each; the chosen ones get another class, or go."""
    key = f"relabel.{row.name}.{row.version}"
    chosen = []
    with st.container(horizontal=True, gap="small", key="grid-images-relabel"):
        for image, label, number in zip(page.images, page.labels, page.rows, strict=True):
            name = row.schema.class_of(label) or str(number)
            with st.container(width=TILE_PX + 28, gap="xxsmall"):
                st.image(enlarged(image), width=TILE_PX, alt=name[:60])
                if st.checkbox(plain(name, 9), key=f"{key}.{number}"):
                    chosen.append(int(number))
    act_on(row, chosen, key)


def act_on(row: DatasetRow, chosen: Sequence[int], key: str, suggested: str | None = None) -> None:
    """Relabel or drop the chosen images of the newest version. suggested: the class that stands ready."""
    classes = list(row.schema.classes)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        words = f"{count(len(chosen))} chosen"
        to = None if not classes else st.selectbox(
            "New class", classes, index=classes.index(suggested) if suggested in classes else None,
            key=f"{key}.to" if suggested is None else f"{key}.to.{suggested}", accept_new_options=True,
            placeholder="Choose or type", width=240,
        )  # fmt: skip
        label = f"Relabel · {words}"
        if classes and st.button(label, type="primary", disabled=not (chosen and to), key=f"{key}.go"):
            _do(lambda: catalog.relabel(store(), row.name, chosen, str(to)))
        if st.button(f"Drop · {words}", disabled=not chosen, key=f"{key}.drop", icon=":material/delete:"):
            _do(lambda: catalog.drop_images(store(), row.name, chosen))


def copy_hint(row: DatasetRow) -> None:
    """Shipped sets stay as they are; a copy may be changed."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("This set comes with the workbench and stays as it is. A copy of it may be changed.")
        if st.button("Make a copy", icon=":material/content_copy:", key="set.copy"):
            fresh = catalog.copy(store(), row.name, free_name(store(), row.name))
            st.session_state["set.next"] = fresh.name
            st.rerun()


def versions(row: DatasetRow) -> None:
    """What the set was before, with a way back."""
    rows = store().datasets.versions(row.name)
    if len(rows) < 2:
        return
    st.markdown("**Versions**")
    for former in rows:
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"v-{former.version}"
        ):
            notes = [r["reason"] for r in former.report if r.get("file") == "the data set"]
            said = str(notes[-1]) if notes and former.version > 1 else "as it was imported"
            classes = f", {len(former.schema.classes)} classes" if former.schema.classes else ""
            st.markdown(f"**{former.version}**", width=24)
            st.caption(
                f"{plain(said, 160)} · {count(former.rows)} samples{classes} · "
                f"{ago(former.added)} · {former.fingerprint[:12]}"
            )
            if former.version != row.version and st.button(
                "Restore", key=f"restore.{former.version}", help="Makes it the newest version again"
            ):
                _do(lambda v=former.version: catalog.restore(store(), row.name, v))  # type: ignore[misc]


def _do(change: Callable[[], DatasetRow]) -> None:
    with guard():
        try:
            with st.spinner("Writing the new version"):
                change()
        except WorkbenchError as error:
            problem_boxes(error.problems)
            return
    st.rerun()

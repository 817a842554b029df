"""What a set of texts holds, for the eye: its texts page by page, translations side by side, and copies."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.data import SHIPPED
from workbench.data.splits import SPLITS
from workbench.data.text.stored import Stored
from workbench.store.datasets import DatasetRow
from workbench.ui import classes
from workbench.ui.marks import count, plain
from workbench.ui.state import store

PAGE_SIZE = 20
PASSAGES = 4  # of a long text on a page
SHORT = 420  # characters of a text that are shown before it is unfolded
LONGEST = 6_000  # characters of an unfolded one


def samples(row: DatasetRow) -> None:
    """The texts by class and by the splits that the set brought, page by page."""
    if row.schema.task == "language_model":
        passages(row)
        return
    brought = [name for name, n in row.splits.items() if n]
    wanted, part, changing = -1, None, False
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        if row.schema.classes:
            wanted = st.selectbox(
                "Class", range(-1, len(row.schema.classes)), key=f"class.{row.name}", width=260,
                format_func=lambda k: "All classes" if k < 0 else row.schema.classes[k],
            )  # fmt: skip
        if len(brought) > 1:
            part = st.segmented_control(
                "Split", brought, key=f"part.{row.name}", help="None chosen: all of them"
            )
        if row.schema.classes and row.name not in SHIPPED:
            changing = st.toggle(
                "Change labels", key=f"changing.{row.name}", help="Choose texts to relabel or to drop"
            )
    page_key = f"page.{row.name}.{part}.{wanted}"
    page = catalog.texts(
        store(), row.name, class_index=None if wanted < 0 else wanted, split=part,
        page=int(st.session_state.get(page_key, 1)) - 1, per_page=PAGE_SIZE,
    )  # fmt: skip
    if not page.total:
        st.info("There is no text of that class in this split.")
        return
    if changing:
        relabel(row, page)
    else:
        st.html(listed(page, row.schema.classes, _sides(row, page.rows) if len(brought) > 1 else ()))
    if page.pages > 1:
        st.pagination(page.pages, key=page_key)
    st.caption(f"{count(page.total)} {'pairs' if page.targets else 'texts'}")


def _sides(row: DatasetRow, rows: np.ndarray) -> list[str]:
    """The split that each text was brought in."""
    return [SPLITS[code] for code in Stored(row.path).splits[rows]]


def listed(page: catalog.TextPage, names: Sequence[str], sides: Sequence[str] = ()) -> str:
    """HTML of a page of texts: number, class or translation, split. Every text is a stranger's."""
    lines = []
    for i, text in enumerate(page.texts):
        cells = f"<i>{page.rows[i]:,}</i>{folded(text)}"
        if page.targets:
            cells += folded(page.targets[i])
        elif names:
            cells += f"<b>{escape(names[page.labels[i]])}</b>"
        cells += f"<small>{escape(sides[i])}</small>" if sides else ""
        lines.append(f"<li>{cells}</li>")
    looks = " ".join(["wb-texts", *(["pairs"] if page.targets else []), *(["sided"] if sides else [])])
    return f'<ol class="{looks}">{"".join(lines)}</ol>'


def folded(text: str) -> str:
    """HTML of a text, long ones to be unfolded by a click."""
    if len(text) <= SHORT:
        return f"<span>{escape(text)}</span>"
    cut = text[:SHORT].rsplit(" ", 1)[0]
    rest = text[len(cut) : LONGEST] + ("…" if len(text) > LONGEST else "")
    more = f"<summary>{escape(cut)} <em>… {len(text) - len(cut):,} more characters</em></summary>"
    return f"<details>{more}{escape(rest)}</details>"


def passages(row: DatasetRow) -> None:
    """A long text as it runs, some pieces a page."""
    page_key = f"page.{row.name}.text"
    at = int(st.session_state.get(page_key, 1)) - 1
    page = catalog.texts(store(), row.name, page=at, per_page=PASSAGES)
    st.html(f'<div class="wb-passage">{escape("".join(page.texts))}</div>')
    if page.pages > 1:
        st.pagination(page.pages, key=page_key)
    st.caption(f"In {count(page.total)} pieces, in their order; the model sees windows of it.")


def relabel(row: DatasetRow, page: catalog.TextPage) -> None:
    """The page's texts with a box each; the chosen ones get another class, or go."""
    key = f"relabel.{row.name}.{row.version}"
    chosen = []
    for text, label, number in zip(page.texts, page.labels, page.rows, strict=True):
        with st.container(horizontal=True, gap="small", vertical_alignment="top"):
            name = row.schema.classes[label]
            if st.checkbox(f"**{plain(name, 20)}**", key=f"{key}.{number}", width=170):
                chosen.append(int(number))
            st.text(text[:SHORT])
    classes.act_on(row, chosen, key)


# ---------------------------------------------------------------- copies


def copies(row: DatasetRow) -> None:
    """Texts that occur more than once, letter by letter or but for case, blanks and signs."""
    with st.spinner("Comparing the texts"):
        found = catalog.copies(store(), row.name)
    items = [
        (count(len(found.same)), "the same as another"),
        (count(len(found.near)), "but for case, blanks and signs"),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{escape(name)}</span></div>" for value, name in items)
    st.html(f'<div class="wb-facts">{cells}</div>')
    kinds = {
        f"The same ({count(len(found.same))})": found.same,
        f"Nearly ({count(len(found.near))})": found.near,
    }
    kinds = {name: pairs for name, pairs in kinds.items() if len(pairs)}
    if not kinds:
        st.success("No text occurs twice.", icon=":material/check_circle:")
        return
    st.caption(
        "A text that stands in training and in validation or test is answered by heart: scores there are too "
        "good."
    )
    chosen = st.segmented_control(
        "Pairs", list(kinds), default=next(iter(kinds)), required=True, key=f"copies.{row.name}.{row.version}"
    )
    pairs = kinds.get(str(chosen), next(iter(kinds.values())))
    _pairs(row, pairs, key=f"copies.page.{row.name}.{chosen}")
    repeated = np.unique(pairs[:, 1])
    if row.name not in SHIPPED and st.button(
        f"Drop the second of each pair ({count(len(repeated))} texts)", icon=":material/delete:",
        key="copies.drop", help="Makes a new version of the set; runs keep theirs",
    ):  # fmt: skip
        catalog.drop_images(store(), row.name, repeated.tolist())
        st.rerun()


def _pairs(row: DatasetRow, pairs: np.ndarray, key: str) -> None:
    pages = -(-len(pairs) // PAGE_SIZE)
    page = min(int(st.session_state.get(key, 1)), pages) - 1
    here = pairs[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    stored = Stored(row.path)
    lines = []
    for a, b in here.tolist():
        names = [row.schema.classes[stored.labels[i]] for i in (a, b)] if row.schema.classes else []
        told = " / ".join(dict.fromkeys(names))
        sides = "".join(f"<i>{i:,}</i>{folded(stored.text(i)[:LONGEST])}" for i in (a, b))
        lines.append(f"<li>{sides}{f'<b>{escape(told)}</b>' if told else ''}</li>")
    st.html(f'<ol class="wb-texts twice">{"".join(lines)}</ol>')
    if pages > 1:
        st.pagination(pages, key=key)

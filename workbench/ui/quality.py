"""What a set is like: numbers on its pixels and files, and images that occur more than once."""

from __future__ import annotations

from html import escape

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.data import SHIPPED
from workbench.data.dataset import rows_of
from workbench.data.prepared import open_arrays, read_files
from workbench.figures.balance import brightness_figure
from workbench.figures.theme import PLAIN
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.store.datasets import DatasetRow
from workbench.ui.marks import count, plain
from workbench.ui.preview import pair
from workbench.ui.state import draft, store

PAIRS = 24  # on a page
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}
SIDES = ("train", "validation", "test")


def statistics(row: DatasetRow) -> None:
    """Mean and spread per channel, brightness, and the sizes and modes of the files."""
    with st.spinner("Measuring the pixels"):
        found = catalog.statistics(store(), row.name)
    names = CHANNELS.get(len(found.mean), tuple(str(c) for c in range(len(found.mean))))
    cells = "".join(
        f"<div><b>{mean:.3f} ± {std:.3f}</b><span>{name}, mean ± spread</span></div>"
        for name, mean, std in zip(names, found.mean, found.std, strict=True)
    )
    st.html(f'<div class="wb-facts">{cells}</div>')  # numbers and our own words only
    st.caption(
        "Of all pixels, on a scale from 0 (black) to 1 (white). A run measures its training images anew."
    )
    st.markdown("**Brightness of the images**")
    st.plotly_chart(brightness_figure(found.brightness), key=f"brightness.{row.name}", config=PLAIN)
    if not found.sizes:
        st.caption("The set did not come as image files, so there is nothing to tell of sizes and modes.")
        return
    left, right = st.columns(2)
    with left:
        st.markdown("**Sizes of the files**")
        st.dataframe(
            {"Pixels": [f"{w} × {h}" for (w, h), _ in found.sizes], "Files": [n for _, n in found.sizes]},
            hide_index=True, key=f"sizes.{row.name}",
        )  # fmt: skip
    with right:
        st.markdown("**Modes and formats**")
        rows = [*found.forms, *found.modes]
        st.dataframe(
            {"Kind": [str(k) for k, _ in rows], "Files": [n for _, n in rows]},
            hide_index=True, key=f"modes.{row.name}",
        )  # fmt: skip


def copies(row: DatasetRow) -> None:
    """Pairs of identical and nearly identical images, and how many lie on two sides of the split."""
    with st.spinner("Comparing the images"):
        found = catalog.copies(store(), row.name)
    sides, problem = _sides(row)
    leaks = found.between(sides)
    items = [
        (count(len(found.same)), "identical to another"),
        (count(len(found.near)), "pairs nearly alike"),
        (count(len(leaks.same) + len(leaks.near)), "pairs on two sides of the split"),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{escape(name)}</span></div>" for value, name in items)
    st.html(f'<div class="wb-facts">{cells}</div>')
    if problem:
        st.caption(plain(problem, 200))
    if not len(found.same) and not len(found.near):
        st.success("No image occurs twice.", icon=":material/check_circle:")
        return
    if len(leaks.same) + len(leaks.near):
        st.warning(
            "Some images to learn from come back in validation or test: the model has seen the answer, and "
            "its scores there are too good. Drop the copies, or cut the set by groups."
        )
    kinds = {
        f"On two sides ({count(len(leaks.same) + len(leaks.near))})": np.concatenate(
            [leaks.same, leaks.near]
        ),
        f"Identical ({count(len(found.same))})": found.same,
        f"Nearly alike ({count(len(found.near))})": found.near,
    }
    kinds = {name: pairs for name, pairs in kinds.items() if len(pairs)}
    chosen = st.segmented_control(
        "Pairs", list(kinds), default=next(iter(kinds)), required=True, key=f"copies.{row.name}.{row.version}"
    )
    pairs = kinds.get(str(chosen), next(iter(kinds.values())))
    _pairs(row, pairs, sides, key=f"copies.page.{row.name}.{chosen}")
    if row.name in SHIPPED:
        return
    repeated = np.unique(pairs[:, 1])
    if st.button(
        f"Drop the second of each pair ({count(len(repeated))} images)", icon=":material/delete:",
        key="copies.drop", help="Makes a new version of the set; runs keep theirs",
    ):  # fmt: skip
        catalog.drop_images(store(), row.name, repeated.tolist())
        st.rerun()


def _pairs(row: DatasetRow, pairs: np.ndarray, sides: np.ndarray, key: str) -> None:
    pages = -(-len(pairs) // PAIRS)
    page = min(int(st.session_state.get(key, 1)), pages) - 1
    here = pairs[page * PAIRS : (page + 1) * PAIRS]
    arrays, files = open_arrays(row.path), read_files(row.path)
    pictures, words, titles = [], [], []
    for a, b in here.tolist():
        one, two = (_hwc(arrays.images[i]) for i in (a, b))
        labels = [row.schema.class_of(arrays.labels[i]) for i in (a, b)]
        where = [SIDES[sides[i]] if sides[i] >= 0 else "unused" for i in (a, b)]
        pictures.append(pair(one, two))
        label = labels[0] if labels[0] == labels[1] else f"{labels[0]} / {labels[1]}"
        side = where[0] if where[0] == where[1] else f"{where[0]} / {where[1]}"
        words.append(f"{plain(label, 22)} · {side}" if label else side)
        which = f"{files[a]} and {files[b]}" if files else f"{a} and {b}"
        titles.append((f"{label}: {which}" if label else which)[:200])
    with st.container(key="grid-images-copies"):
        st.image(pictures, caption=words, width=96, alt=titles)
    if pages > 1:
        st.pagination(pages, key=key)


def _sides(row: DatasetRow) -> tuple[np.ndarray, str]:
    """The split of each image as the next run would cut the set, (N,) int64; and why not, if it cannot."""
    spec = draft().section("data", DataSpec)
    spec = spec if spec.name == row.name else DataSpec(name=row.name)
    arrays = open_arrays(row.path)
    try:
        rows = rows_of(row.path, spec)
    except DataError as error:
        return arrays.splits.astype(np.int64), f"The split cannot be cut: {error.problems[0].fact}."
    sides = np.full(len(arrays.labels), -1, np.int64)
    for code, part in enumerate((rows.train, rows.validation, rows.test)):
        sides[part] = code
    return sides, ""


def _hwc(image: np.ndarray) -> np.ndarray:
    """(C, H, W) as (H, W) or (H, W, 3)."""
    return np.asarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))

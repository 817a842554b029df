"""Pieces of pages about masks: the samples of a set with theirs, and what a model marks in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.figures.masks import coloured, decoded, grid, indexed, legend_html, overlaid
from workbench.store import RunRow
from workbench.store.datasets import DatasetRow
from workbench.ui.marks import count, plain
from workbench.ui.state import store
from workbench.ui.tiles import enlarged

PAGE_SIZE = 24
TILE_PX = 110
LARGE_PX = 300


def samples(row: DatasetRow) -> None:
    """Pictures of the set with their masks laid over them, page by page."""
    brought = [name for name, n in row.splits.items() if n]
    part = None
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        if len(brought) > 1:
            part = st.segmented_control(
                "Split", brought, key=f"part.{row.name}", help="None chosen: all of them"
            )
        over = st.toggle("Masks", value=True, key=f"masks.{row.name}", help="Lay the masks over the pictures")
    key = f"page.{row.name}.{part}.masks"
    page = catalog.samples(
        store(), row.name, split=part, page=int(st.session_state.get(key, 1)) - 1, per_page=PAGE_SIZE
    )
    if page.masks is None or not page.total:
        st.info("There is no picture in this split.")
        return
    tiles = [
        overlaid(image, mask) if over else image for image, mask in zip(page.images, page.masks, strict=True)
    ]
    counts = np.bincount(page.masks.reshape(-1), minlength=256)[: len(row.schema.classes)]
    st.html(legend_html(row.schema.classes, counts / max(1, counts.sum())))
    with st.container(key="grid-images-masks"):
        st.image(
            [enlarged(tile, TILE_PX) for tile in tiles], width=TILE_PX,
            alt=[f"picture {n}" for n in page.rows.tolist()],
        )  # fmt: skip
    if page.pages > 1:
        st.pagination(page.pages, key=key)
    st.caption(f"{count(page.total)} pictures with masks; shares above are those of the pixels shown.")


# ---------------------------------------------------------------- answers that are pictures


def show_mask(answer: Mapping[str, Any], truth: np.ndarray | None) -> None:
    """What the model marks in the picture, beside the true mask where there is one; and the mask to keep."""
    image, mask = decoded(answer["image"]), decoded(answer["mask"])
    names, shares = list(answer["shares"]), list(answer["shares"].values())
    st.html(legend_html(names, shares))
    over = st.toggle("Over the picture", key="mask.over", help="Off: the colours of the classes alone")
    drawn = (lambda one: overlaid(image, one)) if over else coloured
    with st.container(horizontal=True, gap="small"):
        st.image(enlarged(image, LARGE_PX), width=LARGE_PX, caption="As the model sees it")
        st.image(enlarged(drawn(mask), LARGE_PX), width=LARGE_PX, caption="What it marks")
        if truth is not None:
            right = truth != 255
            share = float((truth == mask)[right].mean()) if right.any() else 0.0
            st.image(
                enlarged(drawn(truth), LARGE_PX), width=LARGE_PX,
                caption=f"The true mask: {share:.1%} of the pixels are right",
            )  # fmt: skip
    width, height = answer["size"]
    name = f"{PurePath(str(answer['input'])).stem}-mask.png"
    st.download_button(
        "Download the mask", indexed(mask, (width, height)), name, "image/png", key="mask.save",
        on_click="ignore", icon=":material/download:",
        help=f"A PNG of class numbers with these colours, {width} × {height} pixels",
    )  # fmt: skip


def show_reconstruction(answer: Mapping[str, Any]) -> None:
    """What came out beside what went in."""
    image, made = decoded(answer["image"]), decoded(answer["made"])
    with st.container(horizontal=True, gap="small"):
        st.image(enlarged(image, LARGE_PX), width=LARGE_PX, caption="As the model sees it")
        st.image(enlarged(made, LARGE_PX), width=LARGE_PX, caption="What it makes of it")
    st.caption(f"Mean squared difference of pixels from 0 to 1: {answer['mse']:.5f}")
    st.download_button(
        "Download", grid([made]), f"{PurePath(str(answer['input'])).stem}-reconstruction.png", "image/png",
        key="made.save", on_click="ignore", icon=":material/download:",
    )  # fmt: skip


def show_made(run: RunRow, answers: list[Mapping[str, Any]]) -> None:
    """New pictures as one sheet, and the sheet to keep."""
    sheet = grid([decoded(one["made"]) for one in answers], enlarged=2)
    st.image(sheet, caption=f"{len(answers)} new pictures, none of them from the data")
    st.download_button(
        "Download the sheet", sheet, f"{plain(run.name, 40)}-samples.png", "image/png", key="made.save",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip

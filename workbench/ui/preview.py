"""Random changes of the training images, chosen on the data page and shown before and after.

The pictures are made by the very code that trains, in the process that has torch loaded.
"""

from __future__ import annotations

import base64
import io

import numpy as np
import streamlit as st
from PIL import Image

from workbench.figures.masks import overlaid
from workbench.jobs.answers import ask
from workbench.specs.data import DataSpec
from workbench.store.datasets import DatasetRow
from workbench.ui.augment import augment_form
from workbench.ui.marks import plain
from workbench.ui.state import draft, save, store
from workbench.ui.tiles import enlarged

SHOWN = 20
TILE_PX = 72
GAP_PX = 4


def augmentation(row: DatasetRow) -> None:
    """The list of changes for the next run on this set, and what they do to its first images."""
    now = draft()
    spec = now.section("data", DataSpec)
    mine = spec if spec.name == row.name else DataSpec(name=row.name)
    # The train page's own list is under the same key: an edit here is seen there.
    key = f"augment.{now.id}.{now.rev}" + ("" if spec.name == row.name else f".{row.name}")
    st.caption(
        "Random changes make more of few images: in each epoch the model sees every training image a little "
        "different. Validation and test images are never changed."
    )
    ops, problems = augment_form(mine.augment, key=key)
    changed = mine.model_copy(update={"augment": ops})
    if changed != mine:
        save(now.with_(data=changed))
        if spec.name != row.name:
            st.rerun()  # the list is under another key from now on
        st.caption(f"Kept for the next run, which will use {plain(row.name)}.")
    if not problems:
        before_and_after(changed, key=key)


def before_and_after(spec: DataSpec, *, key: str) -> None:
    """Some training images of the set: as they are above, as a run would see them below."""
    if not spec.augment:
        st.info(
            "Add a random change to see what it does to the images.", icon=":material/auto_awesome_motion:"
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Before and after**", width="content")
        drawn = int(st.session_state.get(f"{key}.drawn", 0))
        if st.button("Draw again", icon=":material/casino:", key=f"{key}.again"):
            drawn += 1
            st.session_state[f"{key}.drawn"] = drawn
    with st.spinner("Asking the training service"):
        shown = ask(store(), "augment", {
            "data": spec.model_dump(mode="json"), "n": SHOWN, "seed": 0, "step": drawn,
        })  # fmt: skip
    before, after = ([decoded(text) for text in shown[name]] for name in ("before", "after"))
    if "before_masks" in shown:  # what moves a picture moves its mask
        masks = [[decoded(text) for text in shown[name]] for name in ("before_masks", "after_masks")]
        before, after = (
            [overlaid(image, mask) for image, mask in zip(images, some, strict=True)]
            for images, some in zip((before, after), masks, strict=True)
        )
    pairs = [pair(a, b) for a, b in zip(before, after, strict=True)]
    labels = [str(text) for text in shown["labels"]]
    with st.container(key="grid-images-augment"):
        st.image(pairs, caption=[plain(t, 22) for t in labels], width=TILE_PX, alt=[t[:80] for t in labels])
    st.caption("Above the image as it is, below as the model sees it once. Each look is drawn anew.")


def pair(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """One above the other with a clear gap. (H, W) or (H, W, 3) uint8 each -> (2 h + gap, w, 4) uint8."""
    top, bottom = (_rgba(enlarged(image, TILE_PX)) for image in (before, after))
    gap = np.zeros((GAP_PX, top.shape[1], 4), np.uint8)
    return np.concatenate([top, gap, bottom])


def decoded(text: str) -> np.ndarray:
    """A PNG in base64 as pixels."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def _rgba(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("RGBA"))

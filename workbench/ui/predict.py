"""Pieces of the predict page: which model, which picture, and what the model says."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from PIL import Image

from workbench import catalog
from workbench.data.dataset import rows_of
from workbench.data.masks import nearest, open_masks
from workbench.data.prepared import Arrays, open_arrays
from workbench.figures.theme import ACCENT, BAD, GOOD
from workbench.jobs import answers
from workbench.store import Query, RunRow
from workbench.ui import nav
from workbench.ui.datasets import enlarged
from workbench.ui.looked import show_looked
from workbench.ui.marks import message, metric_text, metric_words, plain, share
from workbench.ui.runs import HEADLINES
from workbench.ui.state import store

CHECKPOINT_WORDS = {
    "best": "Best on validation", "last": "Newest",
    "int8-dynamic": "8-bit, dynamic", "int8-static": "8-bit, static",
}  # fmt: skip
OFFERED = 200  # runs in the list
TOP = 10  # classes shown as bars
MAX_UPLOAD_MB = 20
WAIT_S = 60.0


class Input(NamedTuple):
    """A picture to judge: a PNG of ours or what was uploaded, and its true class where it is known."""

    blob: bytes
    name: str
    truth: str | None = None
    mask: np.ndarray | None = None  # (H, W) uint8, the true one, as the model is shown it


# ---------------------------------------------------------------- the model


def ready_runs() -> list[RunRow]:
    """Runs that have a checkpoint, newest first; the one that the URL names is among them however old."""
    found, _ = store().runs.search(Query(saved=True, archived=False), limit=OFFERED)
    rows, asked = list(found), nav.asked("run")
    if asked and asked not in {run.id for run in rows}:
        rows += [
            run
            for run in store().runs.many([asked])
            if any(info.can_answer for info in store().checkpoints.list(run.id))
        ]
    return rows


def choose_run(rows: list[RunRow]) -> tuple[RunRow, str]:
    """A run and a checkpoint of it; the URL carries both."""
    by_id = {run.id: run for run in rows}
    asked = nav.asked("run")
    st.session_state.setdefault("predict.run", asked if asked in by_id else rows[0].id)
    if st.session_state["predict.run"] not in by_id:
        st.session_state["predict.run"] = rows[0].id
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        run_id = st.selectbox(
            "Run", list(by_id), key="predict.run", width=380, format_func=lambda i: label(by_id[i])
        )
        names = [info.name for info in store().checkpoints.list(run_id) if info.can_answer]
        names.sort(key=lambda name: (name != "best", name != "last", name))
        asked_name = nav.asked("checkpoint")
        key = f"predict.checkpoint.{run_id}"
        st.session_state.setdefault(key, asked_name if asked_name in names else names[0])
        checkpoint = st.selectbox(
            "Checkpoint",
            names,
            key=key,
            width=220,
            help="Which saved state of the model answers",
            format_func=lambda n: CHECKPOINT_WORDS.get(n, n.replace("step-", "step ")),
        )
    if nav.asked("run") != run_id:
        st.query_params["run"] = run_id
    if nav.asked("checkpoint") != checkpoint:
        st.query_params["checkpoint"] = checkpoint
    return by_id[run_id], checkpoint


def label(run: RunRow) -> str:
    key = next((k for k in HEADLINES if k.startswith("val/") and k in run.metrics), "")
    told = f" · {metric_words(key)} {metric_text(key, run.metrics[key].get('best'))}" if key else ""
    return f"{run.name[:60]}{told} · {run.state.value}"


# ---------------------------------------------------------------- the picture


def test_rows(run: RunRow) -> tuple[Arrays, np.ndarray, tuple[str, ...]]:
    """The arrays of the version that the run learned from, the rows held out, and its classes.

    Raises DataError.
    """
    row = catalog.with_shipped(store(), run.spec.data.name, run.data_version)
    arrays = open_arrays(row.path)
    rows = rows_of(row.path, run.spec.data)
    return arrays, rows.test if len(rows.test) else rows.validation, row.schema.classes


def choose_input(run: RunRow) -> Input | None:
    """A picture of the test split, or one the person brings."""
    way = st.segmented_control(
        "Picture",
        ["From the test images", "Upload"],
        default="From the test images",
        required=True,
        key="predict.way",
        bind="query-params",
    )
    return uploaded() if way == "Upload" else test_image(run)


def uploaded() -> Input | None:
    file = st.file_uploader(
        "A picture",
        type=["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"],
        max_upload_size=MAX_UPLOAD_MB,
        key="predict.file",
    )
    if file is None:
        st.caption("The picture is resized and coloured the way the training images were.")
        return None
    return Input(file.getvalue(), file.name[:80])


def test_image(run: RunRow) -> Input:
    """One of the images that training never saw, by number, with its true class."""
    arrays, rows, classes = test_rows(run)
    masks = test_masks(run)
    key = f"predict.index.{run.id}"
    st.session_state.setdefault(key, 0)

    def another() -> None:
        st.session_state[key] = int(np.random.default_rng().integers(len(rows)))

    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        index = int(
            st.number_input("Image number", min_value=0, max_value=len(rows) - 1, step=1, key=key, width=160)
        )
        st.button("Another", icon=":material/shuffle:", on_click=another, key="predict.another")
    truth = classes[int(arrays.labels[rows[index]])] if masks is None and classes else None
    mask = None
    if masks is not None:
        shape = catalog.schema(store(), run.spec.data.name, run.data_version).shape_for(run.spec.data)
        mask = nearest(np.asarray(masks[rows[index]]), *shape[1:])
    return Input(png(arrays.images[rows[index]]), f"test-{index}.png", truth, mask)


def test_masks(run: RunRow) -> np.ndarray | None:
    """The masks of the set, where it has some. Raises DataError."""
    row = catalog.with_shipped(store(), run.spec.data.name, run.data_version)
    return (
        open_masks(row.path)
        if row.schema.task == "segmentation" and run.spec.task.kind == "segmentation"
        else None
    )


def png(x: np.ndarray) -> bytes:
    """(C, H, W) uint8 as a PNG."""
    out = io.BytesIO()
    Image.fromarray(x[0] if x.shape[0] == 1 else np.moveaxis(x, 0, -1)).save(out, "PNG")
    return out.getvalue()


# ---------------------------------------------------------------- the answer


def ask(run: RunRow, checkpoint: str, given: Input) -> Mapping[str, Any]:
    """What the model says. Raises the error of the answering side."""
    image = {"name": given.name, "content": base64.b64encode(given.blob).decode("ascii")}
    payload = {"run": run.id, "checkpoint": checkpoint, "images": [image], "attention": True}
    answer: Mapping[str, Any] = answers.ask(store(), "predict", payload, timeout_s=WAIT_S)[0]
    return answer


def wants_new(run: RunRow) -> bool:
    """Whether new pictures are asked for, of a model that can paint them from noise; it is asked here."""
    if not any(getattr(layer, "kind", "") == "reparameterize" for layer in run.spec.model.layers):
        return False
    way = st.segmented_control(
        "What to do", ["Paint a picture anew", "New pictures"], default="Paint a picture anew", required=True,
        key="predict.new",
    )  # fmt: skip
    return bool(way == "New pictures")


def new_form(run: RunRow) -> dict[str, int]:
    """How many new pictures, and of which noise."""
    key = f"predict.seed.{run.id}"
    st.session_state.setdefault(key, 0)

    def another() -> None:
        st.session_state[key] = int(np.random.default_rng().integers(2**31))

    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        n = st.number_input(
            "Pictures", 1, 64, 16, 1, key="predict.samples", width=120, help="How many are made"
        )
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            step=1,
            key=key,
            width=160,
            help="Of the noise: the same gives the same pictures",
        )
        st.button("Others", icon=":material/shuffle:", on_click=another, key="predict.another")
    return {"samples": int(n), "seed": int(seed)}


def ask_new(run: RunRow, checkpoint: str, asked: Mapping[str, int]) -> list[Mapping[str, Any]]:
    """New pictures out of noise. Raises the error of the answering side."""
    payload = {"run": run.id, "checkpoint": checkpoint, "asked": dict(asked)}
    found: list[Mapping[str, Any]] = answers.ask(store(), "predict", payload, timeout_s=WAIT_S)
    return found


def show_answer(answer: Mapping[str, Any], truth: str | None) -> None:
    """The verdict, and the likeliest classes as bars."""
    probabilities: Mapping[str, float] = answer["probabilities"]
    if any(p != p for p in probabilities.values()):
        st.error(
            "This model answers with NaN, not a number: its training went out of bounds. Train again with a "
            "smaller learning rate, or clip the gradients.",
            icon=":material/error:",
        )
        return
    name = str(answer["prediction"])
    st.caption("The model says")
    st.subheader(plain(name), anchor=False)
    sure = share(probabilities.get(name, 0.0))
    if truth is None:
        st.caption(f"The model gives it {sure}.")
    elif truth == name:
        st.markdown(f":green[Right.] The model gives it {sure}.")
    else:
        st.markdown(f":red[Wrong:] it is {plain(truth)}. The model gives its own answer {sure}.")
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:TOP]
    rows = "".join(_bar(n, p, _colour(n, name, truth)) for n, p in ranked)
    st.html(f'<div class="wb-probabilities">{rows}</div>')
    if len(probabilities) > TOP:
        st.caption(f"The {TOP} likeliest of {len(probabilities)} classes")


def _colour(name: str, prediction: str, truth: str | None) -> str:
    if name == truth:
        return GOOD
    return BAD if name == prediction and truth is not None else ACCENT


def _bar(name: str, probability: float, colour: str) -> str:
    width = max(0.0, min(100.0, 100 * probability))
    return (
        f"<span title='{escape(name, quote=True)}'>{escape(name[:40])}</span>"
        f"<span class='wb-bar' style='--c:{colour}'><i style='width:{width:.2f}%'></i></span>"
        f"<b>{share(probability)}</b>"
    )


def show_picture(given: Input, answer: Mapping[str, Any]) -> None:
    """The picture as it came, and as the model saw it."""
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["image"]))))
    size = f"{seen.shape[1]}×{seen.shape[0]} pixels"
    with st.container(horizontal=True, gap="small"):
        if given.truth is None:
            st.image(given.blob, caption="As uploaded", width=180)
        st.image(enlarged(seen, 180), caption=f"As the model sees it, {size}", width=180)
    for repair in answer.get("repairs", ()):
        text = message(str(repair), 200)
        st.caption(text[:1].upper() + text[1:])
    if answer.get("looked"):
        show_looked(seen, answer["looked"])

"""Pieces of the variants page: what was made smaller of a run, its figures, and the ways to make more."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from workbench.jobs import smaller, trials
from workbench.specs.errors import WorkbenchError
from workbench.specs.smaller import Prune
from workbench.store import RunRow
from workbench.store.checkpoints import INT8
from workbench.ui import nav
from workbench.ui.errors import problem_boxes
from workbench.ui.marks import (
    METRIC_HELP,
    SHARES,
    count,
    message,
    metric_help,
    metric_text,
    metric_words,
    plain,
    section,
    state_pill,
)
from workbench.ui.predict import CHECKPOINT_WORDS, label
from workbench.ui.preflight import POLL_S, follow, look_at
from workbench.ui.runs import facts, progress_words
from workbench.ui.state import begin, store

KINDS = {"original": "The run itself", "pruned": "Pruned", "student": "Student", "int8": "8-bit"}
LISTED = 8  # runs made of this one that are listed, newest first
EXPORTED = (
    "kind", "name", "run", "checkpoint", "state", "bytes", "zipped", "parameters", "nonzeros", "value",
    "change",
    "latency_1_ms", "latency_32_ms", "size", "speed_1", "speed_32",
)  # fmt: skip


def choose(rows: Sequence[RunRow]) -> RunRow:
    """The run that the URL names, else the newest; another choice changes the URL."""
    by_id = {row.id: row for row in rows}
    asked = nav.asked("run")
    current = asked if asked in by_id else rows[0].id
    st.session_state["variants.run"] = current
    if asked != current:
        st.query_params["run"] = current

    def carry_over() -> None:
        st.query_params["run"] = st.session_state["variants.run"]

    st.selectbox(
        "Run", list(by_id), key="variants.run", on_change=carry_over, width=420,
        format_func=lambda run_id: label(by_id[run_id]), filter_mode="contains",
    )  # fmt: skip
    return by_id[current]


def in_order(row: RunRow) -> tuple[Callable[[RunRow], None], ...]:
    """The parts of the page: what was measured comes first, else what can be made."""
    return (make, figures) if smaller.measured(store(), row) is None else (figures, make)


# ---------------------------------------------------------------- figures


def figures(row: RunRow) -> None:
    """The button that measures, and the table of what was measured last."""
    section("Side by side", help="Size, marks and speed of the run and of all its variants")
    found = smaller.measured(store(), row)
    newer = smaller.since(store(), row, found)
    key = f"variants.measure.{row.id}"
    _asked(
        key, "Measure" if found is None else "Measure again", ":material/straighten:",
        smaller.measure_question(row.id),
        "Judges every variant on the same held-out samples and times it, one after the other.",
        is_first=found is None or newer > 0,
    )  # fmt: skip
    if found is None:
        st.info("Nothing has been measured yet. Press Measure: this run stands alone until it has variants.")
        return
    if newer:
        words = "One variant is" if newer == 1 else f"{count(newer)} variants are"
        st.info(f"{words} newer than these figures: measure again.", icon=":material/history:")
    rows = smaller.ratios(found)
    mark = str(found["mark"])
    amounts = {run.id: run for run in store().runs.many([str(one["run"]) for one in rows])}
    st.dataframe(
        [_shown(one, mark, amounts.get(str(one["run"]))) for one in rows], hide_index=True,
        key=f"variants.table.{row.id}", column_config=_columns(mark),
    )  # fmt: skip
    unit = f", in {plain(str(found['unit']), 30)}" if found.get("unit") else ""
    st.caption(
        f"{_capital(metric_words(mark))}{unit} on {count(found['samples'])} {found['split']} samples"
        f"{_better(mark)}. Time per sample: "
        f"processor time of {found['threads']} thread, median of warm turns, {plain(str(found['machine']))}, "
        f"{time.strftime('%d %b %H:%M', time.localtime(found['time']))}. Packed: what the zeros of pruned "
        "weights save in a zip."
    )
    for one in rows:
        if "problem" in one:
            st.caption(f"{plain(str(one['name']))}: {message(str(one['problem']))}")
    st.download_button(
        "Table as CSV", table_csv(rows), f"variants-{row.id}.csv", "text/csv", icon=":material/download:",
        key=f"variants.csv.{row.id}", on_click="ignore",
    )  # fmt: skip


def table_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows with every figure as it was measured."""
    out = io.StringIO()
    writer = csv.DictWriter(out, EXPORTED, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(row) for row in rows)
    return out.getvalue()


def _columns(mark: str) -> dict[str, Any]:
    """What the columns of the table say of themselves."""
    text = st.column_config.TextColumn
    return {
        "Variant": text(pinned=True),
        _capital(metric_words(mark)): text(help=metric_help(mark) or None),
        "Change": text(help="Against the run itself"),
        "Of its size": st.column_config.ProgressColumn(
            format="percent",
            min_value=0.0,
            max_value=1.0,
            help="Bytes of the weights, against the run itself",
        ),
        "1 sample": text(help="Time of one sample alone"),
        "Alone": text(help="Against the run itself, sample by sample"),
        "Of 32": text(help="Time of each sample in a batch of 32"),
        "In batches": text(help="Against the run itself, in batches of 32"),
        "Packed": text(help="The weights in a zip: zeros take no room there"),
        "Numbers": text(help="Weights and whatever else the model holds"),
    }


def _shown(one: Mapping[str, Any], mark: str, run: RunRow | None) -> dict[str, Any]:
    """One row as people read it."""
    told = _capital(metric_words(mark))
    if "problem" in one:
        return {"Variant": _what(one, run), told: str(one["state"]), "Run": str(one["name"])[:80]}
    is_first = one["kind"] == "original"
    return {
        "Variant": _what(one, run),
        told: metric_text(mark, one["value"]),
        "Change": "" if is_first or one["change"] is None else change_text(mark, one["change"]),
        "Size": _kilobytes(one["bytes"]),
        "Of its size": round(1.0 / one["size"], 2) if one["size"] else None,
        "1 sample": f"{one['latency_1_ms']:.3g} ms",
        "Alone": "" if is_first else _times(one["speed_1"]),
        "Of 32": f"{one['latency_32_ms']:.3g} ms",
        "In batches": "" if is_first else _times(one["speed_32"]),
        "Packed": "" if one["zipped"] is None else _kilobytes(one["zipped"]),
        "Numbers": count(one["parameters"]),
        "Not zero": count(one["nonzeros"]),
        "Run": str(one["name"])[:80],
    }


def change_text(mark: str, change: float) -> str:
    """How much a mark has changed: shares in points of a hundred, others in their own unit."""
    if mark in SHARES:
        return f"{100 * change:+.1f} points"
    return f"{change:+.4g}" if abs(change) >= 1 else f"{change:+.4f}"


def _times(ratio: float | None) -> str:
    """1.27 → `1.3× quicker`, 0.3 → `3.3× slower`."""
    if not ratio:
        return ""
    if 1 / smaller.CLEARLY < ratio < smaller.CLEARLY:
        return "as quick"
    return f"{ratio:.1f}× quicker" if ratio > 1 else f"{1 / ratio:.1f}× slower"


def _better(mark: str) -> str:
    return "; lower is better" if "lower is better" in METRIC_HELP.get(mark, "") or mark == "distance" else ""


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _what(one: Mapping[str, Any], run: RunRow | None) -> str:
    if one["kind"] == "int8":
        return CHECKPOINT_WORDS.get(str(one["checkpoint"]), str(one["checkpoint"]))
    words = KINDS.get(str(one["kind"]), str(one["kind"]))
    prune = run.spec.training.prune if run is not None and one["kind"] == "pruned" else None
    return words if prune is None else f"{words}: {100 * prune.amount:.0f} % of {prune.what}"


def _kilobytes(n: float) -> str:
    return f"{n / 1e3:,.0f} kB" if n < 10e6 else f"{n / 1e6:,.1f} MB"


# ---------------------------------------------------------------- runs made of it


@st.fragment(run_every=2)
def made(row: RunRow) -> None:
    """What was made smaller of this run: its state, and the way to it."""
    found = smaller.variants(store(), row)
    kept = [info for info in store().checkpoints.list(row.id) if info.name.startswith(INT8)]
    if not found and not kept:
        return
    section("Made of it")
    with st.container(gap="xsmall", key="variants-made"):
        for kind, other in found[:LISTED]:
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                state_pill(other.state)
                nav.link("live", f"{KINDS[kind]}: {plain(other.name, 60)}", run=other.id)
                words = facts(other) if other.state.is_over else progress_words(other)
                st.caption(plain(words, 120), width="content")
        for info in kept:
            words = CHECKPOINT_WORDS.get(info.name, info.name)
            nav.link("predict", f"{words}: {plain(row.name, 60)}", icon=":material/compress:", run=row.id,
                     checkpoint=info.name)  # fmt: skip
        if len(found) > LISTED:
            nav.link("runs", f"{count(len(found) - LISTED)} more", icon=":material/list:")


# ---------------------------------------------------------------- making more


def make(row: RunRow) -> None:
    """Three ways, side by side."""
    section("Make a smaller one")
    with st.container(key="wrap-variants"):
        left, middle, right = st.columns(3, gap="medium")
    with left, st.container(border=True, height="stretch", key="box-prune"):
        _prune(row)
    with middle, st.container(border=True, height="stretch", key="box-quantise"):
        _quantise(row)
    with right, st.container(border=True, height="stretch", key="box-student"):
        _student(row)


def _prune(row: RunRow) -> None:
    section("Prune", help="Leave out the smallest weights of the trained model, then train the rest on")
    what = st.segmented_control(
        "What goes", ["weights", "channels"], default="weights", required=True, key=f"prune.what.{row.id}",
        format_func=str.capitalize,
        help="Weights: single ones are held at zero, the model keeps its size. Channels: whole filters and "
        "neurons go; the model is smaller and quicker.",
    )  # fmt: skip
    amount = st.slider("Share that goes", 0.05, 0.95, 0.5, 0.05, key=f"prune.amount.{row.id}")
    epochs = st.number_input(
        "Then train on, epochs",
        min_value=0.1,
        max_value=1000.0,
        value=1.0,
        step=0.5,
        key=f"prune.epochs.{row.id}",
    )
    if st.button("Prune and train on", icon=":material/content_cut:", key=f"prune.go.{row.id}"):
        how = Prune(what="channels" if what == "channels" else "weights", amount=float(amount))
        _do(lambda: nav.go("live", run=smaller.prune(store(), row.id, how, float(epochs))))


def _quantise(row: RunRow) -> None:
    section(
        "8 bits", help="The same model with weights in 8 bits, run by int8 kernels on the CPU. No training"
    )
    how = st.segmented_control(
        "Ranges", ["static", "dynamic"], default="static", required=True, key=f"int8.how.{row.id}",
        format_func=str.capitalize,
        help="Static: convolutions and linear layers, their ranges seen beforehand on 256 training samples. "
        "Dynamic: linear layers alone, each row's range as it comes. Both: recurrent layers and embeddings.",
    )  # fmt: skip
    st.caption(
        "A quarter of the size at best. Wide models gain speed too, small ones mostly in batches: measure it."
    )
    _asked(
        f"int8.{row.id}.{how}", "Make it", ":material/compress:", smaller.quantise_question(row.id, str(how)),
        "It is kept as a checkpoint of this run: choose it on the Predict page, or measure it here.",
    )  # fmt: skip


def _student(row: RunRow) -> None:
    section(
        "Student", help="A smaller model learns from the labels and from this run's scores (distillation)"
    )
    if row.spec.task.kind == "generation":
        st.caption(
            "Not for a generator: a teacher's answers are compared with the student's, and of noise any good "
            "picture is right. Prune its channels instead."
        )
        return
    never = smaller.why_not_narrower(store(), row, smaller.MOST_NARROWED)
    amount = st.slider(
        "Narrower by", 0.1, smaller.MOST_NARROWED, 0.5, 0.05, key=f"student.amount.{row.id}",
        disabled=never is not None, help="Share of the channels that the student has less, where they can go",
    )  # fmt: skip
    problem = never or smaller.why_not_narrower(store(), row, float(amount))
    if never is not None:
        st.caption(
            f"This model cannot be narrowed: {never.fact}. The student would have its size. {never.repair}"
        )
    elif problem is not None:
        st.caption(f"The student would have the size of this model: {problem.fact}. {problem.repair}")
    st.caption("It starts from fresh weights and learns as long as the run did: a whole training.")
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "Teach it", icon=":material/school:", key=f"student.go.{row.id}", disabled=problem is not None
        ):  # fmt: skip
            _do(lambda: nav.go("live", run=smaller.teach(store(), row, float(amount))))
        if st.button(
            "Design it", icon=":material/layers:", key=f"student.edit.{row.id}",
            help="Opens the layers; the teacher is filled in",
        ):  # fmt: skip
            _do(lambda: nav.go("model", draft=begin(smaller.student(store(), row, float(amount))).id))


def _do(what: Any) -> None:
    try:
        what()
    except WorkbenchError as error:
        problem_boxes(error.problems)


def _asked(
    key: str, label: str, icon: str, question: Mapping[str, Any], about: str, *, is_first: bool = False
) -> None:
    """A button whose work is done beside the page: its progress, a way to stop it, its end."""
    asked = st.session_state.get(key)
    running = asked is not None and look_at(asked)["state"] == "running"
    if not running:
        st.button(
            label,
            icon=icon,
            key=f"{key}.start",
            type="primary" if is_first else "secondary",
            on_click=_begin,
            args=(key, question),
            help=about,
        )
    if asked:
        st.fragment(follow, run_every=POLL_S if running else None)(key, _done)


def _begin(key: str, question: Mapping[str, Any]) -> None:
    try:
        st.session_state[key] = {"trial": trials.begin_of(store(), question)}
    except WorkbenchError as error:
        problems = [problem.model_dump() for problem in error.problems]
        st.session_state[key] = {"trial": {"state": "failed", "problems": problems, "id": ""}}


def _done(found: Mapping[str, Any]) -> None:
    name = str(found.get("checkpoint", ""))
    if "rows" in found:
        st.caption(f"Measured {count(len(found['rows']))} variants.")
    else:
        st.caption(f"Made: {CHECKPOINT_WORDS.get(name, name)}, {_kilobytes(found['bytes'])} on disk.")

"""Small marks that look alike on every page: state pills, counts, durations, safe names, headings."""

from __future__ import annotations

import re
import time
from html import escape

import streamlit as st

from workbench.figures.theme import STATES
from workbench.records import RunState

STATE_HELP = {
    RunState.QUEUED: "Waiting for a free slot",
    RunState.STARTING: "Loading the data and building the model",
    RunState.RUNNING: "Training",
    RunState.PAUSED: "Loaded and waiting; resume continues at once",
    RunState.STOPPING: "Evaluating and writing its last checkpoint",
    RunState.FINISHED: "Reached its end",
    RunState.STOPPED: "Ended early because someone asked; the model is kept",
    RunState.FAILED: "Ended by an error that is recorded",
    RunState.LOST: "Its process is gone without a word; resume continues from the last checkpoint",
}
KIND_HELP = {
    "parked": "Saved, its memory given back; resume loads it and goes on",
    "held": "Waits in the queue until it is released",
}


def plain(text: str, limit: int = 80) -> str:
    """A user's text as a Markdown label that shows exactly these characters, cut to `limit`.

    Names are untrusted: `![x](http://...)` must not make the browser call out.
    """
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    short = re.sub(r"\s+", " ", short)
    short = re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$&^=])", r"\\\1", short)
    return short.replace(":", ":\u2060")  # a word joiner keeps `:red[`, `:smile:` and `:material/` dead


def message(text: str, limit: int = 300) -> str:
    """A sentence of ours as Markdown; what it sets in backticks stands in quotation marks."""
    return plain(re.sub(r"`([^`\n]*)`", "\u201c\\1\u201d", text), limit)


def pill(state: RunState, kind: str = "") -> str:
    """HTML of a state's pill, with a kind of it ("parked", "held"). Every part of it is ours."""
    label, title = escape(state.value), escape(KIND_HELP.get(kind, STATE_HELP[state]))
    looks = f'class="wb-pill" data-state="{label}" style="--c:{STATES[state]}"'
    return f'<span {looks} title="{title}">{label}{f" · {escape(kind)}" if kind else ""}</span>'


def state_pill(state: RunState, kind: str = "") -> None:
    st.html(pill(state, kind), width="content")


def heading(title: str, about: str) -> None:
    """The head of a page: its name and one sentence on what it is for."""
    st.title(title, anchor=False)
    st.caption(about)


def section(title: str, help: str | None = None) -> None:
    st.subheader(title, anchor=False, help=help)


def count(n: float) -> str:
    """225034 → `225,034`."""
    return f"{n:,.0f}"


def compact(n: float) -> str:
    """2660554 → `2.66 M`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f}"


def megabytes(n_bytes: float) -> str:
    """Bytes as `115 kB`, `12 MB` or `1.4 GB` (powers of ten)."""
    for size, unit in ((1e9, "GB"), (1e6, "MB")):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def share(part: float) -> str:
    """0.9312 → `93.1 %`."""
    return f"{100 * part:.1f} %"


def duration(seconds: float | None) -> str:
    """A length of time in the two largest units: `2 h 5 min`, `3 min 20 s`, `8 s`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def ago(then: float | None, now: float | None = None) -> str:
    """`3 min ago`, in the largest unit; `–` when it has not happened."""
    if then is None:
        return "–"
    gap = max(0.0, (time.time() if now is None else now) - then)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if gap >= size:
            return f"{gap / size:.0f} {unit} ago"
    return "just now"


def metric_text(key: str, value: float | None) -> str:
    """A metric as a person reads it: accuracy in percent, loss in four digits."""
    if value is None or value != value:
        return "–" if value is None else "NaN"
    return share(value) if "accuracy" in key else f"{value:.4g}"

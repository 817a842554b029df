"""Runs in lists and tables: what a row shows, and the recent ones for the home page."""

from __future__ import annotations

import re

import streamlit as st

from workbench.live.silence import silence
from workbench.records import RunState
from workbench.store import Query, RunRow
from workbench.ui import nav
from workbench.ui.errors import guard
from workbench.ui.frame import run_line
from workbench.ui.marks import ago, duration, metric_text, plain
from workbench.ui.state import store

# The first that a run has is shown in short lists. A translator is told by what it writes, a language model
# by its perplexity; both have an accuracy of tokens too, which says less.
HEADLINES = (
    "val/bleu", "val/perplexity", "val/rmse", "val/iou", "val/explained", "val/distance", "val/accuracy",
    "val/loss", "train/loss",
)  # fmt: skip


@st.fragment(run_every=2)
def recent_runs(limit: int) -> None:
    """What is at work, what was put in the queue last, and what ended last: one card each, refreshed
    while they change. A long queue would hide the rest; the runs page shows it whole."""
    with guard():
        rows, waiting = newest(limit)
        with st.grid(min_column_width=255, gap="small", key="recent") as grid:
            for run in rows:
                with (
                    grid.cell(),
                    st.container(border=True, height="stretch", gap="xsmall", key=f"card-{run.id}"),
                ):
                    nav.link("live", f"**{plain(run.name, 60)}**", run=run.id)
                    st.html(run_line(run, kind(run)))
                    st.caption(plain(facts(run), 120))
        if waiting > 1:
            nav.link("runs", f"{waiting:,} runs wait in the queue", icon=":material/hourglass_empty:")


def newest(limit: int) -> tuple[list[RunRow], int]:
    """Runs for a short list, those at work first, and how many wait in all."""
    started = [state for state in RunState if state is not RunState.QUEUED]
    at_work = sorted(store().runs.active(), key=lambda run: run.created, reverse=True)
    queued, waiting = store().runs.search(Query(archived=False, states=[RunState.QUEUED]), limit=1)
    rest, _ = store().runs.search(Query(archived=False, states=started), limit=limit)
    first = [run for run in at_work if not run.state.is_over and not run.archived]
    return list({run.id: run for run in (*first, *queued, *rest)}.values())[:limit], waiting


def facts(run: RunRow) -> str:
    """One line under a run's name: its headline metric, epoch, and when."""
    parts = []
    key = next((k for k in HEADLINES if k in run.metrics), None)
    if key:
        metric = run.metrics[key]
        value = metric.get("best", metric.get("last")) if key.startswith("val/") else metric.get("last")
        parts.append(f"{WORDS[key]} {metric_text(key, value)}")
    if run.step:
        parts.append(f"epoch {run.epoch:.1f}")
    if run.state is RunState.FAILED and run.error:
        fact, rule = str(run.error.get("fact") or "ended by an error"), run.error.get("rule")
        short = (
            re.sub(r"\s*\(.*", "", fact, flags=re.DOTALL) or fact
        )  # a library's own words stand in brackets
        parts = [f"{rule}, but {short}" if rule else short]
    if (silent := silence(run)) is not None:
        parts = [silent]
    parts.append(ago(run.ended or run.started or run.created))
    return " · ".join(parts)


WORDS = {
    "val/bleu": "best BLEU",
    "val/perplexity": "best perplexity",
    "val/rmse": "best RMSE",
    "val/iou": "best IoU",
    "val/explained": "best explained",
    "val/distance": "smallest distance",
    "val/accuracy": "best accuracy",
    "val/loss": "best validation loss",
    "train/loss": "loss",
}


def kind(run: RunRow) -> str:
    """What kind of its state this is: a paused run may be parked, a queued one held; else nothing."""
    if run.parked:
        return "parked"
    return "held" if run.held and run.state is RunState.QUEUED else ""


def state_words(run: RunRow) -> str:
    """`paused · parked`, `running`."""
    return " · ".join(word for word in (run.state.value, kind(run)) if word)


def took(run: RunRow) -> str:
    seconds = _took_s(run)
    return "–" if seconds is None else duration(seconds)


def _took_s(run: RunRow) -> float | None:
    if run.active_s is not None:
        return run.active_s
    if run.started is None:
        return None
    return max(0.0, (run.ended or run.heartbeat or run.started) - run.started)


def progress_words(run: RunRow) -> str:
    parts = [f"{run.progress:.0%}"]
    if run.step:
        parts.append(f"epoch {run.epoch:.1f}")
    if run.eta_s and run.at_work:
        parts.append(f"{duration(run.eta_s)} left")
    return " · ".join(parts)


def can(run: RunRow) -> dict[str, bool]:
    """Which controls make sense for the run as it stands."""
    state = run.state
    return {
        "pause": state in (RunState.RUNNING, RunState.STARTING),
        "park": state in (RunState.RUNNING, RunState.PAUSED) and not run.parked,
        "hold": state is RunState.QUEUED and not run.held,
        "release": state is RunState.QUEUED and run.held,
        "resume": state in (RunState.PAUSED, RunState.LOST, RunState.FAILED, RunState.STOPPED),
        "stop": state in (RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.PAUSED),
        "delete": state.is_over or state is RunState.QUEUED,
    }

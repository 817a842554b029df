"""Runs in lists and tables: what a row shows, and the recent ones for the home page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.records import RunState
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow
from workbench.ui import nav
from workbench.ui.errors import guard
from workbench.ui.frame import run_line
from workbench.ui.marks import STATE_HELP, ago, duration, metric_text, plain
from workbench.ui.state import store

HEADLINES = ("val/accuracy", "val/loss", "train/loss")  # the first that a run has is shown in short lists


@st.fragment(run_every=2)
def recent_runs(limit: int) -> None:
    """The newest runs, one card each, refreshed while they change."""
    with guard():
        rows = store().runs.list(limit=limit)
        with st.grid(min_column_width=290, gap="small", key="recent") as grid:
            for run in rows:
                with (
                    grid.cell(),
                    st.container(border=True, height="stretch", gap="xsmall", key=f"card-{run.id}"),
                ):
                    nav.link("live", f"**{plain(run.name, 60)}**", run=run.id)
                    st.html(run_line(run))
                    st.caption(plain(facts(run), 120))


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
        parts = [str(run.error.get("fact") or "ended by an error")]
    parts.append(ago(run.ended or run.started or run.created))
    return " · ".join(parts)


WORDS = {"val/accuracy": "best accuracy", "val/loss": "best validation loss", "train/loss": "loss"}


def table(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Rows of the runs table: numbers to sort by beside the texts that are shown."""
    return [
        {
            "id": run.id,
            "name": run.name,
            "data": data_name(run),
            "state": run.state.value,
            "state_help": STATE_HELP[run.state],
            "progress": run.progress,
            "progress_text": _progress(run),
            **_pair(run, "best_accuracy", "val/accuracy"),
            **_pair(run, "best_loss", "val/loss"),
            "took": took(run),
            "took_s": _took_s(run),
            "created": run.created,
            "created_text": ago(run.created),
            "created_full": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created)),
        }
        for run in rows
    ]


_ASSETS = Path(__file__).parent / "assets"
_component = st.components.v2.component(
    "workbench.runs_table",
    html='<div class="wb-runs"></div>',
    css=(_ASSETS / "runs.css").read_text(),
    js=(_ASSETS / "runs.js").read_text(),
)


def runs_table(rows: Sequence[RunRow], *, key: str = "table") -> tuple[list[str], str | None]:
    """Draw the table; the ids of the chosen runs, and the id of one that is to be opened."""
    base = "/" + str(st.get_option("server.baseUrlPath") or "").strip("/")
    data = {"rows": table(rows), "base": base if base.endswith("/") else base + "/"}
    result = _component(key=key, data=data, on_chosen_change=lambda: None, on_open_change=lambda: None)
    known = {run.id for run in rows}
    chosen = [i for i in result.get("chosen") or [] if i in known]
    opened = result.get("open")
    return chosen, opened if opened in known else None


def took(run: RunRow) -> str:
    seconds = _took_s(run)
    return "–" if seconds is None else duration(seconds)


def _took_s(run: RunRow) -> float | None:
    if run.started is None:
        return None
    return max(0.0, (run.ended or run.heartbeat or run.started) - run.started)


def _progress(run: RunRow) -> str:
    parts = [f"{run.progress:.0%}"]
    if run.step:
        parts.append(f"epoch {run.epoch:.1f}")
    if run.eta_s and run.state.is_active:
        parts.append(f"{duration(run.eta_s)} left")
    return " · ".join(parts)


def _pair(run: RunRow, name: str, key: str) -> dict[str, Any]:
    """A metric's best value to sort by, and both its best and its newest as text."""
    metric = run.metrics.get(key)
    if not metric:
        return {name: None, f"{name}_text": "–", f"{name}_last": ""}
    best, last = metric.get("best"), metric.get("last")  # no best while every value was NaN
    finite = best if best is not None and best - best == 0 else None
    shown = metric_text(key, last if best is None else best)
    return {name: finite, f"{name}_text": shown, f"{name}_last": f"now {metric_text(key, last)}"}


def matching(rows: Iterable[RunRow], text: str, states: Sequence[str]) -> list[RunRow]:
    """Runs whose name, id or data set holds every word of `text`, in one of `states` (none: all)."""
    words = text.lower().split()
    found = []
    for run in rows:
        hay = f"{run.name} {run.id} {data_name(run)}".lower()
        if all(word in hay for word in words) and (not states or run.state.value in states):
            found.append(run)
    return found


def can(run: RunRow) -> dict[str, bool]:
    """Which controls make sense for the run as it stands."""
    state = run.state
    return {
        "pause": state in (RunState.RUNNING, RunState.STARTING),
        "resume": state in (RunState.PAUSED, RunState.LOST, RunState.FAILED, RunState.STOPPED),
        "stop": state in (RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.PAUSED),
        "delete": state.is_over or state is RunState.QUEUED,
    }


def data_name(run: RunRow) -> str:
    """The data set of a run; a spec of a newer workbench must not hide the other runs."""
    try:
        return run.spec.data.name
    except WorkbenchError:
        return "–"

"""What can be done with a chosen run: open, rename, fork, pause, resume, stop, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from workbench.jobs import runs
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow
from workbench.ui import nav
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.marks import count, duration, metric_text, plain, state_pill
from workbench.ui.runs import can
from workbench.ui.state import begin, store


def act(verb: str, run: RunRow) -> None:
    """Pause, resume or stop, and say so; the state itself is read from the store."""
    try:
        getattr(runs, verb)(store(), run.id)
        st.toast(f"{verb.capitalize()} asked of {plain(run.name, 40)}")
    except WorkbenchError as error:
        problem_boxes(error.problems)


def panel(run: RunRow) -> None:
    """The chosen run: its facts, its error, its buttons."""
    with st.container(border=True, key="chosen"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            state_pill(run.state)
            st.text(run.name)
        if run.error:
            error_box(run.error)
        st.caption(plain(" · ".join(_facts(run)), 400))
        buttons(run)


def _facts(run: RunRow) -> list[str]:
    parts = [f"step {count(run.step)}" + (f" of {count(run.total_steps)}" if run.total_steps else "")]
    if run.eta_s and run.state.is_active:
        parts.append(f"{duration(run.eta_s)} left")
    for key, word in (("val/accuracy", "best accuracy"), ("val/loss", "lowest validation loss")):
        best = run.metrics.get(key, {}).get("best")
        if best is not None:
            parts.append(f"{word} {metric_text(key, best)}")
    waiting = runs.why_waiting(store(), run)
    return [
        *parts,
        *([f"device {run.device}"] if run.device else []),
        *([waiting] if waiting else []),
        run.id,
    ]


def error_box(error: Mapping[str, Any]) -> None:
    """What ended a run: where, rule, fact, repair, as far as the record has them."""
    where, rule, fact, repair = (
        plain(str(error.get(k) or ""), 300) for k in ("where", "rule", "fact", "repair")
    )
    what = (
        f"{rule}, but {fact}."
        if rule and fact
        else rule or fact or "It ended by an error; its log says more."
    )
    head = f"**{where}** — {what}" if where else what
    st.error("  \n".join(part for part in (head, repair) if part), icon=":material/error:")


def many(chosen: list[RunRow]) -> None:
    """Several runs at once: what makes sense for all of them."""
    over = [run for run in chosen if can(run)["delete"]]
    going = [run for run in chosen if can(run)["stop"]]
    with st.container(border=True, key="chosen"):
        st.text(f"{len(chosen)} runs chosen")
        with st.container(horizontal=True, gap="small"):
            if going and st.button(f"Stop {len(going)}", icon=":material/stop:", key="many.stop"):
                for run in going:
                    act("stop", run)
            if st.button(
                f"Delete {len(over)}",
                icon=":material/delete:",
                disabled=not over,
                key="many.delete",
                help="Runs at work must be stopped first",
            ):
                delete_dialog([run.id for run in over], "")


def buttons(run: RunRow) -> None:
    allowed = can(run)
    with st.container(horizontal=True, gap="small"):
        if st.button("Open", type="primary", icon=":material/monitoring:", key="run.open"):
            nav.go("live", run=run.id)
        for verb, icon in (("pause", "pause"), ("resume", "play_arrow"), ("stop", "stop")):
            if allowed[verb] and st.button(verb.capitalize(), icon=f":material/{icon}:", key=f"run.{verb}"):
                act(verb, run)
        if st.button(
            "Fork",
            icon=":material/call_split:",
            key="run.fork",
            help="A new run from the same settings, to change and launch",
        ):
            spec = run.spec
            nav.go("train", draft=begin(spec.model_copy(update={"name": f"{run.name} (fork)"[:200]})).id)
        if st.button(
            "Predict", icon=":material/image_search:", key="run.predict", help="Try its model on a picture"
        ):
            nav.go("predict", run=run.id)
        if st.button("Rename", icon=":material/edit:", key="run.rename"):
            rename_dialog(run.id, run.name)
        if st.button("Delete", icon=":material/delete:", key="run.delete", disabled=not allowed["delete"],
                     help=None if allowed["delete"] else "Stop it first"):  # fmt: skip
            delete_dialog([run.id], run.name)


@st.dialog("Rename the run")
def rename_dialog(run_id: str, name: str) -> None:
    with guard():
        new = st.text_input("Name", value=name, max_chars=200, key=f"rename.{run_id}")
        if st.button("Rename", type="primary", disabled=not new.strip(), key="rename.go"):
            store().runs.rename(run_id, new.strip())
            st.rerun()


@st.dialog("Delete for good?")
def delete_dialog(run_ids: list[str], name: str) -> None:
    """Asks first: what a run made cannot be brought back."""
    with guard():
        st.text(name if len(run_ids) == 1 else f"{len(run_ids)} runs")
        st.caption("Curves, pictures, checkpoints and the log go with it.")
        with st.container(horizontal=True, gap="small"):
            if st.button("Delete", type="primary", key="delete.go"):
                for run_id in run_ids:
                    runs.delete(store(), run_id)
                st.rerun()
            if st.button("Keep", key="delete.keep"):
                st.rerun()

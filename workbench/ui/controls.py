"""What can be done with chosen runs: open, compare, edit, fork, pause, park, stop, archive, delete."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from workbench.jobs import runs
from workbench.live.silence import silence
from workbench.specs.errors import WorkbenchError
from workbench.store import RunRow
from workbench.store.labels import MAX_NOTE
from workbench.ui import nav
from workbench.ui.board import unchoose
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.marks import count, duration, message, metric_text, plain, state_pill
from workbench.ui.runs import can, kind
from workbench.ui.state import store

OFFER = "Go on with half the memory"
# verb, icon, help
VERBS = (
    ("pause", "pause", "Keep it loaded and wait"),
    ("park", "local_parking", "Save it and give its memory back"),
    ("resume", "play_arrow", "Go on from where it stood"),
    ("hold", "pause_circle", "It waits in the queue until it is released"),
    ("release", "play_circle", "It starts when its turn comes"),
    ("stop", "stop", "End it; its model is kept"),
)


def act(verb: str, run: RunRow) -> None:
    """Do what a button says, and say so; the state itself is read from the store."""
    try:
        if verb in ("hold", "release"):
            getattr(runs, verb)(store(), [run.id])
        else:
            getattr(runs, verb)(store(), run.id)
        said = "Resume" if verb == "accept_offer" else verb.capitalize()
        st.toast(f"{said} asked of {plain(run.name, 40)}")
    except WorkbenchError as error:
        problem_boxes(error.problems)


def panel(run: RunRow) -> None:
    """The chosen run: its facts, its error, its buttons."""
    with st.container(border=True, key="chosen"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            state_pill(run.state, kind(run))
            st.text(run.name)
            if run.tags:
                st.caption(plain(" · ".join(run.tags), 400), width="content")
        if (silent := silence(run)) is not None:
            st.warning(message(silent), icon=":material/hearing_disabled:")
        if run.error and run.state.is_over:
            error_box(run)
        st.caption(plain(" · ".join(_facts(run)), 400))
        if run.note:
            st.text(run.note)
        buttons(run)


def _facts(run: RunRow) -> list[str]:
    parts = [f"step {count(run.step)}" + (f" of {count(run.total_steps)}" if run.total_steps else "")]
    if run.eta_s and run.at_work:
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


def error_box(run: RunRow) -> None:
    """What ended a run: the line that matters, where, rule, fact, repair, as far as the record has
    them; below it the whole traceback, the checkpoint from which it would go on, and what is offered."""
    error = run.error or {}
    where, rule, fact, repair = (
        message(str(error.get(k) or "")) for k in ("where", "rule", "fact", "repair")
    )
    what = (
        f"{rule}, but {fact}."
        if rule and fact
        else rule or fact or "It ended by an error; its log says more."
    )
    head = f"**{where}** — {what}" if where else what
    st.error("  \n".join(part for part in (head, repair) if part), icon=":material/error:")
    if error.get("line"):
        st.code(str(error["line"])[:1000], language=None, wrap_lines=True)
    if error.get("traceback"):
        with st.expander("Traceback"):
            st.code(str(error["traceback"])[-20_000:], language=None)
    good = max(
        (i for i in store().checkpoints.list(run.id) if i.is_own), key=lambda info: info.step, default=None
    )
    if good is not None:
        st.caption(f"Last good checkpoint: {plain(good.name)} at step {count(good.step)}.")
    offer = error.get("offer")
    if offer and offer.get("changes"):
        st.caption(message(str(offer.get("text") or ""), 300))
        if st.button(OFFER, type="primary", icon=":material/memory:", key="run.offer"):
            act("accept_offer", run)


def many(chosen: Sequence[RunRow]) -> None:
    """Several runs at once: what makes sense for all of them."""
    ids = [run.id for run in chosen]
    over = [run.id for run in chosen if can(run)["delete"]]
    going = [run for run in chosen if can(run)["stop"]]
    with st.container(border=True, key="chosen"):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.text(f"{len(chosen)} runs chosen", width="content")
            st.button("Clear", type="tertiary", key="many.clear", on_click=unchoose)
        with st.container(horizontal=True, gap="small"):
            too_many = len(ids) > nav.MAX_COMPARED
            if st.button(
                "Compare", type="primary", icon=":material/stacked_line_chart:", key="many.compare",
                disabled=too_many, help=f"Up to {nav.MAX_COMPARED} at a time" if too_many else None,
            ):  # fmt: skip
                nav.go("compare", runs=",".join(ids))
            if going and st.button(f"Stop {len(going)}", icon=":material/stop:", key="many.stop"):
                for run in going:
                    act("stop", run)
            if st.button("Tag", icon=":material/sell:", key="many.tag"):
                tag_dialog(ids, sorted({tag for run in chosen for tag in run.tags}))
            archive_button(chosen, "many.archive")
            if st.button(
                f"Delete {len(over)}",
                icon=":material/delete:",
                disabled=not over,
                key="many.delete",
                help="Runs at work must be stopped first",
            ):
                delete_dialog(over, "")


def archive_button(chosen: Sequence[RunRow], key: str) -> None:
    """Puts away what is in the lists, or back what is all put away."""
    back = all(run.archived for run in chosen)
    word, icon = ("Unarchive", "unarchive") if back else ("Archive", "archive")
    if st.button(
        word, icon=f":material/{icon}:", key=key, help="Lists leave archived runs out; nothing is lost"
    ):
        store().labels.archive([run.id for run in chosen], not back)
        unchoose()
        st.rerun()


def buttons(run: RunRow) -> None:
    allowed = can(run)
    with st.container(horizontal=True, gap="small"):
        if st.button("Open", type="primary", icon=":material/monitoring:", key="run.open"):
            nav.go("live", run=run.id)
        for verb, icon, about in VERBS:
            if allowed[verb] and st.button(
                verb.capitalize(), icon=f":material/{icon}:", key=f"run.{verb}", help=about
            ):
                act(verb, run)
        if st.button(
            "Fork",
            icon=":material/call_split:",
            key="run.fork",
            help="A new run from here: choose a checkpoint, change settings, launch",
        ):
            nav.go("live", run=run.id, panel="fork")
        if st.button(
            "Predict", icon=":material/image_search:", key="run.predict", help="Try its model on a picture"
        ):
            nav.go("predict", run=run.id)
        if st.button("Edit", icon=":material/edit:", key="run.edit", help="Name, tags and note"):
            edit_dialog(run.id)
        archive_button([run], "run.archive")
        if st.button("Delete", icon=":material/delete:", key="run.delete", disabled=not allowed["delete"],
                     help=None if allowed["delete"] else "Stop it first"):  # fmt: skip
            delete_dialog([run.id], run.name)


@st.dialog("Name, tags and note")
def edit_dialog(run_id: str) -> None:
    with guard():
        run = store().runs.get(run_id)
        name = st.text_input("Name", value=run.name, max_chars=200, key=f"edit.name.{run_id}")
        known = sorted({tag for tag, _ in store().labels.tags()} | set(run.tags))
        tags = st.multiselect(
            "Tags", known, default=list(run.tags), accept_new_options=True, key=f"edit.tags.{run_id}",
            placeholder="Choose or type",
        )  # fmt: skip
        note = st.text_area(
            "Note", value=run.note, max_chars=MAX_NOTE, key=f"edit.note.{run_id}",
            placeholder="Why it was started, what it showed",
        )  # fmt: skip
        if st.button("Save", type="primary", disabled=not name.strip(), key="edit.go"):
            store().labels.tag([run_id], add=tags, remove=set(run.tags) - set(tags))
            store().labels.note(run_id, note)
            if name.strip() != run.name:
                store().runs.rename(run_id, name.strip())
            st.rerun()


@st.dialog("Tags")
def tag_dialog(run_ids: list[str], present: list[str]) -> None:
    """Add to all of them, or take from those that have it."""
    with guard():
        st.caption(f"{len(run_ids)} runs")
        known = sorted({tag for tag, _ in store().labels.tags()})
        add = st.multiselect(
            "Add", known, accept_new_options=True, key="tag.add", placeholder="Choose or type"
        )
        remove = st.multiselect("Remove", present, key="tag.remove") if present else []
        if st.button("Save", type="primary", disabled=not (add or remove), key="tag.go"):
            store().labels.tag(run_ids, add=add, remove=remove)
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

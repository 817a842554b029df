"""The queue as a panel: what each device does, who waits, in which order and why; order, hold, release."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.jobs import queue, runs
from workbench.live.silence import is_silent
from workbench.store import RunRow
from workbench.ui.errors import guard
from workbench.ui.marks import ago, plain
from workbench.ui.runs import state_words
from workbench.ui.state import store

SHOWN = 100  # waiting runs in the list; all of them can be held and released at once
KEY = "queue"
NOUNS = {"cpu": "Processor", "mps": "Apple GPU"}

_ASSETS = Path(__file__).parent / "assets"
_component = st.components.v2.component(
    "workbench.queue",
    html='<div class="wb-queue"></div>',
    css=(_ASSETS / "queue.css").read_text(),
    js="\n".join((_ASSETS / name).read_text() for name in ("press.js", "elements.js", "queue.js")),
)


def panel() -> None:
    """Devices and waiting runs; one line when nothing waits and nothing works."""
    reasons = queue.reasons(store())
    uses = [use for use in queue.slots(store()) if use.limit or use.runs]
    waiting = f"{len(reasons):,} waiting" if reasons else "nothing waits"
    working = sum(len(use.runs) for use in uses)
    title = f"Queue · {working} at work, {waiting}"
    with st.expander(title, expanded=bool(reasons), key="queue-panel", icon=":material/low_priority:"):
        st.html(devices(uses))
        if not reasons:
            st.caption(
                "Nothing waits. A run starts at once while a device has room; the next ones line up here."
            )
            return
        data = {"rows": rows(reasons[:SHOWN]), "total": len(reasons), "base": _base()}
        result = _component(key=KEY, data=data, on_ask_change=_nothing)
        asked = result.get("ask")
        if isinstance(asked, dict):
            with guard():
                obey(asked, [row for row, _ in reasons])


def devices(uses: Sequence[queue.SlotUse]) -> str:
    """HTML: each device with what works on it. Names of runs are escaped."""
    parts = []
    for use in uses:
        names = ", ".join(f"{row.name} ({_now(row)})" for row in use.runs) or "free"
        noun = NOUNS.get(use.slot, f"GPU {use.slot.partition(':')[2] or '0'}")
        parts.append(
            f'<div><b>{escape(noun)}</b><span class="n">{len(use.runs)} of {use.limit}</span>'
            f"<span>{escape(names[:300])}</span></div>"
        )
    return f'<div class="wb-slots">{"".join(parts)}</div>'


def _now(row: RunRow) -> str:
    return f"{state_words(row)}, not heard of" if is_silent(row) else state_words(row)


def rows(reasons: Sequence[tuple[RunRow, str]]) -> list[dict[str, Any]]:
    """What each line of the list shows."""
    return [
        {
            "id": row.id,
            "name": row.name,
            "data": row.data,
            "held": row.held,
            "why": "Held until it is released" if row.held else why,
            "since": ago(row.created),
        }
        for row, why in reasons
    ]


def obey(asked: dict[str, Any], waiting: Sequence[RunRow]) -> None:
    """What the panel asked: {verb: "move", id, before} or {verb: "hold" | "release" | "stop", ids | all}.

    Ids that do not wait any more are left out: they were started a moment ago.
    """
    known = {row.id: row for row in waiting}
    verb = asked.get("verb")
    if verb == "move" and asked.get("id") in known:
        before = asked.get("before")
        if before is None or before in known:
            runs.move(store(), str(asked["id"]), before)
            st.rerun(scope="fragment")
        return
    ids = list(known) if asked.get("all") else [i for i in asked.get("ids") or [] if i in known]
    if not ids:
        return
    if verb == "hold":
        runs.hold(store(), ids)
    elif verb == "release":
        runs.release(store(), ids)
    elif verb == "stop":
        for run_id in ids:
            runs.stop(store(), run_id)
    else:
        return
    done = {"hold": "Held", "release": "Released", "stop": "Taken out of the queue"}[str(verb)]
    st.toast(f"{done}: {plain(known[ids[0]].name, 40) if len(ids) == 1 else f'{len(ids)} runs'}")
    st.rerun(scope="fragment")


def _base() -> str:
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}/" if path else "/"


def _nothing() -> None:
    """A trigger needs a callback to exist; the page reads the value instead."""

"""The Python face of the live views. No data passes through here: the browser opens one socket per run.

Each view is a small custom element whose script is a loader of a few lines; the modules themselves
are served by our own route and cached. A rerun of the page re-sends the loader and the names only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import streamlit as st

from workbench.live.routes import VERSION
from workbench.live.views import views_of
from workbench.specs.run import RunSpec

Kind = Literal["tabs", "status", "tried"]
Verb = Literal["pause", "resume", "stop", "step", "park", "offer", "predict", "steer", "fork"]
VERBS: tuple[Verb, ...] = ("pause", "resume", "stop", "step", "park", "offer", "predict", "steer", "fork")
MOST_STEPS = 1_000_000  # of one press of the step button


class Act(NamedTuple):
    """A button that was pressed; `steps` belongs to "step"."""

    verb: Verb
    steps: int = 1


# An inline script without a line break would be taken for a file's path.
_LOADER = f"""const at = (base) => new URL(`${{base}}live-assets/{VERSION}/main.js`, location.origin).href;
export default async (call) => (await import(at(call.data.base))).default(call);
"""
_view = st.components.v2.component(
    "workbench.live", html="<div class='wbl'></div>", js=_LOADER, isolate_styles=False
)


def view(kind: Kind, run_id: str, *, key: str, **more: Any) -> Act | None:
    """Mount one live view of a run; the button that was pressed, once, else None. more: what it is told."""
    data = {"kind": kind, "run": run_id, "base": _base(), **more}
    result = _view(key=key, data=data, on_act_change=_nothing)
    return act_of(result.get("act"))


def act_of(asked: Any) -> Act | None:
    """What the browser sent, as far as it is one of ours."""
    if not isinstance(asked, dict):
        return None
    verb = next((verb for verb in VERBS if verb == asked.get("verb")), None)
    steps = asked.get("steps", 1)
    if verb is None or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        return None
    return Act(verb, steps)


def status(run_id: str, *, name: str = "", panel: str = "") -> Act | None:
    """The strip: state, progress, metrics, and the buttons; answers which one was pressed.

    name: shown until the stream has said it. panel: the one that stands open below the strip.
    """
    return view("status", run_id, key=f"live-status-{run_id}", name=name, panel=panel)


def tabs(run_id: str, spec: RunSpec) -> None:
    """The run's views under tabs, one at a time; which there are follows from its spec, and the URL says
    which one is open."""
    view("tabs", run_id, key=f"live-tabs-{run_id}", views=views_of(spec), task=spec.task.kind)


def tried(run_id: str, task: str, answer: Mapping[str, Any]) -> None:
    """What a model says to a text that was tried, and where its heads looked."""
    view("tried", run_id, key=f"live-tried-{run_id}", task=task, answer=answer)


def _base() -> str:
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}/" if path else "/"


def _nothing() -> None:
    """A trigger needs a callback to exist; the page reads the value instead."""

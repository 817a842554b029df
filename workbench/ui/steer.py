"""The hands on a run at work: what may be changed while it trains, and the ledger of what was.

A change goes through `jobs.runs.change`, as on the command line. Each is a line of the ledger and a
mark on the curves; replaying the ledger in a new run reproduces this one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from workbench.jobs import runs, steering
from workbench.live.reader import layer_names
from workbench.records import Change, RunState
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.layer import Layer
from workbench.specs.run import RunSpec
from workbench.specs.steer import differences, sentence, steered
from workbench.store import RunRow
from workbench.ui import nav
from workbench.ui.augment import augment_form
from workbench.ui.errors import guard, problem_boxes
from workbench.ui.forms import fill
from workbench.ui.marks import count, message
from workbench.ui.state import store

REFRESH_S = 2.0  # a change comes into force within a second, and others may make one too
OPTIMIZER = ("lr", "weight_decay")
TRAINING = ("clip_norm", "accumulation_steps", "stop_at_loss", "early_stopping")


@st.fragment(run_every=REFRESH_S)
def panel(run_id: str) -> None:
    """What is in force now, what would change, and the ledger."""
    with guard(), st.container(border=True, key="steer"):
        run = store().runs.get(run_id)
        lines = store().ledger.list(run.id)
        now = steering.now(store(), run)
        with st.container(key="wrap-steer"):
            left, right = st.columns([1.5, 1], gap="large")
        with left:
            if run.state is RunState.FINISHED:
                st.caption("This run has reached its end. Fork it to train on with other settings.")
            else:
                form(run, now, key=f"steer.{run.id}.{len(lines)}")
        with right:
            ledger(run, lines)


def form(run: RunRow, now: RunSpec, key: str) -> None:
    """The values in force, to be changed, and the button that does it."""
    loaded = run.at_work
    st.markdown("**Steer**")
    when = (
        "in force before its next update"
        if loaded
        else "in force from its last checkpoint on, when it goes on"
    )
    st.caption(f"The values are those in force. What you change is {when}.{_rate_now(run, now)}")
    wanted, problems = _fields(now, key)
    changed = differences(now, wanted)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        blocked = bool(problems) or not changed
        ask = st.button("Apply", type="primary", icon=":material/tune:", key=f"{key}.apply", disabled=blocked)
        again = not loaded and run.state is not RunState.QUEUED
        both = again and st.button(
            "Apply and resume", icon=":material/play_arrow:", key=f"{key}.resume", disabled=blocked
        )
        if changed:
            st.caption(message(sentence(changed), 600))
        else:
            st.caption("Nothing is changed yet.")
    if not (ask or both):
        return
    changes = {path: new for path, (_, new) in changed.items()}
    try:
        if both:
            runs.resume(store(), run.id, changes)
        else:
            runs.change(store(), run.id, changes)
    except WorkbenchError as error:
        problem_boxes(error.problems)
        return
    st.toast(f"Asked: {message(sentence(changed), 200)}")
    if not loaded:
        st.rerun(scope="fragment")


def _rate_now(run: RunRow, spec: RunSpec) -> str:
    last = run.metrics.get("lr", {}).get("last")
    if spec.training.schedule.kind == "constant" and not spec.training.schedule.warmup:
        return ""
    if last is None:
        return " The schedule multiplies the learning rate."
    return f" The schedule multiplies the learning rate: now {last:.3g}."


def _fields(now: RunSpec, key: str) -> tuple[RunSpec, list[Problem]]:
    """The spec as the widgets say it, and what is wrong with it."""
    training, data = now.training, now.data
    optimizer, problems = fill(
        training.optimizer, key=f"{key}.optimizer", where="training.optimizer", folded=False,
        skip=set(type(training.optimizer).model_fields) - set(OPTIMIZER),
    )  # fmt: skip
    rest, found = fill(
        training, key=f"{key}.training", where="training", folded=False,
        skip=set(type(training).model_fields) - set(TRAINING),
    )  # fmt: skip
    freeze = freeze_choice(now, key=f"{key}.freeze")
    augment, odd = augment_form(data.augment, key=f"{key}.augment")
    changes: dict[str, Any] = {
        "training.optimizer.lr": optimizer.lr,
        "training.optimizer.weight_decay": optimizer.weight_decay,
        "training.freeze": freeze,
        "data.augment": [op.model_dump(mode="json") for op in augment],
    }
    for name in TRAINING:
        value = getattr(rest, name)
        changes[f"training.{name}"] = (
            value if name != "early_stopping" or value is None else value.model_dump()
        )
    problems = [*problems, *found, *odd]
    try:
        return steered(now, changes), problems
    except WorkbenchError as error:
        problem_boxes(error.problems)
        return now, [*problems, *error.problems]


def freeze_choice(spec: RunSpec, key: str) -> list[int]:
    """Layers by name whose weights are to stay as they are."""
    names = layer_names(spec)
    layers = spec.model.numbered
    weighty = [i for i, layer in enumerate(layers) if type(layer).n_params is not Layer.n_params]
    options = sorted({*weighty, *(i for i in spec.training.freeze if str(i) in names)})
    frozen = [i for i in spec.training.freeze if i in options]
    chosen = st.multiselect(
        "Frozen layers", options, key=key, default=frozen, placeholder="None: all layers learn",
        format_func=lambda i: f"{i} · {names[str(i)]}",
        help="Their weights stay as they are; the others go on learning",
    )  # fmt: skip
    return sorted(int(i) for i in chosen)


def ledger(run: RunRow, lines: Sequence[Change]) -> None:
    """What was changed, step by step, and the way to do it all again."""
    st.markdown(
        "**Ledger**", help="Every change since the first step; with the seed it is all that the run is"
    )
    if not lines:
        st.caption("Nothing was changed: the run is its settings and its seed.")
        return
    rows = "".join(
        f"<li><b>step {count(line.step)}</b><span>{escape(text)}</span>"
        f"<time>{time.strftime('%d %b %H:%M:%S', time.localtime(line.time))}</time></li>"
        for line, text in zip(lines, ledger_sentences(run.spec, lines), strict=True)
    )
    st.html(f'<ol class="wb-ledger">{rows}</ol>')
    own = run.parent_checkpoint is None
    if st.button(
        "Replay as a new run", icon=":material/replay:", key="ledger.replay", disabled=not own,
        help="The same seed and the same changes at the same steps: on the same machine the same curves"
        if own else "It began with weights of another run; fork it from there instead",
    ):  # fmt: skip
        nav.go("live", run=runs.fork(store(), run.id, replay=True))


def ledger_sentences(spec: RunSpec, lines: Sequence[Change]) -> list[str]:
    """Each line in words: "Learning rate 0.05 → 0.005"; old values are those in force before it."""
    told = []
    for line in lines:
        after = steered(spec, line.changes)
        told.append(sentence(differences(spec, after)) or "No difference to what was in force")
        spec = after
    return told

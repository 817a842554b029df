"""The preflight card of the train page: a few real steps, and the learning-rate range test.

The trials run beside the warm process and outlive the page; a session keeps only which one it asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from workbench.figures.range_test import range_test_figure, range_test_info
from workbench.figures.theme import ACCENT, GROUPS, MUTED, PLAIN, TRAIN, VALIDATION
from workbench.jobs import trials
from workbench.jobs.check import PROCESS_BYTES, CheckReport
from workbench.specs.errors import Problem, WorkbenchError
from workbench.specs.run import RunSpec
from workbench.ui.errors import problem_boxes
from workbench.ui.marks import count, duration, megabytes, plain, section
from workbench.ui.state import Draft, overwrite, store

POLL_S = 0.4
PARTS = {  # part → words, colour
    "weights": ("Weights", ACCENT),
    "gradients": ("Gradients", GROUPS["normalisation"]),
    "optimizer": ("Optimizer", TRAIN),
    "average": ("Weight average", GROUPS["pooling"]),
    "activations": ("Activations", VALIDATION),
    "data": ("Data", GROUPS["dense"]),
    "checkpoints": ("Checkpoint copies", MUTED),
}
MOMENTS = {
    "step": "during an update",
    "update": "while the optimizer works",
    "validation": "during validation",
    "checkpoint": "while a checkpoint is written",
}
_STYLE = """<style>
.wb-memory { display: flex; height: 14px; border-radius: 5px; overflow: hidden; gap: 1px;
  margin: .15rem 0 .45rem; }
.wb-memory i { display: block; min-width: 2px; background: var(--c); }
.wb-legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; font-size: .8rem;
  font-variant-numeric: tabular-nums; }
.wb-legend span { display: inline-flex; align-items: center; gap: .35em; white-space: nowrap; }
.wb-legend span::before { content: ""; width: .6em; height: .6em; border-radius: 2px; background: var(--c); }
.wb-legend em { font-style: normal; opacity: .7; }
</style>"""


def preflight_card(now: Draft, spec: RunSpec, report: CheckReport) -> None:
    """Both trials of the draft as it is now, each with its button, progress, result or reason."""
    spec = _nameless(spec)
    with st.container(border=True, key="box-preflight"):
        section("Preflight", help="A few real steps on a copy of the model. Nothing of them is kept.")
        _trial(
            "preflight", now, spec, report, "Try a few steps", ":material/speed:", _measured,
            "Shows how long the run will take, how much memory it needs and what slows it down.",
        )  # fmt: skip
    with st.container(border=True, key="box-range"):
        section(
            "Find a learning rate",
            help="A short training whose learning rate grows from 1e-7 to 10 (range test, Smith 2017)",
        )
        _trial(
            "range_test", now, spec, report, "Run the range test", ":material/show_chart:",
            lambda found: _ranged(now, spec, found),
            "Trains a copy of the model for up to 120 updates while the rate grows.",
        )  # fmt: skip


def measured(now: Draft, spec: RunSpec) -> Mapping[str, Any] | None:
    """What the preflight of just this spec has found, once it is over."""
    asked = st.session_state.get(f"trial.preflight.{now.id}")
    if not asked or asked["spec"] != _nameless(spec).to_json():
        return None
    found: Mapping[str, Any] | None = look_at(asked).get("result")
    return found


def _nameless(spec: RunSpec) -> RunSpec:
    return spec.model_copy(update={"name": "preflight"})  # a new name is no other run


def _trial(
    kind: trials.Kind, now: Draft, spec: RunSpec, report: CheckReport, label: str, icon: str,
    show: Callable[[Mapping[str, Any]], None], about: str,
) -> None:  # fmt: skip
    key = f"trial.{kind}.{now.id}"
    text = spec.to_json()
    asked = st.session_state.get(key)
    running = asked is not None and look_at(asked)["state"] == "running"
    if not running:
        st.button(
            label if not asked else f"{label} again", icon=icon, key=f"{key}.start", disabled=not report.ok,
            on_click=_begin, args=(kind, key, spec),
            help=None if report.ok else "Mend the problems first",
        )  # fmt: skip
    if not asked:
        st.caption(about)
        return
    if asked["spec"] != text:
        st.caption(":material/history: The settings have changed since; this is of the settings before.")
    st.fragment(follow, run_every=POLL_S if running else None)(key, show)


def _begin(kind: trials.Kind, key: str, spec: RunSpec) -> None:
    try:
        found = trials.begin(store(), kind, spec, again=True)
        st.session_state[key] = {"spec": spec.to_json(), "trial": found}
    except WorkbenchError as error:
        failed = {"state": "failed", "problems": [p.model_dump() for p in error.problems], "id": ""}
        st.session_state[key] = {"spec": spec.to_json(), "trial": failed}


def look_at(asked: dict[str, Any]) -> dict[str, Any]:
    """How the trial is now. What is over is not asked for again."""
    found: dict[str, Any] = asked["trial"]
    if found["state"] == "running":
        try:
            asked["trial"] = found = trials.look(store(), found["id"])
        except WorkbenchError as error:
            problems = [p.model_dump() for p in error.problems]
            asked["trial"] = found = {"state": "failed", "problems": problems, "id": ""}
    return found


def follow(key: str, show: Callable[[Mapping[str, Any]], None]) -> None:
    asked = st.session_state.get(key)
    if not asked:
        return
    was = asked["trial"]["state"]
    found = look_at(asked)
    if found["state"] == "running":
        st.progress(min(1.0, float(found["share"])), text=plain(found["words"]))
        if st.button("Stop", icon=":material/stop:", key=f"{key}.stop", type="tertiary"):
            trials.stop(store(), found["id"])
            st.rerun()
        return
    if was == "running":
        st.rerun()  # the whole page: the clock of this part stops
    if found["state"] == "done":
        show(found["result"])
    elif found["state"] == "stopped":
        st.caption("Stopped.")
    else:
        problem_boxes(Problem.model_validate(problem) for problem in found["problems"])


# ---------------------------------------------------------------- results


def _measured(found: Mapping[str, Any]) -> None:
    memory, samples = found["memory"], found["samples"]
    largest = f"All {samples}" if found["largest_is_all"] else count(found["largest_batch"])
    facts = [
        (duration(max(1.0, found["eta_s"])), "for the whole run"),
        (_milliseconds(found["step_s"]), f"an update of {count(found['batch_size'])} {samples}"),
        (largest, "fit into one batch"),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{words}</span></div>" for value, words in facts)
    st.html(f'<div class="wb-facts" data-preflight="done">{cells}</div>')
    st.html(_STYLE + _bar(memory))
    st.caption(plain(_sentence(found), 400))
    if found["tried"] < found["batch_size"]:
        st.caption(
            f"An update takes long here: {count(found['tried'])} {samples} at a time were tried, and the "
            "rest is reckoned from them."
        )
    if found["device"].startswith("cpu"):
        st.caption(f"The process itself, with its libraries, takes about {megabytes(PROCESS_BYTES)} more.")
    if found["others"]:
        words = "another run is" if found["others"] == 1 else f"{found['others']} other runs are"
        st.caption(f"Measured while {words} at work: alone it is faster.")


def _bar(memory: Mapping[str, Any]) -> str:
    """HTML of the memory as one stacked bar with its legend. Numbers and our own words only."""
    total = max(1, memory["total"])
    parts = [(name, memory[name]) for name in PARTS if memory.get(name)]
    bars = "".join(f'<i style="--c:{PARTS[n][1]};flex:{v / total:.4f}"></i>' for n, v in parts)
    legend = "".join(
        f'<span style="--c:{PARTS[n][1]}">{PARTS[n][0]} <em>{megabytes(v)}</em></span>' for n, v in parts
    )
    title = f"<b>{megabytes(total)}</b> of memory at the peak, {MOMENTS[memory['at']]}"
    told = ", ".join(f"{PARTS[n][0].lower()} {megabytes(v)}" for n, v in parts)
    return (
        f'<div style="font-size:.93rem">{title}</div>'
        f'<div class="wb-memory" role="img" aria-label="{told}">{bars}</div>'
        f'<div class="wb-legend">{legend}</div>'
    )


def _sentence(found: Mapping[str, Any]) -> str:
    percent = 100 * found["data_share"]
    share = f"{percent:.0f} %" if percent >= 1 else "less than 1 %"
    work = f"the {found['samples']} takes {share} of each update"
    if found["bottleneck"] == "data":
        hint = ": fewer or cheaper changes would speed it up" if found["samples"] == "images" else ""
        return f"Preparing {work}{hint}."
    return f"The model sets the pace: preparing {work} ({found['device']})."


def _milliseconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _ranged(now: Draft, spec: RunSpec, found: Mapping[str, Any]) -> None:
    info = range_test_info(found)
    st.plotly_chart(range_test_figure(info), key="range-test", config=PLAIN)
    if info.suggestion is None:
        st.caption("No rate made the loss fall. Look at the model and the data before the rate.")
        return
    st.caption(
        f"The loss falls most steeply at {info.suggestion:g}: fast, and well before it grows again. "
        f"Now the rate is {spec.training.optimizer.lr:g}."
    )
    if spec.training.optimizer.lr == info.suggestion:
        return
    if st.button(f"Use {info.suggestion:g}", icon=":material/check:", key=f"trial.use.{now.id}"):
        optimizer = spec.training.optimizer.model_copy(update={"lr": info.suggestion})
        overwrite(now, training=spec.training.model_copy(update={"optimizer": optimizer}))
        st.rerun()

"""The compare page's pieces: which runs, the overlay of their curves, scores, and what their specs differ in.

The URL carries the runs and every option; zoom and hidden lines live in the browser (live/assets/compare.js),
the zoom also in the URL. Points come from the store's overview, so that no extreme is lost at any length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from workbench.figures.compare import Axis, Source, Style, compare_figure, compare_info, styles
from workbench.figures.scores import Column, scores_info
from workbench.live.routes import VERSION
from workbench.records import LOWER_IS_BETTER, Scalars
from workbench.specs.diff import differences, same_but_seed
from workbench.store import Query, RunRow
from workbench.ui import nav
from workbench.ui.marks import SHARES, metric_help, metric_text, pill, plain
from workbench.ui.runs import took
from workbench.ui.state import store

AXES: dict[str, Axis] = {"Step": "step", "Epoch": "epoch", "Samples": "samples", "Time": "time"}
TITLES: dict[Axis, str] = {
    "step": "step", "epoch": "epoch", "samples": "samples seen", "time": "time since the start",
}  # fmt: skip
SPREADS = {"Runs": "", "Mean and range": "range", "Mean ± sd": "sd"}
POINTS = 24_000  # columns asked of the store over all runs
OFFERED = 300  # runs in the list to choose from
SHOWN_CHIPS = 8
WIDE = 4  # runs that stand side by side in the table of differences
KEY = "overlay"

_ASSETS = Path(__file__).parent / "assets"
_LOADER = f"""const at = (base) => new URL(`${{base}}live-assets/{VERSION}/compare.js`, location.origin).href;
export default async (call) => (await import(at(call.data.base))).default(call);
"""
_overlay = st.components.v2.component(
    "workbench.compare",
    html='<div class="wbc"></div>',
    css=(_ASSETS / "compare.css").read_text(),
    js=_LOADER,
)


class Options(NamedTuple):
    """What the toolbar says."""

    metric: str
    axis: Axis
    spread: str
    smoothing: float
    log: bool


# ---------------------------------------------------------------- which runs


def asked_runs() -> tuple[list[RunRow], int]:
    """The runs that the URL names, in its order, and how many of those named are gone or too many."""
    ids = list(dict.fromkeys(part for part in nav.asked("runs").split(",") if part))
    found = list(store().runs.many(ids[: nav.MAX_COMPARED]))
    return found, len(ids) - len(found)


def choose(runs: Sequence[RunRow]) -> None:
    """A list to add runs and take them out; the URL follows."""
    recent, _ = store().runs.search(Query(archived=False), limit=OFFERED)
    offered = {run.id: run for run in (*runs, *recent)}
    current = [run.id for run in runs]
    if st.session_state.get("compare.of") != current:  # the URL changed by other means
        st.session_state["compare.of"] = current
        st.session_state["compare.runs"] = current
    many = len(runs) > SHOWN_CHIPS  # chips of fifty runs would push the curves off the screen
    place = (
        st.popover(f"{len(runs)} runs", icon=":material/checklist:", width=420) if many else st.container()
    )
    place.multiselect(
        "Runs", list(offered), key="compare.runs", max_selections=nav.MAX_COMPARED, on_change=_carry_over,
        format_func=lambda i: f"{offered[i].name[:60]} · {i[-4:]}", placeholder="Add a run",
    )  # fmt: skip


def _carry_over() -> None:
    st.query_params["runs"] = ",".join(st.session_state["compare.runs"])


# ---------------------------------------------------------------- the overlay


def toolbar(runs: Sequence[RunRow]) -> Options | None:
    """Metric, axis, spread, smoothing and scale; None while no run has logged anything."""
    keys = dict.fromkeys(key for run in runs for key in sorted(run.metrics))
    if not keys:
        return None
    metrics = sorted(keys, key=lambda key: (not key.startswith(("val/", "train/")), key))
    seeds = same_but_seed({run.id: json.loads(run.spec_json) for run in runs})
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="compare.bar"):
        first = "val/accuracy" if "val/accuracy" in keys else metrics[0]
        metric = st.selectbox(
            "Metric",
            metrics,
            index=metrics.index(first),
            key="metric",
            width=210,
            bind="query-params",
            help="train/: on the samples that are learned from; val/ (validation): on held-out ones. "
            "Accuracy: share of right answers. Loss: how wrong the answers are; lower is better",
        )
        axis = st.segmented_control(
            "Along", list(AXES), default="Step", required=True, key="along", bind="query-params"
        )
        spread = None
        if seeds:
            spread = st.segmented_control(
                "Seeds", list(SPREADS), default="Runs", required=True, key="seeds", bind="query-params",
                help="Runs that differ only in the seed or the fold: each by itself, or their mean with the "
                "range from lowest to highest, or with one standard deviation to each side",
            )  # fmt: skip
        smoothing = st.slider("Smoothing", 0.0, 0.99, 0.0, 0.01, key="smooth", width=150, bind="query-params",
                              help="Moving average, drawn over the true values")  # fmt: skip
        log = st.toggle("Log scale", key="log", bind="query-params")
    return Options(metric, AXES[axis or "Step"], SPREADS[spread or "Runs"], smoothing, log)


def overlay(ids: Sequence[str], options: Options) -> None:
    """The curves, as they are at this moment."""
    runs = store().runs.many(ids)
    batches = {run.id: batch_size(run) for run in runs}
    span = _span(options)
    groups = same_but_seed({run.id: json.loads(run.spec_json) for run in runs}) if options.spread else []
    part = _widened(span) if span else None
    sources = _sources(runs, options, batches, part)
    names = {run.id: run.name for run in runs}
    info = compare_info(sources, options.axis, groups)
    missing = [run.name for run in runs if options.metric not in run.metrics]
    data = compare_figure(info, names, options.spread)  # type: ignore[arg-type]
    data |= {
        "base": _base(), "sign": options.axis, "axis": options.axis, "axis_title": TITLES[options.axis],
        "title": options.metric, "percent": options.metric.rpartition("/")[2] in SHARES, "log": options.log,
        "smoothing": options.smoothing, "span": span, "part": part,
    }  # fmt: skip
    _overlay(key=KEY, data=data, on_span_change=_keep_span)
    if missing:
        some = ", ".join(plain(name, 40) for name in missing[:5])
        st.caption(f"Without {plain(options.metric)}: {some}{' …' if len(missing) > 5 else ''}")


def _sources(
    runs: Sequence[RunRow], options: Options, batches: Mapping[str, int], part: Sequence[float] | None
) -> dict[str, Source]:
    columns = int(np.clip(POINTS / max(1, len(runs)), 300, 1200))
    found = {}
    for run in runs:
        if options.metric not in run.metrics:
            continue
        source = Source(_nothing, run.started or run.created, batches[run.id])
        points = _points(run, options, source, columns, part)
        found[run.id] = source._replace(part=points)
    return found


def _points(
    run: RunRow, options: Options, source: Source, columns: int, part: Sequence[float] | None
) -> Scalars:
    """Points of a range of the axis, every extreme among them."""
    low, high = part or (-math.inf, math.inf)
    on: Any = "step" if options.axis == "samples" else options.axis
    if options.axis == "samples":
        low, high = low / source.batch, high / source.batch
    elif options.axis == "time":
        low, high = low + source.start, high + source.start
    points = store().scalars.overview(run.id, options.metric, axis=on, low=low, high=high, columns=columns)
    return (
        points
        if part is None
        else _around(store().scalars.overview(run.id, options.metric, columns=64), points)
    )


def _around(rough: Scalars, fine: Scalars) -> Scalars:
    """The points of a range with the rough course around it, so that lines leave through the edges."""
    if not len(fine):
        return rough
    before, after = rough.steps < fine.steps[0], rough.steps > fine.steps[-1]
    columns = ("steps", "epochs", "times", "values")
    joined = (
        np.concatenate([getattr(rough, name)[before], getattr(fine, name), getattr(rough, name)[after]])
        for name in columns
    )
    return Scalars(fine.key, *joined)


_nothing = Scalars("", np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))


def _widened(span: Sequence[float]) -> list[float]:
    """The range and a little beyond, so that lines leave through the edges."""
    more = 0.1 * (span[1] - span[0])
    return [span[0] - more, span[1] + more]


def _span(options: Options) -> list[float] | None:
    """The zoom that the URL carries, if it was made on this axis."""
    parts = nav.asked("zoom").split(",")
    if len(parts) != 3 or parts[0] != options.axis:
        return None
    try:
        low, high = float(parts[1]), float(parts[2])
    except ValueError:
        return None
    return [low, high] if math.isfinite(low) and math.isfinite(high) and low < high else None


def _keep_span() -> None:
    """The browser zoomed: [axis, low, high], or [axis] for all."""
    kept = st.session_state[KEY].get("span") or []
    if len(kept) == 3:
        st.query_params["zoom"] = f"{kept[0]},{float(kept[1]):.7g},{float(kept[2]):.7g}"
    elif "zoom" in st.query_params:
        del st.query_params["zoom"]


def batch_size(run: RunRow) -> int:
    """Samples an update learns from."""
    return int(json.loads(run.spec_json).get("training", {}).get("batch_size", 1))


def _base() -> str:
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}/" if path else "/"


# ---------------------------------------------------------------- tables


def scores(runs: Sequence[RunRow], metric: str) -> None:
    """Final and best values, the run with the best of the chosen metric first."""
    sign = 1 if metric.endswith(LOWER_IS_BETTER) else -1
    place = {run.id: run.metrics.get(metric, {}).get("best") for run in runs}
    runs = sorted(runs, key=lambda run: (place[run.id] is None, sign * (place[run.id] or 0.0)))
    tasks = [json.loads(run.spec_json).get("task") for run in runs]
    one_loss = all(task == tasks[0] for task in tasks)
    columns = scores_info([run.metrics for run in runs], metric, one_loss=one_loss)
    words = {"best": "best", "last": "final"}
    head = ["<th>Run</th>", "<td>State</td>"]
    head += [
        f"<th class=n title='{escape(metric_help(c.key), quote=True)}'>{escape(c.key)}"
        f"<small>{words[c.kind]}</small></th>"
        for c in columns
    ]
    head += ["<th class=n>Steps</th>", "<th class=n>Took</th>"]
    look = styles([run.id for run in runs])
    rows = [
        [
            _named(run, look), f"<td>{pill(run.state)}</td>", *(_cell(run, column, i) for column in columns),
            f"<td class=n>{run.step:,}</td>", f"<td class=n>{escape(took(run))}</td>",
        ]
        for i, run in enumerate(runs)
    ]  # fmt: skip
    _table(head, rows)
    if not one_loss:
        st.caption("These runs reckon their losses in different ways: none of the losses is marked as best.")


def _cell(run: RunRow, column: Column, i: int) -> str:
    step = run.metrics.get(column.key, {}).get("best_step")
    at = f" title='at step {int(step):,}'" if column.kind == "best" and step is not None else ""
    won = " win" if i in column.winners else ""
    return f"<td class='n{won}'{at}>{escape(metric_text(column.key, column.values[i]))}</td>"


def spec_diff(runs: Sequence[RunRow]) -> None:
    """Only what differs, with one value a field and run."""
    rows = differences([{**json.loads(run.spec_json), "name": run.name} for run in runs])
    rows = [row for row in rows if row.path != "name"]
    if not rows:
        st.caption("Nothing but their names: all settings are equal.")
        return
    look = styles([run.id for run in runs])
    names = [_named(run, look) for run in runs]
    fields = [f"<th>{escape(row.path)}</th>" for row in rows]
    cells = [[_value(value) for value in row.values] for row in rows]
    if len(runs) > len(rows) and len(runs) > WIDE:  # many runs read better below each other
        turned = list(zip(*cells, strict=True))
        _table(["<th>Run</th>", *fields], [[name, *line] for name, line in zip(names, turned, strict=True)])
    else:
        _table(["<th>Field</th>", *names], [[name, *line] for name, line in zip(fields, cells, strict=True)])


def _named(run: RunRow, look: Mapping[str, Style]) -> str:
    return f"<th title='{escape(run.name, quote=True)}'>{_swatch(look[run.id])}{escape(run.name)}</th>"


def _value(value: str | None) -> str:
    text = "–" if value is None else value
    return f"<td title='{escape(text, quote=True)}'>{escape(text)}</td>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw cells that are HTML already: every text of a user was escaped by those who made them."""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    st.html(
        f"<div class='wb-compare'><table><thead><tr>{''.join(head)}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _swatch(style: Style) -> str:
    if not style.dash:
        return f"<i style='background:{style.colour}'></i>"
    on, off = style.dash[:2]
    stripes = f"{style.colour} 0 {on}px, transparent 0 {on + off}px"
    return f"<i style='background:repeating-linear-gradient(90deg, {stripes})'></i>"

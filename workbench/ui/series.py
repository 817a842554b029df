"""A series on the pages: its curves and gaps, how it is cut into windows, what a model forecasts of it."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from workbench import catalog
from workbench.data.report import shown
from workbench.figures.series import ahead_figure, ahead_info, curves_figure, curves_info
from workbench.figures.theme import PLAIN
from workbench.jobs import answers
from workbench.specs.data import DataSpec, SeriesSpec
from workbench.specs.errors import Problem
from workbench.specs.tasks import MIDDLE, MOST_QUANTILES, ForecastingTask
from workbench.store import RunRow
from workbench.store.datasets import DatasetRow
from workbench.ui.forms import fill
from workbench.ui.marks import count, message, plain
from workbench.ui.state import draft, store

PER_PAGE = 6  # variates
TYPES = ("csv", "tsv", "txt", "xlsx", "parquet", "json", "jsonl", "gz")
WAIT_S = 60.0
COMMON = ("0.01", "0.025", "0.05", "0.1", "0.2", "0.25", "0.5", "0.75", "0.8", "0.9", "0.95", "0.975", "0.99")
MAX_UPLOAD_MB = 50


def curves(row: DatasetRow) -> None:
    """Every variate over time, with the borders that the draft cuts it at, and the gaps that were filled."""
    spec = draft().section("data", DataSpec)
    mine = spec if spec.name == row.name else DataSpec(name=row.name)
    names = row.schema.variates
    key = f"curves.page.{row.name}"
    page = int(st.session_state.get(key, 1)) - 1
    with st.spinner("Reading the series"):
        view = catalog.series(store(), row.name, mine, PER_PAGE, page * PER_PAGE)
    info = curves_info(view.curves, view.moments, view.borders, view.gaps)
    st.plotly_chart(
        curves_figure(info), key=f"curves.{row.name}.{page}", config={**PLAIN, "scrollZoom": False}
    )
    if len(names) > PER_PAGE:
        st.pagination(-(-len(names) // PER_PAGE), key=key)
    filled = sum(n for _, n in view.gaps)
    words = [f"{view.first} to {view.last}"]
    words += [f"{count(filled)} missing steps were filled (red)"] if filled else []
    st.caption(". ".join(words) + ". The tinted stretches are held out; change their shares under Split.")
    table = {
        "Variate": [curve.name for curve in view.curves],
        "Mean": [curve.mean for curve in view.curves],
        "Spread (sd)": [curve.std for curve in view.curves],
        "Least": [curve.least for curve in view.curves],
        "Greatest": [curve.greatest for curve in view.curves],
        "Filled": [curve.missing for curve in view.curves],
    }
    st.dataframe(table, hide_index=True, key=f"curves.table.{row.name}.{page}")


def window_fields(spec: SeriesSpec, names: tuple[str, ...], *, key: str) -> tuple[SeriesSpec, list[Problem]]:
    """How the series becomes windows, and what is wrong with it."""
    changed, problems = fill(spec, key=key, where="data.series", skip={"target"})
    if len(names) < 2:
        return changed.model_copy(update={"target": ""}), problems
    options = ["", *names]
    target = st.selectbox(
        "What is told", options, index=options.index(spec.target) if spec.target in options else 0,
        key=f"{key}.target", width=260, format_func=lambda name: shown(name, 80) if name else "All variates",
        help="The model sees all variates; it tells all of them, or one",
    )  # fmt: skip
    return changed.model_copy(update={"target": target}), problems


def quantile_field(task: ForecastingTask, *, key: str) -> tuple[ForecastingTask, list[Problem]]:
    """Which quantiles of every value are told, and what is wrong with them."""
    now = [f"{q:g}" for q in task.quantiles]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.multiselect(
            "Quantiles", sorted({*COMMON, *now}, key=float), default=now, key=key, width=420,
            accept_new_options=True, max_selections=MOST_QUANTILES, placeholder="Choose or type",
            help="0.1 is the value that one in ten falls below. The lowest and the highest are the band, "
            "0.5 is the forecast and must be among them. Above 0 and below 1, at most "
            f"{MOST_QUANTILES} of them; others can be typed",
        )  # fmt: skip
    try:
        told = quantiles_of(chosen)
    except ValueError as error:
        problem = Problem(
            where="task.quantiles", rule="quantiles lie above 0 and below 1", fact=str(error),
            repair="Type 0.1 for the value that one in ten falls below.",
        )  # fmt: skip
        st.error(f"Quantiles lie above 0 and below 1, but {plain(str(error), 120)}.")
        return task, [problem]
    if len(told) > 1:
        share = told[-1] - told[0]
        st.caption(
            f"The band from {told[0]:g} to {told[-1]:g} is meant to hold {100 * share:.4g} % of the values."
        )
    else:
        st.caption("One quantile is a forecast without a band; others beside it make a band.")
    changed = task.model_copy(update={"quantiles": told})
    if not changed.has_middle and len(told) < MOST_QUANTILES:
        st.button(
            f"Add {MIDDLE:g}", icon=":material/build:", key=f"{key}.middle", on_click=_add_middle,
            args=(key,),
            help="Half of the values fall below it: it is the forecast, which a launch asks for",
        )  # fmt: skip
    return changed, []


def _add_middle(key: str) -> None:
    st.session_state[key] = [*st.session_state[key], f"{MIDDLE:g}"]


def quantiles_of(chosen: Sequence[str]) -> tuple[float, ...]:
    """Quantiles as typed, `0.05`, `0,05` or `5 %`, rising and each once. Raises ValueError saying what is
    wrong."""
    found = set()
    for text in chosen:
        bare = text.strip().replace(",", ".")
        try:
            value = float(bare.removesuffix("%")) / (100 if bare.endswith("%") else 1)
        except ValueError:
            raise ValueError(f"`{text[:20]}` is no number") from None
        if not 0 < value < 1:
            raise ValueError(f"`{text[:20]}` is not")
        found.add(round(value, 6))
    if not found:
        raise ValueError("none is chosen")
    return tuple(sorted(found))


def facts(row: DatasetRow) -> list[tuple[str, str]]:
    """What stands in the head line of a series."""
    n = len(row.schema.variates)
    return [
        (count(n), "variate" if n == 1 else "variates"),
        (escape(row.schema.frequency) or "uneven", "from step to step"),
    ]


# ---------------------------------------------------------------- what comes next


def page(run: RunRow, checkpoint: str) -> None:
    """The forecast from the end of the series, or of a file that goes on from it."""
    file = None
    way = st.segmented_control(
        "From", ["The end of the data", "A file"], default="The end of the data", required=True,
        key="predict.way", bind="query-params",
    )  # fmt: skip
    if way == "A file":
        file = st.file_uploader(
            "A table of the same columns", type=list(TYPES),
            max_upload_size=MAX_UPLOAD_MB, key="predict.series",
            help="As many steps as the model looks back, or fewer that go on where the data ends",
        )  # fmt: skip
        if file is None:
            st.caption(
                f"The model sees {run.spec.data.series.look_back:,} steps of the past; steps that go on "
                "where its data ends are joined to it."
            )
            return
    payload: dict[str, Any] = {"run": run.id, "checkpoint": checkpoint}
    if file is not None:
        content = base64.b64encode(file.getvalue()).decode("ascii")
        payload["images"] = [{"name": file.name[:80], "content": content}]
    with st.spinner("The model looks ahead"):
        answer = answers.ask(store(), "predict", payload, timeout_s=WAIT_S)[0]
    show(answer)


def show(answer: Mapping[str, Any]) -> None:
    """The forecast with its band, as a picture and as a table to take away."""
    names = [str(name) for name in answer["variates"]]
    at = 0
    if len(names) > 1:
        at = st.selectbox(
            "Variate",
            range(len(names)),
            key="predict.variate",
            width=260,
            format_func=lambda i: shown(names[i], 80),
        )
    with st.container(border=True, key="box-answer"):
        times = answer["times"]
        st.caption(
            f"{len(times):,} {'step' if len(times) == 1 else 'steps'} ahead: {times[0]} to {times[-1]}"
            + (f". Band: {plain(str(answer['band']), 400)}" if answer["band"] else "")
        )
        st.plotly_chart(ahead_figure(ahead_info(answer, at)), key="predict.figure", config=PLAIN)
        for repair in answer["repairs"][:20]:
            st.caption(message(str(repair), 200))
        rows = table(answer)
        st.dataframe(
            {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}, hide_index=True,
            key="predict.table", height=min(420, 38 + 35 * len(times)),
        )  # fmt: skip
        st.download_button(
            "Download as CSV", as_csv(rows), "forecast.csv", "text/csv", icon=":material/download:",
            key="predict.save", on_click="ignore",
        )  # fmt: skip


def table(answer: Mapping[str, Any]) -> list[list[Any]]:
    """The answer as rows: moment, and of each variate the forecast and its band; the first row names them."""
    names = [str(name) for name in answer["variates"]]
    head = ["time"]
    for name in names:
        head += [name, f"{name} low", f"{name} high"] if answer["band"] else [name]
    rows: list[list[Any]] = [head]
    for step, time in enumerate(answer["times"]):
        row: list[Any] = [time]
        for v in range(len(names)):
            row.append(answer["prediction"][step][v])
            if answer["band"]:
                row += [answer["low"][step][v], answer["high"][step][v]]
        rows.append(row)
    return rows


def as_csv(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()

"""After a run: the samples its model finds hardest, the labels it doubts, and the oddest ones.

The scores come from the process that has torch loaded. The run keeps its version of the set; what is
changed here is the newest, so each sample is looked up there first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import streamlit as st

from workbench import catalog
from workbench.data import SHIPPED
from workbench.data.prepared import open_arrays, read_labels
from workbench.data.report import shown
from workbench.data.table.stored import StoredTable
from workbench.figures.theme import ACCENT
from workbench.jobs.hardest import SPLITS, hardest
from workbench.specs.tables import INPUTS
from workbench.store import Query, RunRow
from workbench.store.datasets import DatasetRow
from workbench.ui import classes, nav
from workbench.ui.marks import count, plain, share
from workbench.ui.state import store
from workbench.ui.tiles import TILE_PX, enlarged

Line = Mapping[str, Any]
VIEW = "Hard and odd"  # the tab's name, and what the URL says
MOST_RUNS = 200  # offered
PAGE = 36  # samples
KINDS = {
    "hardest": ("Hardest", "Highest loss: how little the model gave to the label, in nats. 0 is certain."),
    "mislabelled": (
        "Label in doubt",
        "The model is surer of another class than it usually is of that class: often the label is wrong. "
        "Confident learning, Northcutt et al. 2021.",
    ),
    "oddest": (
        "Oddest",
        "Unlike what was trained on: far from its tenth nearest neighbour in training, in the model's last "
        "features. Deep nearest neighbours, Sun et al. 2022.",
    ),
}
OF_NUMBERS = {  # where numbers are told, and no class
    "hardest": ("Farthest off", "What the model tells lies farthest from what is true."),
    "oddest": KINDS["oddest"],
}
TASKS = ("classification", "regression", "forecasting")
WHAT = {"text": "texts", "table": "rows", "series": "windows"}
COURSE_PX = (104, 26)  # of a course that is drawn as a picture
MOST_COLUMNS = 40  # of a table beside each row
SPLIT_WORDS = {"validation": "Validation", "test": "Test", "train": "Training"}


def hard_and_odd(row: DatasetRow) -> None:
    """The view of one set: which run, which split, which kind, and the samples."""
    found, _ = store().runs.search(Query(data=[row.name], saved=True), limit=MOST_RUNS)
    if not found:
        st.info("Train a run on this set first. Then its hardest samples stand here.", icon=":material/info:")
        return
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        run = _run(row, found)
        options = [name for name in SPLITS if name != "test" or _has_test(row, run)]
        split = st.segmented_control(
            "Split", options, default=options[0], required=True, key=f"hard.split.{row.name}.{len(options)}",
            format_func=lambda name: SPLIT_WORDS[name],
            help="Validation and test samples were not learned from, so their losses are the honest ones. "
            "Training samples show wrong labels as long as the model has not learned them by heart.",
        )  # fmt: skip
        kinds = KINDS if run.spec.task.kind == "classification" else OF_NUMBERS
        kind = st.segmented_control(
            "Show", list(kinds), default="hardest", required=True, key=f"hard.kind.{row.name}.{len(kinds)}",
            format_func=lambda name: kinds[name][0],
        )  # fmt: skip
    answer = _ask(run, str(split))
    lines = answer[str(kind)]
    st.caption(kinds[str(kind)][1])
    _facts(answer, str(kind))
    if not lines:
        st.success("No label is in doubt here.", icon=":material/check_circle:")
        return
    if answer["kind"] == "series":
        _windows(answer, lines)
    elif answer["kind"] == "table":
        _rows(row, answer, lines)
    else:
        _grid(row, answer, lines, str(kind))


def _rows(row: DatasetRow, answer: Line, lines: Sequence[Line]) -> None:
    """Rows of a table: what is true and what is told, then the cells as they were read."""
    stored = StoredTable(store().datasets.get(row.name, int(answer["version"])).path)
    cells = stored.rows(np.array([int(line["row"]) for line in lines]))
    inputs = [own.name for own in row.schema.fields if own.role in INPUTS][:MOST_COLUMNS]
    found: dict[str, list[Any]] = {"Row": [int(line["row"]) for line in lines]}
    if answer["task"] == "regression":
        unit = f" ({shown(answer['unit'], 12)})" if answer["unit"] else ""
        found[f"True{unit}"] = [line["label"] for line in lines]
        found["Told"] = [line["prediction"] for line in lines]
        found["Off"] = [line["loss"] for line in lines]
    else:
        for head, name in (("True", "label"), ("Told", "prediction")):
            found[head] = [shown(str(answer["classes"][line[name]]), 40) for line in lines]
        found["Sure"] = [line["confidence"] for line in lines]
        found["Loss"] = [line["loss"] for line in lines]
    found["Odd"] = [line["oddness"] for line in lines]
    for name in inputs:
        found[f"· {shown(name, 60)}"] = [_cell(one.get(name)) for one in cells]
    config = {
        "Row": st.column_config.NumberColumn(format="localized", pinned=True),
        "Sure": st.column_config.NumberColumn(format="percent", help="How sure the model is of it"),
        "Loss": st.column_config.NumberColumn(format="%.3f", help="In nats; 0 is certain"),
        "Off": st.column_config.NumberColumn(format="%.5g", help="How far what is told is from what is true"),
        "Odd": st.column_config.NumberColumn(
            format="%.2f", help="0 to 2: how far from its tenth nearest neighbour"
        ),
    }  # fmt: skip
    st.dataframe(
        found, hide_index=True, column_config=config, key=f"hard.rows.{answer['run']}.{answer['split']}"
    )


def _windows(answer: Line, lines: Sequence[Line]) -> None:
    """Windows of a series: when they are, how far off they are, and the course of both."""
    ends = [v for line in lines for v in (*line["truth"], *line["told"]) if v is not None]
    scale = {"y_min": min(ends), "y_max": max(ends)}
    has_gaps = any(v is None for line in lines for v in line["truth"])
    found = {
        "What is told of": [line["text"] for line in lines],
        "Mean error": [line["loss"] for line in lines],
        "Odd": [line["oddness"] for line in lines],
        "True": [
            _course(line["truth"], min(ends), max(ends)) if has_gaps else line["truth"] for line in lines
        ],
        "Told": [line["told"] for line in lines],
    }
    true: Any = st.column_config.LineChartColumn(help="What came, on one scale for all rows", **scale)
    if has_gaps:
        true = st.column_config.ImageColumn(
            width="small", help="What came, on one scale for all rows; a gap where it was filled in"
        )
    config = {
        "What is told of": st.column_config.TextColumn(width="medium", pinned=True),
        "Mean error": st.column_config.NumberColumn(
            format="%.3f", help="Mean absolute error over the steps ahead, where every variate has variance 1"
        ),
        "Odd": st.column_config.NumberColumn(format="%.2f", help="How unlike the windows of the training"),
        "True": true,
        "Told": st.column_config.LineChartColumn(help="What the model told, on the same scale", **scale),
    }
    st.dataframe(
        found, hide_index=True, column_config=config, key=f"hard.windows.{answer['run']}.{answer['split']}"
    )


def _course(values: Sequence[float | None], low: float, high: float) -> str:
    """A course as a picture with gaps, as a data URL: a line chart in a cell draws nothing where one value is
    missing."""
    wide, tall = COURSE_PX
    across, up = (wide - 4) / max(1, len(values) - 1), (tall - 4) / ((high - low) or 1.0)
    path, is_drawn = [], False
    for i, value in enumerate(values):
        if value is not None:
            place = f"{2 + i * across:.1f} {tall - 2 - (value - low) * up:.1f}"
            path.append(f"L{place}" if is_drawn else f"M{place}h0.1")  # one alone is a dot
        is_drawn = value is not None
    stroke = f"fill='none' stroke='{ACCENT}' stroke-width='1.5' stroke-linecap='round'"
    size = f"width='{wide}' height='{tall}' viewBox='0 0 {wide} {tall}'"
    drawn = f"<svg xmlns='http://www.w3.org/2000/svg' {size}><path {stroke} d='{''.join(path)}'/></svg>"
    return f"data:image/svg+xml;utf8,{quote(drawn)}"


def _cell(value: Any) -> Any:
    return shown(value, 200) if isinstance(value, str) else value


def link(run: RunRow) -> None:
    """From a run to its samples, once it has been validated."""
    if run.metrics.get("val/loss") and run.spec.task.kind in TASKS:
        nav.link(
            "data", "Its hardest and oddest samples", icon=":material/troubleshoot:",
            set=run.spec.data.name, view=VIEW, run=run.id,
        )  # fmt: skip


def _run(row: DatasetRow, found: Sequence[RunRow]) -> RunRow:
    """The run that the URL names, else the newest."""
    by_id = {run.id: run for run in found}
    key = f"hard.run.{row.name}"
    asked = nav.asked("run")
    current = asked if asked in by_id else found[0].id
    if asked != current:
        st.query_params["run"] = current
    st.session_state[key] = current

    def carry_over() -> None:
        st.query_params["run"] = st.session_state[key]

    def label(run_id: str) -> str:
        run = by_id[run_id]
        when = time.strftime("%d %b %H:%M", time.localtime(run.created))
        return f"{run.name[:60]} · {when} · {run.id[-4:]}"

    st.selectbox("Run", list(by_id), key=key, format_func=label, on_change=carry_over, width=340)
    return by_id[current]


def _has_test(row: DatasetRow, run: RunRow) -> bool:
    return bool(row.splits.get("test")) or run.spec.data.test > 0


def _ask(run: RunRow, split: str) -> dict[str, Any]:
    """The answer, with a bar while it is worked out; the second time it is there at once."""
    place = st.empty()

    def progress(done: float) -> None:
        if done < 1:
            place.progress(done, text="Asking the model about each sample")

    answer = hardest(store(), run.id, split, progress=progress)
    place.empty()
    return answer


def _facts(answer: Mapping[str, Any], kind: str) -> None:
    judged, whole = int(answer["judged"]), int(answer["of"])
    what = WHAT.get(str(answer["kind"]), "images")
    words = (
        f"{count(judged)} {what} judged by checkpoint {answer['checkpoint']}, step {count(answer['step'])}"
    )
    if judged < whole:
        words += f", drawn from {count(whole)}"
    if answer.get("filled"):
        words += f" · {count(answer['filled'])} more left out: all of their values were filled in"
    if kind == "mislabelled":
        words += f" · {count(answer['doubted'])} labels in doubt"
    st.caption(words)


def _grid(row: DatasetRow, answer: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], kind: str) -> None:
    key = f"hard.{row.name}.{row.version}.{answer['run']}.{answer['split']}.{kind}"
    page_key = f"{key}.page"
    pages = -(-len(lines) // PAGE)
    page = min(int(st.session_state.get(page_key, 1)), pages) - 1
    here = lines[page * PAGE : (page + 1) * PAGE]
    rows = [int(line["row"]) for line in here]
    now = catalog.followed(store(), row.name, int(answer["version"]), rows)
    show = _texts if answer["kind"] == "text" else _images
    chosen = show(row, answer, here, now.tolist(), kind, key)
    if pages > 1:
        st.pagination(pages, key=page_key)
    if row.name in SHIPPED:
        classes.copy_hint(row)
        return
    said = {str(answer["classes"][line["prediction"]]) for line, _ in chosen}
    classes.act_on(row, [place for _, place in chosen], key, said.pop() if len(said) == 1 else None)


def _images(
    row: DatasetRow, answer: Line, lines: Sequence[Line], now: Sequence[int], kind: str, key: str
) -> list[tuple[Line, int]]:
    """Tiles in rows; those that were chosen, with their rows in the newest version (`now`, -1 where gone)."""
    rows = [int(line["row"]) for line in lines]
    seen = open_arrays(store().datasets.get(row.name, int(answer["version"])).path).images[rows]
    labels, _ = read_labels(row.path)
    chosen = []
    with st.container(horizontal=True, gap="small", key="grid-images-hard"):
        for line, image, place in zip(lines, seen, now, strict=True):
            label, said = (answer["classes"][line[name]] for name in ("label", "prediction"))
            with st.container(width=TILE_PX + 56, gap="xxsmall"):
                st.image(enlarged(_hwc(image)), width=TILE_PX, alt=f"{label}, called {said}"[:80])
                st.markdown(f"**{plain(label, 12)}** → {plain(said, 12)}")
                st.caption(_score(line, kind))
                if told := _since(row, label, labels, place):
                    st.caption(told)
                if place >= 0 and _choose(row, line, key):
                    chosen.append((line, place))
    return chosen


def _texts(
    row: DatasetRow, answer: Line, lines: Sequence[Line], now: Sequence[int], kind: str, key: str
) -> list[tuple[Line, int]]:
    """A text a line, as `_images`."""
    labels, _ = read_labels(row.path)
    chosen = []
    for line, place in zip(lines, now, strict=True):
        label, said = (answer["classes"][line[name]] for name in ("label", "prediction"))
        with st.container(
            horizontal=True, gap="medium", vertical_alignment="top", key=f"{key}.line.{line['row']}"
        ):
            with st.container(width=190, gap="xxsmall"):
                st.markdown(f"**{plain(label, 20)}** → {plain(said, 20)}")
                told = _since(row, label, labels, place)
                st.caption(" · ".join(part for part in (_score(line, kind), told) if part))
                if place >= 0 and _choose(row, line, key):
                    chosen.append((line, place))
            st.text(str(line["text"]), width="stretch")
    return chosen


def _since(row: DatasetRow, label: str, labels: np.ndarray, place: int) -> str:
    """What became of a sample after the run's version of the set."""
    if place < 0:
        return "dropped since"
    current = row.schema.classes[labels[place]]
    return f"now {plain(current, 12)}" if current != label else ""


def _choose(row: DatasetRow, line: Line, key: str) -> bool:
    return row.name not in SHIPPED and st.checkbox("Choose", key=f"{key}.{line['row']}")


def _score(line: Mapping[str, Any], kind: str) -> str:
    if kind == "oddest":
        return f"odd {line['oddness']:.2f}, loss {line['loss']:.2f}"
    return f"loss {line['loss']:.2f}, {share(line['confidence'])}"


def _hwc(image: np.ndarray) -> np.ndarray:
    """(C, H, W) as (H, W) or (H, W, 3)."""
    return np.asarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))

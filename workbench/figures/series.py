"""A series as curves over time with the borders of its splits; a forecast behind its past, with its band."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures.theme import ACCENT, BAD, GOOD, MUTED, TRAIN, VALIDATION, layout

ROW_PX = 120  # of one variate among several
ALONE_PX = 280
LINE = 18  # characters of a name beside one variate among several


class CurvesInfo(NamedTuple):
    """x: per variate (n,) moments or numbers of steps; y: per variate (n,); spans: (name, from, to) of the
    splits on the x axis; gaps: (from, to) of steps that were made up."""

    names: tuple[str, ...]
    x: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    spans: tuple[tuple[str, Any, Any], ...]
    gaps: tuple[tuple[Any, Any], ...]


def curves_info(
    curves: Sequence[Any], moments: np.ndarray, borders: Sequence[int], gaps: Sequence[tuple[int, int]]
) -> CurvesInfo:
    """curves: with name, at (n,) steps and value (n,); moments: of every step; borders: where the splits end.

    Check: splits lie side by side, and no step is in two of them.
    """
    last = len(moments) - 1
    spans, start = [], 0
    for name, end in zip(("train", "validation", "test"), borders, strict=True):
        if end > start:
            spans.append((name, moments[start], moments[min(end, last)]))
        start = end
    return CurvesInfo(
        tuple(curve.name for curve in curves), tuple(moments[curve.at] for curve in curves),
        tuple(curve.value for curve in curves), tuple(spans),
        tuple((moments[max(0, at - 1)], moments[min(last, at + n)]) for at, n in gaps),
    )  # fmt: skip


def curves_figure(info: CurvesInfo) -> go.Figure:
    """Every variate over time; behind it the stretches of validation and test, and gaps that were filled."""
    n = len(info.names)
    figure = make_subplots(rows=n, cols=1, shared_xaxes=True, vertical_spacing=min(0.03, 0.3 / n))
    for row, (name, x, y) in enumerate(zip(info.names, info.x, info.y, strict=True), 1):
        figure.add_trace(
            go.Scatter(
                x=x, y=y, mode="lines", line={"color": TRAIN, "width": 1.2}, name=name,
                hovertemplate="%{x}<br>%{y:.5g}<extra>%{fullData.name}</extra>",
            ), row=row, col=1,
        )  # fmt: skip
        if n > 1:
            lines = wrap(name, LINE, max_lines=2, placeholder="…")
            figure.update_yaxes(title={"text": "<br>".join(lines), "font": {"size": 11}}, row=row, col=1)
    for split, start, stop in info.spans:
        if split != "train":
            colour = VALIDATION if split == "validation" else GOOD
            figure.add_vrect(
                x0=start, x1=stop, fillcolor=colour, opacity=0.12, line_width=0, layer="below",
                annotation_text=split, annotation_position="top left",
                annotation={"font": {"size": 11, "color": colour}}, exclude_empty_subplots=True,
                row=1, col=1,
            )  # fmt: skip
            for row in range(2, n + 1):
                figure.add_vrect(
                    x0=start, x1=stop, fillcolor=colour, opacity=0.12, line_width=0, row=row, col=1
                )
    for start, stop in info.gaps[:40]:
        figure.add_vrect(x0=start, x1=stop, fillcolor=BAD, opacity=0.35, line_width=0, row="all", col=1)
    figure.update_layout(layout(ALONE_PX if n == 1 else ROW_PX * n + 40))
    figure.update_layout(margin={"t": 18})
    return figure


class AheadInfo(NamedTuple):
    """past_x, past (P,), x, low, middle, high (H,), truth (H,) or none: of one variate."""

    past_x: tuple[str, ...]
    past: np.ndarray
    x: tuple[str, ...]
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    name: str
    band: str


def ahead_info(answer: Any, variate: int) -> AheadInfo:
    """One variate of an answer of `predict`. Check: as many moments as values."""
    past = np.array(answer["past"]["values"])[:, variate]
    low, middle, high = (np.array(answer[side])[:, variate] for side in ("low", "prediction", "high"))
    return AheadInfo(
        tuple(answer["past"]["times"]), past, tuple(answer["times"]), low, middle, high,
        str(answer["variates"][variate]), str(answer["band"]),
    )  # fmt: skip


def ahead_figure(info: AheadInfo) -> go.Figure:
    """What was, and what is forecast behind it, with its band."""
    figure = go.Figure(layout=layout(340))
    joined, last = (info.past_x[-1], *info.x), info.past[-1]
    if info.band:
        for side, fill in ((info.high, None), (info.low, "tonexty")):
            figure.add_trace(
                go.Scatter(
                    x=joined, y=np.concatenate([[last], side]), mode="lines", line={"width": 0}, fill=fill,
                    fillcolor="rgba(91,94,240,0.22)", hoverinfo="skip",
                )
            )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=info.past_x, y=info.past, mode="lines", line={"color": MUTED, "width": 1.5},
            hovertemplate="%{x}<br>%{y:.5g}<extra>past</extra>",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=joined, y=np.concatenate([[last], info.middle]),
            mode="lines+markers" if len(info.x) < 30 else "lines",
            line={"color": ACCENT, "width": 2}, hovertemplate="%{x}<br>%{y:.5g}<extra>forecast</extra>",
        )
    )  # fmt: skip
    order = [*info.past_x, *info.x]  # the traces do not begin at the same moment
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order, nticks=8)
    return figure

"""The loss over a growing learning rate, and the rate that it suggests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.figures.theme import ACCENT, GOOD, MUTED, layout

ROOM = 2.0  # the axis ends at so many times the highest smoothed loss of the sound part


class RangeInfo(NamedTuple):
    """rates, losses, smoothed (n,) float64; suggestion: a rate, or None; top: the highest loss shown."""

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    top: float


def range_test_info(found: Mapping[str, Any]) -> RangeInfo:
    """found: a range test's result as plain data; None stands for a loss that was no number."""
    rates, losses, smoothed = (_numbers(found[name]) for name in ("rates", "losses", "smoothed"))
    start = smoothed[: max(1, len(smoothed) // 2)]
    sound = start[np.isfinite(start)]
    return RangeInfo(
        rates, losses, smoothed, found["suggestion"], ROOM * float(sound.max() if len(sound) else 1.0)
    )


def range_test_figure(info: RangeInfo) -> go.Figure:
    """Each update's loss faintly, the smoothed loss as a line, and the suggestion as a mark."""
    dots = go.Scatter(
        x=info.rates, y=info.losses, mode="markers", marker={"color": MUTED, "size": 3, "opacity": 0.5},
        hoverinfo="skip",
    )  # fmt: skip
    line = go.Scatter(
        x=info.rates, y=info.smoothed, mode="lines", line={"color": ACCENT, "width": 2},
        hovertemplate="rate %{x:.2g}<br>loss %{y:.3f}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([dots, line], layout(230))
    if info.suggestion is not None:
        place = int(np.argmin(np.abs(np.log(info.rates) - np.log(info.suggestion))))
        figure.add_vline(x=info.suggestion, line={"color": GOOD, "width": 1.5, "dash": "dot"})
        figure.add_scatter(
            x=[info.suggestion], y=[info.smoothed[place]], mode="markers",
            marker={"color": GOOD, "size": 11, "symbol": "diamond"},
            hovertemplate="suggested: %{x:.2g}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="learning rate", type="log", showgrid=False, exponentformat="power", dtick=1)
    figure.update_yaxes(title="loss", range=[0, info.top], nticks=5)
    return figure


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

"""How long the texts of a set are in tokens, and where they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.figures.theme import BAD, TRAIN, WARN, layout


class LengthsInfo(NamedTuple):
    """Bars of texts by tokens: left edges and widths (K,), texts (K,) int64; cut: where the length ends, and
    which share of the texts goes beyond."""

    edges: np.ndarray
    counts: np.ndarray
    length: int
    cut: float


def lengths_info(edges: Sequence[int], counts: Sequence[int], length: int, cut: float) -> LengthsInfo:
    """edges: one more than counts. Bars behind the last text are left out.

    Check: no text is lost.
    """
    n = np.asarray(counts, np.int64)
    last = int(np.flatnonzero(n).max(initial=0)) + 1
    return LengthsInfo(np.asarray(edges, np.int64)[: last + 1], n[:last], length, cut)


def lengths_figure(info: LengthsInfo) -> go.Figure:
    """Texts by their tokens; what is cut off in another colour."""
    left, right = info.edges[:-1], info.edges[1:]
    colours = [WARN if start >= info.length else TRAIN for start in left]
    told = [str(a) if b - a == 1 else f"{a:,} to {b - 1:,}" for a, b in zip(left, right, strict=True)]
    bar = go.Bar(
        x=(left + right) / 2 - 0.5, y=info.counts, width=right - left, customdata=told,
        marker={"color": colours, "line": {"width": 0}},
        hovertemplate="%{y:,} texts of %{customdata} tokens<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([bar], layout(230, bargap=0.06))
    if info.length < info.edges[-1]:
        figure.add_vline(x=info.length + 0.5, line={"color": BAD, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=info.length + 0.5, y=1, yref="paper", text=f"cut at {info.length:,}", showarrow=False,
            xanchor="left", xshift=5, yanchor="top", font={"size": 12, "color": BAD},
        )  # fmt: skip
    figure.update_xaxes(title="tokens")
    figure.update_yaxes(title="texts")
    return figure

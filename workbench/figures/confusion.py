"""A confusion matrix as a picture: true classes in rows, predicted ones in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.figures.theme import SEQUENTIAL, layout


class ConfusionInfo(NamedTuple):
    """matrix (K, K) int64, rows true; shares (K, K): each row divided by its sum, 0 for an empty row."""

    classes: tuple[str, ...]
    matrix: np.ndarray
    shares: np.ndarray
    accuracy: float


def confusion_info(matrix: Sequence[Sequence[int]] | np.ndarray, classes: Sequence[str]) -> ConfusionInfo:
    """Check: accuracy is the trace over the sum; NaN for an empty matrix."""
    m = np.asarray(matrix, dtype=np.int64)
    rows = m.sum(axis=1, keepdims=True)
    shares = np.divide(m, rows, out=np.zeros(m.shape), where=rows > 0)
    total = int(m.sum())
    return ConfusionInfo(tuple(classes), m, shares, float(np.trace(m) / total) if total else float("nan"))


def confusion_figure(info: ConfusionInfo) -> go.Figure:
    """Where the model is right (diagonal) and what it takes for what; colour: share of the true class."""
    k = len(info.classes)
    names = [n.replace("<", "‹").replace(">", "›")[:20] for n in info.classes]
    places = list(range(k))
    heat = go.Heatmap(
        z=info.shares,
        x=places,
        y=places,
        zmin=0,
        zmax=1,
        colorscale=SEQUENTIAL,
        showscale=False,
        xgap=1,
        ygap=1,
        customdata=info.matrix,
        text=info.matrix if k <= 15 else None,
        texttemplate="%{text}" if k <= 15 else None,
        hovertemplate="%{customdata} images (%{z:.1%})<extra></extra>",
    )
    figure = go.Figure(heat, layout(min(720, 34 * k + 110)))
    figure.update_xaxes(title="predicted", tickvals=places, ticktext=names, showgrid=False, side="bottom")
    figure.update_yaxes(title="true", tickvals=places, ticktext=names, showgrid=False, autorange="reversed")
    return figure

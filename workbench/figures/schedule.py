"""The learning rate that a schedule will give, as a curve over the epochs of the run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.figures.theme import ACCENT, layout
from workbench.specs.training import TrainingSpec

MAX_POINTS = 400


class ScheduleInfo(NamedTuple):
    """epochs (n,) and rates (n,) float64, in step order; `waits`: drops depend on what is measured."""

    epochs: np.ndarray
    rates: np.ndarray
    waits: bool


def schedule_info(training: TrainingSpec, steps_per_epoch: int) -> ScheduleInfo:
    """Rate of at most 400 evenly spread updates; first and last update are always among them."""
    total = training.total_steps(steps_per_epoch)
    steps = np.unique(np.linspace(0, total - 1, min(total, MAX_POINTS)).round().astype(int))
    factors = [training.schedule.factor(int(s), total, steps_per_epoch) for s in steps]
    rates = training.optimizer.lr * np.array(factors, dtype=np.float64)
    return ScheduleInfo(steps / steps_per_epoch, rates, training.schedule.kind == "plateau")


def schedule_figure(info: ScheduleInfo) -> go.Figure:
    """Learning rate at each moment of the run."""
    line = go.Scatter(
        x=info.epochs,
        y=info.rates,
        mode="lines",
        line={"color": ACCENT, "width": 2, "dash": "dot" if info.waits else "solid"},
        fill="tozeroy",
        fillcolor="rgba(91, 94, 240, 0.08)",
        hovertemplate="epoch %{x:.2f}<br>rate %{y:.3g}<extra></extra>",
    )
    figure = go.Figure(line, layout(210))
    figure.update_xaxes(title="epoch", showgrid=False, zeroline=False)
    figure.update_yaxes(title="learning rate", rangemode="tozero", exponentformat="power", nticks=5)
    return figure

"""How many images or texts each class has in each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.figures.theme import MUTED, TRAIN, VALIDATION, layout

COLOURS = {"train": TRAIN, "validation": VALIDATION, "test": MUTED}
MAX_NAME = 24


class BalanceInfo(NamedTuple):
    """counts: split → (K,) int64 in class order; ratio: largest over smallest class of the whole."""

    classes: tuple[str, ...]
    counts: dict[str, np.ndarray]
    ratio: float


def balance_info(counts: Mapping[str, Sequence[int]], classes: Sequence[str]) -> BalanceInfo:
    """counts: split → images per class. A class without any makes the ratio infinite."""
    kept = {split: np.asarray(n, dtype=np.int64) for split, n in counts.items() if sum(n)}
    whole = np.sum(list(kept.values()), axis=0) if kept else np.zeros(len(classes), dtype=np.int64)
    smallest = int(whole.min()) if len(classes) else 0
    ratio = float(whole.max() / smallest) if smallest else float("inf")
    return BalanceInfo(tuple(classes), kept, ratio)


def balance_figure(info: BalanceInfo, what: str = "images") -> go.Figure:
    """Images, texts or `what` they are, per class, stacked by split."""
    names = [n if len(n) <= MAX_NAME else n[: MAX_NAME - 1] + "…" for n in info.classes]
    places = np.arange(len(names))
    bars = [
        go.Bar(
            y=places,
            x=counts,
            name=split,
            orientation="h",
            marker={"color": COLOURS[split], "line": {"width": 0}},
            hovertemplate="%{x:,} " + split + "<extra></extra>",
        )
        for split, counts in info.counts.items()
    ]
    figure = go.Figure(bars, layout(max(180, 26 * len(names) + 70), barmode="stack", bargap=0.28))
    figure.update_layout(
        showlegend=len(bars) > 1,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )
    figure.update_xaxes(title=what)
    # Names are shown as text: Plotly would read <b> or a link in a class name as markup.
    figure.update_yaxes(
        tickvals=places,
        ticktext=[n.replace("<", "‹").replace(">", "›") for n in names],
        autorange="reversed",
        showgrid=False,
    )
    return figure


def brightness_figure(counts: Sequence[int]) -> go.Figure:
    """Images by their mean grey. counts: images per bin, the bins of equal width from black to white."""
    width = 256 / max(1, len(counts))
    at = (np.arange(len(counts)) + 0.5) * width
    bar = go.Bar(
        x=at, y=list(counts), width=width, marker={"color": TRAIN, "line": {"width": 0}},
        hovertemplate="%{y:,} images around %{x:.0f}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([bar], layout(200, bargap=0.0))
    figure.update_xaxes(title="mean grey, 0 black to 255 white", range=[0, 256])
    figure.update_yaxes(title="images")
    return figure

"""Where the parameters of a model lie: one bar per layer that has any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from workbench.figures.theme import GROUPS, layout
from workbench.specs.layers import LAYERS
from workbench.specs.model import Row


class LayersInfo(NamedTuple):
    """Layers with parameters, first to last: "3 conv2d", of a decoder "decoder 3 linear"; their counts,
    shares of the whole, groups."""

    names: tuple[str, ...]
    parameters: tuple[int, ...]
    shares: tuple[float, ...]
    groups: tuple[str, ...]


def layers_info(rows: Sequence[Row]) -> LayersInfo:
    """Check: the shares sum to 1 where any layer has parameters."""
    kept = [row for row in rows if row.parameters]
    total = sum(row.parameters for row in kept)
    return LayersInfo(
        names=tuple(f"{row.label.replace('.', ' ')} {row.kind}" for row in kept),
        parameters=tuple(row.parameters for row in kept),
        shares=tuple(row.parameters / total for row in kept),
        groups=tuple(LAYERS[row.kind].group for row in kept),
    )


def layers_figure(info: LayersInfo) -> go.Figure:
    """Parameters by layer, in the order of the model."""
    bars = go.Bar(
        y=list(info.names),
        x=list(info.parameters),
        orientation="h",
        marker={"color": [GROUPS[group] for group in info.groups], "line": {"width": 0}},
        customdata=list(info.shares),
        hovertemplate="%{x:,} parameters (%{customdata:.1%})<extra></extra>",
    )
    figure = go.Figure(bars, layout(max(120, 28 * len(info.names) + 60), bargap=0.35))
    figure.update_xaxes(title="parameters", exponentformat="SI")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure

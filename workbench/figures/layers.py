"""Where the parameters of a model lie: one bar per layer that has any."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from workbench.figures.theme import GROUPS
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


def layers_bars(info: LayersInfo) -> str:
    """Parameters by layer, in the order of the model, as HTML.

    No Plotly figure: its library takes the browser a second, before the page can be used and at no gain.
    """
    largest = max(info.shares, default=1.0)
    rows = "".join(
        f"<span title='{escape(name, quote=True)}'>{escape(name)}</span>"
        f"<span class='wb-bar' style='--c:{GROUPS[group]}'>"
        f"<i style='width:{100 * share / largest:.2f}%'></i></span>"
        f"<b>{count:,}</b><span>{share:.1%}</span>"
        for name, count, share, group in zip(*info, strict=True)
    )
    return f"<div class='wb-probabilities wb-layers'>{rows}</div>"

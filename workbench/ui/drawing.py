"""The drawing of the network on the model page: folded by a click, handed over as SVG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from workbench.figures.drawing import drawing_info, drawing_svg, first_folds, foldable
from workbench.specs.base import AnyShape
from workbench.specs.rows import Row

_ASSETS = Path(__file__).parent / "assets"
_component = st.components.v2.component(
    "workbench.drawing",
    html='<div class="wb-drawing"></div>',
    css=(_ASSETS / "drawing.css").read_text(),
    js=(_ASSETS / "drawing.js").read_text(),
)


def drawing(rows: Sequence[Row], shape: AnyShape, title: str, *, key: str = "drawing") -> None:
    """Draw a model that works. Which groups are folded is kept until their number changes."""
    groups = foldable(rows)
    kept = st.session_state.get(f"{key}.folded")
    folds: list[str] = kept[1] if kept and kept[0] == groups else first_folds(rows)

    def turned() -> None:
        asked = str(st.session_state[key].get("fold") or "")
        st.session_state[f"{key}.folded"] = (groups, after_click(folds, groups, asked))

    info = drawing_info(rows, shape, folds)
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in title).strip("-")[:60] or "network"
    data = {
        "svg": drawing_svg(info, title), "name": name,
        "groups": len(groups), "folded": len(set(folds) & set(groups)),
    }  # fmt: skip
    _component(key=key, data=data, on_fold_change=turned)


def after_click(folds: Sequence[str], groups: Sequence[str], asked: str) -> list[str]:
    """The folded groups after a click on one of them, or on "all" or "none"."""
    if asked in ("all", "none"):
        return list(groups) if asked == "all" else []
    if asked not in groups:
        return list(folds)
    return [one for one in folds if one != asked] if asked in folds else [*folds, asked]

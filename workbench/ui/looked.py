"""Where a Vision Transformer looked in a picture: heat over it, for the predict page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

COOL, HOT = np.array([255.0, 74.0, 0.0]), np.array([255.0, 221.0, 51.0])  # as on the live page
STRONGEST = 0.82  # opacity of the most
DIMMED = 0.5  # of the picture's light
SIDE = 132  # pixels of a small picture
LARGE = 220
WHOLE = "whole"


def heat(picture: np.ndarray, weights: np.ndarray, side: int) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 with weights (R, C) >= 0 over it -> (side', side', 3) uint8, enlarged."""
    colour = np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture[:, :, :3]
    zoom = max(1, round(side / max(colour.shape[:2])))
    large = colour.repeat(zoom, axis=0).repeat(zoom, axis=1) * DIMMED
    most = max(float(weights.max()), 2 / weights.size)  # twice an even share, as on the live page
    share = np.minimum(1.0, weights / most)
    rows = np.arange(large.shape[0]) * weights.shape[0] // large.shape[0]
    columns = np.arange(large.shape[1]) * weights.shape[1] // large.shape[1]
    spread = share[rows][:, columns, None]
    tint = COOL + (HOT - COOL) * spread
    mixed = large * (1 - STRONGEST * spread) + tint * STRONGEST * spread
    return np.asarray(np.round(mixed).clip(0, 255), dtype=np.uint8)


def maps_of(layer: Mapping[str, Any], rows: int, columns: int) -> np.ndarray:
    """(heads, rows, columns) float64."""
    levels = np.frombuffer(base64.b64decode(layer["weights"]), np.uint8)
    return levels.reshape(int(layer["heads"]), rows, columns) / 255.0 * float(layer["most"])


def show_looked(picture: np.ndarray, looked: Mapping[str, Any]) -> None:
    """The picture with what the class token looked at: through all layers, or head by head of one."""
    who = "class token" if looked["has_class"] else "patches"
    st.markdown(f"**Where the {who} looked**")
    names = [WHOLE, *(layer["name"] for layer in looked["layers"])]
    chosen = st.segmented_control(
        "Layer", names, default=WHOLE, required=True, key="predict.looked",
        format_func=lambda name: "All layers" if name == WHOLE else str(names.index(name)),
        help="All layers: attention multiplied up from the first layer to the last, heads averaged",
    )  # fmt: skip
    layer = looked["whole"] if chosen == WHOLE else looked["layers"][names.index(chosen) - 1]
    maps = maps_of(layer, int(looked["rows"]), int(looked["columns"]))
    side = LARGE if len(maps) == 1 else SIDE
    st.image(
        [heat(picture, one, side) for one in maps],
        caption=None if len(maps) == 1 else [f"head {i + 1}" for i in range(len(maps))],
        width=side, alt=["The picture with heat where the model looked"] * len(maps),
    )  # fmt: skip
    st.caption("The brighter a patch, the more of the attention went to it.")

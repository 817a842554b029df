"""One colour per meaning, on every page and in every figure.

Each colour is a middle tone that keeps a contrast of at least 3:1 to the light and to the dark
background, so that a figure needs no second palette. The browser side reads the same values as CSS
variables (`css_variables`): `--wb-train`, `--wb-validation`, `--wb-state-running`, `--wb-good`, ...
"""

from __future__ import annotations

from typing import Any

from workbench.records import RunState

TRAIN = "#2f7ae5"
VALIDATION = "#e8710a"
GOOD = "#1a9c5b"
WARN = "#b87d02"
BAD = "#e5484d"
ACCENT = "#5b5ef0"
MUTED = "#8089a0"

STATES: dict[RunState, str] = {
    RunState.QUEUED: "#8089a0",
    RunState.STARTING: "#8b5cf6",
    RunState.RUNNING: "#2f7ae5",
    RunState.PAUSED: "#b87d02",
    RunState.STOPPING: "#d9641e",
    RunState.FINISHED: "#1a9c5b",
    RunState.STOPPED: "#64748b",
    RunState.FAILED: "#e5484d",
    RunState.LOST: "#c026d3",
}

# One tint per layer group in the editor and in the figure of parameters by layer.
GROUPS: dict[str, str] = {
    "convolution": "#2f7ae5",
    "pooling": "#0891b2",
    "normalisation": "#8b5cf6",
    "activation": "#b87d02",
    "regularisation": "#d9641e",
    "dense": "#1a9c5b",
    "text": "#0d8f86",
    "table": "#5a7d2a",
    "recurrent": "#7d8a15",
    "attention": "#d6336c",
    "series": "#0e7490",
    "group": "#64748b",
    "other": "#8089a0",
}


# Classes, in masks and maps of codes: the first is the ground of a mask. More classes go round.
CLASSES: tuple[str, ...] = (
    "#8089a0", "#2f7ae5", "#e8710a", "#1a9c5b", "#c026d3", "#e5484d",
    "#0891b2", "#b87d02", "#8b5cf6", "#7d8a15", "#d6336c", "#0d8f86",
)  # fmt: skip


def css_variables() -> dict[str, str]:
    """Every meaning as a CSS variable name and its colour."""
    named = {
        "train": TRAIN,
        "validation": VALIDATION,
        "good": GOOD,
        "warn": WARN,
        "bad": BAD,
        "accent": ACCENT,
        "muted": MUTED,
    }
    states = {f"state-{state.value}": colour for state, colour in STATES.items()}
    groups = {f"group-{group}": colour for group, colour in GROUPS.items()}
    classes = {f"class-{k}": colour for k, colour in enumerate(CLASSES)}
    return {f"--wb-{name}": colour for name, colour in {**named, **states, **groups, **classes}.items()}


def layout(height: int, **more: Any) -> dict[str, Any]:
    """The Plotly layout that all figures share: no title, no wasted margin, no zoom buttons' shadow."""
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "showlegend": False,
        "hoverlabel": {"font": {"size": 12}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        **more,
    }


PLAIN = {"displayModeBar": False, "scrollZoom": False}  # the Plotly config of static figures

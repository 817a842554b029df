"""The editor's menu of layers: every kind with its help and fields, what fits the data first."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from workbench.specs.base import AnyShape, Pair, Tokens, Window
from workbench.specs.layers import GROUPS, LAYERS, MAX_LAYERS
from workbench.specs.model import MAX_DEPTH
from workbench.ui.fields import Knob, knobs, summary

Reads = Literal["images", "text", "series", "table"]

TITLES = {
    "text": "Text and sequences",
    "recurrent": "Recurrent",
    "attention": "Attention",
    "group": "Groups",
    "convolution": "Convolution",
    "pooling": "Pooling",
    "normalisation": "Normalisation",
    "activation": "Activation",
    "regularisation": "Regularisation",
    "dense": "Dense",
    "series": "Series",
    "table": "Columns of a table",
    "other": "Other",
}
ORDER: dict[Reads, tuple[str, ...]] = {
    "images": (
        "group", "convolution", "pooling", "normalisation", "activation", "regularisation", "dense", "other",
        "text", "recurrent", "attention", "series", "table",
    ),
    "series": (
        "series", "recurrent", "text", "attention", "dense", "normalisation", "regularisation", "group",
        "activation", "other", "table", "convolution", "pooling",
    ),
    "text": (
        "text", "recurrent", "attention", "dense", "normalisation", "regularisation", "group", "activation",
        "other", "series", "table", "convolution", "pooling",
    ),
    "table": (
        "table", "dense", "normalisation", "activation", "regularisation", "group", "attention", "text",
        "other", "recurrent", "series", "convolution", "pooling",
    ),
}  # fmt: skip
FOREIGN: dict[Reads, tuple[str, str]] = {  # headings of what needs another kind of data, and what they add
    "images": ("text", "also for images, read row by row or in patches"),
    "text": ("convolution", "for images"),
    "series": ("convolution", "for images"),
    "table": ("recurrent", "for texts and images"),
}
SLOTS: dict[str, tuple[str, ...]] = {
    "residual": ("layers", "shortcut"), "repeat": ("layers",), "parallel": ("branches",), "skip": ("layers",),
    "window_norm": ("layers",),
}  # fmt: skip
# What a new group starts with where sequences come in; images take the spec's own defaults.
OF_SEQUENCES: dict[str, dict[str, Any]] = {
    "residual": {"layers": [{"kind": "layer_norm"}, {"kind": "linear"}], "activation": "none"},
    "repeat": {"layers": [{"kind": "transformer_encoder_layer", "norm_first": True}]},
    "parallel": {
        "branches": [
            [{"kind": "conv1d", "kernel_size": size, "padding": size // 2}, {"kind": "relu"}]
            for size in (3, 5)
        ]
    },
}


OF_ROWS: dict[str, dict[str, Any]] = {
    "residual": {"layers": [{"kind": "linear"}, {"kind": "relu"}, {"kind": "linear"}], "activation": "none"},
    "repeat": {"layers": [{"kind": "linear"}, {"kind": "relu"}]},
    "parallel": {"branches": [[{"kind": "linear", "out_features": 64}, {"kind": "relu"}]] * 2},
}
STARTS: dict[Reads, dict[str, dict[str, Any]]] = {
    "images": {}, "text": OF_SEQUENCES, "series": OF_SEQUENCES, "table": OF_ROWS,
}  # fmt: skip


def reads(shape: AnyShape) -> Reads:
    """What a model for this input reads."""
    if isinstance(shape, Window):
        return "series"
    if isinstance(shape, Tokens | Pair):
        return "text"
    return "table" if len(shape) == 1 else "images"


@cache
def menu(kind: Reads = "images") -> dict[str, Any]:
    """Every kind of layer with its group, help and fields, as the browser needs it.

    Groups have `slots` too: the names of their lists of layers, and what a new one starts with.
    """
    kinds: dict[str, Any] = {}
    for name, cls in LAYERS.items():
        fields = [_field(knob) for knob in knobs(cls) if knob.kind != "other"]
        kinds[name] = {"group": cls.group, "help": summary(cls), "fields": fields}
        if name in GROUPS:
            start = cls.model_validate(STARTS[kind].get(name, {})).model_dump(mode="json")
            kinds[name]["slots"] = {slot: start[slot] for slot in SLOTS[name]}
            for field in fields:
                field["default"] = start[field["name"]]
    used = {entry["group"] for entry in kinds.values()}
    groups = [{"name": name, "title": _title(name, kind)} for name in ORDER[kind] if name in used]
    return {"groups": groups, "kinds": kinds, "deepest": MAX_DEPTH, "most": MAX_LAYERS}


def _title(group: str, kind: Reads) -> str:
    first, words = FOREIGN[kind]
    foreign = ORDER[kind].index(group) >= ORDER[kind].index(first)
    return f"{TITLES[group]} · {words}" if foreign else TITLES[group]


def _field(knob: Knob) -> dict[str, Any]:
    """A field as the browser needs it; what is empty is left out, since the menu goes with every answer."""
    entry: dict[str, Any] = {
        "name": knob.name,
        "type": knob.kind,
        "optional": knob.optional,
        "default": knob.default,
        "help": knob.help,
        "unit": knob.unit,
        "advanced": knob.advanced,
        "lo": knob.lo,
        "hi": knob.hi,
        "range": knob.range_text,
        "options": list(knob.options),
    }
    return {
        name: value
        for name, value in entry.items()
        if value not in (None, "", False, []) or name == "default"
    }

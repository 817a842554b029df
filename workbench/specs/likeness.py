"""What a model is like, in a word or two: the name lists of runs are grouped by."""

from __future__ import annotations

from functools import cache

from workbench.specs.model import ModelSpec
from workbench.specs.presets import PRESETS


def like(model: ModelSpec) -> str:
    """The preset that has these layers, whatever its number of classes; else family and depth."""
    return _presets().get(_shape(model)) or f"{model.family}, {len(model.layers)} layers"


@cache
def _presets() -> dict[str, str]:
    return {_shape(preset.spec.model): name for name, preset in reversed(PRESETS.items())}


def _shape(model: ModelSpec) -> str:
    """The layers as text, without the size of a last linear layer: it follows from the data."""
    layers = [layer.model_dump_json() for layer in model.layers]
    if model.layers and model.layers[-1].kind == "linear":
        layers[-1] = model.layers[-1].model_copy(update={"out_features": 0}).model_dump_json()
    return "".join(layers)

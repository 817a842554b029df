"""Random layers and stacks for property tests. No torch here."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from workbench.specs.base import Shape
from workbench.specs.layer import Layer
from workbench.specs.layers import LAYERS
from workbench.specs.model import ModelSpec

# Small numbers on purpose: many stacks, each cheap, most of them just at the edge of what fits.
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "conv2d": {
        "out_channels": st.sampled_from([1, 2, 3, 4, 6, 8]),
        "kernel_size": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 3),
        "dilation": st.integers(1, 3),
        "groups": st.sampled_from([1, 1, 1, 2, 3]),
        "bias": st.booleans(),
    },
    "max_pool2d": {
        "kernel_size": st.integers(1, 4),
        "stride": st.none() | st.integers(1, 3),
        "padding": st.integers(0, 2),
    },
    "avg_pool2d": {
        "kernel_size": st.integers(1, 4),
        "stride": st.none() | st.integers(1, 3),
        "padding": st.integers(0, 2),
    },
    "adaptive_avg_pool2d": {"output_size": st.integers(1, 6)},
    "batch_norm": {"affine": st.booleans()},
    "layer_norm": {"elementwise_affine": st.booleans()},
    "group_norm": {"num_groups": st.integers(1, 4), "affine": st.booleans()},
    "instance_norm": {"affine": st.booleans()},
    "leaky_relu": {"negative_slope": st.floats(0, 1)},
    "elu": {"alpha": st.floats(0.1, 2)},
    "dropout": {"p": st.floats(0, 0.9)},
    "dropout2d": {"p": st.floats(0, 0.9)},
    "linear": {"out_features": st.integers(1, 12), "bias": st.booleans()},
}

kinds = st.sampled_from(sorted(LAYERS))


def layer(kind: str) -> st.SearchStrategy[Layer]:
    return st.builds(LAYERS[kind], **FIELDS.get(kind, {}))


layers = kinds.flatmap(layer)
images: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 12))
vectors: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 24))
shapes = images | vectors

# A flatten somewhere in the middle makes dense tails as likely as convolutional heads.
stacks = st.lists(layers, min_size=1, max_size=6).map(tuple) | st.builds(
    lambda head, tail: (*head, LAYERS["flatten"](), *tail),
    st.lists(layers, max_size=4),
    st.lists(layers, max_size=3),
)


def model_of(rows: Any) -> ModelSpec:
    return ModelSpec(layers=tuple(rows))

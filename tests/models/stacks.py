"""Random layers and stacks for property tests. No torch here."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from workbench.specs.base import Shape
from workbench.specs.data import DataSchema
from workbench.specs.layer import Layer
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.presets import preset

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
    "depthwise_conv2d": {
        "multiplier": st.integers(1, 2),
        "kernel_size": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 3),
        "dilation": st.integers(1, 3),
        "bias": st.booleans(),
    },
    "conv_transpose2d": {
        "out_channels": st.sampled_from([1, 2, 3, 4, 6]),
        "kernel_size": st.integers(1, 4),
        "stride": st.integers(1, 3),
        "padding": st.sampled_from([0, 0, 1, 2]),
        "output_padding": st.sampled_from([0, 0, 0, 1, 2]),
        "dilation": st.integers(1, 2),
        "groups": st.sampled_from([1, 1, 1, 1, 2]),
        "bias": st.booleans(),
    },
    "upsample": {"scale_factor": st.integers(1, 3), "mode": st.sampled_from(["nearest", "bilinear"])},
    "squeeze_excitation": {"reduction": st.integers(1, 4)},
    "max_pool2d": {
        "kernel_size": st.integers(1, 4),
        "stride": st.none() | st.integers(1, 3),
        "padding": st.integers(0, 2),
        "dilation": st.integers(1, 2),
        "ceil_mode": st.booleans(),
    },
    "avg_pool2d": {
        "kernel_size": st.integers(1, 4),
        "stride": st.none() | st.integers(1, 3),
        "padding": st.integers(0, 2),
        "ceil_mode": st.booleans(),
        "count_include_pad": st.booleans(),
    },
    "adaptive_avg_pool2d": {"output_size": st.integers(1, 6)},
    "adaptive_max_pool2d": {"output_size": st.integers(1, 6)},
    "layer_norm2d": {"elementwise_affine": st.booleans()},
    "layer_scale": {"init": st.floats(0.1, 1)},
    "prelu": {"per_channel": st.booleans(), "init": st.floats(-1, 1)},
    "rrelu": {"lower": st.floats(0, 0.3), "upper": st.floats(0.3, 1)},
    "celu": {"alpha": st.floats(0.1, 2)},
    "gelu": {"approximate": st.sampled_from(["none", "tanh"])},
    "hardtanh": {"min_val": st.floats(-3, 0), "max_val": st.floats(0.1, 3)},
    "hardshrink": {"lambd": st.floats(0, 2)},
    "softshrink": {"lambd": st.floats(0, 2)},
    "alpha_dropout": {"p": st.floats(0, 0.9)},
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

plain = st.sampled_from(sorted(set(LAYERS) - set(GROUPS)))


def layer(kind: str, inside: int = 1) -> st.SearchStrategy[Layer]:
    """A layer of that kind; groups hold up to `inside` more levels of groups."""
    if kind not in GROUPS:
        return st.builds(LAYERS[kind], **FIELDS.get(kind, {}))
    some = st.lists(any_layer(inside), max_size=3).map(tuple) | st.lists(keeping, min_size=1, max_size=2).map(
        tuple
    )
    if kind == "residual":
        after = st.sampled_from(["none", "relu", "leaky_relu", "gelu", "silu"])
        short = st.just(()) | st.just(()) | some
        return st.builds(LAYERS[kind], layers=some, shortcut=short, activation=after)
    if kind == "parallel":
        branches = st.lists(some, max_size=3).map(tuple)
        return st.builds(LAYERS[kind], branches=branches, join=st.sampled_from(["concat", "sum"]))
    return st.builds(LAYERS[kind], layers=some, times=st.integers(1, 3))


def any_layer(inside: int) -> st.SearchStrategy[Layer]:
    leaf = plain.flatmap(layer)
    if not inside:
        return leaf
    group = st.sampled_from(sorted(GROUPS)).flatmap(lambda kind: layer(kind, inside - 1))
    return leaf | leaf | group


# Layers after which an image has the size it had: groups need them to work at all.
keeping = (
    st.builds(
        LAYERS["conv2d"], kernel_size=st.just(3), padding=st.just(1), out_channels=st.integers(1, 4),
        bias=st.booleans(),
    )
    | st.builds(LAYERS["depthwise_conv2d"], kernel_size=st.just(3), padding=st.just(1))
    | st.sampled_from(["relu", "batch_norm", "gelu", "layer_scale", "squeeze_excitation"]).flatmap(layer)
)  # fmt: skip

layers = any_layer(2)
images: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 12))
vectors: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 24))
shapes = images | vectors

# A flatten somewhere in the middle makes dense tails as likely as convolutional heads.
stacks = st.lists(layers, min_size=1, max_size=6).map(tuple) | st.builds(
    lambda head, tail: (*head, LAYERS["flatten"](), *tail),
    st.lists(layers, max_size=4),
    st.lists(layers, max_size=3),
)


def input_of(name: str) -> Shape:
    """(C, H, W) that a preset's model sees on the data set that it names."""
    spec = preset(name).spec
    shape = {"digits": (1, 8, 8), "fashion-mnist-sample": (1, 28, 28)}[spec.data.name]
    return DataSchema(shape=shape).shape_for(spec.data)


def model_of(rows: Any) -> ModelSpec:
    return ModelSpec(layers=tuple(rows))

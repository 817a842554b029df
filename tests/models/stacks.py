"""Random layers and stacks for property tests. No torch here."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.models.fields import FIELDS
from workbench.specs.base import Columns, Pair, Picture, Shape, Tokens, Window
from workbench.specs.data import DataSchema
from workbench.specs.layer import Layer
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import ModelSpec
from workbench.specs.presets import preset
from workbench.specs.tasks import score_columns

APART = {"pretrained_text", "pretrained_image"}  # they need a checkpoint, and have tests of their own
SEQUENTIAL = {
    k for k, cls in LAYERS.items() if cls.group in ("text", "recurrent", "attention", "series")
} - APART
# Those of sequences would be refused on almost every image: they have stacks of their own (sequences.py).
TABULAR = {k for k, cls in LAYERS.items() if cls.group == "table"}  # compared in test_columns.py
plain = st.sampled_from(sorted(set(LAYERS) - set(GROUPS) - APART - SEQUENTIAL - TABULAR))


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
    if kind == "skip":
        return st.builds(LAYERS[kind], layers=some, first=st.sampled_from(["input", "layers"]))
    if kind == "window_norm":
        by_step = st.sampled_from(["gelu", "layer_norm", "relu", "flatten", "linear"]).flatmap(layer)
        some = st.lists(by_step, max_size=3).map(tuple)
        return st.builds(LAYERS[kind], layers=some, how=st.sampled_from(["standardize", "mean", "last"]))
    return st.builds(LAYERS[kind], layers=some, times=st.integers(1, 3))


def any_layer(inside: int) -> st.SearchStrategy[Layer]:
    leaf = plain.flatmap(layer)
    if not inside:
        return leaf
    group = st.sampled_from(sorted(set(GROUPS) - SEQUENTIAL)).flatmap(lambda kind: layer(kind, inside - 1))
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


# Entries of the vocabularies of the shipped sets, as the presets tokenize them: source, target.
VOCABULARIES = {
    "sms-spam": (8063, 0), "uci-sentiment": (4739, 0), "iso-dates": (66, 15),
    "tatoeba-fra-eng-small": (2000, 2000),
}  # fmt: skip


# What a model sees of the shipped tables, as the presets encode them, and the columns of its scores.
TABLES = {
    "adult-sample": (Columns(6, (8, 17, 8, 15, 7, 6, 3, 34)), 2), "wine-quality": (Columns(11, (3,)), 1),
    "thousand-columns": ((1000,), 2),
}  # fmt: skip


def input_of(name: str) -> Any:
    """What a preset's model sees on the data set that it names: (C, H, W), tokens, a pair, or columns."""
    spec = preset(name).spec
    data, text = spec.data.name, spec.data.text
    if data == "sunspots":
        return Window(spec.data.series.look_back, 1)
    if data == "tiny-shakespeare":
        return Tokens(text.length, 67 if text.tokenizer == "character" else text.vocabulary)
    if data in VOCABULARIES:
        source, target = (Tokens(text.length, size) for size in VOCABULARIES[data])
        return Pair(source, target) if spec.task.kind == "translation" else source
    if data in TABLES:
        return TABLES[data][0]
    shape = {"digits": (1, 8, 8), "fashion-mnist-sample": (1, 28, 28), "shapes": (3, 48, 48)}[data]
    return spec.task.input(DataSchema(shape=shape).shape_for(spec.data), 4 if data == "shapes" else 10)


def columns_of(name: str) -> int:
    """Columns of the scores that a preset's model gives."""
    shape, spec = input_of(name), preset(name).spec
    if spec.data.name in TABLES:
        return TABLES[spec.data.name][1]
    if isinstance(shape, Pair):
        return shape.target.vocabulary
    if isinstance(shape, Window):
        return score_columns(spec.task, spec.data.series.horizon)
    if spec.task.kind == "language_model":
        return shape.vocabulary
    return 2 if isinstance(shape, Tokens) else shape.gives[0] if isinstance(shape, Picture) else 10


def model_of(rows: Any) -> ModelSpec:
    return ModelSpec(layers=tuple(rows))

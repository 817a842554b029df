"""What a broken page, a hand-written file or a hostile person sends to the editor: always an answer in words.

Each case goes the whole way: read, reported on, and mended by its own buttons until it can be trained.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from workbench.specs.base import AnyShape, Pair, Tokens
from workbench.specs.edits import apply_to
from workbench.specs.errors import Edit
from workbench.ui import stack

SHAPE, K = (3, 32, 32), 10
CONV: dict[str, Any] = {"kind": "conv2d", "out_channels": 8, "padding": 1}


def wrapped(layer: Any, levels: int, kind: str = "repeat") -> Any:
    for _ in range(levels):
        layer = (
            {"kind": kind, "branches": [[layer]]} if kind == "parallel" else {"kind": kind, "layers": [layer]}
        )
    return layer


def conv(**fields: Any) -> list[Any]:
    return [{**CONV, **fields}]


VALUES = [
    None, "", " ", "3", "three", "1e3", "٣", "3; import os", "<b>3</b>", True, False, 0, -1, 1.5, 1e308,
    10**30, -(10**30), math.nan, math.inf, -math.inf, [], [3], {}, {"value": 3},
]  # fmt: skip
HOSTILE: dict[str, Any] = {
    **{f"kernel_size is {value!r:.12}": conv(kernel_size=value) for value in VALUES},
    "a field that is not there": conv(colour="red", __class__="x"),
    "a kind that is not there": [{"kind": "conv3d"}, CONV],
    "a kind that is a list": [{"kind": ["conv2d"]}],
    "a kind that is a dict": [{"kind": {"kind": "conv2d"}}],
    "a kind that is null": [{"kind": None}],
    "no kind": [{"out_channels": 3}],
    "text for a layer": ["conv2d", "relu"],
    "numbers for layers": [1, 2.5, None, True],
    "a dict for the stack": {"0": CONV},
    "a text for the stack": "conv2d",
    "nothing for the stack": None,
    "a thousand layers": [CONV] * 1000,
    "the dunder of dicts": [{"kind": "__proto__"}, {"__proto__": {"kind": "conv2d"}}],
    "markup for a kind": [{"kind": "<img src=x onerror=alert(1)>"}],
    "the largest of everything": conv(out_channels=4096, kernel_size=31, padding=31, dilation=16, stride=16),
    "groups of no divisor": conv(out_channels=8, groups=4096),
    "channels that no group divides": conv(out_channels=7, groups=5),
    "a dilation beyond the image": conv(kernel_size=31, dilation=16, padding=0),
    "a pooling beyond the image": [{"kind": "max_pool2d", "kernel_size": 31, "dilation": 16}],
    "padding beyond half the window": [{"kind": "avg_pool2d", "kernel_size": 2, "padding": 15}],
    "pooled away to nothing": [{"kind": "max_pool2d"}] * 9,
    "an image layer behind flatten": [{"kind": "flatten"}, CONV, {"kind": "batch_norm"}, CONV],
    "flattened again and again": [{"kind": "flatten"}] * 5,
    "global pooling twice": [{"kind": "global_avg_pool2d"}] * 3,
    "an output that is cut away": [
        {"kind": "conv_transpose2d", "kernel_size": 1, "stride": 1, "padding": 31}
    ],
    "output_padding as large as the stride": [{"kind": "conv_transpose2d", "output_padding": 15}],
    "an image that explodes": [{"kind": "upsample", "scale_factor": 16}] * 20,
    "channels that explode": [{"kind": "depthwise_conv2d", "multiplier": 16, "padding": 1}] * 20,
    "an odd number of channels for glu": [{"kind": "conv2d", "out_channels": 7}, {"kind": "glu"}],
    "an unknown mode": [{"kind": "upsample", "mode": "cubic"}],
    "an activation that is code": [{"kind": "residual", "activation": "__import__('os')"}],
    "an empty residual": [{"kind": "residual", "layers": []}],
    "an empty repeat": [{"kind": "repeat", "layers": []}],
    "a parallel without branches": [{"kind": "parallel", "branches": []}],
    "a parallel of empty branches": [{"kind": "parallel", "branches": [[], [], []]}],
    "a parallel of a hundred branches": [{"kind": "parallel", "branches": [[CONV]] * 100}],
    "branches that are layers": [{"kind": "parallel", "branches": [CONV, CONV]}],
    "branches that are a text": [{"kind": "parallel", "branches": "ab"}],
    "layers of a group that are a dict": [{"kind": "residual", "layers": {"kind": "conv2d"}}],
    "a shortcut of another shape": [
        {"kind": "residual", "layers": [CONV], "shortcut": [{"kind": "flatten"}]}
    ],
    "a residual around flatten": [{"kind": "residual", "layers": [{"kind": "flatten"}, {"kind": "linear"}]}],
    "branches of other sizes": [
        {"kind": "parallel", "branches": [[CONV], [{"kind": "max_pool2d"}], [{"kind": "flatten"}]]}
    ],
    "a repeat that cannot be repeated": [{"kind": "repeat", "times": 64, "layers": [{"kind": "max_pool2d"}]}],
    "a repeat of no times": [{"kind": "repeat", "times": 0}],
    "repeats of repeats of repeats": [wrapped({"kind": "relu"}, 4) | {"times": 64}],
    "repetitions beyond reason": [
        {"kind": "repeat", "times": 64, "layers": [
            {"kind": "repeat", "times": 64, "layers": [{"kind": "repeat", "times": 64}]}
        ]}
    ],
    "fifty groups deep": [wrapped(CONV, 50)],
    "fifty residuals deep": [wrapped(CONV, 50, "residual")],
    "fifty parallels deep": [wrapped(CONV, 50, "parallel")],
    "more layers in groups than there may be": [{"kind": "residual", "layers": [CONV] * 200}] * 3,
    "softmax everywhere": [{"kind": "softmax"}] * 10,
    "nothing but norms": [{"kind": k} for k in ("batch_norm", "group_norm", "instance_norm", "layer_norm2d")],
    "norms on a single pixel": [
        {"kind": "global_max_pool2d"}, {"kind": "group_norm"}, {"kind": "instance_norm"}
    ],
}  # fmt: skip


def test_there_are_more_than_sixty() -> None:
    assert len(HOSTILE) >= 75


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_stack_is_answered_in_words_and_mended_by_its_buttons(name: str) -> None:
    raw, report = mended(stack.read({"layers": HOSTILE[name]}), SHAPE, K)
    assert report["totals"]["output"] == str(K)
    assert stack.build(raw) is not None


def mended(
    raw: stack.Model, shape: AnyShape, n: int, *, per_token: bool = False
) -> tuple[stack.Model, dict[str, Any]]:
    """The model after its buttons, each of which must say what is wrong, and the last report."""
    for _ in range(400):
        report = stack.report(raw, shape, n, per_token=per_token)
        assert len(report["rows"]) == report["totals"]["layers"]
        json.dumps(report)
        problems = [p for row in report["rows"] for p in row["problems"]] + report["problems"]
        worst = next((p for p in problems if p["severity"] == "error"), None)
        if worst is None:
            break
        assert worst["rule"], worst
        assert worst["fact"]
        assert len(worst["rule"] + worst["fact"]) < 300
        assert worst["fix"], worst
        raw = stack.read(apply_to(raw, [Edit.model_validate(edit) for edit in worst["fix"]["edits"]]))
    assert report["ok"], worst
    return raw, report


# ---------------------------------------------------------------- texts

TEXT, PAIR = Tokens(32, 500), Pair(Tokens(24, 500), Tokens(24, 700))
EMBEDDED = {"kind": "embedding", "embedding_dim": 64}
ATTENDING = {"kind": "transformer_encoder_layer"}
FIVE = {"kind": "conv1d", "kernel_size": 5}
CROSS = {"kind": "transformer_decoder_layer"}
TEXTS: dict[str, tuple[Any, Any]] = {  # name -> the stack, and the decoder
    "no embedding": ([{"kind": "lstm"}], []),
    "two embeddings": ([EMBEDDED, EMBEDDED, {"kind": "sequence_pool"}], []),
    "numbers before the tokens are any": ([{"kind": "linear"}, {"kind": "relu"}, EMBEDDED], []),
    "an image network": ([CONV, {"kind": "max_pool2d"}, {"kind": "flatten"}, {"kind": "linear"}], []),
    "heads that do not divide the width": ([EMBEDDED, ATTENDING | {"nhead": 7}], []),
    "more heads than features": ([{"kind": "embedding", "embedding_dim": 3}, ATTENDING | {"nhead": 256}], []),
    "a pool before what it should follow": ([EMBEDDED, {"kind": "sequence_pool"}, {"kind": "lstm"}], []),
    "a pool twice": ([EMBEDDED, {"kind": "sequence_pool"}, {"kind": "sequence_pool"}], []),
    "a window wider than the text": ([EMBEDDED, {"kind": "conv1d", "kernel_size": 99}], []),
    "strides until nothing is left": ([EMBEDDED, *[{"kind": "conv1d", "stride": 4}] * 6], []),
    "groups that do not divide": ([EMBEDDED, {"kind": "conv1d", "groups": 7}], []),
    "waves of an odd width": (
        [{"kind": "embedding", "embedding_dim": 7}, {"kind": "positions", "encoding": "sinusoidal"}], []
    ),
    "a decoder's layer without an encoder": ([EMBEDDED, CROSS, {"kind": "lstm_decoder"}], []),
    "later tokens seen": ([EMBEDDED, ATTENDING, {"kind": "lstm", "bidirectional": True}], []),
    "later tokens seen in a group": ([EMBEDDED, {"kind": "repeat", "times": 3, "layers": [ATTENDING]}], []),
    "a class token": ([EMBEDDED, {"kind": "class_token"}, ATTENDING], []),
    "branches of different lengths": (
        [EMBEDDED, {"kind": "parallel", "branches": [[{"kind": "conv1d"}], [FIVE]]}],
        [],
    ),
    "a residual of another width": ([EMBEDDED, {"kind": "residual", "layers": [{"kind": "lstm"}]}], []),
    "rows of an image": ([{"kind": "image_rows"}, {"kind": "gru"}], []),
    "a decoder of nothing": ([EMBEDDED], [EMBEDDED]),
    "an encoder of nothing": ([], [EMBEDDED, CROSS]),
    "an encoder of another width": ([EMBEDDED], [{"kind": "embedding", "embedding_dim": 32}, CROSS]),
    "an encoder that gives one vector": ([EMBEDDED, {"kind": "sequence_pool"}], [EMBEDDED, CROSS]),
    "a decoder's layer in the encoder": ([EMBEDDED, CROSS], [EMBEDDED, CROSS]),
    "a decoder that gives one vector": ([EMBEDDED], [EMBEDDED, CROSS, {"kind": "sequence_pool"}]),
    "a decoder that sees ahead": ([EMBEDDED], [EMBEDDED, ATTENDING, CROSS]),
    "sizes that are none": ([{"kind": "embedding", "embedding_dim": 0}], [{"kind": "embedding", "std": -1}]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "n", "per_token"), [(TEXT, 5, False), (TEXT, 500, True), (PAIR, 700, False), (SHAPE, K, False)],
    ids=["classes", "language model", "translation", "images"],
)  # fmt: skip
@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_model_of_texts_is_answered_in_words_and_mended_by_its_buttons(
    name: str, shape: AnyShape, n: int, per_token: bool
) -> None:
    layers, decoder = TEXTS[name]
    raw, report = mended(stack.read({"layers": layers, "decoder": decoder}), shape, n, per_token=per_token)
    assert report["goal"]["met"]
    assert stack.build(raw) is not None

"""Every refusal names its layer, the rule, the fact and the repair; and the repair repairs."""

from __future__ import annotations

import pytest

from workbench.specs.model import ModelSpec


def model(*layers) -> ModelSpec:
    return ModelSpec.model_validate({"layers": layers})


def conv(n: int, **more):
    return {"kind": "conv2d", "out_channels": n, **more}


FLAT, TEN = {"kind": "flatten"}, {"kind": "linear", "out_features": 10}


@pytest.mark.parametrize(
    ("layers", "shape", "sentence"),
    [
        (
            [conv(8), TEN],
            (1, 28, 28),
            "layer 1 (linear): linear needs a vector (D,), but it gets 8×26×26. "
            "Put a flatten layer before it.",
        ),
        (
            [FLAT, conv(8)],
            (1, 28, 28),
            "layer 1 (conv2d): conv2d needs an image (C, H, W), but it gets 784. "
            "Move it before flatten, or remove it.",
        ),
        (
            [conv(8, kernel_size=9)],
            (1, 8, 8),
            "layer 0 (conv2d): conv2d needs an input at least as large as its window, but the window spans "
            "9 pixels and the input is 8 with padding 0. "
            "Use a smaller kernel, more padding, or fewer pooling layers before it.",
        ),
        (
            [conv(6), {"kind": "group_norm", "num_groups": 4}],
            (1, 8, 8),
            "layer 1 (group_norm): num_groups must divide the channels, but num_groups=4 with 6 channels. "
            "Set num_groups to 3.",
        ),
        (
            [FLAT, {"kind": "group_norm", "num_groups": 4}],
            (4, 1, 1),
            "layer 1 (group_norm): group_norm needs more than one value per group, but num_groups=4 on 4 "
            "leaves one. Use fewer groups, or layer_norm.",
        ),
        (
            [conv(9, groups=2)],
            (4, 8, 8),
            "layer 0 (conv2d): groups must divide the input and the output channels, but groups=2 with "
            "4 in and 9 out. Set groups to a divisor of 1.",
        ),
        (
            [{"kind": "max_pool2d", "padding": 2}],
            (1, 8, 8),
            "layer 0 (max_pool2d): max_pool2d padding must be at most half the kernel, but padding=2 with "
            "kernel_size=2. Set padding to 1 or less.",
        ),
        (
            [{"kind": "adaptive_avg_pool2d"}, {"kind": "instance_norm"}],
            (1, 8, 8),
            "layer 1 (instance_norm): instance_norm needs more than one pixel per channel, but it gets "
            "1×1×1. Move it before the pooling, or use layer_norm.",
        ),
        (
            [FLAT, {"kind": "linear", "out_features": 7}],
            (1, 8, 8),
            "layer 1 (linear): the last layer must give one score per class (10), but it gives 7. "
            "Set out_features of the last linear layer to 10.",
        ),
        (
            [conv(10)],
            (1, 8, 8),
            "layer 0 (conv2d): the last layer must give one score per class (10), but it gives 10×6×6. "
            "Add a flatten and a linear layer with out_features=10.",
        ),
    ],
)
def test_a_stack_that_cannot_work_is_explained(layers, shape, sentence):
    (problem,) = [p for p in model(*layers).problems(shape, 10) if p.severity == "error"]
    assert problem.sentence() == sentence


def test_the_table_stops_at_the_first_fault():
    rows = model(conv(8), TEN, FLAT, TEN).rows((1, 28, 28))
    assert [row.out_shape for row in rows] == [(8, 26, 26), None, None, None]
    assert [bool(row.problem) for row in rows] == [False, True, False, False]


@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "sigmoid", "relu", "softplus"])
def test_a_doubtful_last_layer_is_a_warning(kind: str):
    (problem,) = model(FLAT, TEN, {"kind": kind}).problems((1, 8, 8), 10)
    assert problem.severity == "warning"
    assert problem.repair == f"Remove the {kind} layer."

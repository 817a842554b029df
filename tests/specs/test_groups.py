"""Groups: what is inside is located, counted and mended like anything else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import stacks
from workbench.models.build import build
from workbench.specs.edits import apply
from workbench.specs.errors import LayerError
from workbench.specs.layer import Layer
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import MAX_BUILT, MAX_DEPTH, ModelSpec
from workbench.specs.nesting import every
from workbench.specs.presets import preset
from workbench.specs.rows import layer_at, walk
from workbench.specs.run import RunSpec, from_dict, parse

quick = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), max_examples=150
)


def model(*layers) -> ModelSpec:
    return ModelSpec.model_validate({"layers": layers})


def conv(n: int, **more):
    return {"kind": "conv2d", "out_channels": n, **more}


def errors(stack: ModelSpec, shape=(1, 8, 8), n=10):
    return [p for p in stack.problems(shape, n) if p.severity == "error"]


@pytest.mark.parametrize(
    ("layers", "sentence", "label"),
    [
        (
            [{"kind": "residual", "layers": [conv(4, padding=1), {"kind": "linear"}]}],
            "layer 0.1 (linear): linear needs a vector (D,), but it gets 4×8×8. "
            "Put a flatten layer before it.",
            "Insert flatten before it",
        ),
        (
            [{"kind": "residual", "layers": [conv(4, kernel_size=3)]}],
            "layer 0 (residual): a residual adds two results of the same shape, "
            "but its layers give 4×6×6 and "
            "the input is 1×8×8. Pad the layers so that they keep the size.",
            "Pad the layers so that they keep the size",
        ),
        (
            [{"kind": "residual", "layers": [conv(4, padding=1)], "shortcut": [conv(3, kernel_size=1)]}],
            "layer 0 (residual): a residual adds two results of the same shape, "
            "but its layers give 4×8×8 and "
            "the shortcut gives 3×8×8. Use the shortcut that fits by itself.",
            "Use the shortcut that fits by itself",
        ),
        (
            [{"kind": "parallel", "branches": [[conv(4, kernel_size=1)], [conv(4, kernel_size=5)]]}],
            "layer 0 (parallel): branches must give the same image size, but they give 4×8×8, 4×4×4. "
            "Pad the branches so that they keep the size.",
            "Pad the branches so that they keep the size",
        ),
        (
            [{"kind": "parallel", "join": "sum", "branches": [[conv(4, kernel_size=1)], []]}],
            "layer 0 (parallel): branches must give the same shape, but they give 4×8×8, 1×8×8. "
            "Set join to concat.",
            "Set join to concat",
        ),
        (
            [{"kind": "repeat", "times": 9, "layers": [conv(4), {"kind": "relu"}]}],
            "layer 0 (repeat): every repetition must work, but repetition 4 gets 4×2×2, and conv2d needs an "
            "input at least as large as its window. Set times to 3.",
            "Set times to 3",
        ),
        (
            [{"kind": "repeat", "layers": [{"kind": "parallel", "branches": [[], [conv(2, groups=3)]]}]}],
            "layer 0.0.1.0 (conv2d): groups must divide the input and the output channels, but groups=3 with "
            "1 in and 2 out. Set groups to a divisor of 1.",
            "Set groups to 1",
        ),
        (
            [{"kind": "residual", "layers": []}],
            "layer 0 (residual): a residual needs at least one layer, but it is empty. "
            "Add a layer, or remove it.",
            "Remove residual",
        ),
    ],
)
def test_a_fault_in_a_group_is_located_and_explained(layers, sentence, label):
    problem = errors(model(*layers))[0]
    assert problem.sentence() == sentence
    assert problem.fix.label == label


def test_a_group_counts_what_is_in_it():
    (row,) = model({"kind": "repeat", "times": 3, "layers": [conv(4, padding=1), {"kind": "relu"}]}).rows(
        (4, 8, 8)
    )
    assert (row.out_shape, row.parameters) == ((4, 8, 8), 3 * 148)  # 4 · 4 · 9 + 4
    assert [(c.label, c.kind, c.parameters, c.times, c.depth) for c in row.children] == [
        ("0.0", "conv2d", 444, 3, 1),
        ("0.1", "relu", 0, 3, 1),
    ]
    assert row.receptive_field == 7


def test_the_layers_of_a_group_that_does_not_fit_still_tell_their_shapes():
    (row,) = model({"kind": "residual", "layers": [conv(4, kernel_size=3), {"kind": "relu"}]}).rows((1, 8, 8))
    assert (row.out_shape, row.parameters) == (None, 0)
    assert [child.out_shape for child in row.children] == [(4, 6, 6), (4, 6, 6)]


def test_groups_keep_their_shape_through_yaml():
    spec = preset("inception-mini").spec
    assert parse(spec.to_yaml()) == spec
    assert isinstance(spec, RunSpec)


def nested(levels: int, **fields):
    layer = conv(1, padding=1)
    for _ in range(levels):
        layer = {"kind": "repeat", "layers": [layer], **fields}
    return {"name": "x", "model": {"layers": [layer]}}


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (nested(MAX_DEPTH + 1), "groups may stand 4 deep"),
        (nested(2, times=64), f"at most {MAX_BUILT:,} layers"),
        (nested(60), "groups may stand 4 deep"),
        (
            {"name": "x", "model": {"layers": [{"kind": "repeat", "layers": [{"kind": "relu"}] * 200}] * 2}},
            "at most 256",
        ),
    ],
)
def test_a_stack_beyond_reason_is_refused_in_words(tree, told):
    with pytest.raises(LayerError.__mro__[1], match=told):
        from_dict(tree)


# ---------------------------------------------------------------- receptive field

LOCAL = ["conv2d", "depthwise_conv2d", "avg_pool2d", "max_pool2d"]


def test_the_receptive_field_is_the_patch_that_gradients_reach():
    """All weights positive and all inputs equal: the gradient of one output is non-zero where it looks."""
    compared = 0

    @settings(quick, max_examples=80)
    @given(st.lists(st.sampled_from(LOCAL).flatmap(stacks.layer), min_size=1, max_size=3))
    def check(layers):
        nonlocal compared
        side = 65
        stack = ModelSpec(layers=tuple(layers))
        table = stack.rows((2, side, side))
        out, field = table[-1].out_shape, table[-1].receptive_field
        if out is None or out[1] < 3 or field is None or field > side // 2:
            return
        module = build(stack, (2, side, side), seed=0)
        for index, layer in enumerate(layers):  # the average sees what the maximum might see
            if layer.kind == "max_pool2d":
                module[index] = torch.nn.Conv2d(
                    table[index].out_shape[0], table[index].out_shape[0], layer.kernel_size,
                    layer.stride or layer.kernel_size, layer.padding, layer.dilation,
                )  # fmt: skip
        for parameter in module.parameters():
            torch.nn.init.constant_(parameter, 0.01)
        x = torch.ones(1, 2, side, side, requires_grad=True)
        y = module(x)
        middle = y.shape[-1] // 2
        y[0, 0, middle, middle].backward()
        seen = x.grad[0].abs().sum(dim=0).sum(dim=0).nonzero().flatten()
        assert int(seen.max() - seen.min()) + 1 == field
        compared += 1

    check()
    assert compared >= 25, compared


# ---------------------------------------------------------------- repairs


def mended(raw, shape, n, loss="cross_entropy", at_most=60):
    """The stack after applying the first repair again and again, and how often."""
    for turn in range(at_most):
        problems = ModelSpec.model_validate({"layers": raw}).problems(shape, n, loss)
        worst = next((p for p in problems if p.severity == "error"), None)
        if worst is None:
            return raw, turn
        assert worst.fix, worst
        raw = apply(raw, worst.fix)
    raise AssertionError(raw)


def dump(layers):
    return [layer.model_dump(mode="json") for layer in layers]


def test_applying_repairs_ends_in_a_stack_that_torch_runs():
    """Someone who knows no PyTorch needs only the marks and the buttons."""
    counted = {"broken": 0, "nested": 0, "most": 0}

    @settings(quick, max_examples=500)
    @given(
        st.lists(stacks.layers, max_size=7),
        st.sampled_from([(1, 28, 28), (3, 8, 8), (1, 1, 1), (3, 32, 20)]),
        st.integers(2, 12),
    )
    def check(layers, shape, n):
        raw, turns = mended(dump(layers), shape, n)
        counted["broken"] += turns > 0
        counted["nested"] += turns > 0 and any(layer.kind in GROUPS for layer in layers)
        counted["most"] = max(counted["most"], turns)
        module = build(ModelSpec.model_validate({"layers": raw}), shape, seed=0)
        given = module.eval()(torch.zeros(2, *shape)).shape
        assert given == (2, n) or (n == 2 and given == (2, 1))  # one score tells two classes apart

    check()
    assert counted["broken"] >= 250, counted
    assert counted["nested"] >= 100, counted


def test_taking_every_warnings_repair_ends_too():
    @settings(quick, max_examples=150)
    @given(st.lists(stacks.layers, max_size=5), st.sampled_from([(1, 28, 28), (3, 8, 8)]))
    def check(layers, shape):
        raw = dump(layers)
        for _ in range(80):
            problems = ModelSpec.model_validate({"layers": raw}).problems(shape, 10)
            fixes = [p.fix for p in problems if p.fix]
            if not fixes:
                break
            raw = apply(raw, fixes[0])
        assert not fixes, problems
        assert errors(ModelSpec.model_validate({"layers": raw}), shape) == []

    check()


@quick
@given(st.lists(stacks.layers, min_size=1, max_size=4))
def test_a_path_leads_to_the_layer_whose_row_it_is(layers: list[Layer]):
    stack = ModelSpec(layers=tuple(layers))
    rows = list(walk(stack.rows((3, 16, 16))))
    assert [row.kind for row in rows] == [layer.kind for layer in every(layers)]
    assert [layer_at(stack.layers, row.path).kind for row in rows] == [row.kind for row in rows]
    assert len({row.label for row in rows}) == len(rows)


def test_every_kind_stands_in_one_group_of_the_menu():
    assert {cls.group for cls in LAYERS.values()} == {
        "convolution", "pooling", "normalisation", "activation", "regularisation", "dense", "group",
        "text", "recurrent", "attention", "series", "table",
    }  # fmt: skip

"""The editor's logic: reports agree with torch, and a repair leaves a stack that works."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from workbench.specs.edits import apply
from workbench.specs.errors import Edit
from workbench.specs.layers import LAYERS
from workbench.specs.presets import PRESETS
from workbench.ui import stack
from workbench.ui.fields import knobs

SHAPE, K = (1, 28, 28), 10


def layers(*kinds: Any) -> list[stack.Raw]:
    """Layers by kind, or (kind, fields), every field given."""
    pairs = [(kind, {}) if isinstance(kind, str) else kind for kind in kinds]
    return stack.clean([{"kind": kind, **fields} for kind, fields in pairs])


def first_fix(raw: list[stack.Raw], shape: tuple[int, ...] = SHAPE, n: int = K) -> dict[str, Any]:
    report = stack.report(raw, shape, n)
    problems = [p for row in report["rows"] for p in row["problems"]] + report["problems"]
    problems.sort(key=lambda p: p["severity"] != "error")  # stable: the first error, else the first doubt
    fix: dict[str, Any] = problems[0]["fix"]
    return fix


def pressed(raw: list[stack.Raw], fix: dict[str, Any]) -> list[stack.Raw]:
    """The stack after the button of that repair, as the browser would send it."""
    edits = [Edit.model_validate(edit) for edit in fix["edits"]]
    return stack.clean(apply(raw, edits))


def mended(
    raw: list[stack.Raw], shape: tuple[int, ...] = SHAPE, n: int = K, at_most: int = 8
) -> list[stack.Raw]:
    """The stack after pressing the first repair button again and again."""
    for _ in range(at_most):
        if stack.report(raw, shape, n)["ok"]:
            return raw
        raw = pressed(raw, first_fix(raw, shape, n))
    return raw


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_goes_to_the_browser_and_back_unchanged(name: str) -> None:
    model = PRESETS[name].spec.model
    sent = json.loads(json.dumps(stack.dump(model)))
    assert stack.build(stack.clean(sent)) == model


def test_a_report_gives_what_torch_counts() -> None:
    report = stack.report(stack.dump(PRESETS["cnn-mnist"].spec.model), SHAPE, K)
    assert report["totals"]["parameters"] == 225_034  # torch 2.13, reference/data.md
    assert report["rows"][6]["shape"] == "1600"
    assert sum(row["share"] for row in report["rows"]) == pytest.approx(1)
    assert report["ok"]


def test_rows_behind_a_fault_are_unknown_but_still_there() -> None:
    report = stack.report(layers("conv2d", "linear", "relu", ("linear", {"out_features": 10})), SHAPE, K)
    assert [row["shape"] for row in report["rows"]] == ["32×26×26", None, None, None]
    assert not report["ok"]
    assert report["totals"]["complete"] is False


def test_a_field_out_of_bounds_is_marked_at_the_field() -> None:
    report = stack.report(layers(("conv2d", {"out_channels": 0}), "relu"), SHAPE, K)
    (problem,) = report["rows"][0]["problems"]
    assert (problem["field"], problem["rule"]) == ("out_channels", "out_channels must be 1 to 4,096")
    mended = pressed(layers(("conv2d", {"out_channels": 0}), "relu"), problem["fix"])
    assert mended[0]["out_channels"] == 1


@pytest.mark.parametrize("value", ["", None, 3.5, "x", True, math.inf, -1, 10**9])
def test_no_value_of_a_field_breaks_the_report(value: Any) -> None:
    report = stack.report(layers(("conv2d", {"kernel_size": value})), SHAPE, K)
    assert isinstance(report["ok"], bool)


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        (layers("conv2d", "linear"), "Insert flatten before it"),
        (layers("flatten", "conv2d"), "Move it before flatten"),
        (layers("conv2d", ("group_norm", {"num_groups": 6})), "Set num_groups to 4"),
        (layers("flatten", ("group_norm", {"num_groups": 784})), "Set num_groups to 392"),
        (layers(("conv2d", {"groups": 3, "out_channels": 32})), "Set groups to 1"),
        (layers(("conv2d", {"kernel_size": 31})), "Set padding to 2"),
        (layers(("adaptive_avg_pool2d", {"output_size": 1}), "max_pool2d"), "Remove max_pool2d"),
        (layers(("max_pool2d", {"kernel_size": 31})), "Set kernel_size to 28"),
        (layers(("max_pool2d", {"padding": 2})), "Set padding to 1"),
        (layers("adaptive_avg_pool2d", "instance_norm"), "Use layer_norm instead"),
        (layers("flatten", ("linear", {"out_features": 7})), "Set out_features to 10"),
        (layers("flatten", ("linear", {"out_features": 7}), "softmax"), "Set out_features to 10"),
        (layers("conv2d", "relu"), "Add flatten and linear (10)"),
        (layers("flatten"), "Add linear (10)"),
        (layers("flatten", ("linear", {"out_features": 10}), "softmax"), "Remove softmax"),
        ([], "Start with a small CNN (10 layers)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_obvious_repair_is_offered(raw: list[stack.Raw], label: str) -> None:
    assert first_fix(raw)["label"] == label


def test_most_parameters_in_one_layer_are_spread_by_pooling() -> None:
    raw = layers("conv2d", "flatten", ("linear", {"out_features": 128}), ("linear", {"out_features": 10}))
    fix = first_fix(raw)
    assert fix["label"] == "Insert max_pool2d before flatten"
    assert [r["kind"] for r in pressed(raw, fix)] == ["conv2d", "max_pool2d", "flatten", "linear", "linear"]


KINDS = sorted(LAYERS)


@settings(max_examples=300, deadline=None)
@given(
    kinds=some.lists(some.sampled_from(KINDS), max_size=8),
    shape=some.sampled_from([(1, 28, 28), (3, 8, 8), (1, 1, 1), (3, 32, 32)]),
    n=some.integers(2, 20),
)
def test_pressing_repairs_always_ends_in_a_stack_that_works(
    kinds: list[str], shape: tuple[int, ...], n: int
) -> None:
    raw = mended(layers(*kinds), shape, n, at_most=30)
    report = stack.report(raw, shape, n)
    assert report["ok"], report
    assert report["totals"]["output"] == str(n)


SMALL = some.none() | some.booleans() | some.integers() | some.text(max_size=5)


def nested(inner: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    return some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3)


@settings(max_examples=100, deadline=None)
@given(sent=some.recursive(SMALL, nested))
def test_nothing_a_browser_sends_breaks_the_reading(sent: Any) -> None:
    assert stack.report(stack.clean(sent), SHAPE, K)["totals"]["layers"] == 0


def test_the_menu_offers_every_layer_with_help() -> None:
    menu = stack.menu()
    assert set(menu["kinds"]) == set(LAYERS)
    assert all(entry["help"] for entry in menu["kinds"].values())
    assert {f["name"] for f in menu["kinds"]["conv2d"]["fields"]} == {k.name for k in knobs(LAYERS["conv2d"])}
    assert set(menu["kinds"]["residual"]["slots"]) == {"layers", "shortcut"}
    assert len(json.dumps(menu)) < 40_000  # goes with every answer


def test_a_stack_is_a_cnn_as_soon_as_it_convolves() -> None:
    assert stack.family(layers("flatten", "linear")) == "mlp"
    assert stack.family(layers("conv2d", "flatten")) == "cnn"


def test_rows_in_groups_follow_their_group_and_are_marked_by_themselves() -> None:
    raw = stack.clean([{"kind": "repeat", "times": 2, "layers": [{"kind": "conv2d", "out_channels": 4},
                                                                 {"kind": "linear"}]}])  # fmt: skip
    report = stack.report(raw, SHAPE, K)
    assert [row["shape"] for row in report["rows"]] == [None, "4×26×26", None]
    assert [len(row["problems"]) for row in report["rows"]] == [0, 0, 1]
    assert report["rows"][2]["problems"][0]["fix"]["edits"][0]["path"] == [0, "layers", 1]
    assert report["rows"][1]["times"] == 1  # the second turn never came
    report = stack.report(mended(raw), SHAPE, K)
    assert report["ok"]


def test_a_field_fault_inside_a_group_is_marked_at_its_row() -> None:
    raw = stack.clean([{"kind": "residual", "layers": [{"kind": "conv2d", "kernel_size": 99}]}])
    report = stack.report(raw, SHAPE, K)
    (problem,) = report["rows"][1]["problems"]
    assert problem["field"] == "kernel_size"
    assert not report["ok"]
    assert pressed(raw, problem["fix"])[0]["layers"][0]["kernel_size"] == 31


@pytest.mark.parametrize("name", PRESETS)
def test_a_link_carries_a_stack_without_its_usual_values(name: str) -> None:
    full = stack.dump(PRESETS[name].spec.model)
    short = stack.brief(full)
    assert stack.clean(short) == full
    assert len(json.dumps(short)) < len(json.dumps(full))


def test_a_report_on_a_deep_network_comes_while_typing() -> None:
    raw = stack.dump(PRESETS["resnet-18"].spec.model)
    began = time.perf_counter()
    for _ in range(10):
        stack.report(raw, (3, 224, 224), 10)
    assert (time.perf_counter() - began) / 10 < 0.1  # 4 ms on an idle core

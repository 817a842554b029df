"""The editor's logic: reports agree with torch, and a repair leaves a stack that works."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from workbench.specs.base import AnyShape, Pair, Tokens
from workbench.specs.edits import apply_to
from workbench.specs.errors import Edit
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.presets import PRESETS
from workbench.ui import stack
from workbench.ui.fields import knobs
from workbench.ui.menu import Reads, menu

SHAPE, K = (1, 28, 28), 10
TEXT, PAIR = Tokens(32, 500), Pair(Tokens(24, 500), Tokens(24, 700))


def layers(*kinds: Any, decoder: Sequence[Any] = ()) -> stack.Model:
    """A model of layers by kind, or (kind, fields), every field given."""
    lists = [
        [{"kind": one} if isinstance(one, str) else {"kind": one[0], **one[1]} for one in some]
        for some in (kinds, decoder)
    ]
    return stack.read({"layers": lists[0], "decoder": lists[1]})


def first_fix(
    raw: stack.Model, shape: AnyShape = SHAPE, n: int = K, per_token: bool = False
) -> dict[str, Any]:
    report = stack.report(raw, shape, n, per_token=per_token)
    problems = [p for row in report["rows"] for p in row["problems"]] + report["problems"]
    problems.sort(key=lambda p: p["severity"] != "error")  # stable: the first error, else the first doubt
    fix: dict[str, Any] = problems[0]["fix"]
    return fix


def pressed(raw: stack.Model, fix: dict[str, Any]) -> stack.Model:
    """The model after the button of that repair, as the browser would send it."""
    edits = [Edit.model_validate(edit) for edit in fix["edits"]]
    return stack.read(apply_to(raw, edits))


def mended(
    raw: stack.Model, shape: AnyShape = SHAPE, n: int = K, at_most: int = 8, per_token: bool = False
) -> stack.Model:
    """The model after pressing the first repair button again and again."""
    for _ in range(at_most):
        if stack.report(raw, shape, n, per_token=per_token)["ok"]:
            return raw
        raw = pressed(raw, first_fix(raw, shape, n, per_token))
    return raw


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_goes_to_the_browser_and_back_unchanged(name: str) -> None:
    model = PRESETS[name].spec.model
    sent = json.loads(json.dumps(stack.dump(model)))
    assert stack.build(stack.read(sent)) == model


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
    assert mended["layers"][0]["out_channels"] == 1


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
        (layers(), "Start with a small CNN (10 layers)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_obvious_repair_is_offered(raw: stack.Model, label: str) -> None:
    assert first_fix(raw)["label"] == label


def test_most_parameters_in_one_layer_are_spread_by_pooling() -> None:
    raw = layers("conv2d", "flatten", ("linear", {"out_features": 128}), ("linear", {"out_features": 10}))
    fix = first_fix(raw)
    assert fix["label"] == "Insert max_pool2d before flatten"
    kinds = [r["kind"] for r in pressed(raw, fix)["layers"]]
    assert kinds == ["conv2d", "max_pool2d", "flatten", "linear", "linear"]


KINDS = sorted(set(LAYERS) - {"pretrained_image"})  # it needs files: tests/models


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
    one_will_do = report["totals"]["output"] == "1" and n == 2  # it says how sure it is of the second class
    assert report["totals"]["output"] == str(n) or one_will_do


SMALL = some.none() | some.booleans() | some.integers() | some.text(max_size=5)


def nested(inner: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    return some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3)


@settings(max_examples=100, deadline=None)
@given(sent=some.recursive(SMALL, nested))
def test_nothing_a_browser_sends_breaks_the_reading(sent: Any) -> None:
    for tree in (sent, {"layers": sent}, {"decoder": sent, "tie_embeddings": sent}):
        assert stack.report(stack.read(tree), SHAPE, K)["totals"]["layers"] == 0


@pytest.mark.parametrize("kind", ["images", "text"])
def test_the_menu_offers_every_layer_with_help(kind: Reads) -> None:
    found = menu(kind)
    assert set(found["kinds"]) == set(LAYERS)
    assert {group["name"] for group in found["groups"]} == {
        entry["group"] for entry in found["kinds"].values()
    }
    assert all(entry["help"] for entry in found["kinds"].values())
    assert {f["name"] for f in found["kinds"]["conv2d"]["fields"]} == {
        k.name for k in knobs(LAYERS["conv2d"])
    }
    assert set(found["kinds"]["residual"]["slots"]) == {"layers", "shortcut"}
    assert len(json.dumps(found)) < 40_000  # goes with every answer


def test_what_fits_the_data_comes_first_in_the_menu() -> None:
    assert [g["title"] for g in menu("text")["groups"]][:3] == [
        "Text and sequences",
        "Recurrent",
        "Attention",
    ]
    assert [g["name"] for g in menu("images")["groups"]][:2] == ["group", "convolution"]


@pytest.mark.parametrize("group", sorted(set(GROUPS) - {"skip", "window_norm"}))  # of images, of series
def test_a_new_group_works_where_it_is_put(group: str) -> None:
    """Among texts it starts with layers of sequences, as the browser would insert it."""
    entry = menu("text")["kinds"][group]
    fresh = {"kind": group, **{f["name"]: f["default"] for f in entry["fields"]}, **entry["slots"]}
    for layer in fresh.get("layers", []):
        if layer["kind"] == "linear":
            layer["out_features"] = 128  # the editor makes it as wide as what comes in
    before, after = [{"kind": "embedding"}, {"kind": "positions"}], [{"kind": "sequence_pool"}]
    head = {"kind": "linear", "out_features": K}
    report = stack.report(stack.read({"layers": [*before, fresh, *after, head]}), TEXT, K)
    assert report["ok"], report


def test_the_family_is_told_by_the_layers() -> None:
    assert layers("flatten", "linear")["family"] == "mlp"
    assert layers("conv2d", "flatten")["family"] == "cnn"
    assert layers("embedding", "conv1d")["family"] == "cnn"
    assert layers("image_rows", "lstm")["family"] == "rnn"
    assert layers("embedding", "transformer_encoder_layer")["family"] == "encoder"
    assert layers("embedding", ("transformer_encoder_layer", {"causal": True}))["family"] == "gpt"
    assert layers("embedding", decoder=["embedding"])["family"] == "seq2seq"
    assert layers("image_rows", "multihead_attention")["family"] == "vit"


# ---------------------------------------------------------------- texts, and two stacks

START = {"layers": [], "decoder": []}


@pytest.mark.parametrize(
    ("shape", "n", "per_token", "output"),
    [
        (TEXT, 5, False, "5"),
        (TEXT, 500, True, "32×500"),
        (PAIR, 700, False, "24×700"),
        (SHAPE, 10, False, "10"),
    ],
    ids=["classes", "language model", "translation", "images"],
)
def test_an_empty_design_starts_in_one_click(shape: AnyShape, n: int, per_token: bool, output: str) -> None:
    raw = mended(stack.read(START), shape, n, at_most=1, per_token=per_token)
    report = stack.report(raw, shape, n, per_token=per_token)
    assert report["ok"], report["problems"]
    assert report["goal"]["met"]
    assert report["totals"]["output"] == output


TEXT_KINDS = [
    kind for kind in KINDS if LAYERS[kind].group in ("text", "recurrent", "attention", "dense", "group")
]
TEXT_KINDS = [kind for kind in TEXT_KINDS if kind != "pretrained_text"]  # it needs files: tests/models


@settings(max_examples=200, deadline=None)
@given(
    kinds=some.lists(some.sampled_from(TEXT_KINDS), max_size=6),
    second=some.lists(some.sampled_from(TEXT_KINDS), max_size=6),
    shape=some.sampled_from([TEXT, PAIR]),
    per_token=some.booleans(),
    tied=some.booleans(),
)
def test_pressing_repairs_on_texts_always_ends_in_a_model_that_works(
    kinds: list[str], second: list[str], shape: AnyShape, per_token: bool, tied: bool
) -> None:
    n = 700 if isinstance(shape, Pair) else 500
    raw = layers(*kinds, decoder=second) | {"tie_embeddings": tied}
    raw = mended(raw, shape, n, at_most=40, per_token=per_token)
    report = stack.report(raw, shape, n, per_token=per_token)
    assert report["ok"], report
    assert report["goal"]["met"]


def test_rows_of_the_decoder_follow_those_of_the_encoder() -> None:
    raw = mended(stack.read(START), PAIR, 700)
    report = stack.report(raw, PAIR, 700)
    assert report["paired"]
    assert report["inputs"] == ["24 tokens of 500", "24 tokens of 700"]
    assert report["memory"] == "24×128"
    kinds = [layer["kind"] for _, layer in stack.places(raw)]
    assert kinds.index("transformer_decoder_layer") > kinds.index("transformer_encoder_layer")
    assert len(report["rows"]) == len(kinds)
    assert all(row["shape"] for row in report["rows"])


def test_a_fault_in_the_decoder_is_marked_at_its_row_and_leaves_the_encoder_alone() -> None:
    raw = mended(stack.read(START), PAIR, 700)
    at = next(i for i, (path, _) in enumerate(stack.places(raw)) if path[0] == "decoder")
    raw["decoder"][0]["embedding_dim"] = 0
    report = stack.report(raw, PAIR, 700)
    assert [i for i, row in enumerate(report["rows"]) if row["problems"]] == [at]
    assert all(row["shape"] for row in report["rows"][:at])
    assert stack.report(pressed(raw, report["rows"][at]["problems"][0]["fix"]), PAIR, 700)["rows"][at][
        "shape"
    ]


def test_widths_that_differ_are_told_in_the_decoder_and_mended_in_the_encoder() -> None:
    raw = mended(stack.read(START), PAIR, 700)
    raw["layers"][0]["embedding_dim"] = 64
    fix = first_fix(raw, PAIR, 700)
    assert "encoder" in fix["label"]
    assert stack.report(mended(raw, PAIR, 700), PAIR, 700)["ok"]


def test_a_decoder_without_a_second_text_goes_in_one_click() -> None:
    raw = mended(stack.read(START), PAIR, 700)
    assert first_fix(raw, TEXT, 5)["label"] == "Remove the decoder"
    assert pressed(raw, first_fix(raw, TEXT, 5))["decoder"] == []


def test_shared_weights_are_counted_once() -> None:
    raw = mended(stack.read(START), TEXT, 500, per_token=True)
    one = stack.report(raw, TEXT, 500, per_token=True)["totals"]["parameters"]
    both = stack.report(raw | {"tie_embeddings": True}, TEXT, 500, per_token=True)["totals"]["parameters"]
    assert one - both == 500 * 128


def test_a_new_vocabulary_is_fitted() -> None:
    raw = mended(stack.read(START), PAIR, 700)
    other = Pair(Tokens(24, 500), Tokens(24, 90))
    assert not stack.report(raw, other, 90)["ok"]
    assert stack.report(stack.fitted(raw, other, 90), other, 90)["ok"]


def test_rows_in_groups_follow_their_group_and_are_marked_by_themselves() -> None:
    raw = layers(("repeat", {"layers": [{"kind": "conv2d", "out_channels": 4}, {"kind": "linear"}]}))
    report = stack.report(raw, SHAPE, K)
    assert [row["shape"] for row in report["rows"]] == [None, "4×26×26", None]
    assert [len(row["problems"]) for row in report["rows"]] == [0, 0, 1]
    assert report["rows"][2]["problems"][0]["fix"]["edits"][0]["path"] == [0, "layers", 1]
    assert report["rows"][1]["times"] == 1  # the second turn never came
    report = stack.report(mended(raw), SHAPE, K)
    assert report["ok"]


def test_a_field_fault_inside_a_group_is_marked_at_its_row() -> None:
    raw = layers(("residual", {"layers": [{"kind": "conv2d", "kernel_size": 99}]}))
    report = stack.report(raw, SHAPE, K)
    (problem,) = report["rows"][1]["problems"]
    assert problem["field"] == "kernel_size"
    assert not report["ok"]
    assert pressed(raw, problem["fix"])["layers"][0]["layers"][0]["kernel_size"] == 31


@pytest.mark.parametrize("name", PRESETS)
def test_a_link_carries_a_stack_without_its_usual_values(name: str) -> None:
    full = stack.dump(PRESETS[name].spec.model)["layers"]
    short = stack.brief(full)
    assert stack.clean(short) == full
    assert len(json.dumps(short)) < len(json.dumps(full))


def test_a_report_on_a_deep_network_comes_while_typing() -> None:
    raw = stack.dump(PRESETS["resnet-18"].spec.model)
    began = time.process_time()  # others may be using the cores meanwhile
    for _ in range(10):
        stack.report(raw, (3, 224, 224), 10)
    assert (time.process_time() - began) / 10 < 0.1  # 4 ms on an idle core

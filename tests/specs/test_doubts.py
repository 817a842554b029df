"""What works but is not meant is a warning with its repair; the bugs of the source articles among them."""

from __future__ import annotations

import pytest

from workbench.specs.doubts import held_up
from workbench.specs.edits import apply
from workbench.specs.model import ModelSpec
from workbench.specs.presets import READY, preset
from workbench.specs.tasks import TOKEN_TASKS


def model(*layers) -> ModelSpec:
    return ModelSpec.model_validate({"layers": layers})


def conv(n: int, **more):
    return {"kind": "conv2d", "out_channels": n, **more}


def linear(n: int, **more):
    return {"kind": "linear", "out_features": n, **more}


RELU, POOL, FLAT, NORM = ({"kind": kind} for kind in ("relu", "max_pool2d", "flatten", "batch_norm"))
TEN = linear(10)


@pytest.mark.parametrize(
    ("layers", "shape", "where", "rule", "label"),
    [
        (
            [FLAT, TEN, {"kind": "softmax"}], (1, 8, 8),
            "layer 2 (softmax)", "cross-entropy applies softmax", "Remove softmax",
        ),
        (
            [FLAT, TEN, {"kind": "log_softmax"}, {"kind": "dropout"}], (1, 8, 8),
            "layer 2 (log_softmax)", "cross-entropy applies softmax", "Remove log_softmax",
        ),
        (
            [FLAT, TEN, {"kind": "relu6"}], (1, 8, 8),
            "layer 2 (relu6)", "scores should be free", "Remove relu6",
        ),
        (
            [FLAT, {"kind": "dropout"}, linear(9, bias=False), NORM, TEN], (1, 8, 8),
            "layer 1 (dropout)", "batch norm should see", "Move it behind batch_norm",
        ),
        (
            [conv(8), NORM, FLAT, TEN], (1, 8, 8),
            "layer 0 (conv2d)", "a bias is of no use", "Turn bias off",
        ),
        (
            [{"kind": "residual", "layers": [conv(8, padding=1), NORM]}, FLAT, TEN], (1, 8, 8),
            "layer 0.0 (conv2d)", "a bias is of no use", "Turn bias off",
        ),
        (
            [conv(8), {"kind": "global_avg_pool2d"}, TEN], (1, 28, 28),
            "layer 1 (global_avg_pool2d)", "what is averaged should have seen", None,
        ),
        (
            [conv(8), FLAT, linear(128), TEN], (1, 28, 28),
            "layer 2 (linear)", "parameters are best spread", "Insert max_pool2d before flatten",
        ),
    ],
)  # fmt: skip
def test_a_doubt_is_told_at_its_layer_with_its_repair(layers, shape, where, rule, label):
    (problem,) = model(*layers).problems(shape, 10)
    assert problem.severity == "warning"
    assert problem.where == where
    assert problem.rule.startswith(rule)
    assert (problem.fix.label if problem.fix else None) == label
    if problem.fix:
        raw = apply([layer.model_dump(mode="json") for layer in model(*layers).layers], problem.fix)
        left = ModelSpec.model_validate({"layers": raw}).problems(shape, 10)
        assert problem.rule not in [p.rule for p in left if p.where == where]
        assert [p for p in left if p.severity == "error"] == []


@pytest.mark.parametrize("name", READY)
def test_no_preset_is_doubtful_on_its_own_data(name):
    from tests.models.stacks import columns_of, input_of

    spec = preset(name).spec
    per_token = spec.task.kind in TOKEN_TASKS
    found = spec.model.problems(input_of(name), columns_of(name), per_token=per_token)
    assert [p.rule for p in found if not p.rule.startswith("parameters are best spread")] == []


# ---------------------------------------------------------------- the articles' examples


@pytest.mark.parametrize(("side", "inputs"), [(24, 64 * 6 * 6), (28, 64 * 7 * 7), (32, 64 * 8 * 8)])
def test_s1_the_dense_layer_follows_the_image_size(side, inputs):
    """The article fixes 64 · 6 · 6 and crashes on anything but 24×24."""
    stack = preset("cnn-rgb").spec.model
    assert [p for p in stack.problems((3, side, side), 10) if p.severity == "error"] == []
    dense = next(row for row in stack.rows((3, side, side)) if row.kind == "linear")
    assert dense.parameters == inputs * 128 + 128
    if side == 24:
        assert stack.n_params((3, 24, 24)) == 315_722


def s6():
    """conv, conv, a dense layer meant for 64 · 7 · 7, log-softmax before cross-entropy."""
    return [conv(32), RELU, conv(64), RELU, FLAT, linear(128), RELU, TEN, {"kind": "log_softmax"}]


def test_s6_no_batch_is_regrouped_and_the_missing_pooling_is_told():
    """The article's `view(-1, 64 * 7 * 7)` on 64 · 24 · 24 features turns 49 images into 576 rows."""
    stack = model(*s6())
    rows = stack.rows((1, 28, 28))
    assert rows[4].out_shape == (36_864,)  # 64 · 24 · 24: what the dense layer truly gets
    assert rows[5].parameters == 36_864 * 128 + 128
    rules = {p.rule: p for p in stack.problems((1, 28, 28), 10)}
    assert set(rules) == {
        "cross-entropy applies softmax by itself",
        "parameters are best spread over the layers",
    }
    assert rules["cross-entropy applies softmax by itself"].where == "layer 8 (log_softmax)"
    assert "layer 5" in rules["parameters are best spread over the layers"].where


def test_s6_mended_by_its_buttons_alone_has_no_double_softmax_and_is_pooled():
    raw = [layer.model_dump(mode="json") for layer in model(*s6()).layers]
    for _ in range(10):
        fixes = [p.fix for p in ModelSpec.model_validate({"layers": raw}).problems((1, 28, 28), 10) if p.fix]
        if not fixes:
            break
        raw = apply(raw, fixes[0])
    kinds = [layer["kind"] for layer in raw]
    assert kinds[-1] == "linear"
    assert "max_pool2d" in kinds
    assert ModelSpec.model_validate({"layers": raw}).problems((1, 28, 28), 10)[:1] in ([], fixes)


def test_s6_as_the_article_meant_it_has_its_421_642_parameters():
    assert preset("cnn-small").spec.model.n_params((1, 28, 28)) == 421_642


def test_s8_a_sigmoid_before_bce_with_logits_is_told():
    """MLP 1000→500→250→100→1 with a sigmoid: outputs stay between 0.5 and 0.73."""
    layers = [linear(500), RELU, linear(250), RELU, linear(100), RELU, linear(1)]
    assert model(*layers).n_params((1000,)) == 650_951
    assert model(*layers).problems((1000,), 1, "bce_with_logits") == []
    (problem,) = model(*layers, {"kind": "sigmoid"}).problems((1000,), 1, "bce_with_logits")
    assert problem.sentence() == (
        "layer 7 (sigmoid): BCE-with-logits applies sigmoid by itself, but the model ends in sigmoid, so "
        "scores are squashed twice. Remove the sigmoid layer."
    )
    assert problem.fix.label == "Remove sigmoid"
    assert model(*layers, {"kind": "sigmoid"}).problems((1000,), 2) == [problem], "of two classes too"


@pytest.mark.parametrize(
    ("n", "loss", "kind", "is_sure"),
    [
        (10, "cross_entropy", "softmax", True), (10, "cross_entropy", "sigmoid", True),
        (10, "cross_entropy", "log_softmax", False), (10, "cross_entropy", "relu", False),
        (1, "bce_with_logits", "sigmoid", True), (1, "bce_with_logits", "log_sigmoid", True),
        (1, "error", "sigmoid", False),
    ],
)  # fmt: skip
def test_scores_that_are_surely_squashed_twice_hold_a_launch_up_unless_that_is_meant(n, loss, kind, is_sure):
    """log_softmax twice is log_softmax once (torch agrees), so that it is no more than a doubt."""
    found = model(FLAT, linear(n), {"kind": kind}).problems((1, 8, 8), n, loss)
    assert [p.severity for p in found] == ["warning"]
    (held,) = held_up(found, False)
    assert held.severity == ("error" if is_sure else "warning")
    assert ("training.squashed_twice" in held.repair) == is_sure
    assert held.fix == found[0].fix
    assert held_up(found, True) == found

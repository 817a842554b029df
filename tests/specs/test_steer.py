"""What may change while a run trains: the right paths, within their bounds, and nothing else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.specs.errors import SpecError
from workbench.specs.presets import PRESETS, preset
from workbench.specs.run import RunSpec
from workbench.specs.steer import (
    NAMES,
    STEERABLE,
    differences,
    freeze_problems,
    parse_changes,
    sentence,
    steered,
)

SPEC = preset("cnn-digits").spec
# A text and the value it must become, one for each steerable path.
TEXTS = {
    "training.optimizer.lr": ("2e-3", 0.002),
    "training.optimizer.weight_decay": ("0.25", 0.25),
    "training.clip_norm": ("2", 2.0),
    "training.freeze": ("[0, 1]", [0, 1]),
    "training.accumulation_steps": ("4", 4),
    "data.augment": (
        "[{kind: flip}, {kind: rotate, strength: 30, p: 1}]",
        [
            {"p": 0.5, "kind": "flip", "axis": "horizontal"},
            {"p": 1.0, "kind": "rotate", "strength": 30.0},
        ],
    ),
    "training.early_stopping": (
        "{patience: 3}", {"metric": "val/loss", "patience": 3, "min_delta": 0.0}
    ),
    "training.stop_at_loss": ("0.5", 0.5),
}  # fmt: skip


def test_every_steerable_path_has_an_example():
    assert set(TEXTS) == set(STEERABLE)


@pytest.mark.parametrize("path", STEERABLE)
def test_a_text_becomes_a_value_that_is_in_force_and_survives_json(path: str):
    text, value = TEXTS[path]
    changes = parse_changes([f"{path}={text}"])
    assert changes == {path: value}
    after = steered(SPEC, json.loads(json.dumps(changes)))
    changed = differences(SPEC, after)
    assert set(changed) == {path}
    assert changed[path][1] == value
    assert steered(after, {path: changed[path][0]}) == SPEC  # and it can be taken back
    assert sentence(changed).startswith(f"{NAMES[path]} ")


def test_a_change_agrees_with_the_spec_that_is_written_so_from_the_start():
    texts = [f"{path}={TEXTS[path][0]}" for path in STEERABLE]
    assert steered(SPEC, parse_changes(texts)) == SPEC.with_changes(*texts)


def _leaves(node: object, path: str = "") -> list[str]:
    if isinstance(node, dict) and node:
        return [leaf for key, value in node.items() for leaf in _leaves(value, f"{path}.{key}".strip("."))]
    return [path]


def test_every_other_field_is_refused():
    refused = 0
    for path in _leaves(SPEC.model_dump(mode="json")):
        if path in STEERABLE:
            continue
        refused += 1
        with pytest.raises(SpecError, match="only some choices may change while a run trains"):
            steered(SPEC, {path: 1})
        with pytest.raises(SpecError, match="Anything else is a fork"):
            parse_changes([f"{path}=1"])
    assert refused > 30


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.optimizer.lr", 0),
        ("training.optimizer.lr", -1),
        ("training.optimizer.lr", float("nan")),
        ("training.optimizer.lr", "fast"),
        ("training.optimizer.lr", None),
        ("training.optimizer.weight_decay", 2),
        ("training.clip_norm", 0),
        ("training.accumulation_steps", 0),
        ("training.accumulation_steps", 1.5),
        ("training.freeze", "all"),
        ("training.freeze", [0.5]),
        ("data.augment", [{"kind": "sparkle"}]),
        ("data.augment", [{"kind": "flip", "p": 7}]),
        ("data.augment", {"kind": "flip"}),
        ("training.early_stopping", {"patience": 0}),
        ("training.early_stopping", 5),
        ("training.stop_at_loss", -1),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_and_located(path: str, value: object):
    with pytest.raises(SpecError) as caught:
        steered(SPEC, {path: value})
    assert all(problem.where.startswith(path) for problem in caught.value.problems)


@given(st.dictionaries(st.text(max_size=40), st.none() | st.booleans() | st.floats() | st.text(max_size=20)))
def test_whatever_is_asked_ends_in_a_spec_or_a_refusal(changes: dict[str, object]):
    with contextlib.suppress(SpecError):
        assert isinstance(steered(SPEC, changes), RunSpec)


@given(st.text(max_size=60))
def test_whatever_is_typed_ends_in_changes_or_a_refusal(text: str):
    for typed in (text, f"training.optimizer.lr={text}", f"training.freeze={text}"):
        with contextlib.suppress(SpecError):
            assert set(parse_changes([typed])) <= set(STEERABLE)


def test_a_text_without_a_value_says_what_is_missing():
    with pytest.raises(SpecError, match="a change must read path=value, but there is no `=`"):
        parse_changes(["training.optimizer.lr"])


def test_a_near_miss_is_helped():
    with pytest.raises(SpecError, match=r"Did you mean `training\.optimizer\.lr`"):
        parse_changes(["training.optimiser.lr=1"])


def test_layers_that_do_not_exist_cannot_be_frozen():
    n = len(SPEC.model.layers)
    with pytest.raises(SpecError, match=f"layers are 0 to {n - 1}, but there is no layer {n}"):
        steered(SPEC, {"training.freeze": [0, n]})
    with pytest.raises(SpecError, match="there is no layer -1"):
        steered(SPEC, {"training.freeze": [-1]})


def test_layers_of_a_translator_are_numbered_through():
    spec = preset("dates-seq2seq").spec
    assert steered(spec, {"training.freeze": [8]}).training.freeze == (8,)
    with pytest.raises(SpecError, match="0 to 8, the decoder's from 4 on, but there is no layer 9"):
        steered(spec, {"training.freeze": [9]})


# Those of one layer with weights have no other that may rest; pictures end with a layer without weights, and
# two networks that take turns are not frozen.
APART = {"dlinear", "quantile-forecast", "autoencoder", "vae", "dcgan"}


@pytest.mark.parametrize("name", sorted(set(PRESETS) - APART))
def test_something_must_be_left_to_train_in_every_preset(name: str):
    spec = preset(name).spec
    n = len(spec.model.numbered)
    assert freeze_problems(spec) == []
    everything = spec.with_changes(f"training.freeze={list(range(n))}")
    assert freeze_problems(everything)[0].fact == "every layer with weights is frozen"
    # The last layer with weights gives the scores; all others may rest.
    assert freeze_problems(spec.with_changes(f"training.freeze={list(range(n - 1))}")) == []


def test_a_change_is_told_in_one_sentence():
    after = steered(
        SPEC,
        {"training.optimizer.lr": 0.0005, "training.freeze": [0, 1], "data.augment": [{"kind": "flip"}]},
    )
    before = SPEC.training.optimizer.lr
    told = sentence(differences(SPEC, after))
    assert told == f"Learning rate {before:g} → 0.0005; frozen layers none → 0, 1; augmentation none → flip"

"""Specs that nobody means well with: each is refused in words, in a moment, and nothing unfolds."""

from __future__ import annotations

import time

import pytest

from workbench.specs.base import short
from workbench.specs.errors import Problem, SpecError
from workbench.specs.presets import preset
from workbench.specs.run import MOST_CHARACTERS, parse

SPEC = preset("mlp-tiny").spec
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(12)
)  # 9^13 texts when unfolded


@pytest.mark.parametrize(
    "text",
    [
        "seed: 2020-13-45",  # PyYAML's own ValueError
        "seed: " + "9" * 5000,  # Python refuses to read it
        "seed: 0x" + "f" * 5000,  # and to write that
        "version: 0x" + "f" * 5000,
        "name: !!bool x",
        "name: !!timestamp x",
        "name: !!int x",
        "name: " + "[" * 100_000,
        "name: &a [*a]",
        "name: !!python/object/apply:os.system [id]",
        BOMB + "name: *a12",
        BOMB + "model: {layers: *a12}",
        "model:\n  layers:\n" + "  - {kind: relu}\n" * 1_000_000,
    ],
    ids=range(13),
)
def test_a_hostile_spec_is_refused_in_a_few_short_lines(text: str) -> None:
    began = time.process_time()
    with pytest.raises(SpecError) as refusal:
        parse(text)
    assert time.process_time() - began < 10.0
    assert all(len(line) < 400 for line in str(refusal.value).splitlines())


@pytest.mark.parametrize(
    "change",
    ["model.layers.².bias=true", f"model.layers.{'9' * 5000}.bias=true", f"training.steps={'9' * 5000}",
     "seed=!!timestamp x", f"name={'[' * 3000}"],
)  # fmt: skip
def test_a_hostile_change_is_refused_in_words(change: str) -> None:
    with pytest.raises(SpecError):
        SPEC.with_changes(change)


def test_a_date_that_there_is_not_is_a_name_like_any_other() -> None:
    assert SPEC.with_changes("name=2020-13-45").name == "2020-13-45"


def test_the_longest_stack_fits_with_every_field_written_out() -> None:
    layers = [{"kind": "conv2d", "out_channels": 4096, "kernel_size": 15, "padding": 7}] * 256
    text = SPEC.with_changes("model.layers=[]").to_yaml().replace("layers: []", f"layers: {layers}")
    full = parse(text).to_yaml()
    assert len(full) < MOST_CHARACTERS
    assert len(parse(full).model.layers) == 256


def test_a_name_is_one_line_that_no_terminal_obeys() -> None:
    spec = SPEC.model_validate({**SPEC.model_dump(), "name": "a\nb\x1b[31mc 👩\u200d🔬 ü"})
    assert spec.name == "a b\ufffd[31mc 👩\u200d🔬 ü"
    assert parse(spec.to_yaml()) == spec


def test_a_problem_is_said_on_one_line() -> None:
    problem = Problem(where="a\nb", rule="it must", fact="\x1b[2J\r", repair="no\u2028way")
    assert problem.sentence() == "a b: it must, but \ufffd[2J . no way"


def test_a_long_value_is_shown_short() -> None:
    assert short("short") == "'short'"
    assert len(short("x" * 10_000)) <= 60
    assert short(0.5) == "0.5"

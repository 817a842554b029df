"""docs/seeds.md: every command on it parses, and every spec it names can be built."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from workbench.cli.main import app
from workbench.cli.terminal import read_spec
from workbench.specs.presets import PRESETS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "seeds.md").read_text(encoding="utf-8")
COMMANDS = list(dict.fromkeys(re.findall(r"`(workbench [^`]+)`", PAGE)))
SEEDS = [f"S{number}" for number in range(1, 9)]


def parsed(words: list[str]) -> Any:
    """The context of the verb that the words name. Raises click's own errors."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(command.name, list(words))


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_parses(text: str) -> None:
    words = shlex.split(text)[1:]
    context = parsed(words)
    if context.command.name in ("train", "check", "range-test"):
        name = context.params["spec"]
        assert name in PRESETS
        read_spec(name, context.params["changes"])  # a field that there is not would be refused


def test_a_wrong_command_does_not_parse() -> None:
    with pytest.raises(KeyError):
        parsed(["dance", "RUN"])
    with pytest.raises(Exception, match="No such option"):
        parsed(["shrink", "RUN", "--melt", "1"])


def test_no_part_of_the_page_stands_twice() -> None:
    heads = re.findall(r"^#+ .*|^<!-- .*|^\| (?:S\d|CNN) \|", PAGE, re.M)
    assert [head for head in set(heads) if heads.count(head) > (head == "| S8 |") + 1] == []


def test_every_model_of_the_articles_has_a_row() -> None:
    assert [seed for seed in SEEDS if not re.search(rf"^\| {seed} \|", PAGE, re.M)] == []


@pytest.mark.parametrize(
    ("name", "shape", "n"),
    [
        ("cnn-rgb", (3, 24, 24), 315_722), ("cnn-mnist", (1, 28, 28), 225_034),
        ("lstm-classifier", (1, 28, 28), 214_282), ("cnn-small", (1, 28, 28), 421_642),
        ("mlp-big", (1000,), 650_951),
    ],
)  # fmt: skip
def test_the_parameters_are_those_of_the_page(name: str, shape: tuple[int, ...], n: int) -> None:
    spec = PRESETS[name].spec
    assert spec.model.n_params(shape) == n
    assert f"{n:,}" in PAGE

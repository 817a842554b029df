"""Finding and labelling runs from the command line."""

from __future__ import annotations

import json

import pytest

from workbench.cli.main import run
from workbench.specs.presets import preset
from workbench.store import Store


def add(store: Store, name: str) -> str:
    return store.runs.create(preset("mlp-tiny").spec.model_copy(update={"name": name})).id


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    capsys.readouterr()
    assert run(["runs", "--json", *arguments]) == 0
    return [row["name"] for row in json.loads(capsys.readouterr().out)]


def test_runs_are_found_sorted_and_cut(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [add(store, name) for name in ("beta", "alpha", "gamma")]
    store.runs.exit(ids[2], "failed")
    assert listed(capsys, "--sort", "name") == ["alpha", "beta", "gamma"]
    assert listed(capsys, "--sort=-name", "--limit", "1") == ["gamma"]
    assert listed(capsys, "--state", "failed", "--state", "lost") == ["gamma"]
    assert listed(capsys, "--search", "ALPH digits") == ["alpha"]


def test_tags_are_added_and_removed_with_signs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    add(store, "one")
    add(store, "two")
    assert run(["tag", "one", "+paper", "+draft"]) == 0
    assert run(["tag", "one", "-draft", "+late"]) == 0
    assert capsys.readouterr().out.split() == ["paper", "draft", "paper", "late"]
    assert listed(capsys, "--tag", "paper", "--tag", "late") == ["one"]
    assert run(["tag", "one", "paper"]) == 2
    assert "Write +paper to add it" in capsys.readouterr().err


def test_archived_runs_leave_the_list_and_come_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    add(store, "old")
    add(store, "new")
    assert run(["archive", "old"]) == 0
    assert listed(capsys) == ["new"]
    assert listed(capsys, "--archived") == ["old"]
    assert run(["archive", "old", "--undo"]) == 0
    assert set(listed(capsys)) == {"old", "new"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--state", "finshed"], "Did you mean `finished`"), (["--sort", "nmae"], "Did you mean `name`")],
)
def test_what_is_not_known_is_explained(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    add(store, "one")
    assert run(["runs", *arguments]) == 2
    assert said in capsys.readouterr().err

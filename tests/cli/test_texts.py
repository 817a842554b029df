"""`workbench data` for texts: added, looked at, listed, shown and cut into tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.made import folder
from workbench.cli.main import run
from workbench.store import Store, open_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    rows = "".join(f"{'ab'[i % 2]};title {i};this is text {i}\n" for i in range(40))
    folder(tmp_path, {"mine.csv": ("kind_of;title;body\n" + rows).encode()})
    return open_store(tmp_path / "home")


def test_a_table_of_texts_is_added_listed_and_shown_as_json(
    home: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--text-column", "body", "--label-column", "kind_of", "--header", "--json"]
    assert run(["data", "add", str(tmp_path / "mine.csv"), *words]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["kind"], shown["task"], shown["rows"]) == (
        "mine",
        "text",
        "classification",
        40,
    )
    assert shown["schema"]["columns"] == {"text": "body", "label": "kind_of"}
    assert {row["action"] for row in shown["report"]} == {"kept"}
    assert run(["data", "list", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["mine"]["classes"] == ["a", "b"]
    assert {listed[name]["task"] for name in ("sms-spam", "tiny-shakespeare", "iso-dates")} == {
        "classification", "language_model", "translation",
    }  # fmt: skip
    assert run(["data", "show", "mine"]) == 0
    assert "mine: 40 texts, 2 classes, classification" in capsys.readouterr().out


def test_a_look_adds_nothing(home: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "look", str(tmp_path / "mine.csv"), "--label-column", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["columns"]["label"] == "kind_of"
    assert "mine" not in {row.name for row in home.datasets.list()}


def test_a_text_is_cut_into_tokens(home: Store, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "text.tokenizer=character", "--json"]
    assert run(["data", "tokens", "iso-dates", "3 May", *settings]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == list("3 May")
    assert run(["data", "tokens", "iso-dates", *settings]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["unknown"]["train"] == 0
    assert set(facts["tokens"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "poetry"], "the tasks are `classification`, `language_model`, `translation`"),
        (["--label-column", "mood"], "label_column names a column of the table, but `mood` is none"),
        (["--encoding", "klingon"], "an encoding that Python knows"),
        (["--text-column", "x" * 300, "--label-column", "y" * 300], "label_column"),
        (["--kind", "images"], "it holds neither"),
    ],
)
def test_a_wrong_choice_is_one_line_that_names_it(
    words: list[str], said: str, home: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "add", str(tmp_path / "mine.csv"), *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert "mine" not in {row.name for row in home.datasets.list()}

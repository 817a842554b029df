"""Verbs that change a data set, look at its versions and find its copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.made import folder, png
from workbench.cli.main import run
from workbench.store import Store, open_store


@pytest.fixture
def zoo(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Store:
    files = {f"{c}/{i}.png": png(10 * k + i) for k, c in enumerate(("ant", "bee", "cat")) for i in range(4)}
    source = folder(tmp_path / "zoo", files | {"bee/again.png": png(0)})
    assert run(["data", "add", str(source), "--name", "zoo"]) == 0
    capsys.readouterr()
    return open_store()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run(["data", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (("rename-class", "zoo", "bee", "wasp"), ("ant", "wasp", "cat")),
        (("merge-classes", "zoo", "ant", "bee", "--into", "insect"), ("insect", "cat")),
        (("drop-classes", "zoo", "ant"), ("bee", "cat")),
        (("relabel", "zoo", "dog", "0", "3"), ("ant", "bee", "cat", "dog")),
    ],
)
def test_a_change_makes_a_version(
    words: tuple[str, ...], classes: tuple[str, ...], zoo: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *words)
    row = zoo.datasets.get("zoo")
    assert (row.version, row.schema.classes) == (2, classes)
    found = json.loads(said(capsys, "versions", "zoo", "--json"))
    assert [item["version"] for item in found] == [2, 1]
    assert found[0]["change"] != found[1]["change"] == ""
    said(capsys, "versions", "zoo", "--restore", "1")
    assert zoo.datasets.get("zoo").schema.classes == ("ant", "bee", "cat")


def test_copies_are_told_and_dropped(zoo: Store, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "copies", "zoo", "--json"))
    assert len(found["identical"]) == 1
    assert "1 identical" in said(capsys, "copies", "zoo")
    said(capsys, "copies", "zoo", "--drop")
    assert zoo.datasets.get("zoo").rows == 12
    assert "0 identical" in said(capsys, "copies", "zoo")


def test_a_shipped_set_is_changed_as_a_copy(zoo: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "drop-classes", "digits", "0"]) == 2
    assert "Make a copy" in capsys.readouterr().err
    said(capsys, "copy", "digits", "mine")
    said(capsys, "drop-classes", "mine", "0")
    assert len(zoo.datasets.get("mine").schema.classes) == 9


@pytest.mark.parametrize(
    "words",
    [
        ("rename-class", "zoo", "be", "x"),
        ("merge-classes", "zoo", "ant", "--into", "x"),
        ("relabel", "zoo", "ant", "99"),
        ("versions", "nowhere"),
        ("versions", "zoo", "--restore", "7"),
        ("copies", "zo"),
        ("copy", "zoo", "a/b"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...], zoo: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", *words]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_kind_of_data_that_there_is_not_is_refused_with_the_list(
    zoo: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "add", str(tmp_path / "zoo"), "--name", "again", "--kind", "sounds"]) == 2
    assert (
        "the kinds are `images`, `masks`, `text`, `series`, `table`, but it is `sounds`"
        in capsys.readouterr().err
    )
    assert run(["data", "add", str(tmp_path / "zoo"), "--name", "again", "--kind", "images"]) == 0
    assert zoo.datasets.get("again").rows == 13

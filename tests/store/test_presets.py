"""Presets of one's own: what was put comes back, and no name leads out of their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.specs.errors import SpecError
from workbench.specs.presets import PRESETS
from workbench.store import open_store, own_presets
from workbench.store.presets import Presets, clean_name

HOSTILE = [
    "", " ", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..\\x", "C:\\x", "a\0b",
    "a\nb", "\u202egpj", ".hidden", "-rf", "_x", "name.", "~", "~/x", "*", "a" * 51, "a" * 100_000, "x\r",
    "<b>x</b>", "$(id)", "`id`", "a;b", "a|b", "%2e%2e%2fx", "\ud800", "a:b", "😀", "cnn-mnist/../x",
]  # fmt: skip


@pytest.fixture
def mine(tmp_path: Path) -> Presets:
    return Presets(tmp_path / "home" / "presets")


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", list(PRESETS))
def test_what_is_kept_comes_back_equal(name: str, mine: Presets) -> None:
    assert mine.put(f"my {name}", PRESETS[name].spec) == f"my {name}"
    assert mine.get(f"my {name}") == PRESETS[name].spec.model_copy(update={"name": f"my {name}"})
    assert mine.names() == (f"my {name}",)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_touches_nothing(name: str, mine: Presets, tmp_path: Path) -> None:
    mine.put("good", PRESETS["mlp-tiny"].spec)
    (tmp_path / "x.yaml").write_text("untouched")
    (tmp_path / "home" / "x.yaml").write_text("untouched")
    before = everything(tmp_path)
    for act in (mine.get, mine.delete, lambda n: mine.put(n, PRESETS["mlp-tiny"].spec)):
        with pytest.raises(SpecError, match="letters, digits, spaces"):
            act(name)
    assert everything(tmp_path) == before


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=70))
@example("\ufb2a")  # a letter whose one form is a letter and a mark
def test_a_name_that_is_taken_is_one_part_of_a_path(text: str) -> None:
    try:
        name = clean_name(text)
    except SpecError as error:
        clean_name(error.problems[0].repair.removeprefix("Try `").removesuffix("`."))  # what we propose fits
        return
    assert Path("folder", f"{name}.yaml").resolve().parent == Path("folder").resolve()
    assert len(os.fsencode(f".{name}.yaml.12345678")) <= 255
    assert clean_name(name) == name


def test_one_name_is_one_preset_however_its_letters_are_coded(mine: Presets) -> None:
    mine.put("caf\u00e9  net ", PRESETS["mlp-tiny"].spec)
    assert mine.get("cafe\u0301 net").name == "caf\u00e9 net"


def test_a_taken_name_is_replaced_only_when_asked(mine: Presets) -> None:
    mine.put("net", PRESETS["mlp-tiny"].spec)
    with pytest.raises(SpecError, match="`net` is taken"):
        mine.put("net", PRESETS["cnn-digits"].spec)
    assert mine.get("net").model == PRESETS["mlp-tiny"].spec.model
    mine.put("net", PRESETS["cnn-digits"].spec, replace=True)
    assert mine.get("net").model == PRESETS["cnn-digits"].spec.model


def test_built_in_presets_stay_as_they_are(mine: Presets) -> None:
    for replace in (False, True):
        with pytest.raises(SpecError, match="comes with the workbench"):
            mine.put("cnn-mnist", PRESETS["mlp-tiny"].spec, replace=replace)


def test_damaged_files_are_told_and_the_others_stay_usable(mine: Presets, tmp_path: Path) -> None:
    mine.put("good", PRESETS["mlp-tiny"].spec)
    folder = tmp_path / "home" / "presets"
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (folder / "cut.yaml").write_text("model: {layers: [{kind: conv2d")
    (folder / "empty.yaml").write_text("")
    (folder / "folder.yaml").mkdir()
    (folder / "huge.yaml").write_bytes(b"#" * 5_000_000)
    (folder / "link.yaml").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.yaml")
    (folder / "notes.txt").write_text("not ours")
    (folder / ".good.yaml.tmp").write_text("half")
    found = {kept.name: kept for kept in mine.list()}
    assert [name for name, kept in found.items() if kept.spec is not None] == ["good"]
    assert set(found) == {"binary", "cut", "empty", "folder", "huge", "link", "pipe", "good"}
    for name, kept in found.items():
        if name != "good":
            assert kept.problem is not None
            assert kept.problem.where.startswith(f"preset `{name}`")
            assert "root:" not in kept.problem.sentence(), "what a link leads to is not told"
    for name in set(found) - {"good", "folder"}:
        mine.delete(name)
    assert mine.names() == ("folder", "good")
    with pytest.raises(SpecError):
        mine.delete("folder")


def test_the_nearest_name_is_offered(mine: Presets) -> None:
    mine.put("clothes", PRESETS["mlp-tiny"].spec)
    with pytest.raises(SpecError, match="Did you mean `clothes`"):
        mine.get("cloths")


def test_the_store_and_the_command_line_see_the_same(home: Path) -> None:
    store = open_store()
    store.presets.put("net", PRESETS["mlp-tiny"].spec)
    assert own_presets().names() == ("net",)
    store.close()

# ruff: noqa: E501 - a table of tables is read line by line
"""Tables as people have them become sets: targets, tasks and roles are guessed, and a person's word holds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data import load, look, prepare
from workbench.data.copies import copies_of
from workbench.data.prepared import Prepared
from workbench.data.rewrite import rewrite
from workbench.data.table.stored import StoredTable
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.specs.tables import TableImport

DRAW = random.Random(0)
N = 60


def table(columns: dict[str, Any], n: int = N, mark: str = ",", header: bool = True) -> str:
    """A table whose cells are made by functions of the row."""
    lines = [mark.join(columns)] if header else []
    lines += [mark.join(str(make(i)) for make in columns.values()) for i in range(n)]
    return "\n".join(lines) + "\n"


def number(i: int) -> str:
    return f"{(i * 37 % 23) / 4 + 0.3:.2f}"


def word(i: int) -> str:
    return ("red", "green", "blue")[i * 7 % 3]


def yes(i: int) -> int:
    return i * 5 % 3 % 2


def add(tmp_path: Path, files: dict[str, str | bytes], **asked: Any) -> Prepared:
    kind = asked.pop("kind", None)
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    for name, content in files.items():
        (source / name).write_bytes(content.encode() if isinstance(content, str) else content)
    path = source / next(iter(files)) if len(files) == 1 else source
    given = TableImport(**asked) if asked else None
    return prepare(path, tmp_path / "set", table=given, kind=kind)


def roles(found: Prepared) -> dict[str, str]:
    return {own.name: own.role for own in found.schema.fields}


def said(found: Prepared) -> str:
    return "\n".join(f"{r['file']}: {r['action']}: {r['reason']}" for r in found.report)


PLAIN = {"id": lambda i: i + 1, "size": number, "colour": word, "y": yes}

# name: files, what was asked for, task, target, rows, and a part of the report
TABLES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, int, str]] = {
    "a target called y": ({"a.csv": table(PLAIN)}, {}, "classification", "y", N, "it numbers the rows"),
    "a target by its place": (
        {"a.csv": table({"a": number, "b": word, "kind": lambda i: "ab"[i % 2]})}, {}, "classification", "kind", N, "",
    ),
    "a price": (
        {"a.csv": table({"price": lambda i: f"$ {i * 1013 % 997}.50", "rooms": number, "town": word})}, {},
        "regression", "price", N, "cut off its numbers",
    ),
    "a target asked for": ({"a.csv": table(PLAIN)}, {"target": ("size",)}, "regression", "size", N, "as asked for"),
    "a target by its number": ({"a.csv": table(PLAIN)}, {"target": ("3",)}, "classification", "colour", N, ""),
    "classes of whole numbers": (
        {"a.csv": table({"a": number, "b": number, "quality": lambda i: 3 + i % 6})}, {}, "classification",
        "quality", N, "",
    ),
    "whole numbers as a number": (
        {"a.csv": table({"a": number, "b": number, "quality": lambda i: 3 + i % 6})}, {"task": "regression"},
        "regression", "quality", N, "",
    ),
    "several labels": (
        {"a.csv": table({"a": number, "x": yes, "z": lambda i: i % 2})}, {"target": ("x", "z")}, "multi_label",
        "x, z", N, "",
    ),
    "labels of true and false": (
        {"a.csv": table({"a": number, "x": lambda i: ("true", "false")[i % 2], "z": lambda i: "ny"[i % 2]})},
        {"target": ("x", "z")}, "multi_label", "x, z", N, "",
    ),
    "a constant, an empty column and an id": (
        {"a.csv": table({"id": lambda i: f"A{i}", "one": lambda i: 7, "none": lambda i: "", "a": number, "y": yes})},
        {}, "classification", "y", N, "all its cells are alike",
    ),
    "names of people": (
        {"a.csv": table({"who": lambda i: f"Person {i}", "a": number, "b": number, "c": number, "y": yes})}, {},
        "classification", "y", N, "too many to learn from",
    ),
    "an index without a name": (
        {"a.csv": table({"": lambda i: i, "a": number, "y": yes})}, {}, "classification", "y", N, "rows",
    ),
    "dates": (
        {"a.csv": table({"day": lambda i: f"2020-0{1 + i % 9}-1{i % 10}", "a": number, "y": yes})}, {},
        "classification", "y", N, "",
    ),
    "rows without a target": (
        {"a.csv": table({"a": number, "b": word, "y": lambda i: yes(i) if i % 4 else "?"})}, {}, "classification",
        "y", N - 15, "15 rows without a target",
    ),
    "a test without a target": (
        {"train.csv": table(PLAIN), "test.csv": table({k: v for k, v in PLAIN.items() if k != "y"}, 20)}, {},
        "classification", "y", N, "it has no target: predict with it",
    ),
    "labels of the test that end in a point": (
        {"d-train.csv": table({"a": number, "y": lambda i: ("<=50K", ">50K")[i % 2]}, header=False),
         "d-test.csv": table({"a": number, "y": lambda i: ("<=50K.", ">50K.")[i % 2]}, 20, header=False)},
        {}, "classification", "column 2", N + 20, "a point at the end of 20 labels",
    ),
    "a column of splits": (
        {"a.csv": table({"a": number, "y": yes, "split": lambda i: "train" if i % 3 else "test"})}, {},
        "classification", "y", N, "",
    ),
    "decimal commas and semicolons": (
        {"a.csv": table({"a": lambda i: number(i).replace(".", ","), "b": word, "y": yes}, mark=";")}, {},
        "classification", "y", N, "decimal comma",
    ),
    "no header": (
        {"a.data": table({"a": number, "b": number, "c": lambda i: ("Iris-a", "Iris-b")[i % 2]}, header=False)}, {},
        "classification", "column 3", N, "",
    ),
    "sentinels": (
        {"a.csv": table({"co": lambda i: "-200" if i % 9 == 0 else number(i), "b": number, "y": yes})}, {},
        "classification", "y", N, "-200 lies far from all others",
    ),
    "rows that repeat": ({"a.csv": table({"a": lambda i: i % 4, "b": word, "y": yes})}, {}, "classification", "y", N, "copies"),
    "an ignored column": (
        {"a.csv": table(PLAIN)}, {"ignored": ("colour",)}, "classification", "y", N, "not used: as asked for",
    ),
    "an id that is used": ({"a.csv": table(PLAIN)}, {"used": ("id",)}, "classification", "y", N, ""),
    "codes as words": (
        {"a.csv": table({"zip": lambda i: f"0{i % 4}139", "a": number, "y": yes})}, {}, "classification", "y", N,
        "taken for codes",
    ),
    "numbers as categories": (
        {"a.csv": table({"class_of": lambda i: 1 + i % 3, "a": number, "y": yes})}, {"categorical": ("class_of",)},
        "classification", "y", N, "",
    ),
    "quotes, commas and line ends in cells": (
        {"a.csv": table({"a": number, "note": lambda i: f'"a, ""{i % 3}""\nb"', "y": yes})}, {}, "classification", "y", N, "",
    ),
    "names that differ in case alone": (
        {"a.csv": table({"A": number, "a": word, "y": yes})}, {"target": ("y",)}, "classification", "y", N, "",
    ),
    "a target with one rare class": (
        {"a.csv": table({"a": number, "b": word, "y": lambda i: "rare" if i == 7 else "often"})}, {}, "classification",
        "y", N, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_as_people_have_it_becomes_a_set(tmp_path: Path, name: str) -> None:
    files, asked, task, target, rows, told = TABLES[name]
    found = add(tmp_path, files, **asked)
    assert found.schema.kind == "table"
    assert (found.schema.task, found.schema.columns["target"]) == (task, target)
    assert sum(found.rows.values()) == rows
    assert told in said(found)
    data = load(tmp_path / "set", DataSpec(name="x"))
    x = np.asarray(data.train.x)
    assert x.shape == (len(data.train), *data.shape)
    assert np.isfinite(x).all()


# name: content, what was asked for, what the error says
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a target that is not there": (table(PLAIN), {"target": ("yy",)}, "Did you mean `y`"),
    "words as a number": (table(PLAIN), {"target": ("colour",), "task": "regression"}, "it holds words"),
    "a target that never changes": (
        table({"a": number, "y": lambda i: 1}), {"target": ("y",)}, "all its cells are alike",
    ),
    "a label of three values": (table(PLAIN), {"target": ("y", "colour")}, "takes 3 values"),
    "a target that is ignored": (table(PLAIN), {"target": ("y",), "ignored": ("y",)}, "is also ignored"),
    "nothing to tell it from": (table({"id": lambda i: i + 1, "y": yes}), {}, "none of its columns"),
    "a column called target that never changes": (
        table({"a": number, "b": number, "target": lambda i: 1}), {}, "it is called so, and all its cells are alike",
    ),
    "a target without a value": (table({"a": number, "y": lambda i: ""}), {"target": ("y",)}, "it is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    content, asked, fact = REFUSED[name]
    with pytest.raises(DataError, match=fact):
        add(tmp_path, {"a.csv": content}, kind="table", **asked)
    assert not (tmp_path / "set").exists()


def test_roles_are_told_with_their_reasons(tmp_path: Path) -> None:
    found = add(
        tmp_path,
        {"a.csv": table({**PLAIN, "one": lambda i: 1, "day": lambda i: f"2020-01-{1 + i % 28:02d}"})},
    )
    assert roles(found) == {
        "id": "id", "size": "number", "colour": "category", "y": "target", "one": "constant", "day": "date",
    }  # fmt: skip
    by_name = {own.name: own for own in found.schema.fields}
    assert by_name["colour"].common[0][1] == 20
    assert sum(by_name["size"].counts) == N
    assert by_name["one"].reason


def test_a_number_that_may_mean_nothing_is_never_left_out_of_a_target_by_a_guess(tmp_path: Path) -> None:
    """As UCI's Air Quality has it: -200 where a sensor failed."""
    air = {
        "nox": lambda i: -200 if i % 9 == 0 else 50 + 23 * (i * 37 % 61),
        "y": lambda i: -200 if i % 10 == 0 else number(i),
    }
    files = {"a.csv": table(air)}
    found = add(tmp_path, files)
    assert found.schema.task == "regression"
    by_name = {own.name: own for own in found.schema.fields}
    assert (by_name["nox"].sentinels, by_name["nox"].missing) == ((-200.0,), 7)
    assert (by_name["y"].sentinels, by_name["y"].least) == ((), -200.0)
    assert sum(found.rows.values()) == N
    told = "column `y`: repaired: -200 lies far from all others and is a value of the target in 6 cells"
    assert told in said(found)
    assert "column `y`" in "\n".join(row["file"] for row in look(tmp_path / "source" / "a.csv")["report"])
    for k, asked in enumerate(({"missing": ("-200",)}, {"target": ("nox",), "missing": ("-200",)})):
        (tmp_path / str(k)).mkdir()
        named = add(tmp_path / str(k), files, **asked)
        assert sum(named.rows.values()) == N - (7 if k else 6)
        assert "rows without a target left out" in said(named)
        assert "a value of the target" not in said(named)


def test_a_look_tells_the_same_as_the_import(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(PLAIN))
    seen = look(tmp_path / "a.csv")
    found = prepare(tmp_path / "a.csv", tmp_path / "set")
    assert seen["kind"] == "table"
    assert seen["roles"] == roles(found)
    assert (seen["task"], seen["target"]) == (found.schema.task, ["y"])
    assert seen["examples"][1] == ["2", "3.8", word(1), str(yes(1))]


def test_the_same_source_gives_the_same_fingerprint_and_another_target_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(PLAIN))
    marks = [
        prepare(tmp_path / "a.csv", tmp_path / f"set{k}", table=TableImport(target=(t,))).fingerprint
        for k, t in enumerate(("y", "y", "colour"))
    ]
    assert marks[0] == marks[1] != marks[2]


def test_rows_are_read_back_as_they_were(tmp_path: Path) -> None:
    add(
        tmp_path,
        {
            "a.csv": table(
                {
                    "day": lambda i: f"2020-01-{1 + i % 28:02d}",
                    "a": number,
                    "b": lambda i: word(i) if i else "?",
                    "y": yes,
                }
            )
        },
    )
    stored = StoredTable(tmp_path / "set")
    assert stored.rows(np.array([3, 0])) == [
        {"day": "2020-01-04", "a": float(number(3)), "b": word(3), "y": yes(3)},
        {"day": "2020-01-01", "a": float(number(0)), "b": None, "y": yes(0)},
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("label\ttext\n" + "".join(f"{'ab'[i % 2]}\tthis is the message of number {i}\n" for i in range(40)), "text"),
        ("".join(f"{i % 7}.5,{i % 3},{'ab'[i % 2]}\n" for i in range(40)), "table"),
        ("review,stars\n" + "".join(f"I liked it {i} times and will come again,{i % 5}\n" for i in range(40)), "text"),
        ("a;b;c\n" + "".join(f"{i};{i % 3};{i % 2}\n" for i in range(40)), "table"),
        (",".join(f"c{i}" for i in range(4000)) + "\n" + "".join(",".join(f"{i}.{i * k % 97:03d}45" for k in range(4000)) + "\n" for i in range(12)), "table"),
        ("To be or not to be.\nThat is the question.\n" * 40, "text"),
    ],
)  # fmt: skip
def test_tables_and_texts_are_told_apart(tmp_path: Path, content: str, kind: str) -> None:
    path = tmp_path / ("a.csv" if "," in content or ";" in content else "a.txt")
    path.write_text(content)
    assert look(path)["kind"] == kind


def test_classes_are_renamed_merged_and_dropped_as_those_of_images_are(tmp_path: Path) -> None:
    kinds = {"a": number, "b": number, "kind": lambda i: "xyz"[i % 3]}
    add(tmp_path, {"a.csv": table(kinds)}, target=("kind",))
    labels = StoredTable(tmp_path / "set").labels
    merged = rewrite(
        tmp_path / "set", tmp_path / "two", name="t", labels=np.minimum(labels, 1), classes=("x", "rest")
    )
    assert (merged.schema.classes, sum(merged.rows.values())) == (("x", "rest"), N)
    fewer = rewrite(
        tmp_path / "set", tmp_path / "less", name="t", labels=labels, classes=("x", "y", "z"), keep=labels > 0
    )
    assert (fewer.schema.classes, sum(fewer.rows.values())) == (("y", "z"), N * 2 // 3)
    assert StoredTable(tmp_path / "less").rows(np.array([0]))[0]["kind"] == "y"


def test_equal_rows_are_found(tmp_path: Path) -> None:
    add(
        tmp_path,
        {"a.csv": table({"a": lambda i: i % 30, "b": lambda i: i % 30 % 4, "y": yes})},
        target=("y",),
    )
    assert len(copies_of(tmp_path / "set").same) == N - 30

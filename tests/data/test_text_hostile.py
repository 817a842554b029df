"""Files of text that are odd, damaged or hostile: each ends in a report or in a located error."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.made import folder
from workbench.data import Limits, prepare
from workbench.data.text.stored import Stored
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError

N = 12
GOOD = "".join(f"{'ab'[i % 2]}\tthis is sentence number {i} of them\n" for i in range(N))
CSV = "label,text\n" + "".join(f'{"ab"[i % 2]},"well, this is sentence {i}"\n' for i in range(N))
PROSE = "It was a dark night, and the rain fell.\n" * 60
JSONL = "".join(
    json.dumps({"text": f"a sentence of {i} words", "label": "ab"[i % 2]}) + "\n" for i in range(N)
)


def parquet(columns: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


TEXTS, LABELS = [f"a sentence of {i} words" for i in range(N)], ["ab"[i % 2] for i in range(N)]
PARQUET = parquet({"text": TEXTS, "label": LABELS})
Files = dict[str, bytes]
SPILT = [f"{'ab'[i % 2]},well,{',' * (i % 4)} yes {i}\n" for i in range(40)]

# name: files, rows that are kept, what the report says ("" where nothing needs to be said)
KEPT: dict[str, tuple[Files, int, str]] = {
    "a mark before UTF-8": ({"a.csv": b"\xef\xbb\xbf" + CSV.encode()}, N, ""),
    "UTF-16 with its mark": ({"a.csv": CSV.encode("utf-16")}, N, "read as utf-16"),
    "UTF-16 without its mark": ({"a.csv": CSV.encode("utf-16-le")}, N, "read as utf-16-le"),
    "UTF-16 the other way": ({"a.csv": CSV.encode("utf-16-be")}, N, "read as utf-16-be"),
    "UTF-32": ({"a.csv": CSV.encode("utf-32")}, N, "read as utf-32"),
    "cp1252": ({"a.csv": CSV.replace("well", "“wéll”").encode("cp1252")}, N, "read as cp1252"),
    "bytes that cp1252 lacks": ({"a.tsv": GOOD.replace("this", "\x81é\x9d").encode("latin-1")}, N, "cp1252"),
    "some bytes that are no UTF-8": (
        {"a.tsv": (GOOD.replace("this", "日本語の文章") * 3).encode() + b"a\tbad \xff byte here\n"},
        3 * N + 1, "became �",
    ),
    "zero bytes in a table": ({"a.tsv": GOOD.replace("is", "i\0s").encode()}, N, "zero bytes left out"),
    "line ends of Windows": ({"a.csv": CSV.replace("\n", "\r\n").encode()}, N, ""),
    "line ends of an old Mac": ({"a.tsv": GOOD.replace("\n", "\r").encode()}, N, ""),
    "next-line signs in sentences": ({"a.tsv": GOOD.replace("of", "\x85of").encode()}, N, ""),
    "form feeds and Unicode line ends": ({"a.tsv": GOOD.replace("of", "\f\u2028of\u2029").encode()}, N, ""),
    "no end of the last line": ({"a.tsv": GOOD.rstrip("\n").encode()}, N, ""),
    "empty lines between": ({"a.tsv": GOOD.replace("\n", "\n\n").encode()}, N, ""),
    "quotes that are just quotes": (
        {"a.tsv": (GOOD + 'a\t"Hello," she said\nb\t"never closed\na\tand this is "fine"\n').encode()},
        N + 3, "",
    ),
    "a quote that swallows lines": (
        {"a.tsv": (GOOD + 'a\t"opened here\nb\tand closed there"\n').encode()}, N + 2, "",
    ),
    "a stray quote in a CSV": (
        {"a.csv": (CSV + 'a,"opened and lost\nb,"fine, really"\n').encode()},
        N + 2, "a quote that is not closed",
    ),
    "a stray quote at the very end": (
        {"a.csv": (CSV + 'a,"opened and lost').encode()}, N + 1, "a quote that is not closed",
    ),
    "cells of several lines": ({"a.csv": CSV.replace("this is", "this\nis\n\nstill").encode()}, N, ""),
    "doubled quotes": ({"a.csv": CSV.replace("this", '""this""').encode()}, N, ""),
    "quotes with a backslash": ({"a.csv": CSV.replace("this", r"\"this\"").encode()}, N, ""),
    "semicolons": ({"a.csv": CSV.replace(",", ";", 1).replace(',"', ';"').encode()}, N, ""),
    "bars": ({"a.txt.csv": GOOD.replace("\t", "|").encode()}, N, ""),
    "commas without quotes": (
        {"a.csv": ("label,text\n" + "".join(SPILT)).encode()},
        40, "",
    ),
    "junk columns": ({"a.csv": CSV.replace("\n", ",,,\n").encode()}, N, "left out"),
    "a row too short": ({"a.csv": (CSV + "a\n").encode()}, N, "it has 1 cells and the others 2"),
    "a row too long": ({"a.csv": (CSV + "a,b,c,d\n").encode()}, N, "it has 4 cells and the others 2"),
    "a row without a label": ({"a.csv": (CSV + ",words enough here\n").encode()}, N, "it has no label"),
    "a row without a text": ({"a.csv": (CSV + "a,   \n").encode()}, N, "it has no text"),
    "a header in each table": (
        {"a.csv": (CSV + "a,label text\n").encode(), "b.csv": CSV.encode()}, 2 * N + 1, "",
    ),
    "labels that are floats": (
        {"a.csv": CSV.replace("\na", "\n0.0").replace("\nb", "\n1.0").encode()}, N, "",
    ),
    "a text of a megabyte": (
        {"a.tsv": (GOOD + "a\t" + "word " * 250_000 + "\n").encode()}, N + 1, "cut to 1,000,000",
    ),
    "fastText": ({"a.txt": GOOD.replace("a\t", "__label__a ").replace("b\t", "__label__b ").encode()}, N, ""),
    "JSON with rubbish between": ({"a.jsonl": (JSONL + "{no json\n[1]\n7\n").encode()}, N, "it is no JSON"),
    "JSON with half characters": (
        {"a.jsonl": (JSONL + r'{"text": "half \ud800 of it", "label": "a"}').encode()},
        N + 1, "halves of characters",
    ),
    "JSON with zero characters": (
        {"a.jsonl": (JSONL + r'{"text": "zero \u0000 here", "label": "a"}').encode()}, N + 1, "zero bytes",
    ),
    "JSON nested for ever": ({"a.jsonl": (JSONL + "[" * 100_000 + "\n").encode()}, N, "it is no JSON"),
    "JSON of one list": ({"a.json": json.dumps([json.loads(s) for s in JSONL.splitlines()]).encode()}, N, ""),
    "JSON by columns": ({"a.json": json.dumps({"text": TEXTS, "label": LABELS}).encode()}, N, ""),
    "Parquet": ({"a.parquet": PARQUET}, N, ""),
    "Parquet of another name": ({"data.bin": PARQUET}, N, ""),
    "Parquet with nothing in some cells": (
        {"a.parquet": parquet({"text": [*TEXTS, None], "label": [*LABELS, "a"]})}, N, "it has no text",
    ),
    "packed by gzip": ({"a.tsv.gz": gzip.compress(GOOD.encode())}, N, ""),
    "packed by bzip2": ({"a.tsv.bz2": bz2.compress(GOOD.encode())}, N, ""),
    "packed by xz": ({"a.tsv.xz": lzma.compress(GOOD.encode())}, N, ""),
    "a damaged packed file beside a good one": (
        {"a.tsv": GOOD.encode(), "b.tsv.gz": gzip.compress(GOOD.encode() * 40)[:-30]},
        N, "cannot be read to its end",
    ),
    "files that are no text beside": (
        {"a.tsv": GOOD.encode(), "b.pdf": b"%PDF-1.7 x", "c.bin": bytes(range(256)) * 9, "d.tsv": b""},
        N, "it is a PDF",
    ),
    "a readme and a licence beside": (
        {"a.tsv": GOOD.encode(), "README.md": b"words\tto read\n" * 9, "LICENSE": PROSE.encode()},
        N, "it tells of the data",
    ),
    "class folders with rubbish in them": (
        {f"{c}/{i}.txt": f"text {i} of {c}".encode() for c in "xy" for i in range(4)}
        | {"x/.DS_Store": b"\0\0", "x/empty.txt": b"", "y/blank.txt": b" \n\t "}
        | {"y/p.pkl": pickle.dumps({"a": 1})},
        8, "it is empty",
    ),
    "class files in another encoding": (
        {"r.pos": "schön \x85 gut\n".encode("latin-1") * 9, "r.neg": "nicht schön\n".encode("latin-1") * 9},
        18, "read as cp1252",
    ),
    "aligned files with an empty line": (
        {"t.de": ("Haus\n" * 9 + "\n" + "Baum\n").encode(), "t.en": ("house\n" * 10 + "tree\n").encode()},
        10, "it has no text",
    ),
    "aligned files, empty at their ends": (
        {"t.de": ("Haus\n" * 9 + "\n\n").encode(), "t.en": ("house\n" * 9).encode()}, 9, "",
    ),
    "prose with signs of every kind": (
        {"a.txt": (PROSE + "\x1b[31m \x08\v\f ﷽ \U0001f9ff \u202e\n").encode()}, 0, "",
    ),
    "one line without an end": ({"a.txt": b"never ending story, " * 5_000}, 0, ""),
}  # fmt: skip

# name: files, what the error says
REFUSED: dict[str, tuple[Files, str]] = {
    "a PDF": ({"a.txt": b"%PDF-1.4 rest of it"}, "begins with"),
    "a pickle": ({"a.csv": pickle.dumps([1, "x" * 500])}, "begins with"),
    "random bytes": ({"a.txt": bytes((i * 97 + 13) % 256 for i in range(4000))}, "begins with"),
    "an Office sheet": ({"a.xlsx": b""}, "Office file"),
    "nothing": ({"a.csv": b""}, "it is empty"),
    "blanks alone": ({"a.tsv": b"\n\n   \n\t\n"}, ""),
    "a header alone": ({"a.csv": b"label,text\n"}, "none below its header"),
    "one class": ({"a.csv": CSV.replace("\nb", "\na").encode()}, "at least two classes"),
    "too few words to learn from": ({"a.txt": b"hello there\n"}, "it holds neither"),
    "numbers alone": ({"a.csv": b"x,y\n" + b"1.5,2\n" * 30}, "different values"),
    "damaged gzip": ({"a.tsv.gz": gzip.compress(GOOD.encode() * 400)[:-200]}, ""),
    "Parquet that ends early": ({"a.parquet": PARQUET[: len(PARQUET) // 2]}, "readable to its end"),
    "Parquet in name alone": ({"a.parquet": GOOD.encode()}, ""),
    "JSON without records": ({"a.json": b'{"a": {"b": [1, 2, 3]}}'}, "no list of records"),
    "JSON that ends early": ({"a.json": b'[{"text": "words", "label": "a"}, {"te'}, ""),
    "aligned files of two lengths": (
        {"t.de": b"Haus\n" * 9, "t.en": b"house\n" * 8}, "they have 9 and 8",
    ),
    "a table of images that are not there": (
        {"a.csv": b"file,label\n" + b"".join(b"%d.png,%d\n" % (i, i % 2) for i in range(20))},
        "the images it names",
    ),
    "a database": ({"a.txt": b"SQLite format 3\0" + b"\0" * 500}, "begins with"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_an_odd_file_is_read_and_what_was_mended_is_told(case: str, tmp_path: Path) -> None:
    files, rows, said = KEPT[case]
    prepared = prepare(folder(tmp_path / "in", files), tmp_path / "out")
    stored = Stored(tmp_path / "out")
    assert sum(prepared.rows.values()) == len(stored) > 0
    if rows:
        assert len(stored) == rows, prepared.report
    told = "\n".join(f"{row['file']}: {row['reason']}" for row in prepared.report)
    assert said in told
    assert all("\0" not in stored.text(i) for i in range(len(stored)))


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_a_set_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    files, fact = REFUSED[case]
    name, *more = files
    source = folder(tmp_path / "in", files)
    if name.endswith(".xlsx"):
        with zipfile.ZipFile(source / name, "w") as file:
            file.writestr("[Content_Types].xml", "<Types/>")
            file.writestr("xl/worksheets/sheet1.xml", "<sheet>words and words</sheet>")
    with pytest.raises(DataError) as caught:
        prepare(source if more else source / name, tmp_path / "out")
    assert fact in str(caught.value)
    assert all(p.where and p.rule and p.fact for p in caught.value.problems)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_at_least_fifty_hostile_text_files_are_tried() -> None:
    assert len(KEPT) + len(REFUSED) >= 70


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_bomb_of_text_is_not_unpacked(kind: str, tmp_path: Path) -> None:
    pack = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}[kind]
    path = tmp_path / f"a.txt.{kind}"
    path.write_bytes(pack(b"words and words\n" * 400_000))
    with pytest.raises(DataError):
        prepare(path, tmp_path / "out", limits=Limits(ratio_from=1 << 14))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(texts=5), "a set may hold 5 texts"),
        (Limits(classes=1), "a set may have 1 classes"),
        (Limits(bytes=100), "100 bytes"),
    ],
)
def test_limits_of_a_set_of_texts_hold(limits: Limits, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(GOOD)
    with pytest.raises(DataError, match=said):
        prepare(tmp_path / "a.tsv", tmp_path / "out", limits=limits)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (TextImport(label_column="lable"), "lable"),
        (TextImport(text_columns=("9",)), "text_columns"),
        (TextImport(text_columns=("label",), label_column="label"), "named twice"),
        (TextImport(encoding="klingon"), "klingon"),
        (TextImport(encoding="rot13"), "rot13"),
        (TextImport(task="translation", text_columns=("text",)), "column of translations"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_by_name(asked: TextImport, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(DataError, match=said):
        prepare(tmp_path / "a.csv", tmp_path / "out", texts=asked)

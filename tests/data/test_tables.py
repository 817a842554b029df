"""A table of file names and labels beside images: found, believed where it can be, and told where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made import folder, pixels, png, row_of, tarred, zipped
from workbench.data import Limits, load, prepare
from workbench.data.prepared import open_arrays, read_files
from workbench.data.tables import parsed
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

N = 8
IMAGES = {f"img/{i}.png": png(i) for i in range(N)}
LABEL = ["cat" if i % 2 else "dog" for i in range(N)]
PLAIN = "file,label\n" + "".join(f"{i}.png,{LABEL[i]}\n" for i in range(N))


def table(rows: str, name: str = "labels.csv") -> dict[str, bytes]:
    return IMAGES | {name: rows.encode()}


def rows(form: str, head: str = "") -> bytes:
    return (head + "".join(form.format(i=i, label=LABEL[i], k=i % 2) + "\n" for i in range(N))).encode()


FORMS: dict[str, tuple[str, bytes]] = {
    "header and commas": ("labels.csv", rows("{i}.png,{label}", "file,label\n")),
    "no header": ("labels.csv", rows("{i}.png,{label}")),
    "labels first": ("labels.csv", rows("{label},{i}.png", "label,file\n")),
    "semicolons": ("labels.csv", rows("{i}.png;{label}", "file;label\n")),
    "tabs": ("labels.tsv", rows("{i}.png\t{label}")),
    "bars": ("labels.txt", rows("{i}.png|{label}")),
    "blanks": ("labels.txt", rows("{i}.png {label}")),
    "quotes": ("labels.csv", rows('"{i}.png","{label}"', '"file","label"\n')),
    "blanks after commas": ("labels.csv", rows("{i}.png, {label}", "file, label\n")),
    "byte order mark": ("labels.csv", b"\xef\xbb\xbf" + rows("{i}.png,{label}", "file,label\n")),
    "utf-16, as spreadsheets save": (
        "labels.csv",
        rows("{i}.png\t{label}", "file\tlabel\n").decode().encode("utf-16"),
    ),
    "windows line ends": ("labels.csv", rows("{i}.png,{label}", "file,label\n").replace(b"\n", b"\r\n")),
    "old mac line ends": ("labels.csv", rows("{i}.png,{label}", "file,label\n").replace(b"\n", b"\r")),
    "names without suffix": ("labels.csv", rows("{i},{label}", "id,label\n")),
    "names with folders": ("labels.csv", rows("img/{i}.png,{label}")),
    "paths of the author's machine": ("labels.csv", rows("C:\\Users\\me\\img\\{i}.png,{label}", "p,label\n")),
    "paths that lead outside": ("labels.csv", rows("../../../etc/{i}.png,{label}", "p,label\n")),
    "upper case": ("labels.csv", rows("{i}.PNG,{label}", "FILE,LABEL\n")),
    "empty lines": ("labels.csv", rows("{i}.png,{label}\n", "file,label\n\n")),
    "other columns": ("labels.csv", rows("{i},{i}.png,9.5,{label},x", "nr,image,width,class_name,note\n")),
    "one column a class": ("labels.csv", rows("{i}.png,{k},0", "image,cat,x\n").replace(b",0,0", b",0,1")),
    "a column of indices": ("labels.csv", rows("{i},{i}.png,{label}", ",filename,label\n")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["zip", "folder", "tar"])
def test_a_table_of_any_usual_form_is_read(form: str, kind: str, tmp_path: Path) -> None:
    name, blob = FORMS[form]
    files = IMAGES | {name: blob}
    source = {
        "zip": lambda: zipped(tmp_path / "s.zip", files),
        "folder": lambda: folder(tmp_path / "s", files),
        "tar": lambda: tarred(tmp_path / "s.tgz", files),
    }[kind]()
    prepared = prepare(source, tmp_path / "out")
    assert prepared.rows == {"train": N}
    stored, files_of = open_arrays(tmp_path / "out"), read_files(tmp_path / "out")
    assert files_of is not None
    for image, label, file in zip(stored.images, stored.labels, files_of, strict=True):
        i = int(Path(file).stem)
        assert np.array_equal(image, pixels(i).transpose(2, 0, 1))
        expected = LABEL[i] if form != "one column a class" else ("cat" if i % 2 else "x")
        assert prepared.schema.classes[label] == expected


def test_flat_images_beside_their_table(tmp_path: Path) -> None:
    files = {f"{i}.png": png(i) for i in range(N)} | {"train.csv": PLAIN.encode()}
    assert prepare(folder(tmp_path / "s", files), tmp_path / "out").rows == {"train": N}


def test_a_column_tells_the_split(tmp_path: Path) -> None:
    text = "file,label,split\n" + "".join(
        f"{i}.png,{LABEL[i]},{'train' if i < 4 else 'val' if i < 6 else 'test'}\n" for i in range(N)
    )
    prepared = prepare(folder(tmp_path / "s", table(text)), tmp_path / "out")
    assert prepared.rows == {"train": 4, "validation": 2, "test": 2}


def test_a_table_for_each_split(tmp_path: Path) -> None:
    files = {f"train/{i}.png": png(i) for i in range(6)} | {f"test/{i}.png": png(50 + i) for i in range(4)}
    files["train.csv"] = "".join(f"{i}.png,{i % 2}\n" for i in range(6)).encode()
    files["test.csv"] = "".join(f"{i}.png,{i % 2}\n" for i in range(4)).encode()
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert prepared.rows == {"train": 6, "test": 4}
    stored = open_arrays(tmp_path / "out")
    assert np.array_equal(stored.images[stored.splits == 2][0], pixels(50).transpose(2, 0, 1))


def test_a_column_of_patients_keeps_them_together(tmp_path: Path) -> None:
    files = {f"{i}.png": png(i) for i in range(60)}
    text = "file,label,patient\n" + "".join(f"{i}.png,{i % 2},p{i // 5}\n" for i in range(60))
    source = folder(tmp_path / "s", files | {"labels.csv": text.encode()})
    prepare(source, tmp_path / "out")
    data = load(tmp_path / "out", DataSpec(name="s", groups="given", test=0.2, validation=0.2))
    names = read_files(tmp_path / "out")
    assert names is not None
    held = [
        {int(Path(names[i]).stem) // 5 for i in part.index}
        for part in (data.train, data.validation, data.test)
    ]
    assert sum(len(h) for h in held) == len(set.union(*held)) == 12


def test_a_table_beats_folders_that_are_no_classes(tmp_path: Path) -> None:
    """Photographers' folders, and a table that names its column of labels."""
    files = {f"{'anna' if i < 4 else 'ben'}/{i}.png": png(i) for i in range(N)}
    prepared = prepare(folder(tmp_path / "s", files | {"labels.csv": PLAIN.encode()}), tmp_path / "out")
    assert prepared.schema.classes == ("cat", "dog")


def test_a_table_of_sizes_beside_class_folders_is_no_table_of_labels(tmp_path: Path) -> None:
    files = {f"{LABEL[i]}/{i}.png": png(i) for i in range(N)}
    files["sizes.csv"] = b"file,width\n0.png,8\n1.png,9\n2.png,10\n"
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert prepared.schema.classes == ("cat", "dog")
    assert "folders tell the classes" in row_of(prepared, "sizes.csv")[1]


# ---------------------------------------------------------------- what is awkward

# The rest is kept: table, the file in the report, its reason, images kept.
AWKWARD: dict[str, tuple[str, str, str, int]] = {
    "a file that is not there": (PLAIN + "99.png,cat\n", "labels.csv, row 10", "no one file", N),
    "an image without a row": (PLAIN.replace("3.png,cat\n", ""), "img/3.png", "has no row", N - 1),
    "an empty label": (PLAIN.replace("3.png,cat", "3.png,"), "img/3.png", "no label", N - 1),
    "a label of blanks": (PLAIN.replace("3.png,cat", "3.png,   "), "img/3.png", "no label", N - 1),
    "two labels for one file": (PLAIN + "3.png,dog\n", "img/3.png", "two different labels", N - 1),
    "a row cut short": (PLAIN + "3.png\n", "labels.csv, row 10", "1 columns", N),
    "a row too long": (PLAIN + "1.png,cat,x,y\n", "labels.csv, row 10", "4 columns", N),
    "a comma in a name": (PLAIN.replace("5.png,cat", "5,png,cat"), "img/5.png", "has no row", N - 1),
    "an empty name": (PLAIN + ",cat\n", "labels.csv, row 10", "no one file", N),
    "a name of dots": (PLAIN + "..,cat\n", "labels.csv, row 10", "no one file", N),
    "a name outside": (PLAIN + "/etc/passwd,cat\n", "labels.csv, row 10", "no one file", N),
    "a name of a thousand letters": (
        PLAIN + "n" * 1000 + ",cat\n",
        "labels.csv, row 10",
        "no one file",
        N,
    ),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_an_awkward_row_is_told_and_the_rest_is_kept(case: str, tmp_path: Path) -> None:
    text, file, reason, kept = AWKWARD[case]
    prepared = prepare(folder(tmp_path / "s", table(text)), tmp_path / "out")
    action, why = row_of(prepared, file)
    assert action == "refused"
    assert reason in why
    assert prepared.rows == {"train": kept}


NO_CLASS = "no class of an image can be read from it"
REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "one label for all": (table(PLAIN.replace("dog", "cat")), "every image the label `cat`"),
    "no column of labels": (
        table("file,width,height\n" + "".join(f"{i}.png,{i * 7},{i * 5}\n" for i in range(N))),
        NO_CLASS,
    ),
    "names only": (table("\n".join(f"{i}.png" for i in range(N))), NO_CLASS),
    "an empty table": (table(""), NO_CLASS),
    "a header only": (table("file,label\n"), NO_CLASS),
    "a table of other files": (table(PLAIN.replace(".png", "x.png")), NO_CLASS),
    "random bytes": (IMAGES | {"labels.csv": pixels(1, 60, 60).tobytes()}, NO_CLASS),
    "zero bytes": (IMAGES | {"labels.csv": b"\0" * 5000}, NO_CLASS),
    "every label missing": (table(PLAIN.replace("cat", "").replace("dog", "")), NO_CLASS),
    "a cell of a megabyte": (table('"' + "x" * 1_000_000 + '",cat\n'), NO_CLASS),
    "a quote that never ends": (table('file,label\n"0.png,cat\n1.png,dog\n'), NO_CLASS),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_without_use_is_refused_as_a_whole(case: str, tmp_path: Path) -> None:
    files, fact = REFUSED[case]
    source = folder(tmp_path / "in" / "s", files)
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out")
    assert fact in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_the_error_names_the_table_and_what_it_lacks(tmp_path: Path) -> None:
    files, _ = REFUSED["no column of labels"]
    with pytest.raises(DataError) as caught:
        prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert "`file`, `width`, `height` holds the labels? Name it `label`" in str(caught.value)


def test_too_many_labels_are_refused(tmp_path: Path) -> None:
    text = "file,label\n" + "".join(f"{i}.png,kind {i}\n" for i in range(N))
    with pytest.raises(DataError, match="8 different labels"):
        prepare(folder(tmp_path / "s", table(text)), tmp_path / "out", limits=Limits(classes=5))


def test_two_files_of_one_name_need_their_folder(tmp_path: Path) -> None:
    files = {"a/0.png": png(0), "b/0.png": png(1), "b/1.png": png(2), "b/2.png": png(3)}
    text = b"file,label\na/0.png,cat\nb/0.png,dog\n1.png,cat\n2.png,dog\n0.png,cat\n"
    prepared = prepare(folder(tmp_path / "s", files | {"labels.csv": text}), tmp_path / "out")
    assert prepared.rows == {"train": 4}
    assert "no one file" in row_of(prepared, "labels.csv, row 6")[1]


@given(st.binary(max_size=3000))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_without_a_traceback(blob: bytes) -> None:
    assert all(cells for _, cells in parsed(blob))

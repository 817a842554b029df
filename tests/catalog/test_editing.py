"""A changed set is a new version; the old one stays for the runs that were created with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.made import folder, pixels, png
from workbench import catalog
from workbench.data.prepared import open_arrays, read_files, read_fingerprint
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.store import Store, open_store
from workbench.store.datasets import DatasetRow

CLASSES = ("ant", "bee", "cat")
N = 6  # images of each


@pytest.fixture
def zoo(home: Path, tmp_path: Path) -> Store:
    """Images k·100 + i of class k; the file name tells both."""
    files = {
        f"{name}/{100 * k + i}.png": png(100 * k + i) for k, name in enumerate(CLASSES) for i in range(N)
    }
    store = open_store()
    catalog.add(store, folder(tmp_path / "zoo", files), "zoo")
    return store


def seen(row: DatasetRow) -> dict[int, str]:
    """Which class each image has, the image told by its pixels' seed; checks that names fit the pixels."""
    arrays, files = open_arrays(row.path), read_files(row.path)
    assert files is not None
    assert len(files) == len(arrays.labels)
    out = {}
    for image, label, file in zip(arrays.images, arrays.labels, files, strict=True):
        seed = int(Path(file).stem)
        assert np.array_equal(image, pixels(seed).transpose(2, 0, 1))
        out[seed] = row.schema.classes[label]
    return out


BEFORE = {100 * k + i: name for k, name in enumerate(CLASSES) for i in range(N)}

EDITS: dict[str, tuple[Callable[[Store], DatasetRow], dict[int, str]]] = {
    "rename": (
        lambda s: catalog.rename_class(s, "zoo", "bee", "wasp"),
        {i: "wasp" if c == "bee" else c for i, c in BEFORE.items()},
    ),
    "merge into one of them": (
        lambda s: catalog.merge_classes(s, "zoo", ["ant", "bee"], "bee"),
        {i: "bee" if c == "ant" else c for i, c in BEFORE.items()},
    ),
    "merge into a new name": (
        lambda s: catalog.merge_classes(s, "zoo", ["cat", "ant"], "legs"),
        {i: "bee" if c == "bee" else "legs" for i, c in BEFORE.items()},
    ),
    "drop": (
        lambda s: catalog.drop_classes(s, "zoo", ["ant"]),
        {i: c for i, c in BEFORE.items() if c != "ant"},
    ),
    "relabel": (lambda s: catalog.relabel(s, "zoo", [0, 7], "cat"), BEFORE | {0: "cat", 101: "cat"}),
    "relabel to a new class": (lambda s: catalog.relabel(s, "zoo", [3], "dog"), BEFORE | {3: "dog"}),
    "relabel a whole class away": (
        lambda s: catalog.relabel(s, "zoo", range(N), "bee"),
        {i: "bee" if c == "ant" else c for i, c in BEFORE.items()},
    ),
    "drop images": (
        lambda s: catalog.drop_images(s, "zoo", [1, 17]),
        {i: c for i, c in BEFORE.items() if i not in (1, 205)},
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_a_version_and_keeps_the_former(edit: str, zoo: Store) -> None:
    change, expected = EDITS[edit]
    before = zoo.datasets.get("zoo")
    row = change(zoo)
    assert row.version == 2
    assert seen(row) == expected
    assert row.rows == len(expected)
    assert row.fingerprint != before.fingerprint
    assert row.report[-1]["file"] == "the data set"
    former = zoo.datasets.get("zoo", 1)
    assert seen(former) == BEFORE
    assert [r.version for r in zoo.datasets.versions("zoo")] == [2, 1]
    assert catalog.list(zoo)[-1] == row


def test_a_run_keeps_the_version_it_was_created_with(zoo: Store) -> None:
    spec = DataSpec(name="zoo", test=0.2, validation=0.2)
    then = catalog.load(zoo, spec)
    catalog.drop_classes(zoo, "zoo", ["cat"])
    assert catalog.load(zoo, spec).classes == ("ant", "bee")
    again = catalog.load(zoo, spec, version=1)
    assert again.classes == CLASSES
    assert np.array_equal(again.train.x, then.train.x)
    assert catalog.shape_and_classes(zoo, spec, version=1)[1] == 3
    assert catalog.schema(zoo, "zoo", version=2).classes == ("ant", "bee")


def test_renaming_and_back_gives_the_same_fingerprint(zoo: Store) -> None:
    first = zoo.datasets.get("zoo").fingerprint
    catalog.rename_class(zoo, "zoo", "bee", "wasp")
    back = catalog.rename_class(zoo, "zoo", "wasp", "bee")
    assert back.version == 3
    assert back.fingerprint == first == read_fingerprint(back.path)


def test_an_edit_that_keeps_the_images_takes_no_new_room(zoo: Store) -> None:
    row = catalog.rename_class(zoo, "zoo", "bee", "wasp")
    former = zoo.datasets.get("zoo", 1)
    assert (row.path / "images.npy").stat().st_ino == (former.path / "images.npy").stat().st_ino


def test_a_version_is_restored_as_the_newest(zoo: Store) -> None:
    catalog.drop_classes(zoo, "zoo", ["cat"])
    row = catalog.restore(zoo, "zoo", 1)
    assert row.version == 3
    assert seen(row) == BEFORE


def test_a_copy_is_a_set_of_its_own(zoo: Store) -> None:
    catalog.copy(zoo, "zoo", "ark")
    catalog.drop_classes(zoo, "ark", ["ant"])
    assert zoo.datasets.get("zoo").version == 1
    catalog.delete(zoo, "zoo")
    assert seen(zoo.datasets.get("ark")) == {i: c for i, c in BEFORE.items() if c != "ant"}


def test_shipped_sets_are_changed_as_copies_only(zoo: Store) -> None:
    with pytest.raises(DataError, match="Make a copy under another name"):
        catalog.rename_class(zoo, "digits", "0", "zero")
    catalog.copy(zoo, "digits", "mine")
    assert "zero" in catalog.rename_class(zoo, "mine", "0", "zero").schema.classes


def test_rename_and_delete_take_all_versions_along(zoo: Store) -> None:
    catalog.rename_class(zoo, "zoo", "bee", "wasp")
    catalog.rename(zoo, "zoo", "ark")
    rows = zoo.datasets.versions("ark")
    assert [r.version for r in rows] == [2, 1]
    with pytest.raises(DataError, match="it is not"):
        zoo.datasets.versions("zoo")
    catalog.delete(zoo, "ark")
    assert not any(r.path.exists() for r in rows)
    assert list((zoo.artifacts / "incoming").iterdir()) == []


def test_another_set_of_a_deleted_name_begins_behind_it_and_the_same_one_has_its_number_again(
    zoo: Store,
) -> None:
    """A run of the first version must not find another set there."""
    catalog.copy(zoo, "zoo", "first")
    catalog.rename_class(zoo, "zoo", "bee", "wasp")
    catalog.copy(zoo, "zoo", "other")
    catalog.delete(zoo, "zoo")
    assert catalog.copy(zoo, "first", "zoo").version == 1
    assert catalog.drop_classes(zoo, "zoo", ["cat"]).version == 3
    assert [row.version for row in zoo.datasets.versions("zoo")] == [3, 1]
    with pytest.raises(DataError, match="version 2 must be there"):
        zoo.datasets.get("zoo", 2)
    catalog.delete(zoo, "zoo")
    assert catalog.copy(zoo, "other", "zoo").version == 2
    catalog.drop_classes(zoo, "other", ["ant"])
    catalog.delete(zoo, "zoo")
    assert catalog.copy(zoo, "other", "zoo").version == 4
    catalog.delete(zoo, "zoo")
    assert catalog.rename(zoo, "other", "zoo").version == 4
    assert [row.version for row in zoo.datasets.versions("zoo")] == [4, 2]
    assert catalog.copy(zoo, "first", "other").version == 3, "of a renamed set too"
    catalog.rename(zoo, "zoo", "away")
    assert [row.version for row in zoo.datasets.versions("away")] == [2, 1]
    assert catalog.rename(zoo, "away", "zoo").version == 4, "there and back"


BAD: dict[str, tuple[Callable[[Store], object], str]] = {
    "an unknown class": (lambda s: catalog.rename_class(s, "zoo", "bees", "x"), "Did you mean `bee`"),
    "a name that is taken": (lambda s: catalog.rename_class(s, "zoo", "bee", "cat"), "Merge them instead"),
    "an empty name": (lambda s: catalog.rename_class(s, "zoo", "bee", "  "), "it is empty"),
    "merging one": (lambda s: catalog.merge_classes(s, "zoo", ["bee", "bee"], "x"), "1 are named"),
    "merging into a third": (lambda s: catalog.merge_classes(s, "zoo", ["ant", "bee"], "cat"), "Merge it as"),
    "merging all": (lambda s: catalog.merge_classes(s, "zoo", CLASSES, "x"), "at least two classes"),
    "dropping all but one": (lambda s: catalog.drop_classes(s, "zoo", ["ant", "bee"]), "1 would be left"),
    "dropping all": (lambda s: catalog.drop_classes(s, "zoo", CLASSES), "0 would be left"),
    "relabelling nothing": (lambda s: catalog.relabel(s, "zoo", [], "bee"), "none is named"),
    "relabelling beyond the end": (lambda s: catalog.relabel(s, "zoo", [18], "bee"), "numbered 0 to 17"),
    "relabelling below the start": (lambda s: catalog.relabel(s, "zoo", [-1], "bee"), "numbered 0 to 17"),
    "dropping every image": (lambda s: catalog.drop_images(s, "zoo", range(18)), "0 would be left"),
    "a version that is not": (lambda s: catalog.restore(s, "zoo", 9), "version 9 must be there"),
    "the version that is": (lambda s: catalog.restore(s, "zoo", 1), "1 is the newest"),
    "a copy over itself": (lambda s: catalog.copy(s, "zoo", "zoo"), "is taken"),
    "an unknown set": (lambda s: catalog.drop_classes(s, "zo", ["ant"]), "Did you mean `zoo`"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_edit_changes_nothing(case: str, zoo: Store) -> None:
    edit, fact = BAD[case]
    with pytest.raises(DataError) as caught:
        edit(zoo)
    assert fact in str(caught.value)
    assert [r.version for r in zoo.datasets.versions("zoo")] == [1]
    assert list((zoo.artifacts / "incoming").iterdir()) == []


def test_two_who_edit_at_once_make_two_versions(zoo: Store) -> None:
    def edit(i: int) -> None:
        catalog.relabel(open_store(), "zoo", [i], "cat")

    threads = [threading.Thread(target=edit, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.version for r in zoo.datasets.versions("zoo")] == [5, 4, 3, 2, 1]


def test_statistics_are_numpys_and_tell_the_files(zoo: Store) -> None:
    found = catalog.statistics(zoo, "zoo")
    x = open_arrays(zoo.datasets.get("zoo").path).images / 255
    assert found.mean == pytest.approx(x.mean((0, 2, 3)), rel=1e-5)
    assert found.std == pytest.approx(x.std((0, 2, 3)), rel=1e-5)
    assert sum(found.brightness) == 18
    assert (found.sizes, found.modes, found.forms) == ((((8, 8), 18),), (("RGB", 18),), (("PNG", 18),))
    assert catalog.statistics(zoo, "zoo") == found  # from the kept file
    shipped = catalog.statistics(zoo, "digits")
    assert sum(shipped.brightness) == 1797
    assert shipped.sizes == ()


def test_copies_are_found_and_leaks_told(home: Path, tmp_path: Path) -> None:
    files = {f"train/{'ab'[i % 2]}/{i}.png": png(i, height=16, width=16) for i in range(10)}
    files |= {"test/a/x.png": png(0, height=16, width=16), "test/b/y.png": png(99, height=16, width=16)}
    files |= {"train/b/again.png": png(2, height=16, width=16)}
    store = open_store()
    row = catalog.add(store, folder(tmp_path / "s", files), "s")
    found = catalog.copies(store, "s")
    names = read_files(row.path)
    assert names is not None
    assert {tuple(sorted(names[i] for i in pair)) for pair in found.same} == {
        ("test/a/x.png", "train/a/0.png"),
        ("train/a/2.png", "train/b/again.png"),
    }
    assert len(found.near) == 0
    assert len(found.between(open_arrays(row.path).splits).same) == 1
    told = [r["reason"] for r in row.report if r["file"] == "identical images"]
    assert told[0] == "2 are copies of others"
    assert "1 of test lie in train as well" in told[1]
    assert told[2] == "1 has more than one label"

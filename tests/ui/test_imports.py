"""Files as a browser sends them become a data set, or are refused in words; their names become no paths."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data.made import idx, png, two_classes, zipped
from workbench.data import Limits
from workbench.store import Store, open_store
from workbench.ui import adding, imports


class Sent(io.BytesIO):
    """What Streamlit hands over: a stream with the sender's name for it."""

    def __init__(self, name: str, blob: bytes) -> None:
        super().__init__(blob)
        self.name = name


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def brought(store: Store, *files: tuple[str, bytes]) -> imports.Import:
    item = imports.start_staged(store, imports.staged([Sent(*file) for file in files]), "mine")
    deadline = time.monotonic() + 30
    while not item.over and time.monotonic() < deadline:
        time.sleep(0.02)
    imports.dismiss(item)
    assert item.over
    return item


IMAGES = [(f"{i}.png", png(i)) for i in range(8)]
ROWS = "file,label\n" + "".join(f"{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(8))


@pytest.mark.parametrize("name", ["labels.csv", "LABELS.CSV", "train.tsv", "über/..\\labels.csv"])
def test_loose_images_and_their_table_need_no_zip(store: Store, name: str) -> None:
    text = ROWS.replace(",", "\t") if name.endswith("tsv") else ROWS
    assert brought(store, *IMAGES, (name, text.encode())).name == "mine"
    row = store.datasets.get("mine")
    assert (row.rows, row.schema.classes) == (8, ("cat", "dog"))


def test_names_that_no_path_could_have_are_found_in_the_table(store: Store) -> None:
    images = [
        ("größe 1?.png", png(1)),
        ("猫*.png", png(2)),
        ("c|d.png", png(3)),
        ("e" * 180 + ".png", png(4)),
    ]
    text = "file;label\n" + "".join(f"{name};{'ab'[k % 2]}\n" for k, (name, _) in enumerate(images))
    assert brought(store, *images, ("t.csv", text.encode())).name == "mine"
    assert store.datasets.get("mine").rows == 4


def test_two_files_of_one_name_are_told_and_the_rest_is_kept(store: Store) -> None:
    brought(store, *IMAGES, ("3.png", png(99)), ("labels.csv", ROWS.encode()))
    row = store.datasets.get("mine")
    assert row.rows == 7
    assert any("no one file of the set is meant by `3.png`" in line["reason"] for line in row.report)


@pytest.mark.parametrize(
    ("files", "fact"),
    [
        (IMAGES[:2], "it has 2"),
        (IMAGES[:1], "it has 1"),
        ([("labels.csv", ROWS.encode())], "it holds neither"),
        ([("..", b"x"), ("", b"y")], "it holds neither"),
    ],
)
def test_what_makes_no_set_together_is_refused(
    store: Store, files: list[tuple[str, bytes]], fact: str
) -> None:
    item = brought(store, *files)
    assert item.name is None
    assert fact in item.problems[0].fact
    assert "mine" not in [row.name for row in store.datasets.list()]


def test_one_archive_and_a_pair_of_idx_files_come_in_as_before(store: Store, tmp_path: Path) -> None:
    blob = zipped(tmp_path / "s.zip", two_classes(2)).read_bytes()
    assert brought(store, ("../s.zip", blob)).name == "mine"
    store.datasets.delete("mine")
    pair = (
        ("a-images-idx3-ubyte", idx(np.zeros((4, 5, 5), np.uint8))),
        ("a-labels-idx1-ubyte", idx(np.arange(4, dtype=np.uint8))),
    )
    assert brought(store, *pair).name == "mine"
    assert store.datasets.get("mine").rows == 4


def test_the_uploader_states_the_limits_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert adding.limit_words(Limits()) == (
        "At most 4.0 GiB unpacked, 200,000 files, 2,000 classes; an image 64.0 MiB and 64,000,000 pixels."
    )
    assert adding.uploadable(Limits()) == 4096
    monkeypatch.setenv("WORKBENCH_LIMIT_BYTES", "100MiB")
    assert adding.uploadable(Limits.from_environment()) == 100
    assert "100.0 MiB unpacked" in adding.limit_words(Limits.from_environment())


def test_a_set_is_named_after_what_tells_most() -> None:
    assert imports.suggested_from(["labels.csv", "1.png"]) == "pictures"
    assert imports.suggested_from(["labels.csv", "flowers.zip"]) == "flowers.zip"
    assert imports.suggested_from(["reviews.csv"]) == "reviews.csv"
    assert imports.suggested_from(["train.de", "train.en.txt"]) == "train.de"

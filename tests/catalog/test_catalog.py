"""Data sets by name: shipped ones are there from the start, added ones whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.data.made import folder, pixels, png, two_classes, zipped
from workbench import catalog
from workbench.data import SHIPPED, ImportCancelled
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.store import Store, open_store


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store()
    yield opened
    opened.close()


@pytest.fixture
def pets(store: Store, tmp_path: Path) -> Store:
    files = two_classes(20, "train/") | two_classes(5, "test/")
    catalog.add(store, zipped(tmp_path / "My Pets (1).zip", files))
    return store


def test_a_new_home_has_the_shipped_sets(store: Store) -> None:
    rows = {row.name: dict(row.splits) for row in catalog.list(store)}
    assert rows == {
        "fashion-mnist-sample": {"train": 10_000, "test": 2_000},
        "digits": {"train": 1_797},
        "shapes": {"train": 1_000, "test": 200},
        "tiny-shakespeare": {"train": 564},
        "sms-spam": {"train": 5_574},
        "uci-sentiment": {"train": 3_000},
        "tatoeba-fra-eng-small": {"train": 6_000},
        "iso-dates": {"train": 16_000, "validation": 2_000, "test": 2_000},
        "adult-sample": {"train": 8_000, "test": 4_000},
        "thousand-columns": {"train": 3_000},
        "wine-quality": {"train": 6_497},
        "sunspots": {"train": 2_820},
    }


def test_the_shipped_sets_are_there_after_a_second_or_two_of_work(store: Store) -> None:
    start = time.process_time()
    catalog.list(store)
    assert time.process_time() - start < 2.5  # a third of it imports pyarrow, once


def test_they_are_written_once(store: Store) -> None:
    first = {row.name: (row.version, row.path) for row in catalog.list(store)}
    assert {row.name: (row.version, row.path) for row in catalog.list(store)} == first


def test_many_first_uses_at_once_write_one(store: Store) -> None:
    threads = [threading.Thread(target=catalog.list, args=(store,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.version for row in catalog.list(store)] == [1] * len(SHIPPED)
    assert len(list((store.artifacts / "datasets").iterdir())) == len(SHIPPED)


def test_the_default_spec_loads(store: Store) -> None:
    data = catalog.load(store, DataSpec())
    assert (len(data.train), data.shape) == (9000, (1, 28, 28))


def test_shape_and_classes_follow_the_spec(store: Store) -> None:
    assert catalog.shape_and_classes(store, DataSpec()) == ((1, 28, 28), 10)
    assert catalog.shape_and_classes(store, DataSpec(name="digits", size=16, channels=3)) == ((3, 16, 16), 10)


def test_show_gives_the_contracts_json(pets: Store) -> None:
    shown = catalog.show(pets, "my-pets-1")
    contract = ["name", "kind", "task", "rows", "classes", "splits", "schema", "report"]
    assert list(shown) == [*contract, "version", "fingerprint"]
    assert shown["rows"] == 50
    assert shown["classes"] == ["cat", "dog"]
    assert shown["splits"] == {"train": 40, "test": 10}
    assert all(set(row) == {"file", "action", "reason"} for row in shown["report"])
    assert json.loads(json.dumps(shown)) == shown


def test_an_added_set_loads_pixel_for_pixel(pets: Store) -> None:
    data = catalog.load(pets, DataSpec(name="my-pets-1"))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [36, 4, 10]
    assert np.array_equal(data.test.x[0], pixels(0).transpose(2, 0, 1))
    assert data.fingerprint == pets.datasets.get("my-pets-1").fingerprint


def test_a_taken_name_gets_a_number_or_is_refused(store: Store, tmp_path: Path) -> None:
    root = folder(tmp_path / "pets", two_classes(2))
    assert [catalog.add(store, root).name for _ in range(3)] == ["pets", "pets-2", "pets-3"]
    with pytest.raises(DataError, match="`pets` is taken"):
        catalog.add(store, root, "pets")
    with pytest.raises(DataError, match="`digits` is taken"):
        catalog.add(store, root, "digits")


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "-x", "a b", "x" * 121, "é", "a\nb"])
def test_a_name_never_becomes_a_path(name: str, store: Store, tmp_path: Path) -> None:
    root = folder(tmp_path / "pets", two_classes(2))
    with pytest.raises(DataError, match="a data set's name has letters"):
        catalog.add(store, root, name)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/My Flowers (2).tar.gz", "my-flowers-2"),
        ("C:\\Users\\me\\Käfer.ZIP", "kafer"),
        ("hf:zalando/fashion_mnist", "fashion-mnist"),
        ("猫.zip", "images"),
        ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"),
        ("/data/set/", "set"),
        ("...", "images"),
    ],
)
def test_names_are_made_from_the_source(source: str, name: str) -> None:
    from workbench.catalog.sets import slug

    assert slug(source).replace("_", "-") == name


def test_a_failed_import_registers_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 3 images"):
        catalog.add(store, folder(tmp_path / "pets", {"cat/x.png": png(1)}))
    assert [row.name for row in catalog.list(store)] == sorted(SHIPPED)
    assert list((store.artifacts / "incoming").iterdir()) == []


def test_a_cancelled_import_registers_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ImportCancelled):
        catalog.add(store, folder(tmp_path / "pets", two_classes(2)), stop=lambda: True)
    assert list((store.artifacts / "incoming").iterdir()) == []


@pytest.mark.parametrize("source", ["hf:owner/name", Path("hf:owner/name")])
def test_the_hub_offline_is_a_clear_word(
    source: str | Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="Hugging Face hub need"):
        catalog.add(store, source)


def test_unknown_names_come_with_the_nearest(store: Store) -> None:
    catalog.list(store)
    with pytest.raises(DataError, match="Did you mean `digits`"):
        catalog.load(store, DataSpec(name="digit"))


def test_rename_and_delete(pets: Store) -> None:
    path = catalog.rename(pets, "my-pets-1", "pets").path
    assert catalog.schema(pets, "pets").classes == ("cat", "dog")
    catalog.delete(pets, "pets")
    assert not path.exists()
    with pytest.raises(DataError, match="it is not"):
        catalog.schema(pets, "pets")


@pytest.mark.parametrize("new", ["digits", "../x", "a b"])
def test_a_bad_new_name_is_refused(new: str, pets: Store) -> None:
    with pytest.raises(DataError, match=r"name"):
        catalog.rename(pets, "my-pets-1", new)
    assert catalog.schema(pets, "my-pets-1")


def test_shipped_sets_stay(store: Store) -> None:
    with pytest.raises(DataError, match="comes with the program"):
        catalog.delete(store, "digits")
    with pytest.raises(DataError, match="comes with the program"):
        catalog.rename(store, "digits", "numbers")


def test_class_balance_counts_each_split(pets: Store) -> None:
    assert catalog.class_balance(pets, "my-pets-1") == {"train": [20, 20], "test": [5, 5]}
    assert sum(catalog.class_balance(pets, "digits")["train"]) == 1797


def test_samples_are_paged_by_class_and_split(pets: Store) -> None:
    page = catalog.samples(pets, "my-pets-1", class_index=1, split="train", page=1, per_page=8)
    assert (page.total, page.pages, page.page, len(page.rows)) == (20, 3, 1, 8)
    assert page.images.shape == (8, 8, 8, 3)
    assert set(page.labels) == {1}
    # dog/10.png follows dog/9.png: page 1 of 8 begins with the ninth dog.
    assert np.array_equal(page.images[0], pixels(108))


def test_all_pages_together_are_the_whole_set(pets: Store) -> None:
    rows = np.concatenate([catalog.samples(pets, "my-pets-1", page=p, per_page=7).rows for p in range(8)])
    assert sorted(rows) == list(range(50))


def test_classes_take_turns_where_all_are_shown(store: Store) -> None:
    page = catalog.samples(store, "fashion-mnist-sample", per_page=20)
    assert page.labels.tolist() == [*range(10), *range(10)]
    assert page.images.shape == (20, 28, 28)


def test_pages_and_classes_out_of_range(pets: Store) -> None:
    assert catalog.samples(pets, "my-pets-1", page=99, per_page=48).page == 1
    assert catalog.samples(pets, "my-pets-1", split="validation").total == 0
    with pytest.raises(DataError, match="classes are numbered 0 to 1"):
        catalog.samples(pets, "my-pets-1", class_index=2)
    with pytest.raises(DataError, match="Did you mean `train`"):
        catalog.samples(pets, "my-pets-1", split="trian")


def test_neither_torch_nor_streamlit_nor_scikit_learn_is_loaded(home: Path) -> None:
    code = (
        "import sys; from workbench import catalog; from workbench.store import open_store;"
        "from workbench.specs.data import DataSpec; s = open_store(); catalog.list(s);"
        "catalog.load(s, DataSpec(size=32)); catalog.samples(s, 'digits');"
        "print([m for m in ('torch', 'streamlit', 'sklearn', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"

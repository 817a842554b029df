"""A registered set of images with masks: changed as far as it makes sense, and never torn apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.made import folder
from tests.data.test_pairs import numbers, pairs
from workbench import catalog
from workbench.data.masks import open_masks
from workbench.data.prepared import open_arrays, read_files
from workbench.specs.errors import DataError
from workbench.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = open_store(tmp_path / "home")
    files = pairs(5, images="train/images", masks="train/masks")
    files |= pairs(3, images="test/images", masks="test/masks")
    catalog.add(found, folder(tmp_path / "in", files), "marked")
    return found


def test_dropped_pairs_take_their_masks_along(store: Store) -> None:
    before = store.datasets.get("marked")
    images, files = np.array(open_arrays(before.path).images), read_files(before.path)
    row = catalog.drop_images(store, "marked", [1, 6])
    kept = [0, 2, 3, 4, 5, 7]
    np.testing.assert_array_equal(open_arrays(row.path).images, images[kept])
    np.testing.assert_array_equal(open_masks(row.path), open_masks(before.path)[kept])
    assert read_files(row.path) == [files[i] for i in kept]
    assert dict(row.splits) == {"train": 4, "test": 2}
    assert catalog.restore(store, "marked", 1).fingerprint == before.fingerprint


def test_a_class_of_pixels_gets_another_name_and_the_masks_stay(store: Store) -> None:
    row = catalog.rename_class(store, "marked", "class 1", "cat")
    assert row.schema.classes == ("class 0", "cat", "class 2")
    assert row.schema.task == "segmentation"
    np.testing.assert_array_equal(open_masks(row.path)[0], numbers(0))


def test_classes_of_pixels_are_not_merged_dropped_or_given_anew(store: Store) -> None:
    for change in (
        lambda: catalog.merge_classes(store, "marked", ["class 1", "class 2"], "thing"),
        lambda: catalog.drop_classes(store, "marked", ["class 1"]),
        lambda: catalog.relabel(store, "marked", [0], "class 1"),
    ):
        with pytest.raises(DataError, match="these are classes of pixels"):
            change()


def test_a_page_of_samples_has_its_masks(store: Store) -> None:
    page = catalog.samples(store, "marked", split="test")
    assert page.masks is not None
    assert page.masks.shape == (3, 12, 12)
    assert sorted(page.rows.tolist()) == [0, 1, 2]  # test comes before train

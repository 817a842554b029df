"""Images without classes: taken as they are, cut, changed and refused where classes are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.made import folder, pixels, png, two_classes, zipped
from workbench import catalog
from workbench.data.prepared import open_arrays
from workbench.jobs.check import check
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError
from workbench.specs.presets import preset
from workbench.store import Store, open_store

PHOTOS = {f"IMG_{i}.png": png(i) for i in range(10)}
LAID_OUT = {
    "one folder of images": PHOTOS,
    "a folder within folders": {f"a/b/{name}": blob for name, blob in PHOTOS.items()},
    "one class folder": {f"cat/{name}": blob for name, blob in PHOTOS.items()},
    "most images outside of the folders": {**PHOTOS, **two_classes(2)},
    "one split alone": {f"test/{name}": blob for name, blob in PHOTOS.items()},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "home")


@pytest.mark.parametrize("case", LAID_OUT)
def test_images_without_class_folders_are_a_set_without_classes(
    case: str, store: Store, tmp_path: Path
) -> None:
    row = catalog.add(store, zipped(tmp_path / "photos.zip", LAID_OUT[case]), kind="images")
    assert (row.schema.task, row.schema.classes) == ("reconstruction", ())
    assert dict(row.splits) == {"train": len(LAID_OUT[case])}
    assert any("without classes: to be painted anew" in line["reason"] for line in row.report)
    assert not any(line["action"] == "refused" for line in row.report)


def test_their_split_folders_are_kept_and_a_run_sees_the_pixels(store: Store, tmp_path: Path) -> None:
    files = {f"{part}/{i}.png": png(i) for part in ("train", "test") for i in range(6)}
    row = catalog.add(store, folder(tmp_path / "photos", files))
    assert dict(row.splits) == {"train": 6, "test": 6}
    data = catalog.load(store, DataSpec(name="photos", validation=0.2))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [5, 1, 6]
    np.testing.assert_array_equal(data.test.x[2], pixels(2).transpose(2, 0, 1))
    assert not data.train.y.any()


def test_two_class_folders_still_tell_classes_with_a_stray_image_beside_them(
    store: Store, tmp_path: Path
) -> None:
    row = catalog.add(store, folder(tmp_path / "pets", {**two_classes(3), "stray.png": png(9)}))
    assert row.schema.classes == ("cat", "dog")
    assert [line["file"] for line in row.report if line["action"] == "refused"] == ["stray.png"]


def test_images_are_dropped_and_the_set_is_copied(store: Store, tmp_path: Path) -> None:
    catalog.add(store, folder(tmp_path / "photos", PHOTOS))
    before = np.array(open_arrays(store.datasets.get("photos").path).images)
    row = catalog.drop_images(store, "photos", [0, 3])
    np.testing.assert_array_equal(open_arrays(row.path).images, before[[1, 2, 4, 5, 6, 7, 8, 9]])
    assert catalog.copy(store, "photos", "again").schema.classes == ()
    with pytest.raises(DataError, match="a set without classes needs 3 images, but 2 would be left"):
        catalog.drop_images(store, "photos", range(6))
    with pytest.raises(DataError, match="only sets to classify have classes"):
        catalog.relabel(store, "photos", [1], "cat")


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("cnn-mnist", "a folder per class"),
        ("unet-small", "with their masks"),
        ("mlp-table", "reconstruction"),
    ],
)
def test_a_task_that_needs_classes_refuses_them_with_the_repair(
    name: str, repair: str, store: Store, tmp_path: Path
) -> None:
    catalog.add(store, folder(tmp_path / "photos", PHOTOS))
    found = check(store, preset(name).spec.with_changes("data.name=photos"))
    (problem,) = [p for p in found.problems if p.where == "task.kind"]
    assert (found.ok, repair in problem.repair) == (False, True)
    assert not any("score per class" in p.rule for p in found.problems)


@pytest.mark.parametrize("name", ["autoencoder", "vae", "dcgan"])
def test_tasks_that_ask_for_no_classes_take_them(name: str, store: Store, tmp_path: Path) -> None:
    catalog.add(
        store, folder(tmp_path / "photos", {f"{i}.png": png(i, height=40, width=40) for i in range(10)})
    )
    spec = preset(name).spec.with_changes("data.name=photos", "training.batch_size=4")
    (problem,) = [p for p in check(store, spec).problems if p.severity == "error"]
    assert "or set data.size to 28 and data.channels to 1" in problem.repair
    assert check(store, spec.with_changes("data.size=28", "data.channels=1")).ok

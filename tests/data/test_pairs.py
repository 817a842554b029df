"""Images with masks as people bring them: in any layout and coding, with what is lacking or odd reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.made import encoded, folder, pixels, tarred, two_classes, zipped
from workbench.data import Prepared, load, prepare
from workbench.data.dataset import Dataset
from workbench.data.masks import open_masks
from workbench.data.prepared import open_arrays, read_files
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

SIDE = 12
RED, GREEN = (255, 0, 0), (0, 128, 0)


def numbers(
    seed: int, height: int = SIDE, width: int = SIDE, values: tuple[int, ...] = (0, 1, 2)
) -> np.ndarray:
    """A mask whose quarters have these values in turn, beginning anywhere."""
    out = np.zeros((height, width), np.uint8)
    for i, (top, left) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        rows = slice(top * height // 2, (top + 1) * height // 2 + height % 2)
        columns = slice(left * width // 2, (left + 1) * width // 2 + width % 2)
        out[rows, columns] = values[(i + seed) % len(values)]
    return out


def grey(array: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    return encoded(Image.fromarray(array), form, **options)


def palette(array: np.ndarray) -> bytes:
    image = Image.frombytes("P", array.shape[::-1], array.tobytes())
    image.putpalette([0, 0, 0, *RED, *GREEN] + [0] * 750)
    return encoded(image)


def colours(array: np.ndarray) -> bytes:
    return encoded(np.array([(0, 0, 0), RED, GREEN], np.uint8)[array])


def photo(seed: int, height: int = SIDE, width: int = SIDE) -> bytes:
    return encoded(pixels(seed, height, width))


def pairs(
    n: int = 4,
    code: Callable[[np.ndarray], bytes] = grey,
    values: tuple[int, ...] = (0, 1, 2),
    images: str = "images",
    masks: str = "masks",
) -> dict[str, bytes]:
    found = {f"{images}/p{i}.png": photo(i) for i in range(n)}
    return found | {f"{masks}/p{i}.png": code(numbers(i, values=values)) for i in range(n)}


def made(tmp_path: Path, files: dict[str, bytes], **more: Any) -> Prepared:
    source = folder(tmp_path / "in", files)
    return prepare(source, tmp_path / "out", **more)


def told(prepared: Prepared, file: str, action: str) -> str:
    """Why that happened to the file."""
    found = [row["reason"] for row in prepared.report if (row["file"], row["action"]) == (file, action)]
    assert len(found) == 1, prepared.report
    return str(found[0])


def masks_of(tmp_path: Path) -> np.ndarray:
    return np.asarray(open_masks(tmp_path / "out"))


@pytest.mark.parametrize("code", [grey, palette, colours], ids=["numbers", "palette", "colours"])
def test_masks_of_any_coding_become_class_numbers(tmp_path, code):
    prepared = made(tmp_path, pairs(code=code))
    assert (prepared.schema.task, prepared.schema.kind, prepared.rows) == (
        "segmentation",
        "images",
        {"train": 4},
    )
    found = masks_of(tmp_path)
    expected = np.stack([numbers(i) for i in range(4)])
    if code is colours:  # their order is that of the colours: black, green, red
        expected = np.array([0, 2, 1], np.uint8)[expected]
        assert prepared.schema.classes == ("#000000", "#008000", "#ff0000")
    np.testing.assert_array_equal(found, expected)
    images = np.stack([pixels(i, SIDE, SIDE).transpose(2, 0, 1) for i in range(4)])
    np.testing.assert_array_equal(np.asarray(open_arrays(tmp_path / "out").images), images)


def test_nought_and_255_are_ground_and_thing(tmp_path):
    assert made(tmp_path, pairs(values=(0, 255))).schema.classes == ("background", "foreground")
    assert set(np.unique(masks_of(tmp_path))) == {0, 1}


def test_255_beside_class_numbers_is_a_border_that_counts_nowhere(tmp_path):
    prepared = made(tmp_path, pairs(values=(0, 1, 2, 255)))
    assert prepared.schema.classes == ("class 0", "class 1", "class 2")
    assert (masks_of(tmp_path) == 255).mean() == 0.25
    assert "counts nowhere" in told(prepared, "masks", "kept")


def test_numbers_that_leave_gaps_are_closed_up(tmp_path):
    prepared = made(tmp_path, pairs(values=(0, 7, 40)))
    assert prepared.schema.classes == ("class 0", "class 7", "class 40")
    assert set(np.unique(masks_of(tmp_path))) == {0, 1, 2}


def test_a_list_names_the_classes(tmp_path):
    files = pairs() | {"classes.txt": b"ground\ncat\n dog \n"}
    assert made(tmp_path, files).schema.classes == ("ground", "cat", "dog")


def test_a_mask_saved_in_black_and_white_mode_is_one(tmp_path):
    def bits(array: np.ndarray) -> bytes:
        return encoded(Image.fromarray(array > 0).convert("1"))

    assert made(tmp_path, pairs(code=bits, values=(0, 255))).schema.classes == ("background", "foreground")


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"), ("imgs", "labels"), ("JPEGImages", "SegmentationClass"),
        ("set/images", "set/masks"),
        ("train/images", "train/masks"), ("images/train", "masks/train"), ("train_images", "train_masks"),
    ],
)  # fmt: skip
def test_folders_side_by_side_are_paired(tmp_path, images, masks):
    assert made(tmp_path, pairs(images=images, masks=masks)).rows == {"train": 4}


def test_masks_beside_their_images_are_told_by_their_names(tmp_path):
    files = {}
    for i in range(3):
        files |= {f"p{i}.jpg": encoded(pixels(i, SIDE, SIDE), "JPEG"), f"p{i}_mask.png": grey(numbers(i))}
    assert made(tmp_path, files).rows == {"train": 3}
    assert read_files(tmp_path / "out") == ["p0.jpg", "p1.jpg", "p2.jpg"]


def test_masks_in_a_folder_of_their_own_may_be_marked_too(tmp_path):
    files = {f"images/p{i}.png": photo(i) for i in range(3)}
    files |= {f"masks/p{i}-mask.png": grey(numbers(i)) for i in range(3)}
    assert made(tmp_path, files).rows == {"train": 3}


def test_splits_that_come_with_the_set_are_kept(tmp_path):
    files = pairs(4, images="train/images", masks="train/masks") | pairs(
        2, images="val/images", masks="val/masks"
    )
    files |= pairs(3, images="test/images", masks="test/masks")
    prepared = made(tmp_path, files)
    assert prepared.rows == {"train": 4, "validation": 2, "test": 3}
    found = load(tmp_path / "out", DataSpec(name="x"))
    assert isinstance(found, Dataset)
    assert found.validation.masks is not None
    np.testing.assert_array_equal(found.validation.masks[1], numbers(1))


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_do_as_well(tmp_path, pack):
    source = pack(tmp_path / ("x.zip" if pack is zipped else "x.tar.gz"), pairs())
    assert prepare(source, tmp_path / "out").rows == {"train": 4}
    np.testing.assert_array_equal(masks_of(tmp_path)[3], numbers(3))
    assert not (tmp_path / "out" / "masks.draft").exists()


# ---------------------------------------------------------------- what is odd


def test_partners_that_are_missing_are_named(tmp_path):
    files = pairs(4)
    del files["masks/p1.png"], files["images/p2.png"]
    prepared = made(tmp_path, files)
    assert prepared.rows == {"train": 2}
    assert told(prepared, "images/p1.png", "refused") == "it has no mask"
    assert told(prepared, "masks/p2.png", "refused") == "it is a mask without an image"


def test_pictures_of_different_sizes_are_brought_to_one_with_their_masks(tmp_path):
    files = {}
    for i, side in enumerate((16, 24, 16)):
        files[f"images/p{i}.png"] = photo(i, side, side)
        files[f"masks/p{i}.png"] = grey(numbers(i, side, side))
    prepared = made(tmp_path, files)
    assert prepared.schema.shape == (3, 16, 16)
    np.testing.assert_array_equal(masks_of(tmp_path)[1], numbers(1, 16, 16))


def test_a_smaller_mask_of_the_same_proportions_is_enlarged_and_another_refused(tmp_path):
    files = pairs(4)
    files["masks/p1.png"] = grey(numbers(1, SIDE // 2, SIDE // 2))
    files["masks/p2.png"] = grey(numbers(2, SIDE, 2 * SIDE))
    prepared = made(tmp_path, files)
    assert prepared.rows == {"train": 3}
    assert "brought to its size" in told(prepared, "images/p1.png", "repaired")
    assert "its mask has other sides: 24 × 12" in told(prepared, "images/p2.png", "refused")
    np.testing.assert_array_equal(masks_of(tmp_path)[1], numbers(1))


def test_stray_values_count_nowhere_and_are_told(tmp_path):
    files = {f"images/p{i}.png": photo(i, 60, 60) for i in range(4)}
    for i in range(4):
        mask = numbers(i, 60, 60)
        mask[0, i] = 17  # one pixel of 3,600
        files[f"masks/p{i}.png"] = grey(mask)
    prepared = made(tmp_path, files)
    assert prepared.schema.classes == ("class 0", "class 1", "class 2")
    assert (masks_of(tmp_path) == 255).sum() == 4
    assert "4 pixels of 1 stray value count nowhere" in told(prepared, "masks", "repaired")


def test_a_mask_saved_with_loss_keeps_its_two_values(tmp_path):
    """JPEG blurs the edge between 0 and 255 into dozens of values, of a few pixels each."""
    files = {f"images/p{i}.png": photo(i, 64, 64) for i in range(3)}
    files |= {
        f"masks/p{i}.jpg": grey(numbers(i, 64, 64, values=(0, 255)), "JPEG", quality=95) for i in range(3)
    }
    prepared = made(tmp_path, files)
    assert prepared.schema.classes == ("background", "foreground")
    assert "JPEG changes values" in told(prepared, "masks", "repaired")
    found = masks_of(tmp_path)
    for i in range(3):
        meant = numbers(i, 64, 64, values=(0, 255)) > 0
        assert (found[i][found[i] != 255] == meant[found[i] != 255]).mean() > 0.99
        assert (found[i] == 255).mean() < 0.05


def test_a_black_mask_among_coloured_ones_is_ground(tmp_path):
    files = pairs(4, code=colours)
    files["masks/p3.png"] = grey(np.zeros((SIDE, SIDE), np.uint8))
    assert made(tmp_path, files).schema.classes[0] == "#000000"
    assert (masks_of(tmp_path)[3] == 0).all()


BAD: dict[str, bytes] = {
    "no image": b"not a picture",
    "empty": b"",
    "cut off": grey(numbers(0))[:40],
    "numbers above 255": encoded(Image.fromarray(np.full((SIDE, SIDE), 4000, np.uint16))),
    "fractions": encoded(Image.fromarray(np.full((SIDE, SIDE), 0.5, np.float32)), "TIFF"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mask_that_cannot_be_used_costs_its_pair_alone(tmp_path, name):
    files = pairs(4)
    files["masks/p1.png"] = BAD[name]
    prepared = made(tmp_path, files)
    assert prepared.rows == {"train": 3}
    assert "mask" in told(prepared, "images/p1.png", "refused")
    np.testing.assert_array_equal(masks_of(tmp_path)[1], numbers(2))


def test_an_image_that_cannot_be_used_costs_its_pair_alone(tmp_path):
    files = pairs(4)
    files["images/p1.png"] = files["images/p1.png"][:60]
    prepared = made(tmp_path, files)
    assert prepared.rows == {"train": 3}
    np.testing.assert_array_equal(masks_of(tmp_path)[1], numbers(2))


@pytest.mark.parametrize(
    ("values", "rule"),
    [((0,), "masks need at least two classes"), (tuple(range(200)), "masks may have 64 classes")],
)
def test_masks_that_tell_nothing_are_refused(tmp_path, values, rule):
    def code(array: np.ndarray) -> bytes:
        many = np.resize(np.array(values, np.uint8), (SIDE, SIDE)) if len(values) > 4 else array
        return grey(many)

    with pytest.raises(DataError, match=rule):
        made(tmp_path, pairs(code=code, values=values[:4]))
    assert not (tmp_path / "out").exists()


def test_two_classes_called_after_faces_with_and_without_masks_stay_classes(tmp_path):
    files = {name.replace("cat", "with_mask").replace("dog", "without_mask"): blob
             for name, blob in two_classes(3).items()}  # fmt: skip
    assert made(tmp_path, files).schema.task == "classification"


def test_pairs_are_looked_for_where_somebody_says_so(tmp_path):
    with pytest.raises(DataError, match="images and masks need names that agree"):
        made(tmp_path, two_classes(3), kind="masks")
    assert prepare(folder(tmp_path / "b", pairs(1)), tmp_path / "o2", kind="masks").rows == {"train": 1}


def test_a_cancelled_import_leaves_nothing(tmp_path):
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 6

    with pytest.raises(DataError, match="cancelled"):
        made(tmp_path, pairs(8), stop=stop)
    assert not (tmp_path / "out").exists()


def test_masks_follow_their_images_to_another_size(tmp_path):
    made(tmp_path, pairs(6))
    found = load(tmp_path / "out", DataSpec(name="x", size=24))
    assert isinstance(found, Dataset)
    assert found.train.masks is not None
    assert found.train.masks.shape[1:] == (24, 24)
    row = int(found.train.index[0])
    np.testing.assert_array_equal(found.train.masks[0], numbers(row, 24, 24))

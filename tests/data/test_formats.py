"""What comes in as a folder, an archive or idx files comes out pixel for pixel."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.made import encoded, folder, idx, pixels, png, tarred, two_classes, zipped
from workbench.data import Prepared, prepare
from workbench.data.prepared import open_arrays, read_fingerprint, read_schema
from workbench.specs.errors import DataError

Pack = Callable[[Path, dict[str, bytes]], Path]
PACKS: dict[str, Pack] = {
    "folder": lambda at, files: folder(at / "set", files),
    "zip": lambda at, files: zipped(at / "set.zip", files),
    "stored zip": lambda at, files: zipped(at / "set.zip", files, zipfile.ZIP_STORED),
    "tar": lambda at, files: tarred(at / "set.tar", files, "w:"),
    "tar.gz": lambda at, files: tarred(at / "set.tar.gz", files, "w:gz"),
    "tar.bz2": lambda at, files: tarred(at / "set.tar.bz2", files, "w:bz2"),
    "tar.xz": lambda at, files: tarred(at / "set.tar.xz", files, "w:xz"),
    "txz without a suffix": lambda at, files: tarred(at / "upload", files, "w:xz"),
    "zip without a suffix": lambda at, files: zipped(at / "upload", files),
    "tgz without a suffix": lambda at, files: tarred(at / "upload", files),
}


@pytest.fixture(params=PACKS)
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    return lambda files: PACKS[request.param](tmp_path, files)


def test_class_folders_come_out_pixel_for_pixel(pack: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared = prepare(pack(two_classes(3)), out)
    arrays = open_arrays(out)
    assert prepared.schema.classes == ("cat", "dog")
    assert prepared.schema.shape == arrays.images.shape[1:] == (3, 8, 8)
    assert prepared.rows == {"train": 6}
    expected = [pixels(100 * k + i).transpose(2, 0, 1) for k in range(2) for i in range(3)]
    assert np.array_equal(arrays.images, expected)
    assert arrays.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert read_schema(out) == prepared.schema
    assert read_fingerprint(out) == prepared.fingerprint


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (("train", "val", "test"), {"train": 6, "validation": 6, "test": 6}),
        (("Train", "Valid"), {"train": 6, "validation": 6}),
        (("training_set", "test_set"), {"train": 6, "test": 6}),
        (("seg_train", "seg_test"), {"train": 6, "test": 6}),
        (("train", "validation", "test"), {"train": 6, "validation": 6, "test": 6}),
    ],
)
def test_split_folders_are_kept_as_they_are(
    names: tuple[str, ...], rows: dict[str, int], pack: Callable[..., Path], tmp_path: Path
) -> None:
    files = {k: v for name in names for k, v in two_classes(3, f"{name}/").items()}
    assert prepare(pack(files), tmp_path / "out").rows == rows


@pytest.mark.parametrize("prefix", ["set/", "a/b/c/", "set/train/", "träger/図/"])
def test_one_level_too_deep_is_seen_through(prefix: str, pack: Callable[..., Path], tmp_path: Path) -> None:
    prepared = prepare(pack(two_classes(2, prefix)), tmp_path / "out")
    assert (prepared.schema.classes, prepared.rows) == (("cat", "dog"), {"train": 4})


def test_a_level_too_deep_inside_each_split_is_seen_through(tmp_path: Path) -> None:
    files = two_classes(2, "train/images/") | two_classes(1, "test/images/")
    prepared = prepare(folder(tmp_path / "set", files), tmp_path / "out")
    assert (prepared.schema.classes, prepared.rows) == (("cat", "dog"), {"train": 4, "test": 2})


def test_a_class_called_train_among_vehicles_is_a_class(tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": png(i) for name in ("bus", "car", "train") for i in range(2)}
    prepared = prepare(folder(tmp_path / "set", files), tmp_path / "out")
    assert prepared.schema.classes == ("bus", "car", "train")


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    files = {f"{k}/x.png": png(k) for k in (10, 9, 2, 1)}
    assert prepare(folder(tmp_path / "s", files), tmp_path / "out").schema.classes == ("1", "2", "9", "10")


def test_the_same_images_have_the_same_fingerprint_however_packed(tmp_path: Path) -> None:
    def fingerprint(name: str) -> str:
        at = tmp_path / name.replace(" ", "")
        at.mkdir()
        return prepare(PACKS[name](at, two_classes()), at / "out").fingerprint

    assert len({fingerprint(name) for name in ("folder", "zip", "tar.gz")}) == 1
    changed = two_classes() | {"dog/2.png": png(999)}
    assert prepare(folder(tmp_path / "c", changed), tmp_path / "c-out").fingerprint != fingerprint("tar")


IDX_IMAGES = np.stack([pixels(i, 6, 5, 1) for i in range(12)])
IDX_LABELS = np.arange(12, dtype=np.uint8) % 3


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_quadruple_comes_out_pixel_for_pixel(
    packed: bool, pack: Callable[..., Path], tmp_path: Path
) -> None:
    end = ".gz" if packed else ""
    files = {
        f"train-images-idx3-ubyte{end}": idx(IDX_IMAGES[:8], pack=packed),
        f"train-labels-idx1-ubyte{end}": idx(IDX_LABELS[:8], pack=packed),
        f"t10k-images-idx3-ubyte{end}": idx(IDX_IMAGES[8:], pack=packed),
        f"t10k-labels-idx1-ubyte{end}": idx(IDX_LABELS[8:], pack=packed),
    }
    prepared = prepare(pack(files), tmp_path / "out")
    arrays = open_arrays(tmp_path / "out")
    by_split = np.argsort(arrays.splits, kind="stable")  # a tar is read from front to back
    assert np.array_equal(arrays.images[by_split][:, 0], IDX_IMAGES)
    assert np.array_equal(arrays.labels[by_split], IDX_LABELS)
    assert prepared.rows == {"train": 8, "test": 4}
    assert prepared.schema.classes == ("0", "1", "2")
    assert len(prepared.report) == 4  # a row per file, none per image


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte.gz"),
        ("x_images.idx", "x_labels.idx"),
    ],
)
def test_one_images_file_finds_the_labels_beside_it(images: str, labels: str, tmp_path: Path) -> None:
    files = {images: idx(IDX_IMAGES), labels: idx(IDX_LABELS, pack=labels.endswith("gz")), "other.txt": b"x"}
    source = folder(tmp_path / "s", files) / images
    assert prepare(source, tmp_path / "out").rows == {"train": 12}


def test_labels_of_any_name_can_be_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "s", {"a.bin": idx(IDX_IMAGES), "b.bin": idx(IDX_LABELS)})
    assert prepare(root / "a.bin", tmp_path / "out", labels=root / "b.bin").rows == {"train": 12}


def test_labels_that_do_not_start_at_zero_become_classes(tmp_path: Path) -> None:
    labels = (IDX_LABELS * 10 + 1).astype(">i4")
    files = {"images.idx": idx(IDX_IMAGES), "labels.idx": idx(labels, code=12)}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert prepared.schema.classes == ("1", "11", "21")
    assert open_arrays(tmp_path / "out").labels.tolist() == IDX_LABELS.tolist()


def test_class_names_can_be_given(tmp_path: Path) -> None:
    files = {"images.idx": idx(IDX_IMAGES), "labels.idx": idx(IDX_LABELS)}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out", class_names=["a", "b", "c", "d"])
    assert prepared.schema.classes == ("a", "b", "c")


def test_colour_idx_images_are_read(tmp_path: Path) -> None:
    colour = np.stack([pixels(i, 6, 5, 3) for i in range(12)])
    files = {"images.idx": idx(colour), "labels.idx": idx(IDX_LABELS)}
    prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert np.array_equal(open_arrays(tmp_path / "out").images, colour.transpose(0, 3, 1, 2))


def sizes(tmp_path: Path, *wanted: tuple[int, int], **options: int) -> Prepared:
    files = {f"{'ab'[i % 2]}/{i}.png": png(i, width=w, height=h) for i, (w, h) in enumerate(wanted)}
    return prepare(folder(tmp_path / "s", files), tmp_path / "out", **options)  # type: ignore[arg-type]


def test_a_common_size_is_kept(tmp_path: Path) -> None:
    assert sizes(tmp_path, (20, 12), (20, 12)).schema.shape == (3, 12, 20)


def test_mixed_sizes_become_a_square_of_the_median_side(tmp_path: Path) -> None:
    prepared = sizes(tmp_path, (10, 10), (20, 20), (40, 40))
    assert prepared.schema.shape == (3, 20, 20)
    assert "3 different sizes, median side 20" in prepared.report[0]["reason"]


def test_large_images_are_shrunk_and_the_report_says_so(tmp_path: Path) -> None:
    prepared = sizes(tmp_path, (200, 100), (200, 100))
    assert prepared.schema.shape == (3, 32, 64)
    assert "shrunk from 200 × 100" in prepared.report[0]["reason"]


def test_a_size_that_is_asked_for_is_given(tmp_path: Path) -> None:
    assert sizes(tmp_path, (200, 100), (10, 90), size=96).schema.shape == (3, 96, 96)


@pytest.mark.parametrize("size", [0, 3, 513, -1])
def test_an_impossible_size_is_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lies between 4 and 512"):
        sizes(tmp_path, (8, 8), (8, 8), size=size)


def test_grey_images_stay_grey_unless_colour_is_asked_for(tmp_path: Path) -> None:
    source = folder(tmp_path / "s", two_classes(2, channels=1))
    assert prepare(source, tmp_path / "a").schema.shape[0] == 1
    assert prepare(source, tmp_path / "b", channels=3).schema.shape[0] == 3


def test_a_resized_image_equals_pillows(tmp_path: Path) -> None:
    prepare(folder(tmp_path / "s", two_classes(1, height=30, width=30)), tmp_path / "out", size=10)
    expected = Image.fromarray(pixels(0, 30, 30)).resize((10, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(open_arrays(tmp_path / "out").images[0], np.asarray(expected).transpose(2, 0, 1))


def test_a_large_photo_is_decoded_small_and_looks_the_same(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 1600, dtype=np.uint8), (1200, 1))
    files = {f"{name}/x.jpg": encoded(ramp, "JPEG", quality=95) for name in "ab"}
    prepare(folder(tmp_path / "s", files), tmp_path / "out", size=32)
    expected = np.asarray(Image.fromarray(ramp).resize((32, 32), Image.Resampling.BOX), dtype=int)
    assert np.abs(open_arrays(tmp_path / "out").images[0, 0].astype(int) - expected).max() <= 3

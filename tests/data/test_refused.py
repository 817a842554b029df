"""What cannot be a data set is refused as a whole, with the fact; nothing is left behind."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.made import encoded, folder, idx, pixels, png, tarred, two_classes, zipped
from workbench.data import Limits, prepare
from workbench.specs.errors import DataError


def encrypted(at: Path) -> Path:
    path = zipped(at / "s.zip", two_classes(2))
    data = bytearray(path.read_bytes())
    at_directory = data.find(b"PK\x01\x02")
    data[at_directory + 8] |= 1  # the flag of the first file, in the directory
    path.write_bytes(data)
    return path


def truncated(path: Path, share: float = 0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def named(at: Path, name: str, blob: bytes) -> Path:
    path = at / name
    path.write_bytes(blob)
    return path


IMAGES, LABELS = np.zeros((4, 5, 5), np.uint8), np.arange(4, dtype=np.uint8)


def idx_folder(at: Path, images: bytes, labels: bytes, **more: bytes) -> Path:
    return folder(at / "s", {"images.idx": images, "labels.idx": labels, **more})


WHOLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda at: at / "nowhere.zip", "there is nothing at"),
    "empty file": (lambda at: named(at, "x.zip", b""), "it is empty"),
    "empty folder": (
        lambda at: folder(at / "s", {}) if (at / "s").mkdir() is None else at,
        "it holds neither",
    ),
    "empty zip": (lambda at: zipped(at / "s.zip", {}), "it holds neither"),
    "no images": (lambda at: zipped(at / "s.zip", {"a/x.txt": b"x", "b/y.txt": b"y"}), "it holds neither"),
    "encrypted zip": (encrypted, "it is encrypted"),
    "truncated zip": (lambda at: truncated(zipped(at / "s.zip", two_classes(9))), "must be whole"),
    "truncated tar.gz": (lambda at: truncated(tarred(at / "s.tar.gz", two_classes(9))), "must be whole"),
    "corrupt gzip": (lambda at: named(at, "s.tar.gz", b"\x1f\x8b\x08" + b"\xff" * 200), "must be whole"),
    "random bytes": (lambda at: named(at, "x.zip", pixels(1).tobytes()), "begins with"),
    "rar": (lambda at: named(at, "x.rar", b"Rar!\x1a\x07\x01\0" + b"\0" * 600), "begins with"),
    "a table of numbers": (
        lambda at: named(at, "x.csv", b"a,b\n" + b"1,2\n" * 9),
        "which of `a`, `b` is it",
    ),
    "a single image": (lambda at: named(at, "x.png", png(1)), "begins with"),
    "one class": (
        lambda at: zipped(at / "s.zip", {f"cat/{i}.png": png(i) for i in range(2)}),
        "a set without classes needs 3 images",
    ),
    "images without folders": (
        lambda at: folder(at / "s", {"a.png": png(1), "b.png": png(2)}),
        "it has 2",
    ),
    "one class per split": (
        lambda at: folder(at / "s", {"train/cat/a.png": png(1), "test/cat/b.png": png(2)}),
        "make one folder per class",
    ),
    "splits without classes": (
        lambda at: folder(
            at / "s", {f"{name}/{i}.png": png(i) for name in ("val", "test") for i in range(3)}
        ),
        "no images for training",
    ),
    "no train split": (
        lambda at: folder(at / "s", two_classes(2, "test/") | two_classes(2, "val/")),
        "below `train`",
    ),
    "all images bad": (
        lambda at: zipped(at / "s.zip", {"a/x.png": b"no", "b/y.png": b"no"}),
        "not one could be read",
    ),
    "one class left": (
        lambda at: zipped(at / "s.zip", {"a/x.png": png(1), "b/y.png": b"no"}),
        "only `a` has images",
    ),
    "more images than labels": (
        lambda at: idx_folder(at, idx(IMAGES), idx(LABELS[:3])),
        "4 images and 3 labels",
    ),
    "images that end early": (
        lambda at: idx_folder(at, idx(IMAGES)[:-9], idx(LABELS)),
        "cannot be read to their end",
    ),
    "labels that end early": (
        lambda at: idx_folder(at, idx(IMAGES), idx(LABELS)[:-1]),
        "cannot be read to their end",
    ),
    "idx that claims terabytes": (
        lambda at: idx_folder(at, struct.pack(">HBB3I", 0, 8, 3, 4_000_000_000, 9999, 9999), idx(LABELS)),
        "labels",
    ),
    "idx pair that claims terabytes": (
        lambda at: idx_folder(
            at, struct.pack(">HBB3I", 0, 8, 3, 900_000, 9999, 9999), struct.pack(">HBBI", 0, 8, 1, 900_000)
        ),
        "may take",
    ),
    "images without labels": (lambda at: folder(at / "s", {"images.idx": idx(IMAGES)}), "come in pairs"),
    "labels without images": (lambda at: folder(at / "s", {"labels.idx": idx(LABELS)}), "it holds neither"),
    "float images": (
        lambda at: idx_folder(at, idx(IMAGES.astype(">f4"), code=13), idx(LABELS)),
        "unsigned bytes",
    ),
    "no images inside": (lambda at: idx_folder(at, idx(IMAGES[:0]), idx(LABELS[:0])), "needs images"),
    "one label value": (lambda at: idx_folder(at, idx(IMAGES), idx(LABELS * 0)), "at least two classes"),
    "labels of a row each": (
        lambda at: idx_folder(at, idx(IMAGES), idx(np.zeros((4, 3), np.uint8))),
        "come in pairs",
    ),
    "images alone": (lambda at: named(at, "train-images-idx3-ubyte", idx(IMAGES)), "beside it"),
    "labels alone": (
        lambda at: named(at, "train-labels-idx1-ubyte", idx(LABELS)),
        "comes with the file of its labels",
    ),
    "damaged idx.gz": (
        lambda at: idx_folder(
            at, gzip.compress(idx(pixels(0, 90, 90, 1)[None].repeat(4, 0)))[:4000], idx(LABELS)
        ),
        "cannot be read to their end",
    ),
    "two idx sets": (
        lambda at: folder(
            at / "s",
            {
                f"{n}-{r}.idx": idx(a)
                for n in ("letters", "digits")
                for r, a in (("images", IMAGES), ("labels", LABELS))
            },
        ),
        "those of 2",
    ),
    "splits of two shapes": (
        lambda at: folder(
            at / "s",
            {
                "train-images": idx(IMAGES),
                "train-labels": idx(LABELS),
                "test-images": idx(IMAGES[:, :4]),
                "test-labels": idx(LABELS),
            },
        ),
        "one shape",
    ),
    "damaged xz": (lambda at: named(at, "x.tar.xz", b"\xfd7zXZ\0" + b"\0" * 600), "must be whole"),
    "truncated tar.xz": (
        lambda at: truncated(tarred(at / "s.tar.xz", two_classes(9), "w:xz")),
        "must be whole",
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_cannot_be_a_set_is_refused_as_a_whole(case: str, tmp_path: Path) -> None:
    make, fact = WHOLE[case]
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError) as caught:
        prepare(make(tmp_path / "in"), tmp_path / "out")
    assert fact in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]  # no half-prepared folder


BLACK = encoded(np.zeros((3000, 3000), np.uint8), "BMP")  # 9 MB that deflate to 9 kB

LIMITED: dict[str, tuple[Callable[[Path], Path], Limits, str]] = {
    "too many files": (lambda at: zipped(at / "s.zip", two_classes(9)), Limits(files=10), "10 files"),
    "too many files in a tar": (
        lambda at: tarred(at / "s.tgz", two_classes(9)),
        Limits(files=10),
        "10 files",
    ),
    "too many files in a folder": (lambda at: folder(at / "s", two_classes(9)), Limits(files=10), "10 files"),
    "a directory of empty names": (
        lambda at: zipped(at / "s.zip", {f"{i}/": b"" for i in range(50)}),
        Limits(files=10),
        "far more",
    ),
    "too many bytes": (
        lambda at: zipped(at / "s.zip", {f"{c}/{i}.bmp": BLACK for c in "ab" for i in range(3)}),
        Limits(bytes=20_000_000, ratio=10_000),
        "unpacked",
    ),
    "too many bytes in a tar": (
        lambda at: tarred(at / "s.tgz", {f"{c}/{i}.bmp": BLACK for c in "ab" for i in range(3)}),
        Limits(bytes=20_000_000),
        "unpacked",
    ),
    "a tar bomb by ratio": (
        lambda at: tarred(at / "s.tgz", {f"{c}/{i}.bmp": BLACK for c in "ab" for i in range(3)}),
        Limits(ratio_from=1000, ratio=100),
        "as a bomb does",
    ),
    "a set too large when prepared": (
        lambda at: folder(at / "s", two_classes(9)),
        Limits(bytes=3_000_000, default_side=64),
        "smaller `size`",
    ),
    "too many classes": (
        lambda at: folder(at / "s", {f"{k}/x.png": png(k) for k in range(9)}),
        Limits(classes=5),
        "9 class folders",
    ),
    "too many label values": (
        lambda at: idx_folder(at, idx(IMAGES), idx(LABELS)),
        Limits(classes=3),
        "4 values",
    ),
    "too many idx images": (
        lambda at: idx_folder(at, idx(IMAGES), idx(LABELS)),
        Limits(images=3),
        "3 images",
    ),
}


@pytest.mark.parametrize("case", LIMITED)
def test_a_limit_holds(case: str, tmp_path: Path) -> None:
    make, limits, fact = LIMITED[case]
    (tmp_path / "in").mkdir()
    size = 512 if "prepared" in case else None
    with pytest.raises(DataError) as caught:
        prepare(make(tmp_path / "in"), tmp_path / "out", limits=limits, size=size)
    assert fact in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]

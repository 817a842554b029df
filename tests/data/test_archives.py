"""Archives and folders that lie, leak or explode: what is unsafe is left out, nothing is half done."""

from __future__ import annotations

import io
import os
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.made import encoded, folder, idx, pixels, png, row_of, tarred, two_classes, zipped
from workbench.data import ImportCancelled, Limits, prepare
from workbench.data.prepared import open_arrays
from workbench.specs.errors import DataError

IMAGES, LABELS = np.zeros((4, 5, 5), np.uint8), np.arange(4, dtype=np.uint8)
BLACK = encoded(np.zeros((3000, 3000), np.uint8), "BMP")  # 9 MB that deflate to 9 kB


def named(at: Path, name: str, blob: bytes) -> Path:
    path = at / name
    path.write_bytes(blob)
    return path


def idx_folder(at: Path, images: bytes, labels: bytes, **more: bytes) -> Path:
    return folder(at / "s", {"images.idx": images, "labels.idx": labels, **more})


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "dog/../../evil.png",
        "/etc/evil.png",
        "C:\\evil.png",
        "..\\evil.png",
        "dog/..",
        "\\\\host\\x.png",
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_outside_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    files = two_classes(2) | {name: png(1)}
    source = zipped(inside / "s.zip", files) if kind == "zip" else tarred(inside / "s.tar", files, "w:")
    prepared = prepare(source, inside / "out")
    assert prepared.rows == {"train": 4}
    assert any(r["action"] == "refused" and "its name" in r["reason"] for r in prepared.report)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    "junk", ["__MACOSX/dog/._0.png", ".DS_Store", "dog/.hidden.png", "Thumbs.db", ".git/x.png"]
)
def test_junk_of_operating_systems_is_left_out(junk: str, tmp_path: Path) -> None:
    for source in (
        zipped(tmp_path / "s.zip", two_classes(2) | {junk: png(1)}),
        folder(tmp_path / "s", two_classes(2) | {junk: png(1)}),
    ):
        prepared = prepare(source, tmp_path / f"out-{source.name}")
        assert prepared.rows == {"train": 4}
        assert row_of(prepared, "1 hidden file") == ("refused", "hidden and system files are left out")


def linked_folder(at: Path) -> Path:
    secret = folder(at / "secret", {"s.png": png(7)})
    root = folder(at / "s", two_classes(2))
    (root / "dog" / "link.png").symlink_to(secret / "s.png")
    (root / "linked").symlink_to(secret)
    return root


def linked_zip(at: Path) -> Path:
    path = zipped(at / "s.zip", two_classes(2))
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("dog/link.png")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    return path


def linked_tar(at: Path) -> Path:
    path = tarred(at / "s.tar", two_classes(2), "w:")
    with tarfile.open(path, "a") as file:
        for name, kind in (("dog/link.png", tarfile.SYMTYPE), ("dog/hard.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
    return path


@pytest.mark.parametrize("make", [linked_folder, linked_zip, linked_tar])
def test_links_are_not_followed(make: Callable[[Path], Path], tmp_path: Path) -> None:
    prepared = prepare(make(tmp_path), tmp_path / "out")
    assert prepared.rows == {"train": 4}
    assert "not followed" in row_of(prepared, "dog/link.png")[1]


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    root = folder(tmp_path / "s", two_classes(2))
    os.mkfifo(root / "dog" / "pipe.png")
    assert "pipe" in row_of(prepare(root, tmp_path / "out"), "dog/pipe.png")[1]


def test_one_bomb_among_good_images_is_left_out(tmp_path: Path) -> None:
    source = zipped(tmp_path / "s.zip", two_classes(2) | {"dog/bomb.bmp": BLACK})
    assert "zip bomb" in row_of(prepare(source, tmp_path / "out"), "dog/bomb.bmp")[1]


def test_a_file_above_the_size_limit_is_left_out(tmp_path: Path) -> None:
    source = folder(tmp_path / "s", two_classes(2) | {"dog/big.bmp": encoded(pixels(1, 200, 200), "BMP")})
    prepared = prepare(source, tmp_path / "out", limits=Limits(file_bytes=50_000))
    assert "larger than" in row_of(prepared, "dog/big.bmp")[1]


def test_a_member_damaged_inside_a_zip_is_left_out(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", two_classes(2), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.find(png(101))
    data[at + 50] ^= 0xFF  # its checksum no longer fits
    path.write_bytes(data)
    prepared = prepare(path, tmp_path / "out")
    assert row_of(prepared, "dog/1.png")[0] == "refused"
    assert prepared.rows == {"train": 3}


def test_a_name_twice_in_an_archive_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore")
        for name, blob in [*two_classes(2).items(), ("dog/1.png", png(9))]:
            file.writestr(name, blob)
    prepared = prepare(path, tmp_path / "out")
    assert "occurs twice" in row_of(prepared, "dog/1.png")[1]
    assert np.array_equal(open_arrays(tmp_path / "out").images[3], pixels(101).transpose(2, 0, 1))


def test_names_of_a_windows_zip_are_understood(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): blob for name, blob in two_classes(2, "set/").items()}
    assert prepare(tarred(tmp_path / "s.tar", files, "w:"), tmp_path / "out").schema.classes == ("cat", "dog")


def test_utf8_names_without_the_flag_are_understood(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "s.zip", {name.replace("cat", "kätzchen"): b for name, b in two_classes(2).items()}
    )
    data = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()
    changed = bytearray(data)
    for info in infos:
        changed[info.header_offset + 7] &= ~0x08
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        changed[at + 9] &= ~0x08
        at += 4
    path.write_bytes(changed)
    assert prepare(path, tmp_path / "out").schema.classes == ("dog", "kätzchen")


def test_the_report_stays_short(tmp_path: Path) -> None:
    files = two_classes(2) | {f"dog/bad{i}.png": b"no" for i in range(30)}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out", limits=Limits(report_rows=10))
    refused = [r for r in prepared.report if r["action"] == "refused"]
    assert len(refused) == 11
    assert refused[-1]["file"] == "20 more files"


def test_test_images_of_unknown_classes_are_left_out(tmp_path: Path) -> None:
    files = two_classes(2, "train/") | two_classes(1, "test/") | {"test/cow/x.png": png(1)}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert "has no images in train" in row_of(prepared, "test/cow/x.png")[1]
    assert prepared.rows == {"train": 4, "test": 2}


def test_a_folder_beside_the_splits_is_left_out(tmp_path: Path) -> None:
    files = two_classes(2, "train/") | two_classes(1, "test/") | {"pred/x.png": png(1)}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert "neither train, validation nor test" in row_of(prepared, "pred/x.png")[1]


def test_an_empty_class_folder_is_no_class(tmp_path: Path) -> None:
    root = folder(tmp_path / "s", two_classes(2))
    (root / "empty").mkdir()
    assert prepare(root, tmp_path / "out").schema.classes == ("cat", "dog")


def test_a_class_without_a_good_image_is_dropped(tmp_path: Path) -> None:
    prepared = prepare(folder(tmp_path / "s", two_classes(2) | {"bee/x.png": b"no"}), tmp_path / "out")
    assert prepared.schema.classes == ("cat", "dog")
    assert open_arrays(tmp_path / "out").labels.tolist() == [0, 0, 1, 1]


def test_a_damaged_tail_of_idx_is_mentioned(tmp_path: Path) -> None:
    prepared = prepare(idx_folder(tmp_path, idx(IMAGES) + b"junk", idx(LABELS)), tmp_path / "out")
    assert any(r["action"] == "repaired" and "after the last image" in r["reason"] for r in prepared.report)


def test_the_unpacked_twin_of_an_idx_file_is_used(tmp_path: Path) -> None:
    more: dict[str, Any] = {"images.idx.gz": idx(IMAGES, pack=True), "labels.idx.gz": idx(LABELS, pack=True)}
    prepared = prepare(idx_folder(tmp_path, idx(IMAGES), idx(LABELS), **more), tmp_path / "out")
    assert "holds the same" in row_of(prepared, "images.idx.gz")[1]
    assert prepared.rows == {"train": 4}


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_a_cancelled_import_leaves_nothing(after: int, tmp_path: Path) -> None:
    source = folder(tmp_path / "in", two_classes(300))
    calls = iter(range(1000))
    with pytest.raises(ImportCancelled, match="cancelled"):
        prepare(source, tmp_path / "out", stop=lambda: next(calls) >= after)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_progress_never_falls_and_ends_at_one(tmp_path: Path) -> None:
    seen: list[float] = []
    prepare(
        folder(tmp_path / "in", two_classes(400)),
        tmp_path / "out",
        progress=lambda _, share: seen.append(share),
    )
    assert len(seen) > 4
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_a_folder_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="this one exists"):
        prepare(folder(tmp_path / "in", two_classes(2)), tmp_path / "out")


def test_the_errors_name_the_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare(zipped(tmp_path / "s.zip", {"a/x.png": b"no", "b/y.png": b""}), tmp_path / "out")
    assert [p.where for p in caught.value.problems] == ["s.zip", "s.zip: a/x.png", "s.zip: b/y.png"]


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A set of 96 MB is written with less than a third of it in memory."""
    import tracemalloc

    noise = encoded(pixels(0, 512, 512), "JPEG", quality=30)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for i in range(128):
            file.writestr(f"{'ab'[i % 2]}/{i}.jpg", noise)
    path = named(tmp_path, "s.zip", buffer.getvalue())
    tracemalloc.start()
    try:
        prepare(path, tmp_path / "out", size=512)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out" / "images.npy").stat().st_size > 96 << 20
    assert peak < 32 << 20

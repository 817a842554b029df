"""Inputs at the edges of what formats allow: each ends in a report or in a located refusal."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.made import encoded, folder, idx, pixels, png, row_of, tarred, two_classes, zipped
from workbench import catalog
from workbench.data import Prepared, prepare
from workbench.data.prepared import open_arrays
from workbench.specs.errors import DataError
from workbench.store import open_store

BASE = two_classes(2)
N = 12
GREY = np.random.default_rng(0).integers(0, 256, (N, 8, 6), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (N, 8, 6, 3), dtype=np.uint8)
Y = np.arange(N) % 3
FLAT = {f"{i}.png": png(i) for i in range(8)}
Make = Callable[[Path], Path]


# ---------------------------------------------------------------- made on the spot


def beside(**more: bytes) -> Make:
    """Two good classes and files in `dog`: x_png is x.png."""
    named = {f"dog/{name.replace('_', '.')}": blob for name, blob in more.items()}
    return lambda at: folder(at / "s", BASE | named)


def npz(**arrays: np.ndarray) -> Make:
    def make(at: Path) -> Path:
        np.savez(at / "s.npz", **arrays)
        return at / "s.npz"

    return make


def npz_bytes(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def table(text: str | bytes, images: dict[str, bytes] = FLAT) -> Make:
    blob = text if isinstance(text, bytes) else text.encode()
    return lambda at: folder(at / "s", images | {"labels.csv": blob})


def classes(*names: str) -> Make:
    """A zip of two images for each class folder."""
    images = {f"{name}/{i}.png": png(9 * k + i) for k, name in enumerate(names) for i in range(2)}
    return lambda at: zipped(at / "s.zip", images)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png() -> bytes:
    """16 bits, alpha and a gamma of its own."""
    rows = np.random.default_rng(0).integers(0, 65_536, (8, 8, 4)).astype(">u2")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 6, 0, 0, 0)) + chunk(
        b"gAMA", struct.pack(">I", 45_455)
    )
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A comment that unpacks to 80 MB."""
    whole = png(1)
    return whole[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (80 << 20))) + whole[33:]


def frames(form: str, *sizes: int, **options: bool) -> bytes:
    first, *more = [Image.fromarray(pixels(seed, side, side)) for seed, side in enumerate(sizes)]
    return encoded(first, form, save_all=True, append_images=more, **options)


def backslashes(at: Path) -> Path:
    with zipfile.ZipFile(at / "s.zip", "w") as file:
        for name, blob in BASE.items():
            info = zipfile.ZipInfo("x")
            info.filename = "set\\" + name.replace("/", "\\")  # past the constructor, which would mend it
            file.writestr(info, blob)
    return at / "s.zip"


def twice(at: Path) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(at / "s.zip", "w") as file:
        warnings.simplefilter("ignore")
        for name, blob in [*BASE.items(), ("dog/./1.png", png(9)), ("dog//1.png", png(9))]:
            file.writestr(name, blob)
    return at / "s.zip"


def zip64(at: Path) -> Path:
    with zipfile.ZipFile(at / "s.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, blob in BASE.items():
            with file.open(zipfile.ZipInfo(name), "w", force_zip64=True) as out:
                out.write(blob)
    return at / "s.zip"


def lying_zip(at: Path) -> Path:
    path = zip64(at)
    data = bytearray(path.read_bytes())
    entry = data.find(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 0x7FFFFFFF)  # the first file's size
    path.write_bytes(data)
    return path


def special_tar(at: Path) -> Path:
    path = tarred(at / "s.tar", BASE, "w:")
    with tarfile.open(path, "a") as file:
        for name, kind in (
            ("device", tarfile.CHRTYPE),
            ("block", tarfile.BLKTYPE),
            ("hard", tarfile.LNKTYPE),
        ):
            info = tarfile.TarInfo(f"dog/{name}.png")
            info.type, info.linkname = kind, "cat/0.png"
            file.addfile(info)
    return path


def sparse_tar(at: Path) -> Path:
    """A file of 50 MB of holes, as GNU tar keeps it."""
    path = tarred(at / "s.tar", BASE, "w:")
    with tarfile.open(path, "a") as file:
        info = tarfile.TarInfo("dog/sparse.png")
        info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
        head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        head[386:410] = b"%011o\0%011o\0" % (0, 512)  # one piece
        head[483:495] = b"%011o\0" % 50_000_000  # the real size
        head[148:156] = b"%06o\0 " % (sum(head[:148]) + 8 * 32 + sum(head[156:]))
        assert file.fileobj is not None
        file.fileobj.write(bytes(head) + png(1)[:512].ljust(512, b"\0"))
        file.offset += 1024
    return path


def long_tail(at: Path) -> Path:
    """Four images, and 100 MB of zeros after them in the same gzip stream."""
    head = struct.pack(">HBB3I", 0, 8, 3, 4, 5, 5) + bytes(100)
    bomb = gzip.compress(head + bytes(100 << 20), 1)
    labels = idx(np.arange(4, dtype=np.uint8), pack=True)
    return folder(at / "s", {"images.idx.gz": bomb, "labels.idx.gz": labels})


def false_claim(at: Path) -> Path:
    """A million images of 60 × 60 declared, 20 MB there."""
    images = gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 1_000_000, 60, 60) + bytes(20 << 20), 1)
    labels = gzip.compress(struct.pack(">HBBI", 0, 8, 1, 1_000_000) + b"\0\1" * 500_000)
    return folder(at / "s", {"images.idx.gz": images, "labels.idx.gz": labels})


QUOTED = "".join(f'"{i}.png";"{"cat" if i % 2 else "dog"}"\r\n' for i in range(8))
PLAIN = "".join(f"{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(8))
NAN = np.where((np.arange(N) == 3)[:, None, None], np.nan, GREY.astype(float))
LONG = encoded(np.zeros((20_000, 1), np.uint8))

# How many images are kept, and what the report says of which file ("": nothing but that it was kept).
KEPT: dict[str, tuple[Make, int, str, str]] = {
    "backslashes in a zip": (backslashes, 4, "", ""),
    "a name written in three ways": (twice, 4, "dog/1.png", "occurs twice"),
    "zip64": (zip64, 4, "", ""),
    "a zip that lies about a size": (lying_zip, 3, "cat/0.png", "zip bomb"),
    "a device in a tar": (special_tar, 4, "dog/device.png", "no regular file"),
    "a hard link in a tar": (special_tar, 4, "dog/hard.png", "links are not followed"),
    "a sparse file in a tar": (sparse_tar, 4, "dog/sparse.png", "no regular file"),
    "100 MB after the last idx image": (long_tail, 4, "images.idx.gz", "after the last image"),
    "16 bits, alpha and gamma": (beside(x_png=deep_png()), 5, "dog/x.png", "laid on white"),
    "an animated webp": (beside(x_webp=frames("WEBP", 8, 8, 8)), 5, "dog/x.webp", "first of 3"),
    "pages of different sizes": (beside(x_tif=frames("TIFF", 8, 30)), 5, "dog/x.tif", "first of 2"),
    "an animated png": (beside(x_png=frames("PNG", 8, 8)), 5, "dog/x.png", "first of 2"),
    "a comment of 80 MB": (beside(x_png=text_bomb()), 4, "dog/x.png", "too large"),
    "a fax": (
        beside(x_tif=encoded(Image.fromarray(pixels(1, 8, 8, 1)).convert("1"), "TIFF", compression="group4")),
        5, "", "",
    ),
    "an icon": (beside(x_ico=encoded(pixels(1, 16, 16), "ICO")), 4, "dog/x.ico", "no image"),
    "a zip behind a photo": (beside(x_jpg=encoded(pixels(1), "JPEG") + b"PK\x03\x04" + bytes(99)), 5, "", ""),
    "an image of one pixel": (beside(x_png=encoded(np.zeros((1, 1, 3), np.uint8))), 5, "", ""),
    "an image of 1 × 20,000": (beside(x_png=LONG), 5, "", ""),
    "floats near the largest": (
        beside(x_tif=encoded(Image.fromarray(np.where(GREY[0] % 2, -3e38, 3e38).astype(np.float32)), "TIFF")),
        5, "dog/x.tif", "stretched",
    ),
    "a table with mark, semicolons and quotes": (
        table(b"\xef\xbb\xbf" + f'"file";"label"\r\n{QUOTED}'.encode()), 8, "", "",
    ),
    "each row twice": (table("file,label\n" + PLAIN + PLAIN), 8, "", ""),
    "a row of two lines": (table('file,label\n"0\n.png",cat\n' + PLAIN), 8, "labels.csv, row 2", "no one"),
    "labels that are formulas": (table(PLAIN.replace("cat", "=cmd()").replace("dog", "@x")), 8, "", ""),
    "patients without names": (table("file,label,patient\n" + PLAIN.replace("\n", ",\n")), 8, "", ""),
    "column order": (npz(x=np.asfortranarray(RGB), y=Y), N, "", ""),
    "big-endian doubles": (npz(x=(GREY / 255).astype(">f8"), y=Y), N, "all images", "0 to 1"),
    "an image of NaN": (npz(x=NAN, y=Y), N - 1, "x.npy[3]", "NaN"),
    "long doubles": (npz(x=GREY.astype(np.longdouble), y=Y), N, "all images", "rounded"),
    "unsigned 64 bits": (npz(x=np.full((N, 8, 6), 2**64 - 1, np.uint64), y=Y), N, "all images", "64 bits"),
    "channels first or last": (npz(x=RGB[:, :3, :, :], y=Y), N, "x.npy", "could be the second"),
    "labels of bytes that are no text": (
        npz(x=GREY, y=np.array([b"\xff\xfe" if i % 2 else b"ok" for i in range(N)])), N, "", "",
    ),
    "names with blanks and brackets": (npz(**{"my images (1)": GREY, "my labels (1)": Y}), N, "", ""),
    "an npz in a zip": (
        lambda at: zipped(at / "s.zip", {"a/mine.npz": npz_bytes(x=GREY, y=Y), "READ.ME": b"hi"}),
        N, "READ.ME", "no image",
    ),
    "an npz in a tar": (lambda at: tarred(at / "s.tgz", {"mine.npz": npz_bytes(x=GREY, y=Y)}), N, "", ""),
    "an npz beside images": (
        lambda at: zipped(at / "s.zip", BASE | {"a.npz": npz_bytes(x=GREY, y=Y)}),
        4, "a.npz", "upload the .npz itself",
    ),
    "a picture that is a zip too": (
        lambda at: folder(at, {"s.png": png(1) + zipped(at / "q.zip", BASE).read_bytes()}) / "s.png",
        4, "", "",
    ),
}  # fmt: skip

# The fact or the repair that the error names.
REFUSED: dict[str, tuple[Make, str]] = {
    "absolute names": (
        lambda at: zipped(at / "s.zip", {f"/{n}": b for n, b in BASE.items()}),
        "absolute path",
    ),
    "names with drives": (
        lambda at: zipped(at / "s.zip", {f"C:/{n}": b for n, b in BASE.items()}),
        "absolute path",
    ),
    "a zip in a zip": (
        lambda at: zipped(at / "o.zip", {"in.zip": zipped(at / "in.zip", BASE).read_bytes()}),
        "upload it by itself",
    ),
    "a million images declared": (false_claim, "cannot be read to their end"),
    "two npz in a zip": (
        lambda at: zipped(at / "s.zip", {f"{n}.npz": npz_bytes(x=GREY, y=Y) for n in "ab"}),
        "upload the .npz itself",
    ),
    "half an npz in a zip": (
        lambda at: zipped(at / "s.zip", {"a.npz": npz_bytes(x=GREY, y=Y)[:-200]}),
        "a.npz: a zip file must be whole",
    ),
    "labels that are objects": (npz(x=GREY, y=np.array([{"a": 1}] * N, dtype=object)), "Python objects"),
    "a pickled npy": (
        lambda at: folder(
            at / "s", {"X.npy": npy_bytes(np.array([[1], ["a"]], dtype=object)), "Y.npy": npy_bytes(Y)}
        ),
        "Python objects",
    ),
    "five arrays of odd names": (
        npz(foo=GREY, bar=Y, baz=np.zeros(3), qux=np.zeros((2, 2)), quux=np.array("x")),
        "neither can be told from names or shapes",
    ),
    "0 to 1 for training, 0 to 255 for test": (
        npz(x_train=GREY / 255, y_train=Y, x_test=GREY, y_test=Y),
        "it reaches 1, and `x_test.npy` 255",
    ),
    "numbers near the largest": (npz(x=np.where(GREY % 2, -1.5e308, 1.5e308), y=Y), "-1.5e+308"),
    "labels beyond 63 bits": (npz(x=GREY, y=np.arange(N, dtype=np.uint64) + np.uint64(2**63)), "they reach"),
    "class names of dots": (classes("...", "....", "a"), "make one folder per class"),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_can_be_used_is_kept_and_the_rest_is_told(case: str, tmp_path: Path) -> None:
    make, kept, file, reason = KEPT[case]
    (tmp_path / "in").mkdir()
    prepared = prepare(make(tmp_path / "in"), tmp_path / "out")
    told = [r["reason"] for r in prepared.report if r["file"] == file and r["action"] != "kept"]
    assert not file or any(reason in words for words in told), prepared.report
    assert len(open_arrays(tmp_path / "out").images) == sum(prepared.rows.values()) == kept
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_and_no_set_is_half_there(
    case: str, home: Path, tmp_path: Path
) -> None:
    make, fact = REFUSED[case]
    store = open_store()
    before = [row.name for row in catalog.list(store)]
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError) as caught:
        catalog.add(store, make(tmp_path / "in"), "nasty")
    assert fact in str(caught.value)
    assert all(p.where and p.rule and p.fact for p in caught.value.problems)
    assert [row.name for row in catalog.list(store)] == before
    assert not list((store.artifacts / "incoming").iterdir())


NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "emoji": (("🐱", "🐶"), ("🐱", "🐶")),
    "a family that joins": (("👩\u200d👧", "👩"), ("👩", "👩�👧")),
    "from right to left": (("اسم", "שם"), ("שם", "اسم")),
    "marks that turn the line": (("a\u202eb", "ab"), ("ab", "a�b")),
    "control characters": (("a\nb", "a\rb", "a\x1bb"), ("a�b", "a�b (2)", "a�b (3)")),
    "blanks": ((" ", "  "), ("(blank)", "(blank) (2)")),
    "five thousand letters": (("x" * 5000 + "a", "x" * 5000 + "b"), ()),
    "markup": (("<script>", ":red[x]"), (":red[x]", "<script>")),
}


@pytest.mark.parametrize("case", NAMES)
def test_classes_of_any_name_can_be_told_apart(case: str, tmp_path: Path) -> None:
    given, shown = NAMES[case]
    found = prepare(classes(*given)(tmp_path), tmp_path / "out").schema.classes
    assert len(set(found)) == len(given)
    assert all(name.strip() and name.isprintable() and len(name) < 200 for name in found)
    assert not shown or found == shown


def test_files_whose_names_differ_in_case_keep_their_own_labels(tmp_path: Path) -> None:
    images = {"A.png": png(1), "a.png": png(2), "b.png": png(3), "c.png": png(4)}
    prepared = prepare(
        table("file,label\nA.png,x\na.png,y\nb.png,x\nc.png,y\n", images)(tmp_path), tmp_path / "out"
    )
    assert prepared.rows == {"train": 4}
    stored = open_arrays(tmp_path / "out")
    for image, label in zip(stored.images, stored.labels, strict=True):
        seed = next(k for k in range(1, 5) if np.array_equal(image, pixels(k).transpose(2, 0, 1)))
        assert prepared.schema.classes[label] == "xyxy"[seed - 1]


def test_the_colours_of_an_inverted_cmyk_photo_are_those_that_were_meant(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 60, 20), np.uint8)
    photo = encoded(Image.fromarray(flat).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in photo[:300]  # whose CMYK is stored inverted
    prepared: Prepared = prepare(
        folder(tmp_path / "s", {"a/x.jpg": photo, "b/y.png": png(1)}), tmp_path / "out"
    )
    assert "CMYK turned to RGB" in row_of(prepared, "a/x.jpg")[1]
    seen = open_arrays(tmp_path / "out").images[0].reshape(3, -1).mean(1)
    assert np.abs(seen - (200, 60, 20)).max() < 8

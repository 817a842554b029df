"""Images a stranger may upload: repaired or refused with the reason, and the rest is kept."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.made import encoded, folder, idx, pixels, png, row_of, tarred, two_classes, zipped
from workbench.data import prepare
from workbench.data.prepared import open_arrays

GREY = np.tile(np.arange(0, 64, 8, dtype=np.uint8), (8, 1))  # (8, 8), darkest on the left


def animation() -> bytes:
    frames = [Image.fromarray(GREY + k) for k in range(3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown rotated by 90° clockwise
    return encoded(pixels(0), "JPEG", exif=exif)


def huge_png() -> bytes:
    """A 60 kB file that declares and holds 60,000 × 60,000 pixels' worth of header."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 6000))
        + chunk(b"IEND", b"")
    )


def image(mode: str) -> bytes:
    form = {"CMYK": "TIFF", "LAB": "TIFF", "F": "TIFF", "I": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG")
    if mode == "F":
        return encoded(Image.fromarray(GREY.astype(np.float32) / 64), form)
    if mode == "I;16":
        return encoded(Image.fromarray(GREY.astype(np.uint16) * 257), form)
    if mode == "I":
        return encoded(Image.fromarray(GREY.astype(np.int32) * 100_000), form)
    if mode == "LAB":
        return encoded(Image.merge("LAB", [Image.fromarray(GREY)] * 3), form)
    return encoded(Image.fromarray(pixels(3)).convert(mode), form)


REPAIRED: dict[str, tuple[str, bytes, str]] = {
    "rgba": ("x.png", image("RGBA"), "opaque alpha"),
    "grey with alpha": ("x.png", image("LA"), "opaque alpha"),
    "palette": ("x.png", image("P"), "palette expanded"),
    "cmyk": ("x.tif", image("CMYK"), "CMYK turned to RGB"),
    "lab": ("x.tiff", image("LAB"), "LAB turned to RGB"),
    "16 bits": ("x.png", image("I;16"), "16 bits scaled to 8"),
    "32 bits": ("x.tif", image("I"), "32 bits stretched"),
    "floats": ("x.tif", image("F"), "floats from 0 to 1"),
    "turned camera": ("x.jpg", rotated(), "turned upright"),
    "animation": ("x.gif", animation(), "first of 3 frames"),
    "wrong suffix": ("x.jpg", png(1), "its content is PNG"),
    "upper-case wrong suffix": ("X.BMP", png(1), "its content is PNG"),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_an_odd_image_is_repaired_and_said_so(case: str, tmp_path: Path) -> None:
    name, blob, reason = REPAIRED[case]
    prepared = prepare(zipped(tmp_path / "s.zip", two_classes(2) | {f"dog/{name}": blob}), tmp_path / "out")
    action, text = row_of(prepared, f"dog/{name}")
    assert action == "repaired"
    assert reason in text
    assert prepared.rows == {"train": 5}


CLEAN = {
    "upper-case suffix": ("X.PNG", png(1)),
    "no suffix": ("x", png(1)),
    "bmp": ("x.bmp", encoded(pixels(1), "BMP")),
    "webp": ("x.webp", encoded(pixels(1), "WEBP", lossless=True)),
    "tiff": ("x.tiff", encoded(pixels(1), "TIFF")),
    "black and white": ("x.png", encoded(Image.fromarray(GREY > 30))),
    "ppm": ("x.ppm", encoded(pixels(1), "PPM")),
    "unicode name": ("ß-猫-🐈.png", png(1)),
    "long name": (f"{'n' * 230}.png", png(1)),
    "one pixel": ("x.png", png(1, height=1, width=1)),
    "blanks in the name": (" a b .png", png(1)),
    "quotes in the name": ("a'\"<b>.png", png(1)),
}


@pytest.mark.parametrize("case", CLEAN)
def test_an_unusual_but_good_image_is_kept(case: str, tmp_path: Path) -> None:
    name, blob = CLEAN[case]
    for source in (
        zipped(tmp_path / "s.zip", two_classes(2) | {f"dog/{name}": blob}),
        folder(tmp_path / "s", two_classes(2) | {f"dog/{name}": blob}),
    ):
        prepared = prepare(source, tmp_path / f"out-{source.name}")
        assert prepared.rows == {"train": 5}
        assert {r["action"] for r in prepared.report} == {"kept"}


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "truncated png": ("dog/x.png", png(1, height=64, width=64)[:4000], "damaged or truncated"),
    "truncated jpeg": ("dog/x.jpg", encoded(pixels(1, 64, 64), "JPEG")[:-700], "damaged or truncated"),
    "corrupt png": ("dog/x.png", png(1)[:60] + b"\0\xff" * 8 + png(1)[76:], "damaged or truncated"),
    "header only": ("dog/x.png", b"\x89PNG\r\n\x1a\n", "no image that can be read"),
    "empty file": ("dog/x.png", b"", "the file is empty"),
    "text called png": ("dog/x.png", b"not an image at all", "no image that can be read"),
    "html called jpg": ("dog/x.jpg", b"<html><script>alert(1)</script>", "no image that can be read"),
    "pixel bomb": ("dog/x.png", huge_png(), "pixels"),
    "text file": ("dog/notes.txt", b"hello", "no image (PNG"),
    "program": ("dog/x.exe", b"MZ\x90\0" * 50, "no image (PNG"),
    "svg": ("dog/x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image (PNG"),
    "postscript": ("dog/x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "no image (PNG"),
    "postscript called png": (
        "dog/x.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
        "no image that",
    ),
    "zip inside": ("dog/more.zip", b"PK\x03\x04" + b"\0" * 60, "no image (PNG"),
    "pickle": ("dog/x.pkl", b"\x80\x04cos\nsystem\n.", "no image (PNG"),
    "stray image": ("stray.png", png(1), "outside of any class folder"),
    "float with nan": (
        "dog/x.tif",
        encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"),
        "NaN",
    ),
    "a stray idx file": ("dog/x.idx", idx(np.zeros(4, np.uint8)), "no image (PNG"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("kind", ["zip", "folder", "tar"])
def test_a_bad_file_is_refused_and_the_rest_is_kept(case: str, kind: str, tmp_path: Path) -> None:
    name, blob, reason = REFUSED[case]
    files = two_classes(2) | {name: blob}
    source = {
        "zip": lambda: zipped(tmp_path / "s.zip", files),
        "folder": lambda: folder(tmp_path / "s", files),
        "tar": lambda: tarred(tmp_path / "s.tgz", files),
    }[kind]()
    prepared = prepare(source, tmp_path / "out")
    action, text = row_of(prepared, name)
    assert action == "refused"
    assert reason in text
    assert prepared.rows == {"train": 4}
    assert prepared.schema.shape == (3, 8, 8)


def test_a_transparent_image_is_laid_on_white(tmp_path: Path) -> None:
    clear = encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    source = folder(tmp_path / "s", {"a/x.png": clear, "b/y.png": png(1)})
    prepared = prepare(source, tmp_path / "out")
    assert "laid on white" in row_of(prepared, "a/x.png")[1]
    assert (open_arrays(tmp_path / "out").images[0] == 255).all()


def test_sixteen_bits_keep_their_proportions(tmp_path: Path) -> None:
    prepare(folder(tmp_path / "s", {f"{c}/x.png": image("I;16") for c in "ab"}), tmp_path / "out")
    assert np.array_equal(open_arrays(tmp_path / "out").images[0, 0], GREY)


def test_a_turned_photo_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.zeros((16, 32), np.uint8)
    wide[:, :8] = 255  # bright on the left; turned clockwise, it is on top
    files = {f"{c}/x.jpg": encoded(wide, "JPEG", exif=exif, quality=95) for c in "ab"}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out")
    assert prepared.schema.shape == (1, 32, 16)
    shown = open_arrays(tmp_path / "out").images[0, 0]
    assert shown[:7].min() > 200
    assert shown[9:].max() < 55

"""One image file as pixels: whatever mode, orientation or depth it comes in, or a reason why not.

Colour images become RGB, the others grey, 8 bits each. Transparent pixels are laid on white. Only the
formats below are tried, by content: Pillow knows others that start programs or fetch files.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from workbench.data.limits import Limits, human
from workbench.specs.errors import WorkbenchError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SUFFIXES = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".gif": "GIF",
    ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP", ".ppm": "PPM",
    ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM", ".mpo": "JPEG",
}  # fmt: skip
ORIENTATION = 0x0112  # the EXIF tag
GREY = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


_lock = threading.Lock()
_depth: list[int] = []
_silence: warnings.catch_warnings[None] | None = None


class Glance(NamedTuple):
    """What an image's first bytes tell: sides in pixels as shown (after EXIF rotation), and colour."""

    width: int
    height: int
    is_colour: bool


class Picture(NamedTuple):
    """A decoded image, mode L or RGB, and what had to be changed; how it was in the file."""

    image: Image.Image
    repairs: tuple[str, ...]
    form: str = ""  # PNG, JPEG ...
    mode: str = ""  # Pillow's: RGB, P, I;16 ...
    size: tuple[int, int] = (0, 0)  # width, height


class Unusable(Exception):
    """An image that cannot be used; the message is the reason for the report."""


def has_magic(head: bytes) -> bool:
    """Whether the first bytes are those of an image format that can be read."""
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return True
    return head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b"\n", b" ", b"\r", b"\t")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings about odd files to ourselves: the report says what matters.

    Filters are the whole process's, and imports run in threads: the first in sets them, the last out
    puts them back.
    """
    global _silence
    with _lock:
        if not _depth:
            _silence = warnings.catch_warnings()
            _silence.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _depth.append(1)
    try:
        yield
    finally:
        with _lock:
            _depth.pop()
            if not _depth and _silence is not None:
                _silence.__exit__(None, None, None)


def glance(head: bytes) -> Glance | None:
    """Size and colour from the first bytes, or None where they do not suffice."""
    try:
        with Image.open(io.BytesIO(head), formats=FORMATS) as image:
            width, height = image.size
            if b"Exif" in head[:4096] and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            return Glance(width, height, _is_colour(image))
    except Exception:  # Pillow's plugins raise anything on broken input; decode() gives the reason
        return None


def decode(blob: bytes, limits: Limits, suffix: str = "", target: tuple[int, int] | None = None) -> Picture:
    """The picture in `blob`, upright, in mode L or RGB. Raises Unusable.

    target: (height, width) it will be resized to, so that large JPEGs need not be decoded in full.
    """
    if not blob:
        raise Unusable("the file is empty")
    try:
        with Image.open(io.BytesIO(blob), formats=FORMATS) as image:
            if image.width * image.height > limits.pixels:
                raise Unusable(
                    f"{image.width} × {image.height} pixels are more than the {limits.pixels:,} allowed"
                )
            repairs = _odd_container(image, suffix)
            was = (image.format or "", image.mode, image.size)
            if image.format == "JPEG" and target is not None:
                image.draft(None, (2 * target[1], 2 * target[0]))
            if 2 * image.width * image.height * len(image.getbands()) > limits.memory:
                raise Unusable(f"unpacked it takes more than the {human(limits.memory)} of memory allowed")
            image.load()
            upright = _upright(image)
            if upright is not image:
                repairs.append("turned upright as its EXIF tag says")
            flat, change = to_8_bits(upright)
            return Picture(flat, (*repairs, *([change] if change else [])), *was)
    except (Unusable, WorkbenchError):
        raise
    except UnidentifiedImageError:
        raise Unusable("its content is no image that can be read") from None
    except Image.DecompressionBombError:
        raise Unusable(f"it has more than the {limits.pixels:,} pixels allowed") from None
    except MemoryError:
        raise Unusable("it does not fit into memory") from None
    except Exception as error:  # Pillow's plugins raise anything on broken input
        text = str(error).strip() or type(error).__name__
        raise Unusable(f"it is damaged or truncated ({text[:120]})") from None


def to_8_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """An image of any mode as L or RGB, and what was changed ("" where nothing is lost)."""
    mode = image.mode
    if mode in ("L", "RGB"):
        if "transparency" in image.info:
            return _on_white(image), "transparent pixels laid on white"
        return image, ""
    if mode == "1":
        return image.convert("L"), ""
    if mode in ("LA", "La", "RGBA", "RGBa", "PA"):
        return _on_white(image), _alpha_note(image)
    if mode == "P":
        if "transparency" in image.info:
            return _on_white(image), "palette expanded, transparent pixels laid on white"
        return image.convert("RGB" if _is_colour(image) else "L"), "palette expanded"
    if mode.startswith("I") or mode == "F":
        return _deep(image)
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert turned is not None  # only with inPlace
        return turned, "LAB turned to RGB"
    return image.convert("RGB"), f"{mode} turned to RGB"


def to_array(image: Image.Image, height: int, width: int, channels: int) -> np.ndarray:
    """A mode L or RGB image as (channels, height, width) uint8; resized with antialiasing where needed."""
    mode = "RGB" if channels == 3 else "L"
    if image.mode != mode and image.mode == "RGB":
        image = image.convert(mode)  # fewer channels first: less to resize
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if image.mode != mode:
        image = image.convert(mode)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resized(block: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images of one shape in another. Shapes: (n, C, H, W) uint8 -> (n, *shape) uint8."""
    if block.shape[1:] == shape:
        return block
    out = np.empty((len(block), *shape), np.uint8)
    for i, chw in enumerate(block):
        image = Image.fromarray(chw[0] if len(chw) == 1 else np.ascontiguousarray(chw.transpose(1, 2, 0)))
        out[i] = to_array(image, shape[1], shape[2], shape[0])
    return out


def _odd_container(image: Image.Image, suffix: str) -> list[str]:
    repairs = []
    kind = "JPEG" if image.format == "MPO" else image.format
    if suffix and SUFFIXES.get(suffix) not in (kind, None):
        repairs.append(f"its content is {kind} though its name says {suffix}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's photo may carry a second view
        repairs.append(f"the first of {frames} frames is used")
    return repairs


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image


def _is_colour(image: Image.Image) -> bool:
    if image.mode != "P" or image.palette is None:
        return image.mode not in GREY
    if image.palette.mode != "RGB":
        return True
    table = np.frombuffer(bytes(image.palette.palette), dtype=np.uint8)
    table = table[: len(table) // 3 * 3].reshape(-1, 3)
    return bool((table != table[:, :1]).any())


def _is_transparent(image: Image.Image) -> bool:
    lowest, _ = image.getchannel("A" if image.mode != "La" and image.mode != "RGBa" else "a").getextrema()
    return float(lowest) < 255  # type: ignore[arg-type]


def _alpha_note(image: Image.Image) -> str:
    return "transparent pixels laid on white" if _is_transparent(image) else "opaque alpha dropped"


def _on_white(image: Image.Image) -> Image.Image:
    has_grey_only = image.mode in ("L", "LA", "La") or (image.mode in ("P", "PA") and not _is_colour(image))
    rgba = image.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    return flat.convert("L" if has_grey_only else "RGB")


def _deep(image: Image.Image) -> tuple[Image.Image, str]:
    """16-bit, 32-bit and float images: the high byte, or stretched where the range is not a known one."""
    pixels = np.asarray(image)
    if not np.isfinite(pixels).all():
        raise Unusable("it holds NaN or infinite values")
    low, high = float(pixels.min()), float(pixels.max())
    if image.mode == "F":
        if low >= 0 and high <= 1:
            scaled, change = pixels * 255.0, "floats from 0 to 1 scaled to 8 bits"
        elif low >= 0 and high <= 255:
            scaled, change = pixels, "floats rounded to 8 bits"
        else:
            scaled, change = _stretched(pixels, low, high), "floats stretched to 8 bits"
    elif low >= 0 and high <= 255:
        scaled, change = pixels, f"{image.mode} holds 8 bits"
    elif low >= 0 and high <= 65_535:
        scaled, change = pixels.astype(np.float64) / 257.0, "16 bits scaled to 8"
    else:
        scaled = _stretched(pixels, low, high)
        change = "32 bits stretched to 8"
    return Image.fromarray(np.rint(scaled).astype(np.uint8)), change


def _stretched(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as 0..255."""
    return (pixels.astype(np.float64) - low) * (255.0 / max(high - low, 1e-30))

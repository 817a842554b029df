"""Masks as pictures: a colour for every class, from the one palette, over the picture or by itself."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from workbench.figures.theme import CLASSES

STRENGTH = 0.6  # of a colour that lies over a picture


def colour(k: int) -> str:
    """Of class k, as #rrggbb."""
    return CLASSES[k % len(CLASSES)]


def rgb(n: int) -> np.ndarray:
    """The colours of n classes, (n, 3) uint8."""
    return np.array([[int(colour(k)[at : at + 2], 16) for at in (1, 3, 5)] for k in range(n)], np.uint8)


def coloured(mask: np.ndarray) -> np.ndarray:
    """Class numbers (H, W) uint8 as colours (H, W, 3) uint8."""
    return np.asarray(rgb(256)[mask])


def overlaid(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours over a picture (H, W) or (H, W, 3) uint8: (H, W, 3) uint8; class 0, the ground, is left."""
    picture = np.stack([image] * 3, axis=2) if image.ndim == 2 else image
    blended = STRENGTH * coloured(mask) + (1 - STRENGTH) * picture
    return np.where((mask > 0)[..., None], np.rint(blended), picture).astype(np.uint8)


def indexed(mask: np.ndarray, size: tuple[int, int] | None = None) -> bytes:
    """A mask (H, W) as a PNG of class numbers with the palette's colours; size (width, height): by the
    nearest pixel."""
    image = Image.fromarray(mask)
    if size is not None and image.size != size:
        image = image.resize(size, Image.Resampling.NEAREST)
    found = Image.frombytes("P", image.size, image.tobytes())
    found.putpalette(rgb(256).tobytes())
    return png(found)


def grid(images: Sequence[np.ndarray], enlarged: int = 1, gap: int = 2) -> bytes:
    """Pictures (H, W) or (H, W, 3) of one size as one PNG, in about a square, white between them."""
    first = images[0]
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width = first.shape[0] * enlarged, first.shape[1] * enlarged
    size = (rows * (height + gap) + gap, columns * (width + gap) + gap)
    sheet = np.full((*size, 3), 255, np.uint8)
    for i, image in enumerate(images):
        whole = np.stack([image] * 3, axis=2) if image.ndim == 2 else image
        large = whole.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
        row, column = divmod(i, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = large
    return png(Image.fromarray(sheet))


def png(image: Image.Image) -> bytes:
    """The picture as a PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def decoded(text: str) -> np.ndarray:
    """A PNG in base64, as the answering process gives it, as an array."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def legend_html(names: Sequence[str], shares: Sequence[float]) -> str:
    """The classes with their colours and shares of the picture, for a page."""
    items = "".join(
        f'<li><i style="background:{colour(k)}"></i>{escape(name)}<b>{share:.1%}</b></li>'
        for k, (name, share) in enumerate(zip(names, shares, strict=True))
    )
    return f'<ul class="wb-classes">{items}</ul>'

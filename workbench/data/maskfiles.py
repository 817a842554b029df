"""Mask files as they come: class numbers, palettes or colours, 0 and 255, stray values of a lossy save.

A mask is read twice: once to count its values, then, when the classes of the whole set are known, as numbers.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from workbench.data.limits import Limits, human
from workbench.data.masks import MOST_CLASSES, VOID
from workbench.data.pictures import FORMATS, Unusable
from workbench.data.report import class_names
from workbench.specs.errors import DataError

COLOUR = 1 << 24  # added to what is a colour 0xRRGGBB and not a number
SHARE, IN_ONE = 0.0005, 0.01  # a value is a class's with this share of all pixels, or of one mask's
MOST_VALUES = 4096  # of one mask that are counted; a photograph has more
REACH = 32  # of a value that a save with loss brought near a class's: it is taken for that
LIKE_NUMBERS = 64  # numbers below are class numbers, and 255 beside them is a border that counts nowhere


class Mask(NamedTuple):
    """values (H, W) int64: numbers, or colours (COLOUR + 0xRRGGBB); palette (256, 3) uint8 of numbers that
    are places in it, None otherwise; is_lossy: whether its format changes values."""

    values: np.ndarray
    palette: np.ndarray | None
    is_lossy: bool = False

    def coloured(self) -> np.ndarray:
        """The values as colours, whatever they are."""
        is_colour = self.values >= COLOUR
        greys = np.stack([np.arange(256, dtype=np.uint8)] * 3, axis=1)
        table = greys if self.palette is None else self.palette
        codes = COLOUR + (table.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]))
        return np.where(is_colour, self.values, codes[np.minimum(self.values, 255)])


def read_mask(blob: bytes, limits: Limits) -> Mask:
    """The mask in `blob`. Raises Unusable."""
    if not blob:
        raise Unusable("the file is empty")
    try:
        with Image.open(io.BytesIO(blob), formats=FORMATS) as image:
            if image.width * image.height > limits.pixels:
                raise Unusable(f"it has more than the {limits.pixels:,} pixels allowed")
            if 8 * image.width * image.height > limits.memory:
                raise Unusable(f"unpacked it takes more than the {human(limits.memory)} of memory allowed")
            image.load()
            return _values(image)._replace(is_lossy=image.format == "JPEG")
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("its content is no image that can be read") from None
    except Exception as error:  # Pillow's plugins raise anything on broken input
        text = str(error).strip() or type(error).__name__
        raise Unusable(f"it is damaged or truncated ({text[:120]})") from None


def _values(image: Image.Image) -> Mask:
    mode = image.mode
    if mode == "P" and image.palette is not None:
        table = np.zeros((256, 3), np.uint8)
        known = np.array(image.getpalette("RGB") or [], np.uint8)
        known = known[: len(known) // 3 * 3].reshape(-1, 3)[:256]
        table[: len(known)] = known
        return Mask(np.asarray(image).astype(np.int64), table)
    if mode in ("1", "L", "LA", "La"):
        return Mask(np.asarray(image.convert("L") if mode != "1" else image).astype(np.int64), None)
    if mode.startswith("I") or mode == "F":
        raw = np.asarray(image)
        if not np.isfinite(raw).all() or (raw != np.rint(raw)).any() or raw.min() < 0 or raw.max() > 255:
            raise Unusable("its values are no class numbers from 0 to 255")
        return Mask(raw.astype(np.int64), None)
    rgb = np.asarray(image.convert("RGB")).astype(np.int64)
    if (rgb == rgb[..., :1]).all():
        return Mask(rgb[..., 0], None)
    return Mask(COLOUR + (rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2], None)


@dataclass
class Census:
    """What values the masks of a set have: as numbers and, should one be a colour, all as colours."""

    numbers: Counter[int] = field(default_factory=Counter)
    colours: Counter[int] = field(default_factory=Counter)
    in_one: dict[int, float] = field(default_factory=dict)  # the largest share of one mask, numbers
    in_one_colour: dict[int, float] = field(default_factory=dict)
    is_colour: bool = False
    is_lossy: bool = False

    def count(self, mask: Mask) -> None:
        """One more mask."""
        self.is_lossy = self.is_lossy or mask.is_lossy
        self.is_colour = self.is_colour or bool((mask.values >= COLOUR).any())
        for values, total, most in (
            (mask.values, self.numbers, self.in_one), (mask.coloured(), self.colours, self.in_one_colour)
        ):  # fmt: skip
            found, counts = np.unique(values, return_counts=True)
            first = np.argsort(-counts, kind="stable")[:MOST_VALUES]
            for value, n in zip(found[first].tolist(), counts[first].tolist(), strict=True):
                total[value] += n
                most[value] = max(most.get(value, 0.0), n / values.size)

    def legend(self, where: str, names: Sequence[str] = ()) -> Legend:
        """The classes. Raises DataError where they cannot be told."""
        total, most = (self.colours, self.in_one_colour) if self.is_colour else (self.numbers, self.in_one)
        pixels = sum(total.values())
        kept = sorted(v for v, n in total.items() if n >= SHARE * pixels or most[v] >= IN_ONE)
        reach = REACH if self.is_lossy and not self.is_colour else 0
        if reach:
            kept = _apart(kept, total, reach)
        others = [value for value in kept if value != VOID]
        numbered = not self.is_colour and VOID in kept and len(others) > 1 and max(others) < LIKE_NUMBERS
        kept = others if numbered else kept
        if len(kept) > MOST_CLASSES:
            raise DataError.of(
                where, f"masks may have {MOST_CLASSES} classes", f"these hold {len(kept):,} different values",
                "Save them without loss, as PNG of class numbers.",
            )  # fmt: skip
        if len(kept) < 2:
            value = f"all pixels are {_word(kept[0])}" if kept else "they are empty"
            raise DataError.of(
                where, "masks need at least two classes", value, "Check that these are the masks."
            )
        void = VOID if numbered else None
        stray = {
            value: n for value, n in total.items()
            if value != void and min(abs(value - own) for own in kept) > reach
        }  # fmt: skip
        n_stray = sum(stray.values())
        return Legend(tuple(kept), _names(kept, names), self.is_colour, void, n_stray, len(stray), reach)


@dataclass(frozen=True)
class Legend:
    """values: of the masks, by class number; void: a value that counts nowhere; n_stray: pixels of other
    values, which count nowhere either; n_values: how many such values there are; reach: how far from a
    class's a value may lie that is taken for it."""

    values: tuple[int, ...]
    names: tuple[str, ...]
    is_colour: bool
    void: int | None
    n_stray: int
    n_values: int
    reach: int = 0

    def numbered(self, mask: Mask) -> tuple[np.ndarray, int]:
        """Class numbers (H, W) uint8, and how many pixels have a stray value."""
        values = mask.coloured() if self.is_colour else mask.values
        known = np.array(self.values)
        right = np.minimum(np.searchsorted(known, values), len(known) - 1)
        left = np.maximum(right - 1, 0)
        place = np.where(np.abs(values - known[left]) < np.abs(values - known[right]), left, right)
        there = np.abs(values - known[place]) <= self.reach
        stray = ~there & (values != (-1 if self.void is None else self.void))
        return np.where(there, place, VOID).astype(np.uint8), int(stray.sum())


def _apart(kept: Sequence[int], total: Mapping[int, int], reach: int) -> list[int]:
    """Those of the values that lie farther than `reach` from all that have more pixels, rising."""
    found: list[int] = []
    for value in sorted(kept, key=lambda own: -total[own]):
        if all(abs(value - own) > reach for own in found):
            found.append(value)
    return sorted(found)


def _names(kept: Sequence[int], given: Sequence[str]) -> tuple[str, ...]:
    """By a list of names, where it has as many, or one for each number; else in plain words."""
    if len(given) == len(kept):
        return class_names(given)
    if kept[-1] < len(given):  # some classes of a longer list are in no mask
        return class_names(given[value] for value in kept)
    if tuple(kept) in ((0, 1), (0, 255)):
        return ("background", "foreground")
    return class_names(_word(value) for value in kept)


def _word(value: int) -> str:
    return f"#{value - COLOUR:06x}" if value >= COLOUR else f"class {value}"

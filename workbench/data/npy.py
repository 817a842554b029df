"""What a .npy file holds and is meant for: its header, its role by its name, the way its images lie.

Headers are read with NumPy's own reader; nothing is ever unpickled.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from workbench.data.layout import split_of
from workbench.data.report import Report, shown
from workbench.data.sources import Member
from workbench.data.splits import SPLITS, TRAIN
from workbench.specs.errors import DataError

_ROLES = {
    "images": r"x|images?|imgs?|data|pixels|features|samples|inputs?|pictures?",
    "labels": r"y|labels?|targets?|t|outputs?|class|classes|lbls?",
    "groups": r"groups?|subjects?|patients?|persons?|users?",
    "names": r"(class|label|target)_?names|names|categories",
}
_GLUED = re.compile(r"^(x|y)_?(train|test|val|valid|validation)$|^(train|test|val|valid)_?(x|y)$", re.I)


class Array(NamedTuple):
    """A .npy file by its header. at: bytes before its numbers."""

    member: Member
    dtype: np.dtype[Any]
    dims: tuple[int, ...]
    by_column: bool
    at: int

    @property
    def data_bytes(self) -> int:
        return math.prod(self.dims) * self.dtype.itemsize


class Form(NamedTuple):
    """How an images array lies: "chw", "hwc" or "flat"; stored: channels as stored, alpha included."""

    order: str
    stored: int
    height: int
    width: int

    @property
    def channels(self) -> int:
        return 3 if self.stored >= 3 else 1


class Scale(NamedTuple):
    """Values to bytes: (value - low) · factor, and in words."""

    low: float
    factor: float
    words: str


class Part(NamedTuple):
    """Images with their labels and groups, where there are any. Labels have all parts of a set, or none."""

    split: int
    images: Array
    labels: Array | None
    groups: Array | None


def is_npy(head: bytes) -> bool:
    return head.startswith(b"\x93NUMPY")


def as_array(member: Member, head: bytes, report: Report) -> Array | None:
    """The header, or None (and a row in the report) where it cannot be used."""
    stream = io.BytesIO(head)
    name = shown(member.path)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        dims, by_column, dtype = read[version](stream)
    except Exception:  # NumPy's reader parses Python literals and raises whatever that raises
        report.refused(name, "its header is not that of a NumPy file")
        return None
    if dtype.hasobject:
        report.refused(name, "it holds Python objects, which could run code when loaded; save plain numbers")
        return None
    if dtype.kind not in "biufUS" or any(n < 0 for n in dims):
        report.refused(name, f"it holds neither numbers nor text (its type is {shown(str(dtype), 40)})")
        return None
    array = Array(member, dtype, tuple(dims), bool(by_column) and len(dims) > 1, stream.tell())
    if member.size < array.at + array.data_bytes:
        report.refused(
            name, f"it ends before the {'×'.join(map(str, dims))} numbers that its header declares"
        )
        return None
    return array


def has_images(arrays: Sequence[Array], unread: int) -> bool:
    """Whether an array could be images: of rows where others could be labels, alone by its shape. unread:
    arrays that cannot be used; beside them none is alone."""
    if len(arrays) == 1 and unread:
        return False
    least = 1 if len(arrays) > 1 else 2
    return any(len(a.dims) > least and a.dtype.kind in "biuf" for a in arrays)


def assembled(
    found: Sequence[Array], where: str, report: Report, *, unread: int = 0
) -> tuple[list[Part], list[Array]]:
    """Parts in the order train, validation, test, and the array of class names if there is one.

    Roles are read off names (`x_train`, `train_labels`, `Y`), and off shapes where names do not tell. Images
    alone, beside nothing that could tell their classes, are a set without classes; what is `unread` could.
    Raises DataError.
    """
    by_split: dict[int, dict[str, Array]] = {}
    names: list[Array] = []
    unknown: list[Array] = []
    for array in found:
        role, split = role_of(array.member.path)
        if role == "names" or (role == "labels" and _are_names(array, found)):
            names.append(array)
        elif role is None:
            unknown.append(array)
        elif role in by_split.setdefault(split, {}):
            first = by_split[split][role]
            report.refused(
                shown(array.member.path), f"`{shown(first.member.path)}` holds {role} already; it is used"
            )
        else:
            by_split[split][role] = array
    alone = not unread and (len(unknown) + len(names) == 0 or len(found) == 1)
    _place_by_shape(unknown, by_split, report)
    alone = alone and not any("labels" in roles for roles in by_split.values())
    parts = []
    for split, roles in sorted(by_split.items()):
        if "images" not in roles and "labels" not in roles:
            continue
        parts.append(_part(split, roles, where, alone=alone))
    if not parts:
        raise DataError.of(
            where, "NumPy files hold images and labels", "neither can be told from names or shapes",
            "Name them `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test`.",
        )  # fmt: skip
    return (parts if len(parts) > 1 else [parts[0]._replace(split=TRAIN)]), names[:1]


def role_of(path: str) -> tuple[str | None, int]:
    """("images", TEST) of `sets/x_test.npy`; the role is None where the name does not tell."""
    stem = path.rsplit("/", 1)[-1].removesuffix(".npy")
    if glued := _GLUED.match(stem):
        first, second = (glued[1], glued[2]) if glued[1] else (glued[4], glued[3])
        return ("images" if first.lower() == "x" else "labels"), split_of(second) or TRAIN
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", stem)
    split = split_of("_".join(words)) or TRAIN
    low = "_".join(word.lower() for word in words)
    if re.search(rf"(^|_)({_ROLES['names']})$", low):
        return "names", split
    for role in ("labels", "groups", "images"):  # `train_image_labels` are labels
        if any(re.fullmatch(_ROLES[role], word.lower()) for word in words):
            return role, split
    return None, split


def _are_names(array: Array, found: Sequence[Array]) -> bool:
    """`classes` may be the labels or their names: names are text, and fewer than there are images."""
    lengths = {a.dims[0] for a in found if len(a.dims) > 2}
    return array.dtype.kind in "US" and len(array.dims) == 1 and array.dims[0] not in lengths


def _place_by_shape(unknown: Sequence[Array], by_split: dict[int, dict[str, Array]], report: Report) -> None:
    """Arrays whose names do not tell (`arr_0`): the larger is images; the rest goes to the report."""
    numeric = [a for a in unknown if a.dims and a.dtype.kind in "biuf"]
    if not by_split and len(unknown) == 2:
        large, small = sorted(unknown, key=lambda a: -math.prod(a.dims))
        if len(large.dims) > 1 and large in numeric and len(small.dims) in (1, 2):
            by_split[TRAIN] = {"images": large, "labels": small}
            return
    if not by_split and len(numeric) == len(unknown) == 1 and len(numeric[0].dims) > 2:
        by_split[TRAIN] = {"images": numeric[0]}
        return
    for array in unknown:
        report.refused(shown(array.member.path), "its name tells neither images nor labels; it is left out")


def _part(split: int, roles: dict[str, Array], where: str, *, alone: bool) -> Part:
    images, labels = roles.get("images"), roles.get("labels")
    if images is None or (labels is None and not alone):
        have = "images" if images else "labels"
        raise DataError.of(
            where,
            "arrays of images and of labels come in pairs",
            f"there are {have} for {SPLITS[split]} and no {'labels' if images else 'images'}",
            "Add the missing file, named alike: `x_train` and `y_train`.",
        )
    name = shown(images.member.path)
    if not images.dims or len(images.dims) < 2 or images.dtype.kind not in "biuf" or 0 in images.dims:
        raise DataError.of(
            name, "images are numbers of shape (N, H, W), (N, H, W, C) or (N, C, H, W)",
            f"it is {dims_text(images)} of {images.dtype}", "Save the images as one array.",
        )  # fmt: skip
    n = images.dims[0]
    if labels is not None:
        n = labels.dims[0] if labels.dims else 0
    if n != images.dims[0]:
        last = " (the images' last axis; move it first)" if images.dims[-1] == n else ""
        raise DataError.of(
            name,
            "there is one label per image",
            f"there are {images.dims[0]:,} images and {n:,} labels{last}",
            "Check that the files belong together.",
        )
    groups = roles.get("groups")
    return Part(split, images, labels, groups if groups and groups.dims == (n,) else None)


def form_of(array: Array, report: Report) -> Form:
    """How an array of images lies. Raises DataError."""
    dims = array.dims[1:]
    if len(dims) == 2:
        return Form("chw", 1, *dims)
    if len(dims) == 3 and dims[2] in (1, 2, 3, 4):
        if dims[0] in (1, 3, 4):
            told = f"of {dims_text(array)} the last axis is taken for the channels; it could be the second"
            report.repaired(shown(array.member.path), told)
        return Form("hwc", dims[2], *dims[:2])
    if len(dims) == 3 and dims[0] in (1, 2, 3, 4):
        return Form("chw", dims[0], *dims[1:])
    if len(dims) == 1:
        for stored in (1, 3):
            side = math.isqrt(dims[0] // stored)
            if side >= 4 and stored * side * side == dims[0]:
                lie = f"{side} × {side}" + (" in 3 colours, one after the other" if stored == 3 else "")
                report.repaired(shown(array.member.path), f"rows of {dims[0]:,} numbers folded to {lie}")
                return Form("chw", stored, side, side)
    raise DataError.of(
        shown(array.member.path),
        "images are (N, H, W), (N, H, W, C), (N, C, H, W) or rows of a square's size",
        f"it is {dims_text(array)}",
        "Reshape it.",
    )


def scale_of(low: float, high: float, *, whole: bool, is_bytes: bool) -> Scale:
    """How values from `low` to `high` become 0..255. whole: all are integers; is_bytes: stored as uint8."""
    as_is = Scale(0.0, 1.0, "values from 0 to 255")
    if not math.isfinite(low) or (is_bytes and high > 1):
        return as_is
    if low >= 0 and high <= 1:
        return Scale(0.0, 255.0, "values from 0 to 1 scaled to 0 to 255")
    if whole and low >= 0:
        bits = max(1, math.ceil(math.log2(high + 1)))
        return as_is if bits == 8 else Scale(0.0, 255.0 / (2.0**bits - 1), f"{bits} bits scaled to 8")
    if low >= -1 and low < 0 and high <= 1:
        return Scale(-1.0, 127.5, "values from -1 to 1 scaled to 0 to 255")
    if low >= 0 and 128 <= high <= 255:
        return Scale(0.0, 1.0, "floats rounded to 8 bits")
    return Scale(
        low, 255.0 / max(high - low, 1e-30), f"values from {low:g} to {high:g} stretched to 0 to 255"
    )


def dims_text(array: Array) -> str:
    return "(" + ", ".join(map(str, array.dims)) + ")"

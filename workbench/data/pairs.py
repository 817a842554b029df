"""Which mask belongs to which image, read from folders and names.

Known layouts: images/ and masks/ side by side (also img, labels, annotations, ...), below or above train,
val and test folders; or `name.png` beside `name_mask.png`. Names without their endings must agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from workbench.data.layout import split_of
from workbench.data.report import Report, shown
from workbench.data.splits import TRAIN

IMAGES = {
    "image", "images", "img", "imgs", "input", "inputs", "photo", "photos", "picture", "pictures",
    "jpegimages",
}  # fmt: skip
MASKS = {
    "mask", "masks", "label", "labels", "annotation", "annotations", "annot", "segmentation", "segmentations",
    "segmentationclass", "groundtruth", "truth", "gt", "target", "targets", "seg",
}  # fmt: skip
MARK = re.compile(r"^(?:(.+?)[ ._-]+(?:mask|masks|seg|segmentation|label|labels|gt|annotation)"
                  r"|(?:mask|masks|seg|label|gt)[ ._-]+(.+))$", re.IGNORECASE)  # fmt: skip
Role = Literal["image", "mask"]
Key = tuple[int, tuple[str, ...], str]


class Matched(NamedTuple):
    """An image and its mask, by their positions in the list of paths."""

    image: int
    mask: int
    split: int


def matched(paths: Sequence[str], report: Report, *, sure: bool = False) -> list[Matched] | None:
    """Every pair, in the order of the images; None where the files are no images with masks.

    sure: somebody said that they are: one pair is enough. Whatever has no partner is reported.
    """
    by_folder = _by_folder(paths)
    by_name = _by_name(paths)
    for images, masks in (by_folder, by_name):
        pairs, lonely = _joined(images, masks)
        enough = max(1, (min(len(images), len(masks)) + 1) // 2) if not sure else 1
        if len(pairs) >= enough:
            for at, why in lonely:
                report.refused(shown(paths[at]), why)
            return sorted(pairs)
    return None


def _by_folder(paths: Sequence[str]) -> tuple[list[tuple[Key, int]], list[tuple[Key, int]]]:
    """Images and masks, told by the folders they lie in. A file outside of both is an image of its own."""
    found: dict[Role, list[tuple[Key, int]]] = {"image": [], "mask": []}
    for at, path in enumerate(paths):
        *folders, name = path.split("/")
        roles = [_role(folder) for folder in folders]
        last = next((role for role in reversed(roles) if role is not None), None)
        if last is not None:
            own = [f for f, role in zip(folders, roles, strict=True) if role is None]
            rest = tuple(f for f in own if split_of(f) is None)
            found[last].append(((_split(folders), rest, PurePosixPath(name).stem), at))
    return found["image"], found["mask"]


def _by_name(paths: Sequence[str]) -> tuple[list[tuple[Key, int]], list[tuple[Key, int]]]:
    """Images and masks of one folder, told by `_mask` in the name."""
    images: list[tuple[Key, int]] = []
    masks: list[tuple[Key, int]] = []
    for at, path in enumerate(paths):
        *folders, name = path.split("/")
        rest = tuple(f for f in folders if split_of(f) is None)
        stem = PurePosixPath(name).stem
        key = (_split(folders), rest, stem)
        (masks if MARK.match(stem) else images).append((key, at))
    return images, masks


def _joined(
    images: Sequence[tuple[Key, int]], masks: Sequence[tuple[Key, int]]
) -> tuple[list[Matched], list[tuple[int, str]]]:
    """The pairs, and the files that are left with the reason."""
    by_key: dict[Key, int] = {}
    lonely: list[tuple[int, str]] = []
    for key, at in masks:
        if key in by_key:
            lonely.append((at, "two masks have its name; the first is used"))
        else:
            by_key[key] = at
    plain = {(split, rest, _unmarked(stem)): at for (split, rest, stem), at in reversed(by_key.items())}
    pairs: list[Matched] = []
    used: set[int] = set()
    for key, at in images:
        mask = by_key.get(key, plain.get(key))
        if mask is None:
            lonely.append((at, "it has no mask"))
        elif mask in used:
            lonely.append((at, "its mask is that of another image of this name"))
        else:
            used.add(mask)
            pairs.append(Matched(at, mask, key[0]))
    lonely += [(at, "it is a mask without an image") for at in by_key.values() if at not in used]
    return pairs, lonely


def _role(folder: str) -> Role | None:
    words = set(re.split(r"[^a-z]+", folder.lower()))
    if words & MASKS:
        return "mask"
    return "image" if words & IMAGES else None


def _split(folders: Sequence[str]) -> int:
    return next((code for folder in folders if (code := split_of(folder)) is not None), TRAIN)


def _unmarked(stem: str) -> str:
    found = MARK.match(stem)
    return (found[1] or found[2]) if found else stem

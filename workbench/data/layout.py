"""Which class and which split a file belongs to, read from the folders it lies in.

Known layouts: class/image, split/class/image, and either of them below one or more single folders.
A class folder's own subfolders belong to the class. Where folders tell no two classes, or most images lie
outside of them, the images are taken without classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workbench.data.limits import Limits
from workbench.data.report import Report, class_names, shown
from workbench.data.sources import natural
from workbench.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from workbench.specs.errors import DataError

_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "trainset": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "testset": TEST,
    "eval": TEST,
    "evaluation": TEST,
}


class Place(NamedTuple):
    """Where an image goes; at: its position in the list of paths; group: -1 for none."""

    at: int
    split: int
    label: int
    group: int = -1


class Layout(NamedTuple):
    """classes by label, in natural order, none where nothing tells them; places in the order of the paths."""

    classes: tuple[str, ...]
    places: list[Place]
    has_splits: bool
    told_by: str = "folders"  # or "table"


def split_of(name: str) -> int | None:
    """The split a folder or file name speaks of: `train`, `Valid`, `seg_test`, `training_set`."""
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _WORDS}
    return found.pop() if len(found) == 1 else None


def arrange(paths: Sequence[str], where: str, limits: Limits, report: Report) -> Layout:
    """Class and split of every image path; without classes where the folders tell none. Files that lie
    outside of the layout are reported.

    Raises DataError for too many classes, or where split folders leave nothing to train on.
    """
    parts = [tuple(path.split("/")) for path in paths]
    notes = Report(limits.report_rows)
    layout = _by_class(parts, paths, where, limits, notes)
    if layout is None or 2 * len(layout.places) < len(paths):
        return _without_classes(parts, paths, where)
    report.add_all(notes)
    return layout


def _by_class(
    parts: Sequence[tuple[str, ...]], paths: Sequence[str], where: str, limits: Limits, report: Report
) -> Layout | None:
    """As class folders tell; None where there are no two."""
    depth, inside = _descend(parts, list(range(len(parts))), 0, paths, report)
    splits = _split_folders(parts, inside, depth)
    if splits:
        return _arrange_splits(parts, paths, inside, depth, splits, where, limits, report)
    names = {i: parts[i][depth] for i in inside}
    classes = _classes(names.values(), where, limits)
    label = {name: k for k, name in enumerate(classes)}
    places = [Place(i, TRAIN, label[names[i]]) for i in inside]
    return Layout(class_names(classes), places, False) if len(classes) > 1 else None


def _without_classes(parts: Sequence[tuple[str, ...]], paths: Sequence[str], where: str) -> Layout:
    """Every image, without a class; in the splits of train, val and test folders where there are such."""
    depth, inside = _descend(parts, list(range(len(parts))), 0, paths, Report(0))
    names = {parts[i][depth] for i in inside}
    codes = {name: code for name in names if (code := split_of(name)) is not None}
    is_cut = len(codes) == len(names) == len(set(codes.values())) > 1
    if is_cut and TRAIN not in codes.values():
        raise _no_train(where, codes)
    split = {i: codes[parts[i][depth]] for i in inside} if is_cut else {}
    return Layout((), [Place(i, split.get(i, TRAIN), 0) for i in range(len(paths))], is_cut)


def folders_suffice(paths: Sequence[str], where: str, limits: Limits) -> bool:
    """Whether the folders alone tell two or more classes."""
    try:
        return bool(arrange(paths, where, limits, Report(0)).classes)
    except DataError:
        return False


def _descend(
    parts: Sequence[tuple[str, ...]], members: list[int], depth: int, paths: Sequence[str], report: Report
) -> tuple[int, list[int]]:
    """Down through folders that stand alone, to the level where class or split folders lie side by side."""
    while True:
        inside = [i for i in members if len(parts[i]) > depth + 1]
        if not inside:
            return depth, []
        if len(inside) < len(members):
            kept = set(inside)
            for i in members:
                if i not in kept:
                    report.refused(shown(paths[i]), "it lies outside of any class folder")
        names = {parts[i][depth] for i in inside}
        if len(names) > 1 or all(len(parts[i]) == depth + 2 for i in inside):
            return depth, inside
        members, depth = inside, depth + 1


def _split_folders(parts: Sequence[tuple[str, ...]], inside: list[int], depth: int) -> dict[str, int]:
    """Folder name → split, where this level holds split folders; else empty."""
    names = {parts[i][depth] for i in inside}
    splits = {name: code for name in names if (code := split_of(name)) is not None}
    # `train` beside `bus` and `car` is a vehicle: a train split has folders of its own.
    nested = {parts[i][depth] for i in inside if len(parts[i]) > depth + 2}
    has_train = any(code == TRAIN and name in nested for name, code in splits.items())
    if len(splits) == len(names) and len(set(splits.values())) == len(splits):
        return splits
    return splits if has_train and len(set(splits.values())) == len(splits) > 1 else {}


def _arrange_splits(
    parts: Sequence[tuple[str, ...]],
    paths: Sequence[str],
    inside: list[int],
    depth: int,
    splits: dict[str, int],
    where: str,
    limits: Limits,
    report: Report,
) -> Layout | None:
    found: dict[int, tuple[int, str]] = {}  # index → split, class
    for name, code in splits.items():
        members = [i for i in inside if parts[i][depth] == name]
        below, members = _descend(parts, members, depth + 1, paths, report)
        found |= {i: (code, parts[i][below]) for i in members}
    for i in inside:
        if parts[i][depth] not in splits:
            report.refused(
                shown(paths[i]), f"`{shown(parts[i][depth])}` is neither train, validation nor test"
            )
    if not found:
        return None
    if TRAIN not in {code for code, _ in found.values()}:
        raise _no_train(where, splits)
    classes = _classes((name for code, name in found.values() if code == TRAIN), where, limits)
    if len(classes) < 2:
        return None
    label = {name: k for k, name in enumerate(classes)}
    places = []
    for i in inside:
        if i not in found:
            continue
        code, name = found[i]
        if name in label:
            places.append(Place(i, code, label[name]))
        else:
            report.refused(shown(paths[i]), f"class `{shown(name)}` has no images in {SPLITS[TRAIN]}")
    return Layout(class_names(classes), places, True)


def _no_train(where: str, splits: Mapping[str, int]) -> DataError:
    return DataError.of(
        where,
        "a set with split folders needs images below `train`",
        f"it has {', '.join(sorted(map(shown, splits)))} and no images for training",
        "Lay the images out as train/<class>/<image>, or without classes as train/<image>.",
    )


def _classes(names: object, where: str, limits: Limits) -> list[str]:
    counts = Counter(names)  # type: ignore[call-overload]
    if len(counts) > limits.classes:
        raise DataError.of(
            where,
            f"a set may have {limits.classes:,} classes",
            f"it has {len(counts):,} class folders",
            "Check that the folders are named after classes, not after images.",
        )
    return sorted(counts, key=natural)

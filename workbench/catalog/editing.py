"""Changes to a registered set: each makes a new version, and a run keeps the one it started with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench import data
from workbench.catalog.sets import checked_name, incoming, put, with_shipped
from workbench.data.prepared import read_labels
from workbench.data.report import shown
from workbench.data.rewrite import rewrite
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.store import Store
from workbench.store.datasets import DatasetRow

LONGEST = 80  # letters of a class name


def rename_class(store: Store, name: str, old: str, new: str) -> DatasetRow:
    """Give a class another name. Raises DataError, as all of these do."""
    row = _mine(store, name)
    k = class_index(row, old)
    new = _class_name(new)
    if new in row.schema.classes:
        raise DataError.of(
            "class", "two classes have two names", f"there is a class `{new}` already", "Merge them instead."
        )
    classes = [new if i == k else text for i, text in enumerate(row.schema.classes)]
    return _changed(store, row, classes=classes, note=f"class `{old}` renamed to `{new}`")


def merge_classes(store: Store, name: str, names: Sequence[str], into: str) -> DatasetRow:
    """Make one class of several, called `into`: one of them or a new name."""
    row = _mine(store, name)
    _of_images(row)
    ks = sorted({class_index(row, text) for text in names})
    into = _class_name(into)
    if len(ks) < 2:
        raise DataError.of("classes", "merging takes two or more classes", f"{len(ks)} are named", "Add one.")
    others = [text for i, text in enumerate(row.schema.classes) if i not in ks]
    if into in others:
        raise DataError.of(
            "class", "two classes have two names", f"there is a class `{into}` already", "Merge it as well."
        )
    labels = read_labels(row.path)[0].copy()
    labels[np.isin(labels, ks)] = ks[0]
    classes = [into if i == ks[0] else text for i, text in enumerate(row.schema.classes)]
    words = ", ".join(f"`{row.schema.classes[k]}`" for k in ks)
    return _changed(store, row, labels=labels, classes=classes, note=f"classes {words} merged into `{into}`")


def drop_classes(store: Store, name: str, names: Sequence[str]) -> DatasetRow:
    """Leave out classes with all their images or texts."""
    row = _mine(store, name)
    _of_images(row)
    ks = sorted({class_index(row, text) for text in names})
    labels, _ = read_labels(row.path)
    keep = ~np.isin(labels, ks)
    words = ", ".join(f"`{row.schema.classes[k]}`" for k in ks)
    return _changed(
        store, row, keep=keep, note=f"classes {words} dropped with {int((~keep).sum()):,} {_word(row)}s"
    )


def relabel(store: Store, name: str, rows: Sequence[int], to: str) -> DatasetRow:
    """Give single images or texts another class, one that is there or a new one."""
    row = _with_classes(_mine(store, name))
    _of_images(row)
    chosen = _rows(row, rows)
    classes = list(row.schema.classes)
    to = _class_name(to)
    if to not in classes:
        classes.append(to)
    labels = read_labels(row.path)[0].copy()
    labels[chosen] = classes.index(to)
    return _changed(
        store, row, labels=labels, classes=classes, note=f"{_samples(row, chosen)} relabelled `{to}`"
    )


def drop_images(store: Store, name: str, rows: Sequence[int]) -> DatasetRow:
    """Leave out single images or texts, such as copies."""
    row = _mine(store, name)
    chosen = _rows(row, rows)
    keep = np.ones(row.rows, dtype=bool)
    keep[chosen] = False
    return _changed(store, row, keep=keep, note=f"{_samples(row, chosen)} dropped")


def copy(store: Store, name: str, new: str) -> DatasetRow:
    """The set once more under a new name, to be changed; shipped sets too. Its samples take no new room."""
    row = with_shipped(store, name)
    checked_name(store, new)
    return _changed(store, row, name=new, note=f"copied from `{name}`, version {row.version}")


def restore(store: Store, name: str, version: int) -> DatasetRow:
    """Make a former version the newest again."""
    row = _mine(store, name)
    former = store.datasets.get(name, version)
    if former.version == row.version:
        raise DataError.of(f"data set `{name}`", "a former version is restored", f"{version} is the newest")
    return _changed(store, former, note=f"version {version} restored")


def class_index(row: DatasetRow, name: str) -> int:
    """The number of the class of that name. Raises DataError with the nearest."""
    if name not in _with_classes(row).schema.classes:
        raise DataError.of(
            f"class `{shown(name, 40)}`",
            f"a class of `{row.name}` must be named",
            "it is none",
            did_you_mean(name, row.schema.classes[:50]),
        )
    return row.schema.classes.index(name)


def _changed(
    store: Store,
    row: DatasetRow,
    *,
    name: str | None = None,
    labels: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    keep: np.ndarray | None = None,
    note: str,
) -> DatasetRow:
    with incoming(store) as folder:
        prepared = rewrite(
            row.path,
            folder,
            name=row.name,
            labels=read_labels(row.path)[0] if labels is None else labels,
            classes=row.schema.classes if classes is None else classes,
            keep=keep,
            report=row.report,
            note=note,
        )
        return put(store, name or row.name, folder, prepared)


def _mine(store: Store, name: str) -> DatasetRow:
    """A set that may be changed."""
    row = with_shipped(store, name)
    if name in data.SHIPPED:
        raise DataError.of(
            f"data set `{name}`",
            "only sets you added can be changed",
            "it comes with the program",
            "Make a copy under another name, and change that.",
        )
    return row


def _class_name(text: str) -> str:
    name = shown(text.strip(), LONGEST)
    if not name:
        raise DataError.of("class", "a class has a name", "it is empty", "Give one.")
    return name


def _rows(row: DatasetRow, rows: Sequence[int]) -> np.ndarray:
    chosen = np.unique(np.asarray(rows, dtype=np.int64))
    if not len(chosen) or chosen[0] < 0 or chosen[-1] >= row.rows:
        raise DataError.of(
            f"data set `{row.name}`",
            f"its {_word(row)}s are numbered 0 to {row.rows - 1:,}",
            "none is named" if not len(chosen) else f"{chosen[0]} to {chosen[-1]} are named",
            f"Name {_word(row)}s of the set.",
        )
    return chosen


def _samples(row: DatasetRow, rows: np.ndarray) -> str:
    word = _word(row)
    return f"{word} {rows[0]:,}" if len(rows) == 1 else f"{len(rows):,} {word}s"


def _word(row: DatasetRow) -> str:
    return "text" if row.schema.kind == "text" else "image"


def _of_images(row: DatasetRow) -> None:
    """Raises DataError where classes are those of pixels: masks are not repainted here."""
    if row.schema.task == "segmentation":
        raise DataError.of(
            f"data set `{row.name}`", "classes of whole images are merged, dropped and given anew",
            "these are classes of pixels", "Change the masks, and add them again.",
        )  # fmt: skip


def _with_classes(row: DatasetRow) -> DatasetRow:
    if not row.schema.classes:
        raise DataError.of(
            f"data set `{row.name}`", "only sets to classify have classes", f"it is one for {row.schema.task}"
        )
    return row

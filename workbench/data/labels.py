"""Labels of any form as class numbers: integers, text, one-hot rows, columns of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from workbench.data.limits import Limits
from workbench.data.report import Report, class_names, shown
from workbench.data.sources import natural
from workbench.specs.errors import DataError


class Labels(NamedTuple):
    """classes by number; numbers: for each array (n,) int64, -1 where a row has no label."""

    classes: tuple[str, ...]
    numbers: dict[str, np.ndarray]


def labels_of(
    arrays: Mapping[str, np.ndarray],
    where: str,
    limits: Limits,
    report: Report,
    names: Sequence[str] | None = None,
) -> Labels:
    """The classes that all arrays together speak of. names: class names by number, where labels are numbers.

    Shapes: each array (N,), (N, 1) or one-hot (N, K), of integers, whole floats, truths or text.
    Raises DataError for labels that are no classes.
    """
    flat = {path: _flat(path, array, report) for path, array in arrays.items()}
    kinds = {array.dtype.kind in "US" for array in flat.values()}
    if len(kinds) > 1:
        raise DataError.of(where, "labels are numbers or text", "some arrays hold the one, some the other")
    if kinds == {True}:
        words = {path: np.char.strip(text(array)) for path, array in flat.items()}
        known = sorted({str(w) for array in words.values() for w in np.unique(array)} - {""}, key=natural)
        _not_too_many(len(known), where, limits)
        place = {w: k for k, w in enumerate(known)} | {"": -1}
        numbers = {path: np.array([place[str(w)] for w in array], np.int64) for path, array in words.items()}
        return Labels(class_names(known), numbers)
    whole = {path: _whole_numbers(path, array) for path, array in flat.items()}
    values = np.unique(np.concatenate([array[mask] for array, mask in whole.values()]))
    _not_too_many(len(values), where, limits)
    if names is not None and (len(values) == 0 or 0 <= values.min() <= values.max() < len(names)):
        classes = class_names(names[int(v)] for v in values)
    elif names is not None:
        raise DataError.of(
            where,
            "every label has a class name",
            f"labels run from {values.min()} to {values.max()} and there are {len(names)} names",
        )
    else:
        classes = tuple(str(int(v)) for v in values)
    found = {
        path: np.where(mask, np.searchsorted(values, array), -1).astype(np.int64)
        for path, (array, mask) in whole.items()
    }
    return Labels(classes, found)


def text(array: np.ndarray) -> np.ndarray:
    """Any array as text; bytes are UTF-8, and what is none becomes a mark."""
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array.astype(str)


def _flat(path: str, array: np.ndarray, report: Report) -> np.ndarray:
    """(N,) of any type."""
    if array.ndim == 1:
        return array
    if array.ndim == 2 and array.shape[1] == 1:
        report.repaired(shown(path), f"labels of shape {_dims(array)} laid flat")
        return array[:, 0]
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "biuf":
        ones = array == 1
        if (ones.sum(1) == 1).all() and ((array == 0) | ones).all():
            report.repaired(shown(path), f"one-hot labels of shape {_dims(array)} turned to class numbers")
            return np.asarray(ones.argmax(1))
        raise DataError.of(
            shown(path),
            "labels are one class per image",
            f"its rows of {array.shape[1]} numbers are not one 1 among zeros",
            "Give each image the number of its class.",
        )
    raise DataError.of(
        shown(path), "labels are (N,), (N, 1) or one-hot (N, K)", f"it is {_dims(array)}", "Lay them flat."
    )


def _whole_numbers(path: str, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(numbers (N,) int64, whether each is one (N,) bool). NaN is no label. Raises DataError."""
    if array.dtype.kind in "bui":
        if array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max:
            raise DataError.of(shown(path), "labels are class numbers", f"they reach {array.max()}")
        return array.astype(np.int64), np.ones(len(array), dtype=bool)
    mask = np.isfinite(array)
    safe = np.where(mask, array, 0).astype(np.float64)
    if not (safe == np.rint(safe)).all() or np.abs(safe).max(initial=0) > 2**53:
        odd = safe[safe != np.rint(safe)]
        raise DataError.of(
            shown(path),
            "labels are class numbers",
            f"it holds {odd[0]:g}" if len(odd) else "they are too large",
            "Give whole numbers, one per class; measured values cannot be classes.",
        )
    return safe.astype(np.int64), mask


def _not_too_many(n: int, where: str, limits: Limits) -> None:
    if n > limits.classes:
        raise DataError.of(
            where,
            f"a set may have {limits.classes:,} classes",
            f"the labels take {n:,} values",
            "Check that the labels are classes.",
        )


def _dims(array: np.ndarray) -> str:
    return "(" + ", ".join(map(str, array.shape)) + ")"

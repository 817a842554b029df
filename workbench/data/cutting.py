"""Which rows a run trains, validates and tests on: the set's own splits where it brings them, else drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data.prepared import read_files, read_groups
from workbench.data.splits import TEST, TRAIN, VALIDATION, draw, draw_groups, folds_of
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

_TEST_STREAM, _VALIDATION_STREAM, _LIMIT_STREAM, _FOLD_STREAM = 0, 1, 2, 3  # independent draws from one seed


@dataclass(frozen=True)
class SplitRows:
    """Row numbers per split, ascending, pairwise disjoint; each (n,) int64."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(
    labels: np.ndarray, splits: np.ndarray, spec: DataSpec, groups: np.ndarray | None = None
) -> SplitRows:
    """Rows of train, validation and test: the set's own where it brings them, else drawn.

    Shapes: labels (N,) int64, splits (N,) int8, groups (N,) int64. Test is drawn before validation, so that
    neither `validation`, `fold` nor `limit` moves a test row. With a fold, the images of training and
    validation are cut anew into `folds` parts, and that part is validated on.
    Check: groups, where given, are never on both sides of a cut that is drawn here.
    Raises DataError where a split that is needed would be empty.
    """
    rows = np.arange(len(labels))
    train, validation, test = (rows[splits == code] for code in (TRAIN, VALIDATION, TEST))
    if not len(test) and spec.test > 0:
        train, test = _hold_out(labels, train, spec.test, spec.split_seed, _TEST_STREAM, groups)
    if spec.fold is not None:
        pool = np.sort(np.concatenate([train, validation]))
        own = None if groups is None else groups[pool]
        part = folds_of(labels[pool], pool, spec.folds, seed=spec.split_seed, stream=_FOLD_STREAM, groups=own)
        train, validation = pool[part != spec.fold - 1], pool[part == spec.fold - 1]
    elif not len(validation):
        train, validation = _hold_out(
            labels, train, spec.validation, spec.split_seed, _VALIDATION_STREAM, groups
        )
    for name, part in (("training", train), ("validation", validation)):
        if not len(part):
            raise DataError.of(
                spec.name,
                f"a set must leave samples for {name}",
                f"none are left of {len(labels)}",
                "Add samples, two or more of each class."
                if groups is None
                else "Add samples of other groups, or cut without groups.",
            )
    if spec.limit is not None and spec.limit < len(train):
        chosen = draw(labels[train], train, spec.limit, seed=spec.split_seed, stream=_LIMIT_STREAM, leave=0)
        train = train[chosen]
    return SplitRows(train, validation, test)


def groups_of(folder: Path, spec: DataSpec) -> np.ndarray | None:
    """The group of each row, (N,) int64, as `spec.groups` asks for; None where it asks for none.

    Raises DataError where the set was not imported with what is asked for.
    """
    if spec.groups == "none":
        return None
    if spec.groups == "given":
        groups = read_groups(folder)
        if groups is None:
            raise DataError.of(
                f"data set `{spec.name}`",
                "groups must come with the set",
                "it was imported without a column of groups",
                "Group by the prefix of file names, or import it with a table that has a column `group`.",
            )
        alone = groups < 0  # rows without a group are a group each
        return np.where(alone, groups.max(initial=0) + 1 + np.cumsum(alone), groups)
    files = read_files(folder)
    if files is None:
        raise DataError.of(
            f"data set `{spec.name}`",
            "file names must come with the set",
            "it was imported from arrays or a table, which have none",
            "Cut it without groups.",
        )
    _, groups = np.unique(np.array([prefix(file) for file in files]), return_inverse=True)
    if int(groups.max(initial=0)) == 0:
        raise DataError.of(
            f"data set `{spec.name}`",
            "groups need file names that begin differently",
            f"all begin with `{prefix(files[0])}`",
            "Cut it without groups.",
        )
    return np.asarray(groups.reshape(-1), dtype=np.int64)


def prefix(file: str) -> str:
    """What the names of one group share: `p12` of `cat/p12_003.png`, the whole stem without a _ or -."""
    stem = file.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    head = re.split(r"[_\-](?=[^_\-]*$)", stem)[0]
    return head or stem


def _hold_out(
    labels: np.ndarray, rows: np.ndarray, share: float, seed: int, stream: int, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    n = max(1, round(share * len(rows)))
    if groups is not None:
        held = draw_groups(labels[rows], groups[rows], n, seed=seed, stream=stream)
        return rows[~held], rows[held]
    held = draw(labels[rows], rows, n, seed=seed, stream=stream)
    return rows[~held], rows[held]

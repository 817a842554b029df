"""The split is seeded, stratified and disjoint, for any labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.data.made import folder, png
from workbench.data import load, prepare, prepare_shipped
from workbench.data.dataset import prefix, split_rows
from workbench.data.prepared import read_files
from workbench.data.splits import draw, draw_groups, folds_of, quotas
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

labelled = st.lists(st.integers(0, 6), min_size=20, max_size=400).map(lambda v: np.array(v, dtype=np.int64))
specs = st.builds(
    DataSpec,
    validation=st.floats(0.05, 0.5),
    test=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    split_seed=st.integers(0, 2**31 - 1),
    limit=st.none() | st.integers(1, 100),
)


def rows_or_none(labels: np.ndarray, spec: DataSpec) -> list[np.ndarray] | None:
    try:
        found = split_rows(labels, np.zeros(len(labels), np.int8), spec)
    except DataError:
        return None
    return [found.train, found.validation, found.test]


@given(labelled, specs)
@settings(max_examples=150, deadline=None)
def test_no_row_is_on_two_sides(labels: np.ndarray, spec: DataSpec) -> None:
    parts = rows_or_none(labels, spec)
    if parts is not None:
        everything = np.concatenate(parts)
        assert len(np.unique(everything)) == len(everything)
        if spec.limit is None:
            assert len(everything) == len(labels)


@given(labelled, st.integers(0, 400), st.integers(0, 2**31 - 1))
@settings(max_examples=150, deadline=None)
def test_each_class_is_drawn_within_one_of_its_share(labels: np.ndarray, n: int, seed: int) -> None:
    n = min(n, len(labels) // 2)
    drawn = draw(labels, np.arange(len(labels)), n, seed=seed, stream=0)
    share = np.bincount(labels) * (n / len(labels))
    assert (np.abs(np.bincount(labels[drawn], minlength=len(share)) - share) <= 1).all()
    assert (np.bincount(labels[~drawn], minlength=len(share)) >= (share > 0)).all()  # none is used up


@given(labelled, specs)
@settings(max_examples=60, deadline=None)
def test_the_same_seed_cuts_the_same_way(labels: np.ndarray, spec: DataSpec) -> None:
    first, second = rows_or_none(labels, spec), rows_or_none(labels.copy(), spec)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@given(labelled, specs)
@settings(max_examples=60, deadline=None)
def test_validation_share_and_limit_leave_the_test_rows_alone(labels: np.ndarray, spec: DataSpec) -> None:
    other = spec.model_copy(update={"validation": 0.3, "limit": 7})
    first, second = rows_or_none(labels, spec), rows_or_none(labels, other)
    if first is not None and second is not None:
        assert np.array_equal(first[2], second[2])


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(0, 5000))
def test_quotas_add_up(counts: list[int], n: int) -> None:
    array = np.array(counts)
    assert quotas(array, n, leave=0).sum() == min(n, array.sum())


def test_another_seed_cuts_another_way() -> None:
    labels = np.arange(1000) % 10
    first, second = (split_rows(labels, np.zeros(1000, np.int8), DataSpec(split_seed=s)) for s in (0, 1))
    common = len(np.intersect1d(first.test, second.test))
    assert 0 < common < 30  # 10 of 100 are expected by chance


def test_the_cut_is_the_same_on_every_machine() -> None:
    """Written down once: a new NumPy or Python must not move a row from one side to the other."""
    labels = np.arange(60) % 3
    rows = split_rows(labels, np.zeros(60, np.int8), DataSpec())
    assert rows.test.tolist() == PINNED_TEST
    assert rows.validation.tolist() == PINNED_VALIDATION


def test_splits_the_source_brings_are_kept() -> None:
    labels, splits = np.arange(40) % 2, np.repeat([0, 1, 2], [20, 8, 12]).astype(np.int8)
    rows = split_rows(labels, splits, DataSpec())
    assert [len(p) for p in (rows.train, rows.validation, rows.test)] == [20, 8, 12]


def test_a_test_split_alone_leaves_validation_to_be_drawn() -> None:
    labels, splits = np.arange(40) % 2, np.repeat([0, 2], [20, 20]).astype(np.int8)
    rows = split_rows(labels, splits, DataSpec(validation=0.2))
    assert [len(p) for p in (rows.train, rows.validation, rows.test)] == [16, 4, 20]


def test_classes_of_one_image_each_cannot_be_split() -> None:
    with pytest.raises(DataError, match="must leave samples for validation"):
        split_rows(np.arange(5), np.zeros(5, np.int8), DataSpec())


PINNED_TEST = [19, 38, 39, 47, 51, 55]
PINNED_VALIDATION = [12, 21, 25, 31, 56]


# ---------------------------------------------------------------- groups and folds

grouped = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=30, max_size=300).map(
    lambda v: (np.array([a for a, _ in v], np.int64), np.array([b for _, b in v], np.int64))
)


@given(grouped, specs)
@settings(max_examples=150, deadline=None)
def test_no_group_is_on_two_sides(both: tuple[np.ndarray, np.ndarray], spec: DataSpec) -> None:
    labels, groups = both
    try:
        found = split_rows(labels, np.zeros(len(labels), np.int8), spec, groups)
    except DataError:
        return
    parts = [set(groups[part]) for part in (found.train, found.validation, found.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))


@pytest.mark.parametrize("seed", range(5))
def test_grouped_shares_are_near_what_was_asked_for(seed: int) -> None:
    """200 groups of 3 to 8 images in 4 classes: within a group's size of the share, class by class."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 9, 200)
    groups, labels = np.repeat(np.arange(200), sizes), np.repeat(np.arange(200) % 4, sizes)
    drawn = draw_groups(labels, groups, len(labels) // 5, seed=seed, stream=0)
    share = np.bincount(labels[drawn]) / np.bincount(labels)
    assert np.abs(share - 0.2).max() < 8 / np.bincount(labels).min()


@given(labelled, st.integers(2, 10), st.integers(0, 2**31 - 1))
@settings(max_examples=100, deadline=None)
def test_folds_are_equal_in_size_and_in_every_class(labels: np.ndarray, folds: int, seed: int) -> None:
    part = folds_of(labels, np.arange(len(labels)), folds, seed=seed, stream=3)
    sizes = np.bincount(part, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for k in np.unique(labels):
        own = np.bincount(part[labels == k], minlength=folds)
        assert own.max() - own.min() <= 1


@given(labelled, st.integers(2, 6), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_every_row_that_is_not_for_the_test_is_validated_on_once(
    labels: np.ndarray, folds: int, seed: int
) -> None:
    cuts = [
        split_rows(labels, np.zeros(len(labels), np.int8), DataSpec(fold=k, folds=folds, split_seed=seed))
        for k in range(1, folds + 1)
    ]
    assert all(np.array_equal(cut.test, cuts[0].test) for cut in cuts)
    seen = np.sort(np.concatenate([cut.validation for cut in cuts]))
    assert np.array_equal(seen, np.setdiff1d(np.arange(len(labels)), cuts[0].test))
    for cut in cuts:
        assert len(np.intersect1d(cut.train, cut.validation)) == 0
        assert len(cut.train) + len(cut.validation) == len(seen)


@given(grouped, st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_no_group_is_in_two_folds(both: tuple[np.ndarray, np.ndarray], folds: int) -> None:
    labels, groups = both
    part = folds_of(labels, np.arange(len(labels)), folds, seed=0, stream=3, groups=groups)
    assert all(len(np.unique(part[groups == g])) == 1 for g in np.unique(groups))


def test_folds_take_the_validation_images_that_a_set_brings() -> None:
    labels, splits = np.arange(60) % 2, np.repeat([0, 1, 2], [40, 10, 10]).astype(np.int8)
    rows = split_rows(labels, splits, DataSpec(fold=1, folds=5))
    assert [len(p) for p in (rows.train, rows.validation, rows.test)] == [40, 10, 10]
    assert rows.test.tolist() == list(range(50, 60))


def test_a_fold_beyond_the_folds_is_refused() -> None:
    with pytest.raises(ValidationError, match="the fold is one of the folds"):
        DataSpec(fold=6, folds=5)


@pytest.mark.parametrize(
    ("file", "group"),
    [
        ("cat/p12_003.png", "p12"),
        ("scan-7-b.png", "scan-7"),
        ("anna_left_1.jpg", "anna_left"),
        ("alone.png", "alone"),
        ("a_b/x.png", "x"),
        ("_hidden.png", "_hidden"),
    ],
)
def test_groups_by_the_prefix_of_names(file: str, group: str) -> None:
    assert prefix(file) == group


def test_a_set_is_cut_by_the_prefix_of_its_file_names(tmp_path: Path) -> None:
    files = {f"{'ab'[i % 2]}/p{i // 6}_{i}.png": png(i) for i in range(60)}
    prepare(folder(tmp_path / "s", files), tmp_path / "out")
    data = load(tmp_path / "out", DataSpec(groups="prefix", test=0.2, validation=0.2))
    names = read_files(tmp_path / "out")
    assert names is not None
    held = [{prefix(names[i]) for i in part.index} for part in (data.train, data.validation, data.test)]
    assert sum(map(len, held)) == len(set.union(*held)) == 10


def test_groups_that_are_not_there_are_told(tmp_path: Path) -> None:
    prepare(
        folder(tmp_path / "s", {f"{c}/{i}.png": png(i) for c in "ab" for i in range(9)}), tmp_path / "out"
    )
    with pytest.raises(DataError, match="imported without a column of groups"):
        load(tmp_path / "out", DataSpec(groups="given"))
    prepare_shipped("digits", tmp_path / "digits")
    with pytest.raises(DataError, match="imported from arrays"):
        load(tmp_path / "digits", DataSpec(groups="prefix"))

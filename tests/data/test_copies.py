"""Near copies are found, and images that only look alike are left alone."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.data import prepare_shipped
from workbench.data.copies import copies_of, grid_of, near_pairs, same_pairs
from workbench.data.prepared import digests, open_arrays


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shipped") / "fashion"
    prepare_shipped("fashion-mnist-sample", out)
    return out


def again(image: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


def smaller(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).resize((24, 24), Image.Resampling.LANCZOS)
    return np.asarray(small.resize((28, 28), Image.Resampling.LANCZOS))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "saved as JPEG": lambda x: again(x, 75),
    "brighter": lambda x: np.clip(x.astype(int) + 8, 0, 255).astype(np.uint8),
    "less contrast": lambda x: (x * 0.95).astype(np.uint8),
    "a little noise": lambda x: np.clip(x + np.random.default_rng(0).normal(0, 3, x.shape), 0, 255).astype(
        np.uint8
    ),
    "scaled down and up": smaller,
}


def pairs(images: np.ndarray) -> set[tuple[int, int]]:
    found = near_pairs(grid_of(images[:, None]), digests(images))
    return {(int(a), int(b)) for a, b in found}


@pytest.mark.parametrize("change", CHANGES)
def test_five_in_six_near_copies_are_found(change: str, fashion: Path) -> None:
    images = open_arrays(fashion).images[:300, 0]
    changed = np.stack([CHANGES[change](x) for x in images])
    found = pairs(np.concatenate([images, changed]))
    hits = sum((i, i + 300) in found for i in range(300))
    assert hits >= 250


def test_images_of_one_kind_are_no_copies(fashion: Path) -> None:
    """Of 12,000 pictures of clothes, at most one in a hundred looks like another."""
    found = copies_of(fashion)
    assert len(found.same) < 12
    assert len(found.near) < 120


def test_it_is_quick_and_kept(fashion: Path) -> None:
    (fashion / "copies.json").unlink(missing_ok=True)
    start = time.process_time()
    first = copies_of(fashion)
    assert time.process_time() - start < 5
    start = time.process_time()
    second = copies_of(fashion)
    assert time.process_time() - start < 0.2
    assert np.array_equal(first.near, second.near)


def test_a_kept_file_that_is_broken_is_made_anew(fashion: Path) -> None:
    first = copies_of(fashion)
    (fashion / "copies.json").write_text("{")
    assert np.array_equal(copies_of(fashion).same, first.same)


def test_the_same_are_told_with_the_first_of_them() -> None:
    assert same_pairs(np.array([7, 3, 7, 7, 3, 1], np.uint64)).tolist() == [[0, 2], [0, 3], [1, 4]]


def test_blank_images_are_the_same_and_not_near() -> None:
    blank = np.zeros((50, 1, 8, 8), np.uint8)
    assert len(near_pairs(grid_of(blank), digests(blank))) == 0
    assert len(same_pairs(digests(blank))) == 49


@pytest.mark.parametrize("shape", [(5, 1, 4, 4), (5, 3, 100, 7), (5, 1, 8, 9), (1, 3, 1, 1)])
def test_images_of_any_size_have_a_grid(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert grid_of(images).shape == (shape[0], 8, 9)
    assert len(near_pairs(grid_of(images), digests(images))) == 0


def test_equal_images_have_equal_digests_and_others_not() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5000, 1, 3, 3), dtype=np.uint8)
    images[4000:] = images[:1000]
    found = digests(images)
    assert np.array_equal(found[4000:], found[:1000])
    assert len(np.unique(found)) == len(np.unique(images.reshape(5000, -1), axis=0))

"""Real data sets come in whole, with the counts that are known of them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from workbench.data import load, prepare
from workbench.data.prepared import open_arrays
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

# Images per digit of MNIST's training set, as published.
MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_mnist_has_its_published_counts(shared_data: Path, tmp_path: Path) -> None:
    prepared = prepare(shared_data / "mnist", tmp_path / "out")
    arrays = open_arrays(tmp_path / "out")
    assert prepared.rows == {"train": 60_000, "test": 10_000}
    assert prepared.schema.shape == (1, 28, 28)
    assert np.bincount(arrays.labels[arrays.splits == 0]).tolist() == MNIST_COUNTS
    # The numbers everybody standardises MNIST with.
    mean, std = arrays.images[:60_000].mean() / 255, arrays.images[:60_000].std() / 255
    assert (round(float(mean), 4), round(float(std), 4)) == (0.1307, 0.3081)


def test_fashion_mnist_brings_names_and_licence(shared_data: Path, tmp_path: Path) -> None:
    prepared = prepare(shared_data / "fashion-mnist", tmp_path / "out")
    data = load(tmp_path / "out", DataSpec(name="f"))
    assert data.classes[:2] == ("T-shirt/top", "Trouser")
    assert prepared.schema.licence == "MIT"
    assert np.bincount(np.concatenate([data.train.y, data.validation.y])).tolist() == [6000] * 10
    assert np.bincount(data.test.y).tolist() == [1000] * 10


def test_one_file_of_fashion_mnist_finds_its_labels(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
    assert prepare(source, tmp_path / "out").rows == {"train": 10_000}


def test_cifar_comes_from_its_zip(shared_data: Path, tmp_path: Path) -> None:
    prepared = prepare(shared_data / "cifar10" / "cifar10_png_10k.zip", tmp_path / "out")
    arrays = open_arrays(tmp_path / "out")
    assert prepared.rows == {"train": 8_000, "test": 2_000}
    assert (prepared.schema.shape, prepared.schema.classes[3]) == ((3, 32, 32), "cat")
    assert np.bincount(arrays.labels[arrays.splits == 0]).tolist() == [800] * 10
    assert {row["action"] for row in prepared.report} == {"kept"}
    assert len(prepared.report) == 12  # a row per class, the size, and what the files were


def test_sign_digits_come_from_a_zip_of_their_folder(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "sign-digits"
    with zipfile.ZipFile(tmp_path / "signs.zip", "w") as file:
        for k in range(10):
            for path in sorted((root / "Dataset" / str(k)).iterdir())[:30]:
                file.write(path, path.relative_to(root))
        file.write(root / "README.md", "README.md")
    prepared = prepare(tmp_path / "signs.zip", tmp_path / "out", size=50)
    assert (prepared.rows, prepared.schema.shape) == ({"train": 300}, (3, 50, 50))
    assert prepared.schema.classes == tuple("0123456789")
    assert [r["file"] for r in prepared.report if r["action"] == "refused"] == ["README.md"]


def test_the_whole_sign_folder_has_its_known_counts(shared_data: Path, tmp_path: Path) -> None:
    prepare(shared_data / "sign-digits", tmp_path / "out")
    counts = np.bincount(open_arrays(tmp_path / "out").labels)
    assert (counts.sum(), counts[7], counts.min(), counts.max()) == (2059, 203, 203, 208)


def test_a_folder_with_a_single_photo_says_what_is_missing(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 3 images"):
        prepare(shared_data / "sign-digits-oversize", tmp_path / "out")


def test_a_table_of_numbers_is_one_and_is_refused_as_texts_with_a_reason(
    shared_data: Path, tmp_path: Path
) -> None:
    housing = shared_data / "california-housing" / "housing.csv"
    assert prepare(housing, tmp_path / "out").schema.kind == "table"
    with pytest.raises(DataError, match="a table of texts has a column of texts"):
        prepare(housing, tmp_path / "texts", kind="text")

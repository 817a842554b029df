"""NumPy files of any size come in within a bound of memory, or are refused with what would help."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.test_arrays import npz
from workbench.data import Limits, prepare
from workbench.specs.errors import DataError


def test_an_array_in_column_order_must_fit_into_memory(tmp_path: Path) -> None:
    big = np.asfortranarray(np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8))
    source = npz(tmp_path / "s.npz", x=big, y=np.arange(40) % 2)
    with pytest.raises(DataError, match="ascontiguousarray"):
        prepare(source, tmp_path / "out", limits=Limits(memory=100_000))
    assert prepare(source, tmp_path / "out", limits=Limits(memory=200_000)).rows == {"train": 40}


def test_labels_deflated_a_thousandfold_are_no_bomb(tmp_path: Path) -> None:
    n = 20_000
    x = np.random.default_rng(0).integers(0, 256, (n, 4, 4), dtype=np.uint8)
    source = npz(tmp_path / "s.npz", pack=True, x=x, y=np.eye(10)[np.zeros(n, int) + (np.arange(n) > 9)])
    with zipfile.ZipFile(source) as file:
        info = file.getinfo("y.npy")
        assert info.file_size > 200 * info.compress_size
    assert prepare(source, tmp_path / "out").rows == {"train": n}


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """98 MB of float64 images come in with less than a third of it in memory."""
    x = np.random.default_rng(0).random((3000, 64, 64))
    source = npz(tmp_path / "s.npz", x=x, y=np.arange(3000) % 7)
    del x
    tracemalloc.start()
    try:
        prepare(source, tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source.stat().st_size > 90 << 20
    assert peak < 32 << 20

"""What a run gets: shapes, channels, sizes, spread; the same every time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.made import folder, idx, pixels, two_classes
from workbench.data import dataset as dataset_room
from workbench.data import load, prepare, prepare_shipped
from workbench.data.prepared import open_arrays
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("colour")
    prepare(folder(at / "s", two_classes(20)), at / "out")
    return at / "out"


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shipped") / "fashion"
    prepare_shipped("fashion-mnist-sample", out)
    return out


def test_the_arrays_are_as_the_contract_says(colour: Path) -> None:
    data = load(colour, DataSpec(name="c"))
    assert (data.name, data.shape, data.classes) == ("c", (3, 8, 8), ("cat", "dog"))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [32, 4, 4]
    stored = open_arrays(colour)
    for split in (data.train, data.validation, data.test):
        assert (split.x.dtype, split.y.dtype, split.index.dtype) == (np.uint8, np.int64, np.int64)
        assert split.x.flags.c_contiguous
        assert np.array_equal(split.x, stored.images[split.index])
        assert np.array_equal(split.y, stored.labels[split.index])


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_spread_are_numpys(colour: Path, channels: int) -> None:
    data = load(colour, DataSpec(channels=channels))
    scaled = data.train.x.astype(np.float64) / 255
    assert data.mean.dtype == data.std.dtype == np.float32
    assert data.mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), rel=1e-5)
    assert data.std == pytest.approx(scaled.std(axis=(0, 2, 3)), rel=1e-5)


def test_unit_leaves_pixels_from_0_to_1(colour: Path) -> None:
    data = load(colour, DataSpec(normalize="unit"))
    assert (data.mean.tolist(), data.std.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    mean, std = dataset_room.mean_std(np.full((4, 2, 3, 3), 51, np.uint8))
    assert mean == pytest.approx([0.2, 0.2])
    assert std.tolist() == [1, 1]


def test_grey_is_pillows_grey(colour: Path) -> None:
    data = load(colour, DataSpec(channels=1))
    row = int(data.train.index[0])
    rgb = open_arrays(colour).images[row].transpose(1, 2, 0)
    assert np.array_equal(data.train.x[0, 0], np.asarray(Image.fromarray(rgb).convert("L")))


def test_resizing_is_pillows_and_fits_the_schema(colour: Path) -> None:
    spec = DataSpec(size=13)
    data = load(colour, spec)
    assert data.shape == data.train.x.shape[1:] == data.schema.shape_for(spec) == (3, 13, 13)
    rgb = open_arrays(colour).images[int(data.test.index[0])].transpose(1, 2, 0)
    expected = Image.fromarray(rgb).resize((13, 13), Image.Resampling.BILINEAR)
    assert np.array_equal(data.test.x[0], np.asarray(expected).transpose(2, 0, 1))


def test_a_limit_is_even_over_the_classes_and_touches_training_only(fashion: Path) -> None:
    full, small = load(fashion, DataSpec()), load(fashion, DataSpec(limit=200))
    assert np.bincount(small.train.y).tolist() == [20] * 10
    assert np.array_equal(full.validation.index, small.validation.index)
    assert np.isin(small.train.index, full.train.index).all()


def test_the_shipped_sample_has_the_stated_counts(fashion: Path) -> None:
    data = load(fashion, DataSpec())
    assert [len(s) for s in (data.train, data.validation, data.test)] == [9000, 1000, 2000]
    assert np.bincount(np.concatenate([data.train.y, data.validation.y])).tolist() == [1000] * 10
    assert np.bincount(data.test.y).tolist() == [200] * 10
    assert data.classes[9] == "Ankle boot"
    # The full training set's published mean and spread are 0.2860 and 0.3530.
    assert data.mean == pytest.approx([0.2860], abs=0.002)
    assert data.std == pytest.approx([0.3530], abs=0.002)


def test_the_shipped_sample_is_small_and_carries_its_licence() -> None:
    from workbench.data.shipped import HERE

    assert (HERE / "fashion-mnist-sample.npz").stat().st_size <= 6_000_000
    assert "MIT License" in (HERE / "LICENSE-fashion-mnist.txt").read_text(encoding="utf-8")


def test_every_shipped_image_is_one_of_the_originals(
    fashion: Path, shared_data: Path, tmp_path: Path
) -> None:
    prepare(shared_data / "fashion-mnist", tmp_path / "out")
    full, sample = open_arrays(tmp_path / "out"), open_arrays(fashion)
    for code in (0, 2):
        originals = {
            (x.tobytes(), int(y))
            for x, y in zip(full.images[full.splits == code], full.labels[full.splits == code], strict=True)
        }
        ours = zip(sample.images[sample.splits == code], sample.labels[sample.splits == code], strict=True)
        assert all((x.tobytes(), int(y)) in originals for x, y in ours)


def test_the_digits_are_scikit_learns(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare_shipped("digits", tmp_path / "out")
    theirs, arrays = load_digits(), open_arrays(tmp_path / "out")
    assert prepared.rows == {"train": 1797}
    assert np.array_equal(arrays.labels, theirs.target)
    assert np.abs(arrays.images[:, 0] / 255 - theirs.images / 16).max() <= 0.5 / 255
    assert arrays.images.max() == 255


def test_an_unknown_shipped_set_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean `digits`"):
        prepare_shipped("digit", tmp_path / "out")


def test_loading_the_sample_takes_less_than_a_tenth_of_a_second(fashion: Path) -> None:
    def once() -> float:
        start = time.process_time()  # others may be using the cores meanwhile
        load(fashion, DataSpec())
        return time.process_time() - start

    assert min(once() for _ in range(5)) < 0.1


def test_the_spread_of_a_large_set_is_kept_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_room, "_CACHE_FROM", 0)
    prepare(folder(tmp_path / "s", two_classes(20)), tmp_path / "out")
    first = load(tmp_path / "out", DataSpec())
    assert len(list((tmp_path / "out").glob("spread-*.json"))) == 1
    monkeypatch.setattr(dataset_room, "mean_std", None)  # not needed a second time
    second = load(tmp_path / "out", DataSpec())
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.std, second.std)


@pytest.mark.parametrize("text", ["", "{", '{"mean": [NaN], "std": [1]}', '{"mean": [1, 2], "std": [0, 0]}'])
def test_a_damaged_note_of_the_spread_is_measured_anew(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_room, "_CACHE_FROM", 0)
    prepare(folder(tmp_path / "s", two_classes(20)), tmp_path / "out")
    first = load(tmp_path / "out", DataSpec())
    next((tmp_path / "out").glob("spread-*.json")).write_text(text)
    assert np.array_equal(load(tmp_path / "out", DataSpec()).mean, first.mean)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "splits.npy", "schema.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_folder_is_explained(name: str, damage: str, tmp_path: Path) -> None:
    prepare(folder(tmp_path / "s", two_classes(20)), tmp_path / "out")
    path = tmp_path / "out" / name
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        path.write_bytes(b"\x80\x04." * 20)
    with pytest.raises(DataError, match="Add the data set again"):
        load(tmp_path / "out", DataSpec())


def test_loading_does_not_change_the_folder(tmp_path: Path) -> None:
    prepare(folder(tmp_path / "s", two_classes(20)), tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    load(tmp_path / "out", DataSpec(size=16, channels=1))
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_two_loads_are_equal_and_independent(colour: Path) -> None:
    first, second = load(colour, DataSpec(size=9)), load(colour, DataSpec(size=9))
    assert np.array_equal(first.train.x, second.train.x)
    first.train.x[:] = 0
    assert second.train.x.any()


def test_a_set_of_idx_files_loads_by_runs_of_rows(tmp_path: Path) -> None:
    images, labels = np.stack([pixels(i, 4, 4, 1) for i in range(30)]), np.arange(30, dtype=np.uint8) % 2
    names = (("train", slice(0, 20)), ("t10k", slice(20, 30)))
    files = {f"{n}-images-idx3-ubyte": idx(images[s]) for n, s in names}
    files |= {f"{n}-labels-idx1-ubyte": idx(labels[s]) for n, s in names}
    prepare(folder(tmp_path / "s", files), tmp_path / "out")
    data = load(tmp_path / "out", DataSpec())
    assert np.array_equal(data.test.x[:, 0], images[20:])
    assert data.test.index.tolist() == list(range(20, 30))

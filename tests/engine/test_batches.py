"""Rows, order and normalisation: the same numbers wherever the pixels live."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.tiny import images
from workbench.engine.batches import Batches, batch_sizes, normalised, order

CPU = torch.device("cpu")


@given(st.integers(1, 500), st.integers(1, 64), st.booleans())
def test_the_batches_of_an_epoch_hold_every_image_once(n: int, batch: int, join: bool):
    sizes = batch_sizes(n, batch, join)
    assert sum(sizes) == n
    assert max(sizes) <= batch + 1
    assert not (join and len(sizes) > 1 and batch > 1 and sizes[-1] == 1)
    assert sorted(order(n, 3, 4).tolist()) == list(range(n))


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    np.random.seed(5)
    one = order(100, 7, 2)
    np.random.seed(6)
    assert torch.equal(one, order(100, 7, 2))
    assert not torch.equal(one, order(100, 7, 3))
    assert not torch.equal(one, order(100, 8, 2))


def test_pixels_are_normalised_per_channel():
    data = images(shape=(3, 4, 5))
    mean, std = np.array([0.1, 0.2, 0.3], np.float32), np.array([0.5, 0.25, 1.0], np.float32)
    expected = (data.train.x / 255 - mean.reshape(1, 3, 1, 1)) / std.reshape(1, 3, 1, 1)
    assert np.allclose(normalised(data.train.x, mean, std).numpy(), expected, atol=1e-6)


def test_all_three_places_give_equal_bits():
    data = images(shape=(3, 6, 6))
    size = data.train.x.size
    places = {room: Batches(data.train, data, CPU, room) for room in (100 * size, 5 * size, size)}
    assert [b.placed for b in places.values()] == ["float", "bytes", "host"]
    rows = torch.tensor([5, 0, 69, 5])
    truth = normalised(data.train.x, data.mean, data.std)
    for batches in places.values():
        assert torch.equal(batches.x_of(rows), truth[rows])
        walked = list(batches.in_order(16))
        assert torch.equal(torch.cat([x for x, _ in walked]), truth)
        assert torch.equal(torch.cat([y for _, y in walked]), torch.from_numpy(data.train.y))


def test_shuffled_labels_belong_to_their_rows():
    data = images()
    rows, labels = zip(*Batches(data.train, data, CPU).shuffled(0, 1, batch_sizes(70, 16)), strict=True)
    for r, y in zip(rows, labels, strict=True):
        assert np.array_equal(data.train.y[r.numpy()], y.numpy())


def test_a_memory_map_serves_as_pixels(tmp_path):
    data = images()
    np.save(tmp_path / "x.npy", data.train.x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    part = type(data.train)(mapped, data.train.y, data.train.index)
    truth = normalised(data.train.x, data.mean, data.std)
    for room in (10**9, 5 * mapped.size, mapped.size):
        batches = Batches(part, data, CPU, room)
        assert torch.equal(batches.x_of(torch.arange(70)), truth)

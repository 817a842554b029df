"""Frames: what the browser relies on when it reads arrays straight out of a message."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest

from workbench.live import wire
from workbench.records import Panel, Tiles


def test_a_payload_starts_at_a_multiple_of_eight():
    for length in range(30):
        frame = wire.pack("x", {"pad": "ü" * length}, np.arange(3.0))
        (header,) = struct.unpack_from("<I", frame)
        assert (4 + header) % 8 == 0
        head, payload = wire.unpack(frame)
        assert head == {"k": "x", "pad": "ü" * length}
        assert np.frombuffer(payload, "<f8").tolist() == [0, 1, 2]


def test_numbers_that_json_has_no_word_for_travel_as_texts():
    head, _ = wire.unpack(
        wire.pack("status", {"metrics": {"a": [math.nan, math.inf, -math.inf, np.float32(1)]}})
    )
    assert head["metrics"]["a"] == ["NaN", "Infinity", "-Infinity", 1.0]
    json.dumps(head, allow_nan=False)


def test_only_one_group_of_maps_travels():
    pixels = np.arange(6 * 2 * 2, dtype=np.uint8).reshape(6, 2, 2)
    record = Tiles("maps/3", 5, 0.1, 0.0, pixels, np.arange(6.0), np.arange(6.0) + 1, group=2)
    head, payload = wire.unpack(wire.tiles(record, topic="tiles:maps/3@1", part=1))
    assert (head["n"], head["parts"], head["lows"]) == (2, 3, [2.0, 3.0])
    assert np.frombuffer(payload, np.uint8)[:8].tolist() == pixels[2:4].ravel().tolist()


def test_arrays_of_a_panel_are_described_and_aligned():
    record = Panel(
        "samples", 1, 0.0, 0.0, {"items": []}, {"a": np.zeros((1, 3), np.uint8), "b": np.arange(2.0)}
    )
    head, payload = wire.unpack(wire.panel(record, topic="panel:samples"))
    assert [a["shape"] for a in head["arrays"]] == [[1, 3], [2]]
    assert np.frombuffer(payload[8:24], "<f8").tolist() == [0.0, 1.0]


@pytest.mark.parametrize("dtype", ["float16", "int16", "bool"])
def test_types_the_browser_does_not_know_become_doubles(dtype):
    record = Panel("p", 1, 0.0, 0.0, {}, {"a": np.ones(2, dtype)})
    head, payload = wire.unpack(wire.panel(record, topic="panel:p"))
    assert head["arrays"][0]["dtype"] == "float64"
    assert np.frombuffer(payload, "<f8").tolist() == [1.0, 1.0]


def test_large_pictures_are_averaged_down_and_small_ones_stay():
    pixels = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)
    assert wire.smaller(pixels, 5) is pixels
    small = wire.smaller(pixels, 3)  # squares of two; the fifth row has no neighbour below
    assert small.shape == (2, 3, 2)
    assert small[0].tolist() == [[(0 + 1 + 4 + 5) // 4, (2 + 3 + 6 + 7) // 4],
                                 [(8 + 9 + 12 + 13) // 4, (10 + 11 + 14 + 15) // 4],
                                 [(16 + 17) // 4, (18 + 19) // 4]]  # fmt: skip
    even = np.full((1, 128, 128), 200, np.uint8)
    assert (wire.smaller(even, 64) == 200).all()
    tiles = Tiles("attention/1", 3, 0.1, 0.0, even, np.zeros(1), np.ones(1), "head", "", 1)
    head, payload = wire.unpack(wire.tiles(tiles, topic="tiles:attention/1@0~64", part=0, most=64))
    assert (head["h"], head["w"], head["of"], len(payload)) == (64, 64, [128, 128], 64 * 64)

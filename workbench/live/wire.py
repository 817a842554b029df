"""The frames that travel over the socket: a length, a JSON header, then plain arrays.

    u32 little-endian header length | header, space-padded to a multiple of 8 | payload

The browser reads arrays straight out of the message's buffer, which is why they must be aligned.
Nothing is pickled. Numbers that JSON has no word for travel as the texts "NaN", "Infinity" and
"-Infinity". `docs/stream.md` lists every frame.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.records import Event, Panel, Tiles

MAX_TEXT = 1000  # characters of an event's sentence
DTYPES = {"uint8": "<u1", "int64": "<i8", "float32": "<f4", "float64": "<f8", "int32": "<i4"}


def pack(kind: str, head: Mapping[str, Any], *arrays: np.ndarray) -> bytes:
    """One frame. Arrays are appended in order, each padded to a multiple of 8 bytes."""
    text = json.dumps({"k": kind, **plain(head)}, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % 8)
    parts = [struct.pack("<I", len(text)), text]
    for array in arrays:
        blob = np.ascontiguousarray(array).tobytes()
        parts += [blob, b"\0" * (-len(blob) % 8)]
    return b"".join(parts)


def unpack(frame: bytes) -> tuple[dict[str, Any], memoryview]:
    """(header, payload) of a frame."""
    (length,) = struct.unpack_from("<I", frame)
    head: dict[str, Any] = json.loads(frame[4 : 4 + length])
    return head, memoryview(frame)[4 + length :]


def plain(value: Any) -> Any:
    """The same as JSON can say it; NaN and the infinities as texts."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def scalars(series: Sequence[tuple[str, np.ndarray, int]], *, snap: bool, cursor: str) -> bytes:
    """Points of several keys: (key, points (4, n) as steps, epochs, times, values, points so far).

    snap: replaces what the viewer has; otherwise it is appended.
    """
    head = {
        "snap": snap,
        "cursor": cursor,
        "series": [{"key": key, "n": points.shape[1], "total": total} for key, points, total in series],
    }
    return pack("scalars", head, *(points.astype("<f8", copy=False) for _, points, _ in series))


def tiles(
    record: Tiles, *, topic: str, part: int | None = None, at: int | None = None, most: int | None = None
) -> bytes:
    """A stack of pictures; with `part`, only that group of it (the channels of one probe image).

    topic: as the viewer asked for it; at: the step it asked for, None for the newest; most: pixels of a
    side, beyond which pictures are averaged down.
    """
    pixels, lows, highs = record.pixels, record.lows, record.highs
    parts = max(1, len(pixels) // record.group) if record.group else 1
    if part is not None and record.group:
        chosen = slice(part * record.group, (part + 1) * record.group)
        pixels, lows, highs = pixels[chosen], lows[chosen], highs[chosen]
    whole = list(pixels.shape[1:3])
    if most is not None and pixels.ndim == 3:
        pixels = smaller(pixels, most)
    n, height, width = pixels.shape[:3]
    head = {
        "topic": topic, "step": record.step, "epoch": record.epoch, "n": n, "h": height, "w": width,
        "c": pixels.shape[3] if pixels.ndim == 4 else 1, "lows": lows.astype(float).tolist(),
        "highs": highs.astype(float).tolist(), "label": record.label, "title": record.title,
        "group": record.group, "parts": parts, "part": part, "signed": record.signed, "at": at, "of": whole,
    }  # fmt: skip
    return pack("tiles", head, pixels.astype("<u1", copy=False))


def smaller(pixels: np.ndarray, most: int) -> np.ndarray:
    """(n, h, w) uint8 with both sides at most `most`: the means of squares; small pictures as they are.

    Check: k by k equal pixels become one of that value; what is missing at the far edges counts as 0.
    """
    n, h, w = pixels.shape
    k = -(-max(h, w) // most)
    if k <= 1:
        return pixels
    total = np.zeros((n, -(-h // k), -(-w // k)), np.uint32)
    for i in range(min(k, h)):
        for j in range(min(k, w)):
            part = pixels[:, i::k, j::k]
            total[:, : part.shape[1], : part.shape[2]] += part
    return np.asarray((total // (k * k)).astype(np.uint8))


def panel(record: Panel, *, topic: str, at: int | None = None) -> bytes:
    """A small result with its arrays, each named with shape and dtype in the header."""
    arrays = {name: _portable(array) for name, array in record.arrays.items()}
    described = [
        {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}
        for name, array in arrays.items()
    ]
    head = {
        "topic": topic, "step": record.step, "epoch": record.epoch, "data": record.data,
        "arrays": described, "at": at,
    }  # fmt: skip
    return pack("panel", head, *arrays.values())


def events(items: Sequence[Event], *, snap: bool) -> bytes:
    rows = [
        {"kind": e.kind, "text": e.text[:MAX_TEXT], "step": e.step, "epoch": e.epoch, "time": e.time}
        for e in items
    ]
    return pack("event", {"snap": snap, "items": rows})


def _portable(array: np.ndarray) -> np.ndarray:
    """The array in a type that the browser has a typed array for."""
    return array.astype(DTYPES.get(array.dtype.name, "<f8"), copy=False)

"""TensorBoard event files, written without TensorBoard: scalars, texts, pictures, hyperparameters.

A file is a row of records, each `length (u64) · its checksum · an Event message · its checksum`
(masked CRC-32C). TensorBoard's own writer encodes point by point: 8 µs each, a seventh of the time of
a small model. All points of one key and one length of step number differ in 16 bytes only, so here
they are laid out as rows of an array, and their checksums come from tables.

Sources: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto, RFC 3720 B.4 (CRC-32C).
The tests read everything back with TensorBoard.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from workbench.records import Scalars

PREFIX = "events.out.tfevents."


class EventFile:
    """One growing event file. Every method writes whole records, and nothing else, or raises OSError."""

    def __init__(self, folder: Path) -> None:
        """A new file that takes the place of all before it in `folder`: readers forget those."""
        folder.mkdir(parents=True, exist_ok=True)
        old = sorted(folder.glob(f"{PREFIX}*"))
        # Readers go through files in the order of their names: a clock set back must not matter.
        stamps = [int(name) for path in old if (name := path.name.split(".")[3]).isdigit()]
        stamp = max([int(time.time()), *(n + 1 for n in stamps)])
        self.path = folder / f"{PREFIX}{stamp:010d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._size = 0
        now = time.time()
        restart = _field(7, _number(1, 1))  # session_log: START, so that a reader drops what it has
        self._put(_record(_event(now, 0, _field(3, b"brain.Event:2"))) + _record(_event(now, 0, restart)))
        for path in old:  # a TensorBoard that has one open goes on when it is empty, but not when it is gone
            if path.stat().st_size:
                os.truncate(path, 0)
            else:
                path.unlink()

    def scalars(self, parts: list[Scalars]) -> None:
        """Every point of these chunks, as float32: more TensorBoard does not keep."""
        self._put(b"".join(encode_scalars(part) for part in parts))

    def text(self, tag: str, text: str, step: int, moment: float) -> None:
        """Markdown, for the Text page."""
        tensor = _number(1, 7) + _field(2, _field(2, _number(1, 1))) + _field(8, text.encode())
        metadata = _field(1, _field(1, b"text")) + _number(4, 2)
        self._put(_record(_event(moment, step, _summary(tag, _field(8, tensor) + _field(9, metadata)))))

    def picture(self, tag: str, png: bytes, size: tuple[int, int], step: int, moment: float) -> None:
        """size: width and height in pixels."""
        image = _number(1, size[1]) + _number(2, size[0]) + _number(3, 3) + _field(4, png)
        self._put(_record(_event(moment, step, _summary(tag, _field(4, image)))))

    def hyperparameters(self, values: Mapping[str, str | float | bool], moment: float) -> None:
        """The start of a session, for the HParams page."""
        pairs = b"".join(
            _field(1, _field(1, key.encode()) + _field(2, _value(value))) for key, value in values.items()
        )
        self._hparams("session_start_info", 3, pairs + b"\x29" + struct.pack("<d", moment), moment)

    def ended(self, well: bool, moment: float) -> None:
        """The end of that session."""
        info = _number(1, 1 if well else 2) + b"\x11" + struct.pack("<d", moment)
        self._hparams("session_end_info", 4, info, moment)

    def close(self) -> None:
        os.close(self._file)

    def _hparams(self, name: str, number: int, message: bytes, moment: float) -> None:
        metadata = _field(1, _field(1, b"hparams") + _field(2, _field(number, message)))
        nothing = _number(1, 1) + _field(2, _field(2, b""))  # a float tensor of shape (0,)
        summary = _summary(f"_hparams_/{name}", _field(8, nothing) + _field(9, metadata))
        self._put(_record(_event(moment, 0, summary)))

    def _put(self, records: bytes) -> None:
        """All of it, or nothing and OSError: half a record would hide everything behind it."""
        rest = memoryview(records)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(records)


# ---------------------------------------------------------------- scalars, many at once


def encode_scalars(part: Scalars) -> bytes:
    """The chunk's points as records, in order."""
    if not len(part):
        return b""
    steps = np.maximum(part.steps, 0).astype(np.uint64)
    lengths = _varint_lengths(steps)
    cuts = [0, *(np.flatnonzero(np.diff(lengths)) + 1).tolist(), len(steps)]
    return b"".join(
        _rows(part, steps, first, last, int(lengths[first])) for first, last in itertools.pairwise(cuts)
    )


def _rows(part: Scalars, steps: np.ndarray, first: int, last: int, step_bytes: int) -> bytes:
    """Points first..last-1, whose step numbers all take `step_bytes` bytes."""
    layout = _layout(part.key, step_bytes)
    here = slice(first, last)
    with np.errstate(over="ignore"):  # beyond float32 is infinite there
        values = part.values[here].astype("<f4")
    varying = np.empty((last - first, 12 + step_bytes), np.uint8)  # (n, time 8 · step · value 4)
    varying[:, :8] = np.ascontiguousarray(part.times[here], "<f8").view(np.uint8).reshape(-1, 8)
    for i in range(step_bytes):
        low = (steps[here] >> np.uint64(7 * i)) & np.uint64(0x7F)
        varying[:, 8 + i] = low | (0x80 if i < step_bytes - 1 else 0)
    varying[:, 8 + step_bytes :] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4)
    # A CRC is linear: each varying byte changes it by what its table says, whatever the others are.
    change = np.bitwise_xor.reduce(layout.tables[np.arange(varying.shape[1]), varying], axis=1)
    rows = np.tile(layout.template, (last - first, 1))
    rows[:, layout.places] = varying
    checks = np.ascontiguousarray(_masked(change ^ layout.zero), "<u4").view(np.uint8).reshape(-1, 4)
    rows[:, -4:] = checks
    return rows.tobytes()


class _Layout:
    """One record of a key with zeros where points differ, and what each such byte does to the checksum.

    template (k,) uint8, places (v,) int, tables (v, 256) uint32, zero: the CRC of the template's message.
    """

    def __init__(self, key: str, step_bytes: int) -> None:
        value = _field(1, key.encode()) + b"\x15" + bytes(4)
        summary = _field(5, _field(1, value))
        message = b"\x09" + bytes(8) + b"\x10" + bytes(step_bytes) + summary
        record = _record(message)
        inside = [*range(1, 9), *range(10, 10 + step_bytes), *range(len(message) - 4, len(message))]
        self.template = np.frombuffer(record, np.uint8)
        self.places = np.array(inside) + 12
        self.zero = np.uint32(crc32c(message))
        shifted = [TABLE]  # shifted[r]: a byte's effect when r bytes follow it
        for _ in range(len(message)):
            shifted.append((shifted[-1] >> np.uint32(8)) ^ TABLE[shifted[-1] & np.uint32(0xFF)])
        self.tables = np.stack([shifted[len(message) - 1 - place] for place in inside])


@lru_cache(maxsize=512)
def _layout(key: str, step_bytes: int) -> _Layout:
    return _Layout(key, step_bytes)


def _varint_lengths(numbers: np.ndarray) -> np.ndarray:
    """Bytes that each number takes as a varint: 7 bits a byte."""
    limits = np.uint64(1) << (np.uint64(7) * np.arange(1, 10, dtype=np.uint64))
    return np.searchsorted(limits, numbers, side="right") + 1


# ---------------------------------------------------------------- checksums


def _table() -> np.ndarray:
    """(256,) uint32: what one byte does to a CRC-32C, polynomial 0x82F63B78 (reflected)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(0x82F63B78), np.uint32(0))
    return table


TABLE = _table()
_PLAIN = TABLE.tolist()


def crc32c(data: bytes) -> int:
    """Check: crc32c(b"123456789") == 0xE3069283."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _PLAIN[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(crc: np.ndarray) -> np.ndarray:
    """TFRecord's mask over a checksum, so that checksums of checksums stay good."""
    crc = crc.astype(np.uint32)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


# ---------------------------------------------------------------- messages (protocol buffers)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field: text, bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _value(value: str | float | bool) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(value, bool):
        return _number(4, int(value))
    if isinstance(value, int | float):
        return b"\x11" + struct.pack("<d", value)
    return _field(3, value.encode())


def _summary(tag: str, rest: bytes) -> bytes:
    return _field(5, _field(1, _field(1, tag.encode()) + rest))


def _event(moment: float, step: int, rest: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", moment) + _number(2, max(0, step)) + rest


def _record(message: bytes) -> bytes:
    def check(data: bytes) -> bytes:
        return struct.pack("<I", int(_masked(np.array([crc32c(data)], np.uint32))[0]))

    length = struct.pack("<Q", len(message))
    return length + check(length) + message + check(message)

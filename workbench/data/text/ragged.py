"""Texts of different lengths end to end, in memory or in a file's memory map."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Ragged(NamedTuple):
    """Texts of different lengths end to end: values (T,) int32, offsets (N + 1,) int64."""

    values: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, (N,) int64."""
        return np.diff(self.offsets)

    def row(self, i: int) -> np.ndarray:
        """The ids of one text."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]


def joined(texts: Iterable[list[int]], most: int | None, instead: int) -> Ragged:
    """Texts as one, in memory, each cut to its first `most` tokens; one `instead` for a text without any."""
    parts = [text[:most] or [instead] for text in texts]
    ends = np.concatenate([[0], np.cumsum([len(text) for text in parts])]).astype(np.int64)
    return Ragged(np.fromiter((i for text in parts for i in text), np.int32, int(ends[-1])), ends)


def write(
    folder: Path, name: str, texts: Iterable[list[int]], most: int | None, instead: int,
    total: int | None = None,
) -> None:  # fmt: skip
    """Texts into files that `read` maps, never all in memory; cut as `joined` does. total: tokens at most.

    Beside them lie their lengths before the cut.
    """
    raw = folder / f"{name}.raw"
    ends, sizes, n = [0], [], 0
    with open(raw, "wb") as file:
        for text in texts:
            sizes.append(len(text))
            part = text[:most] if most is not None else text
            if not part and most is not None:
                part = [instead]
            if total is not None:
                part = part[: total - n]
            file.write(np.array(part, np.int32).tobytes())
            n += len(part)
            ends.append(n)
            if total is not None and n >= total:
                break
    np.save(folder / f"{name}.offsets.npy", np.array(ends, np.int64))
    np.save(folder / f"{name}.lengths.npy", np.array(sizes, np.int32))
    with open(folder / f"{name}.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<i4", "fortran_order": False, "shape": (n,)})
        with open(raw, "rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
    os.unlink(raw)


def read(folder: Path, name: str) -> Ragged:
    """Texts that `write` wrote; their ids stay in the file. Raises OSError or ValueError."""
    values = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return Ragged(values, np.load(folder / f"{name}.offsets.npy", allow_pickle=False))


def read_lengths(folder: Path, name: str) -> np.ndarray:
    """Lengths before the cut, (N,) int32."""
    return np.asarray(np.load(folder / f"{name}.lengths.npy", allow_pickle=False))

"""Images and archives made on the spot, with what is in them known."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workbench.data import Prepared


def pixels(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, form, **options)
    return out.getvalue()


def png(seed: int, **shape: int) -> bytes:
    return encoded(pixels(seed, **shape))


def two_classes(n: int = 3, prefix: str = "", **shape: int) -> dict[str, bytes]:
    """`cat/0.png` ... and `dog/0.png` ..., n of each."""
    return {
        f"{prefix}{name}/{i}.png": png(100 * k + i, **shape)
        for k, name in enumerate(("cat", "dog"))
        for i in range(n)
    }


def folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, blob in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)
    return root


def zipped(path: Path, files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, blob in files.items():
            file.writestr(name, blob)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, blob in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(blob)
            file.addfile(info, io.BytesIO(blob))
    return path


def idx(array: np.ndarray, code: int = 8, pack: bool = False) -> bytes:
    """An idx file written from its published description, not with the code under test."""
    data = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()
    return gzip.compress(data) if pack else data


def row_of(prepared: Prepared, file: str) -> tuple[str, str]:
    """(action, reason) of the one row about `file`."""
    found = [(r["action"], r["reason"]) for r in prepared.report if r["file"] == file]
    assert len(found) == 1, prepared.report
    return found[0]

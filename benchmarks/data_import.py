"""How long importing images takes: 60,000 of idx and NumPy files, 10,000 PNGs of a zip; loading; copies.

Everything is made here from a seed, so that no data set is needed; the images are blobs, which deflate
about as well as MNIST's. Times include the whole import: reading, checking, writing, fingerprint.
"""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.report import Figure, median, report
from workbench.data import load, prepare, prepare_shipped
from workbench.data.copies import copies_of
from workbench.specs.data import DataSpec

REPEATS = 3


def blobs(n: int, side: int, channels: int) -> np.ndarray:
    """(n, side, side, channels) uint8: one bright blob per image on a dark, slightly noisy ground."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side]
    out = np.empty((n, side, side, channels), np.uint8)
    for i in range(n):
        (cy, cx), r = rng.uniform(side * 0.3, side * 0.7, 2), rng.uniform(side * 0.1, side * 0.35)
        shape = 255 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * r * r))
        out[i] = np.where(shape > 40, shape, 0)[..., None] * rng.uniform(0.5, 1.0, channels)
    return out


def idx_quadruple(folder: Path) -> Path:
    """60,000 + 10,000 grey images of 28 × 28, gzip, as MNIST comes."""
    folder.mkdir()
    images, labels = blobs(70_000, 28, 1)[..., 0], (np.arange(70_000) % 10).astype(np.uint8)
    for name, part in (("train", slice(0, 60_000)), ("t10k", slice(60_000, None))):
        n = len(labels[part])
        head = struct.pack(">HBB3I", 0, 8, 3, n, 28, 28)
        with gzip.open(folder / f"{name}-images-idx3-ubyte.gz", "wb", compresslevel=6) as file:
            file.write(head + images[part].tobytes())
        with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">HBBI", 0, 8, 1, n) + labels[part].tobytes())
    return folder


def npz_quadruple(path: Path) -> Path:
    """The same as one packed .npz of floats from 0 to 1."""
    images, labels = blobs(70_000, 28, 1)[..., 0], np.arange(70_000) % 10
    x = (images / 255).astype(np.float32)
    np.savez_compressed(
        path, x_train=x[:60_000], y_train=labels[:60_000], x_test=x[60_000:], y_test=labels[60_000:]
    )
    return path


def cancelled(source: Path, out: Path) -> float:
    """Longest seconds between two looks at `stop`, which is how late a cancel can be."""
    looks = [time.perf_counter()]

    def stop() -> bool:
        looks.append(time.perf_counter())
        return False

    prepare(source, out, stop=stop)
    return max(b - a for a, b in pairwise(looks))


def png_zip(path: Path, side: int, n: int = 10_000) -> Path:
    """10,000 colour PNGs in 10 class folders."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for i, image in enumerate(blobs(n, side, 3)):
            out = io.BytesIO()
            Image.fromarray(image).save(out, "PNG")
            file.writestr(f"set/{i % 10}/{i:05d}.png", out.getvalue())
    return path


def timed(work: Callable[[Path], object], place: Path) -> float:
    """Median seconds of `work(a new folder)`."""
    seconds = []
    for i in range(REPEATS):
        out = place / f"out-{time.time_ns()}-{i}"
        start = time.perf_counter()
        work(out)
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        quadruple = idx_quadruple(place / "idx")
        small, large = png_zip(place / "small.zip", 32), png_zip(place / "large.zip", 128)
        npz = npz_quadruple(place / "set.npz")
        npz_s = timed(lambda out: prepare(npz, out), place)
        late_s = max(cancelled(source, place / f"late-{i}") for i, source in enumerate((quadruple, large)))
        idx_s = timed(lambda out: prepare(quadruple, out), place)
        small_s = timed(lambda out: prepare(small, out), place)
        large_s = timed(lambda out: prepare(large, out), place)
        sample_s = timed(lambda out: prepare_shipped("fashion-mnist-sample", out), place)
        prepare_shipped("fashion-mnist-sample", place / "sample")
        load_s = timed(lambda _: load(place / "sample", DataSpec()), place)
        prepare(quadruple, place / "whole")

        def find_copies(_: Path) -> None:
            (place / "whole" / "copies.json").unlink(missing_ok=True)
            copies_of(place / "whole")

        copies_s = timed(find_copies, place)
    figures = [
        Figure("60,000 + 10,000 idx.gz images, 28×28", idx_s, "s", "< 10 s", idx_s < 10, REPEATS),
        Figure("10,000 PNGs of a zip, 32×32 colour", small_s, "s", "< 30 s", small_s < 30, REPEATS),
        Figure(
            "10,000 PNGs of a zip, 128×128 colour, shrunk to 64×64",
            large_s,
            "s",
            "< 30 s",
            large_s < 30,
            REPEATS,
        ),
        Figure("60,000 + 10,000 packed .npz floats, 28×28", npz_s, "s", "< 10 s", npz_s < 10, REPEATS),
        Figure("longest wait until a cancel is heard", late_s, "s", "< 1 s", late_s < 1, 2),
        Figure(
            "copies among 70,000 images, identical and near", copies_s, "s", "< 10 s", copies_s < 10, REPEATS
        ),
        Figure("shipped sample written at first use", sample_s, "s", "< 1 s", sample_s < 1, REPEATS),
        Figure("shipped sample loaded for a run", load_s * 1000, "ms", "< 100 ms", load_s < 0.1, REPEATS),
    ]
    report("data_import", "Import of images to the prepared format, and loading it", figures)


if __name__ == "__main__":
    main()

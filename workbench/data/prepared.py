"""The folder format of a prepared set, written in one stream and read by memory map.

images.npy (N, C, H, W) uint8; labels.npy (N,) int64; splits.npy (N,) int8 (0 train, 1 validation,
2 test; only what the source brought); schema.json (DataSchema); fingerprint.txt (sha256 of it all).
Where the source tells them: files.txt (a file name per row) and groups.npy (N,) int64, -1 for none.
Images are never all in memory: rows are appended, and the header is written at the end.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.limits import Limits, human
from workbench.data.report import Report, shown
from workbench.data.splits import SPLITS
from workbench.specs.base import Shape
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError, Problem

LEAST = 3  # images of a set without classes: one each for training, validation and test


@dataclass(frozen=True)
class Prepared:
    """What an import gave. `rows`: images per split, only splits that have any."""

    schema: DataSchema
    rows: Mapping[str, int]
    report: Sequence[Mapping[str, Any]] = field(default_factory=list)
    fingerprint: str = ""


@dataclass(frozen=True)
class Arrays:
    """A prepared set: images (N, C, H, W) uint8 memory-mapped, labels (N,) int64, splits (N,) int8."""

    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray


class Writer:
    """Appends images to a set. Rows arrive in any amount; labels and splits are kept until the end."""

    def __init__(self, folder: Path, shape: Shape, limits: Limits, where: str) -> None:
        self.folder, self.shape, self.limits, self.where = folder, shape, limits, where
        self._labels: list[np.ndarray] = []
        self._splits: list[np.ndarray] = []
        self._files: list[str] = []
        self._groups: list[np.ndarray] = []
        self._digests: list[np.ndarray] = []
        self.hash = hashlib.sha256()
        self.n = 0
        self._file = open(folder / "images.npy", "wb")  # noqa: SIM115 - closed by finish() or close()
        self._file.write(array_header(0, shape))

    def append(
        self, images: np.ndarray, labels: np.ndarray, split: int,
        files: Sequence[str] = (), groups: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """images (n, C, H, W) uint8, labels (n,) integers, all of one split; files, groups: one per image
        or none at all, for every call alike. Raises DataError when full."""
        assert images.dtype == np.uint8
        assert images.shape[1:] == self.shape
        self.check_room(len(images))
        self.hash.update(self.write(images))
        self._labels.append(np.asarray(labels, dtype=np.int64))
        self._splits.append(np.full(len(images), split, dtype=np.int8))
        self._files += files
        if groups is not None:
            self._groups.append(np.asarray(groups, dtype=np.int64))
        self._digests.append(digests(images))

    def check_room(self, more: int) -> None:
        """Raises DataError where so many more images are too many."""
        room_for(self.n + more, self.shape, self.limits, self.where)

    def write(self, images: np.ndarray) -> memoryview:
        """The pixels alone; the bytes as they were written."""
        data = np.ascontiguousarray(images).data
        self._file.write(data)
        self.n += len(images)
        return data

    def seal(self) -> None:
        """Write the header, now that the number of images is known."""
        self._file.seek(0)
        self._file.write(array_header(self.n, self.shape))
        self._file.close()

    def renumber(self, new: np.ndarray) -> None:
        """Label k becomes new[k]; new (K,) int64 is a permutation."""
        self._labels = [new[labels] for labels in self._labels]

    def finish(self, schema: DataSchema, report: Report) -> Prepared:
        """Write what remains. Classes without any image are dropped, labels renumbered to match. A schema
        without classes makes a set without them.

        Raises DataError where fewer than two of the classes have images.
        """
        labels = np.concatenate(self._labels) if self._labels else np.zeros(0, np.int64)
        splits = np.concatenate(self._splits) if self._splits else np.zeros(0, np.int8)
        if not self.n:
            refuse_set(self.where, report, "a data set needs images", "not one could be read")
        classes, labels = self._classes(schema, labels, report)
        schema = schema.model_copy(update={"classes": classes, "shape": self.shape})
        if not classes:
            schema = schema.model_copy(update={"task": "reconstruction"})
        self.seal()
        report_copies(np.concatenate(self._digests), labels, splits, report)
        groups = np.concatenate(self._groups) if self._groups else np.zeros(0, np.int64)
        fingerprint, rows = finish_folder(
            self.folder, schema, labels, splits, self.hash,
            files=self._files if len(self._files) == self.n else None,
            groups=groups if len(groups) == self.n else None,
        )  # fmt: skip
        return Prepared(schema, rows, report.rows(), fingerprint)

    def _classes(
        self, schema: DataSchema, labels: np.ndarray, report: Report
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """The classes that have images, and the labels (N,) int64 among them. Raises DataError."""
        if not schema.classes:
            if self.n < LEAST:
                refuse_set(
                    self.where, report, f"a set without classes needs {LEAST} images", f"it has {self.n}",
                    "Add images. To tell classes apart, make one folder per class.",
                )  # fmt: skip
            return (), labels
        present = np.unique(labels)
        classes = tuple(schema.classes[k] for k in present)
        for k in sorted(set(range(len(schema.classes))) - set(present.tolist())):
            report.refused(schema.classes[k], "no image of this class could be read; the class is dropped")
        if len(classes) < 2:
            refuse_set(
                self.where,
                report,
                "a classifier needs at least two classes",
                f"only `{classes[0]}` has images",
                "Add images of another class, each class in a folder of its own.",
            )
        return classes, np.searchsorted(present, labels).astype(np.int64)

    def close(self) -> None:
        """Let go of the file; the folder is the caller's to remove."""
        self._file.close()


def finish_folder(
    folder: Path,
    schema: DataSchema,
    labels: np.ndarray,
    splits: np.ndarray,
    digest: Any,
    *,
    files: Sequence[str] | None,
    groups: np.ndarray | None,
) -> tuple[str, dict[str, int]]:
    """Write everything but the images. digest: a sha256 of them. Returns fingerprint and images per split."""
    np.save(folder / "labels.npy", labels)
    np.save(folder / "splits.npy", splits)
    (folder / "schema.json").write_text(schema.model_dump_json(indent=1), encoding="utf-8")
    if files is not None:
        write_files(folder, files)
    if groups is not None:
        np.save(folder / "groups.npy", groups)
    for part in (labels.tobytes(), splits.tobytes(), repr((schema.shape, schema.classes)).encode()):
        digest.update(part)
    fingerprint: str = digest.hexdigest()
    (folder / "fingerprint.txt").write_text(fingerprint, encoding="ascii")
    counts = np.bincount(splits, minlength=len(SPLITS))
    return fingerprint, {name: int(n) for name, n in zip(SPLITS, counts, strict=True) if n}


def classes_left(labels: np.ndarray, name: str) -> np.ndarray:
    """The numbers of the classes that a set called `name` still has, rising. Raises DataError for fewer than
    two."""
    present = np.unique(labels)
    if len(present) < 2:
        raise DataError.of(
            f"data set `{name}`", "a classifier needs at least two classes",
            f"{len(present)} would be left", "Keep another class.",
        )  # fmt: skip
    return present


@contextlib.contextmanager
def new_folder(out: Path, where: str) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when all went well, and vanishes otherwise.

    Raises DataError when `out` exists already or the disk is full.
    """
    if out.exists():
        raise DataError.of(
            str(out), "a set is prepared in a new folder", "this one exists", "Choose another."
        )
    draft = out.with_name(f"{out.name}.part-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)  # left by a process of the same number that was killed
    draft.mkdir(parents=True)
    try:
        yield draft
        os.replace(draft, out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError.of(
                where, "the prepared set must fit on the disk", "the disk is full", "Free some space."
            ) from error
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def open_arrays(folder: Path) -> Arrays:
    """The three arrays of a prepared set, images memory-mapped. Raises DataError."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels, splits = (np.load(folder / f"{n}.npy", allow_pickle=False) for n in ("labels", "splits"))
    except (OSError, ValueError, EOFError) as error:
        raise _broken(folder, str(error)) from None
    fits = images.ndim == 4 and labels.shape == splits.shape == (len(images),)
    if not fits or (images.dtype, labels.dtype, splits.dtype) != (np.uint8, np.int64, np.int8):
        raise _broken(folder, f"their shapes are {images.shape}, {labels.shape}, {splits.shape}")
    return Arrays(images, labels, splits)


def read_labels(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """labels (N,) int64 and splits (N,) int8 of a prepared set of images or texts. Raises DataError."""
    try:
        labels, splits = (np.load(folder / f"{n}.npy", allow_pickle=False) for n in ("labels", "splits"))
    except (OSError, ValueError, EOFError) as error:
        raise _broken(folder, str(error)) from None
    if labels.shape != splits.shape or (labels.dtype, splits.dtype) != (np.int64, np.int8):
        raise _broken(folder, f"their shapes are {labels.shape} and {splits.shape}")
    return labels, splits


def read_schema(folder: Path) -> DataSchema:
    """The schema of a prepared set. Raises DataError."""
    try:
        return DataSchema.model_validate_json((folder / "schema.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(folder, str(error).splitlines()[0]) from None


def read_fingerprint(folder: Path) -> str:
    """The fingerprint written at import, or "" for a folder that has none."""
    try:
        return (folder / "fingerprint.txt").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def read_files(folder: Path) -> list[str] | None:
    """The file name of each row, or None where the set did not come as files."""
    try:
        return (folder / "files.txt").read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return None


def write_files(folder: Path, files: Sequence[str]) -> None:
    (folder / "files.txt").write_text("\n".join(shown(file) for file in files), encoding="utf-8")


def read_groups(folder: Path) -> np.ndarray | None:
    """The group of each row (N,) int64, -1 for none; None where the set came without groups."""
    try:
        return np.asarray(np.load(folder / "groups.npy", allow_pickle=False), dtype=np.int64)
    except (OSError, ValueError, EOFError):
        return None


def digests(images: np.ndarray) -> np.ndarray:
    """A number per image that only equal images share. Shapes: (n, C, H, W) uint8 -> (n,) uint64.

    8 bytes of BLAKE2b: among a million images, two different ones share it once in 37 million sets.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    blob = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(blob, dtype=np.uint64)


def report_copies(
    found: np.ndarray, labels: np.ndarray, splits: np.ndarray, report: Report, what: str = "images"
) -> None:
    """Say which images or texts occur more than once, lie on two sides of a split, or have two labels.

    Shapes: found (digests) (N,) uint64, labels (N,) int64, splits (N,) int8. They are kept: which one is
    right is for a person to say.
    """
    unique, member = np.unique(found, return_inverse=True)
    more = len(found) - len(unique)
    if not more:
        return
    report.kept(f"identical {what}", f"{more:,} {'is a copy' if more == 1 else 'are copies'} of others")
    sides = np.zeros(len(unique), dtype=np.int64)
    np.bitwise_or.at(sides, member, 1 << splits.astype(np.int64))
    for code in range(1, len(SPLITS)):
        leaked = int(((splits == code) & (sides[member] & 1 == 1)).sum())
        if leaked:
            report.kept(
                f"identical {what}",
                f"{leaked:,} of {SPLITS[code]} lie in train as well: scores on them flatter the model",
            )
    low = np.full(len(unique), np.iinfo(np.int64).max)
    high = np.full(len(unique), -1)
    np.minimum.at(low, member, labels)
    np.maximum.at(high, member, labels)
    torn = int((low != high).sum())
    if torn:
        report.kept(f"identical {what}", f"{torn:,} {'has' if torn == 1 else 'have'} more than one label")


def room_for(n: int, shape: Shape, limits: Limits, where: str) -> None:
    """Raises DataError when `n` images of `shape` are more than a set may hold."""
    size = n * shape[0] * shape[1] * shape[2]
    if n > limits.images:
        raise DataError.of(
            where,
            f"a data set may hold {limits.images:,} images",
            f"this one has {n:,} or more",
            "Take fewer.",
        )
    if size > limits.bytes:
        raise DataError.of(
            where,
            f"a prepared set may take {human(limits.bytes)}",
            f"{n:,} images of {shape[0]}×{shape[1]}×{shape[2]} take {human(size)}",
            "Choose a smaller `size`.",
        )


def refuse_set(where: str, report: Report, rule: str, fact: str, repair: str = "") -> None:
    """Raise a DataError that also names the first files that were refused."""
    details = [
        Problem(where=f"{where}: {file}", rule="a file must be usable", fact=reason, severity="warning")
        for file, reason in report.first_refused(5)
    ]
    raise DataError(Problem(where=where, rule=rule, fact=fact, repair=repair), *details)


def _broken(folder: Path, fact: str) -> DataError:
    return DataError.of(
        str(folder),
        "a prepared set needs images.npy, labels.npy, splits.npy and schema.json that fit",
        fact,
        "Add the data set again.",
    )


def array_header(n: int, shape: Shape) -> bytes:
    """The head of an .npy file of n uint8 arrays of `shape`; of the same length for every n."""
    # NumPy pads the header so that the first axis may grow: its length is the same for every n.
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)})
    return out.getvalue()

"""Images and their masks into a prepared set: both are written in one stream, row by row alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.data.limits import Limits
from workbench.data.masks import FILE, VOID, largest_thing, open_masks
from workbench.data.prepared import (
    Prepared,
    Writer,
    array_header,
    digests,
    finish_folder,
    new_folder,
    open_arrays,
    read_files,
    read_schema,
    report_copies,
)
from workbench.data.report import Report
from workbench.specs.base import Shape
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

_PIECE = 4 << 20  # bytes of pixels copied at once


class MaskWriter:
    """Appends images (n, C, H, W) and masks (n, H, W), uint8 of class numbers, to a set in `folder`."""

    def __init__(self, folder: Path, shape: Shape, n_classes: int, limits: Limits, where: str) -> None:
        self.images = Writer(folder, shape, limits, where)
        self.n_classes = n_classes
        self.pixels = np.zeros(VOID + 1, np.int64)  # of each class in all masks together
        self._folder, self._shape = folder, shape
        self._labels: list[np.ndarray] = []
        self._splits: list[np.ndarray] = []
        self._files: list[str] = []
        self._digests: list[np.ndarray] = []
        self._file = open(folder / FILE, "wb")  # noqa: SIM115 - closed by finish() or close()
        self._file.write(array_header(0, shape[1:]))
        self._hash = self.images.hash

    @property
    def n(self) -> int:
        return self.images.n

    def split_counts(self) -> list[int]:
        """Images so far, by split."""
        found = np.concatenate(self._splits) if self._splits else np.zeros(0, np.int8)
        return [int(n) for n in np.bincount(found, minlength=3)]

    def append(self, images: np.ndarray, masks: np.ndarray, split: int, files: Sequence[str] = ()) -> None:
        """files: one per image, or none at all for every call alike. Raises DataError when full."""
        assert masks.dtype == np.uint8
        assert masks.shape == (len(images), *self._shape[1:])
        self.images.check_room(len(images))
        self._hash.update(self.images.write(images))
        data = np.ascontiguousarray(masks).data
        self._file.write(data)
        self._hash.update(data)
        self.pixels += np.bincount(masks.reshape(-1), minlength=VOID + 1)
        self._labels.append(largest_thing(masks, self.n_classes))
        self._splits.append(np.full(len(images), split, np.int8))
        self._files += files
        self._digests.append(digests(images))

    def finish(self, schema: DataSchema, report: Report) -> Prepared:
        """Write what remains. schema: with the classes of the pixels."""
        self.images.seal()
        self._file.seek(0)
        self._file.write(array_header(self.n, self._shape[1:]))
        self._file.close()
        labels, splits = np.concatenate(self._labels), np.concatenate(self._splits)
        schema = schema.model_copy(update={"shape": self._shape, "task": "segmentation"})
        report_copies(np.concatenate(self._digests), np.zeros_like(labels), splits, report)
        fingerprint, rows = finish_folder(
            self._folder, schema, labels, splits, self._hash,
            files=self._files if len(self._files) == self.n else None, groups=None,
        )  # fmt: skip
        return Prepared(schema, rows, report.rows(), fingerprint)

    def close(self) -> None:
        self.images.close()
        self._file.close()


def rewrite_pairs(
    folder: Path, out: Path, *, name: str, classes: Sequence[str], keep: np.ndarray
) -> Prepared:
    """The set in `folder` with other names of classes, or fewer pairs, as the new folder `out`. keep (N,)
    bool. Raises DataError where no pair would be left.
    """
    arrays, masks, schema = open_arrays(folder), open_masks(folder), read_schema(folder)
    rows, files = np.flatnonzero(keep), read_files(folder)
    if not len(rows):
        raise DataError.of(f"data set `{name}`", "a set needs images", "none would be left", "Keep some.")
    step = max(1, _PIECE // max(1, arrays.images[0].size))
    with new_folder(out, name) as draft:
        writer = MaskWriter(draft, schema.shape, len(classes), Limits(bytes=2**62, images=2**62), name)
        try:
            cuts = np.flatnonzero(np.diff(arrays.splits[rows])) + 1
            for run in np.split(rows, cuts):  # of one split each
                for at in range(0, len(run), step):
                    some = run[at : at + step]
                    names = [files[i] for i in some] if files else []
                    split = int(arrays.splits[some[0]])
                    writer.append(np.array(arrays.images[some]), np.array(masks[some]), split, names)
            return writer.finish(schema.model_copy(update={"classes": tuple(classes)}), Report())
        finally:
            writer.close()

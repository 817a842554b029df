"""A prepared set with other labels, other class names or fewer images, as a new set beside the old one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.limits import Limits
from workbench.data.prepared import (
    LEAST,
    Prepared,
    Writer,
    classes_left,
    finish_folder,
    new_folder,
    open_arrays,
    read_files,
    read_groups,
    read_schema,
)
from workbench.data.report import Report
from workbench.data.segmented import rewrite_pairs
from workbench.data.table.rewritten import rewrite_table
from workbench.data.text.rewritten import rewrite_texts
from workbench.specs.errors import DataError

_PIECE = 4 << 20


def rewrite(
    folder: Path,
    out: Path,
    *,
    name: str,
    labels: np.ndarray,
    classes: Sequence[str],
    keep: np.ndarray | None = None,
    report: Sequence[Mapping[str, Any]] = (),
    note: str = "",
) -> Prepared:
    """Write the set in `folder` into the new folder `out`, with `labels` (N,) int64 into `classes`.

    keep (N,) bool: the rows that stay; all where it is None. Then the images or texts are shared with the
    old set (a hard link), not copied. report: the rows to go on from; note: what was changed, for the report.
    Classes without images are dropped. Raises DataError where fewer than two classes are left.
    """
    if keep is None:
        keep = np.ones(len(labels), dtype=bool)
    schema = read_schema(folder)
    if schema.kind == "text":
        made = rewrite_texts(folder, out, name=name, labels=labels, classes=classes, keep=keep)
        return Prepared(made.schema, made.rows, _noted(report, note), made.fingerprint)
    if schema.kind == "table":
        made = rewrite_table(folder, out, name=name, labels=labels, classes=classes, keep=keep)
        return Prepared(made.schema, made.rows, _noted(report, note), made.fingerprint)
    if schema.task == "segmentation":
        made = rewrite_pairs(folder, out, name=name, classes=classes, keep=keep)
        return Prepared(made.schema, made.rows, _noted(report, note), made.fingerprint)
    arrays = open_arrays(folder)
    rows = np.flatnonzero(keep)
    labels = labels[rows]
    present = classes_left(labels, name) if schema.classes else np.unique(labels)
    if len(labels) < LEAST and not schema.classes:
        raise DataError.of(
            f"data set `{name}`", f"a set without classes needs {LEAST} images",
            f"{len(labels)} would be left", "Keep more.",
        )  # fmt: skip
    numbers = np.searchsorted(present, labels).astype(np.int64)
    kept = tuple(classes[k] for k in present) if schema.classes else ()
    schema = schema.model_copy(update={"classes": kept})
    with new_folder(out, name) as draft:
        digest = hashlib.sha256()
        if len(rows) == len(keep):
            _shared(folder / "images.npy", draft / "images.npy")
            for block in _blocks(arrays.images, rows):
                digest.update(block.data)
        else:
            writer = Writer(draft, schema.shape, Limits(bytes=2**62, images=2**62), name)
            try:
                for block in _blocks(arrays.images, rows):
                    writer.write(block)
                    digest.update(block.data)
                writer.seal()
            finally:
                writer.close()
        files, groups = read_files(folder), read_groups(folder)
        for extra in ("source.json",):
            with contextlib.suppress(OSError):
                shutil.copyfile(folder / extra, draft / extra)
        fingerprint, counts = finish_folder(
            draft, schema, numbers, arrays.splits[rows], digest,
            files=[files[i] for i in rows] if files else None,
            groups=None if groups is None else groups[rows],
        )  # fmt: skip
    return Prepared(schema, counts, _noted(report, note), fingerprint)


def _noted(report: Sequence[Mapping[str, Any]], note: str) -> list[dict[str, Any]]:
    """The report with what was changed."""
    rows = [dict(row) for row in report]
    if note:
        fresh = Report()
        fresh.repaired("the data set", note)
        rows += fresh.rows()
    return rows


def _blocks(images: np.ndarray, rows: np.ndarray) -> Any:
    step = max(1, _PIECE // max(1, images[0].size))
    for at in range(0, len(rows), step):
        yield np.ascontiguousarray(images[rows[at : at + step]])


def _shared(old: Path, new: Path) -> None:
    try:
        os.link(old, new)  # nothing ever writes to images.npy again
    except OSError:  # a file system without links
        shutil.copyfile(old, new)

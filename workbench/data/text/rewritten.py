"""A prepared set of texts with other labels, other names of classes or fewer texts; and which are alike."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, classes_left, finish_folder, new_folder, read_files, read_groups
from workbench.data.text.stored import FILE, Stored, TextWriter, hashed
from workbench.specs.errors import DataError

BLOCK = 2_000  # texts worked on at once


def rewrite_texts(
    folder: Path, out: Path, *, name: str, labels: np.ndarray, classes: Sequence[str], keep: np.ndarray
) -> Prepared:
    """Write the set in `folder` into the new folder `out`, with `labels` (N,) int64 into `classes` and the
    texts of `keep` (N,) bool. Where all stay, they are shared with the old set (a hard link).

    Classes without texts are dropped. Raises DataError where fewer than two classes are left.
    """
    stored = Stored(folder)
    schema, rows = stored.schema, np.flatnonzero(keep)
    if schema.task == "classification":
        present = classes_left(labels[rows], name)
        numbers = np.searchsorted(present, labels[rows]).astype(np.int64)
        schema = schema.model_copy(update={"classes": tuple(classes[k] for k in present)})
    else:
        numbers = labels[rows]
        if not len(rows) or (schema.task == "language_model" and len(rows) < len(keep)):
            fact = "none would be left" if not len(rows) else "its passages are one text"
            raise DataError.of(f"data set `{name}`", "texts can be left out, but not all", fact, "Keep some.")
    files, groups = read_files(folder), read_groups(folder)
    with new_folder(out, name) as draft:
        digest = hashlib.sha256()
        if len(rows) == len(keep):
            _share(folder / FILE, draft / FILE)
            for block in _blocks(stored, rows):
                hashed(digest, block)
        else:
            limits = Limits(bytes=2**62, texts=2**62)
            writer = TextWriter(draft, limits, name, paired=schema.task == "translation")
            try:
                for block in _blocks(stored, rows):
                    for row in block:
                        writer.append(row[0], target=row[1] if len(row) > 1 else None)
                digest = writer.seal()
            finally:
                writer.close()
        digest.update(schema.task.encode())
        fingerprint, counts = finish_folder(
            draft, schema, numbers, stored.splits[rows], digest,
            files=[files[i] for i in rows] if files else None,
            groups=None if groups is None else groups[rows],
        )  # fmt: skip
    return Prepared(schema, counts, (), fingerprint)


def text_digests(stored: Stored, *, rough: bool = False) -> np.ndarray:
    """A number per text that only equal texts share, (N,) uint64. rough: but for case, blanks and signs."""
    found = []
    for block in _blocks(stored, np.arange(len(stored))):
        for row in block:
            text = re.sub(r"[\W_]+", " ", row[0].casefold()).strip() if rough else row[0]
            found.append(hashlib.blake2b((text or row[0]).encode("utf-8"), digest_size=8).digest())
    return np.frombuffer(b"".join(found), dtype=np.uint64)


def _blocks(stored: Stored, rows: np.ndarray) -> Iterator[list[tuple[str, ...]]]:
    columns = ("text", "target") if stored.schema.task == "translation" else ("text",)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        yield list(zip(*(stored.texts(part, column) for column in columns), strict=True))


def _share(old: Path, new: Path) -> None:
    with contextlib.suppress(OSError):  # nothing ever writes to the file again
        os.link(old, new)
        return
    shutil.copyfile(old, new)  # a file system without links

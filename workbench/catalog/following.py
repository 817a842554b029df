"""Where samples of a former version of a set are in the newest: a run keeps its version, people go on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.catalog.sets import with_shipped
from workbench.data.prepared import open_arrays
from workbench.data.text.rewritten import text_digests
from workbench.data.text.stored import FILE, Stored
from workbench.store import Store


def followed(store: Store, name: str, version: int, rows: Sequence[int]) -> np.ndarray:
    """The rows in the newest version of the samples that were `rows` in `version`: (n,) int64, -1 for one
    that is no longer there. Images are told by their pixels, texts by their words; copies keep their order.

    Raises DataError where the set or that version is gone.
    """
    wanted = np.asarray(rows, np.int64)
    newest, former = with_shipped(store, name), with_shipped(store, name, version)
    new, old = newest.path, former.path
    is_text = newest.schema.kind == former.schema.kind == "text"
    file = FILE if is_text else "images.npy"
    if old == new or os.path.samefile(old / file, new / file):
        return wanted
    then: Any
    now: Any
    if is_text:
        then, now = (text_digests(Stored(folder)) for folder in (old, new))
    else:
        then, now = open_arrays(old).images, open_arrays(new).images
    if then.shape[1:] != now.shape[1:]:
        return np.full(len(wanted), -1, np.int64)
    places: dict[bytes, list[int]] = {}
    for row, sample in enumerate(now):
        places.setdefault(_key(sample), []).append(row)
    seen: dict[bytes, int] = {}  # how many of its copies came before
    number: dict[int, int] = {}
    asked = set(wanted.tolist())
    for row in range(int(wanted.max(initial=-1)) + 1):
        key = _key(then[row])
        nth = seen.get(key, 0)
        seen[key] = nth + 1
        if row in asked:
            there = places.get(key, [])
            number[row] = there[nth] if nth < len(there) else -1
    return np.array([number[row] for row in wanted.tolist()], np.int64)


def _key(sample: Any) -> bytes:
    """Of an image (C, H, W), or of the digest of a text."""
    return hashlib.blake2b(np.ascontiguousarray(sample).tobytes(), digest_size=16).digest()

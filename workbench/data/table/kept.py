"""What is kept beside a table: its encoder and its rows as numbers, for each way of cutting and encoding it.

A folder `encoded-<key>` holds encoder.json and of each split x (n, F) float32, read by memory map. It appears
whole or not at all; the oldest go when there are many.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from workbench.data.cutting import SplitRows, groups_of, split_rows
from workbench.data.kept import made, tidy, used
from workbench.data.prepared import read_fingerprint
from workbench.data.splits import SPLITS
from workbench.data.table.encoder import Encoder, fit
from workbench.data.table.stored import StoredTable
from workbench.specs.data import DataSpec

VERSION = 1  # of what is kept; another one is made anew
CUT = ("validation", "test", "split_seed", "groups", "folds", "fold", "limit")
Progress = Callable[[str, float], None]


def rows_of(stored: StoredTable, spec: DataSpec) -> SplitRows:
    """Rows of each split: the table's own where it brings them, else drawn. Raises DataError."""
    return split_rows(stored.labels, stored.splits, spec, groups_of(stored.folder, spec))


def encoder_of(
    stored: StoredTable, spec: DataSpec, progress: Progress = lambda words, share: None
) -> Encoder:
    """Fitted on the training split at the first time. Raises DataError."""
    return _encoder_at(_whole(stored, spec, progress) / "encoder.json")


def encoded(
    stored: StoredTable, spec: DataSpec, progress: Progress = lambda words, share: None
) -> dict[str, np.ndarray]:
    """x (n, F) float32 of each split, memory-mapped; made at the first time. Raises DataError."""
    place = _whole(stored, spec, progress)
    return {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in SPLITS}


def _whole(stored: StoredTable, spec: DataSpec, progress: Progress) -> Path:
    place = _place(stored, spec)
    if not place.exists():
        made(place, spec.name, "the numbers of a table", lambda draft: _make(stored, spec, draft, progress))
        tidy(stored.folder, "encoded-", place)
    used(place)
    return place


def _make(stored: StoredTable, spec: DataSpec, draft: Path, progress: Progress) -> None:
    rows = rows_of(stored, spec)
    progress("Fitting scalers and encoders", 0.1)
    target = None
    if stored.schema.task == "regression" and stored.targets is not None:
        target = np.asarray(stored.targets[rows.train, 0], np.float64)
    found = fit(stored.schema, spec.table, lambda name: stored.column(name)[rows.train], target)
    (draft / "encoder.json").write_text(found.to_json(), encoding="utf-8")
    parts = {name: getattr(rows, name) for name in SPLITS}
    files = {
        name: np.lib.format.open_memmap(
            draft / f"{name}.npy", "w+", np.float32, (len(part), found.shape[0])
        )
        for name, part in parts.items()
    }  # fmt: skip
    done = dict.fromkeys(SPLITS, 0)
    for first, columns in stored.pieces(found.columns):
        n = len(next(iter(columns.values())))
        for name, part in parts.items():
            stop = int(np.searchsorted(part, first + n))
            mine = part[done[name] : stop] - first
            if len(mine):
                files[name][done[name] : stop] = found.encode({c: v[mine] for c, v in columns.items()})
            done[name] = stop
        progress("Encoding rows", 0.2 + 0.7 * (first + n) / max(1, len(stored)))
    for file in files.values():
        file.flush()


def _place(stored: StoredTable, spec: DataSpec) -> Path:
    tree = spec.model_dump(mode="json", include={*CUT, "table"})
    key = json.dumps([VERSION, tree, read_fingerprint(stored.folder)], sort_keys=True)
    return stored.folder / f"encoded-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


@lru_cache(maxsize=32)  # asked for at every keystroke of a form
def _encoder_at(path: Path) -> Encoder:
    return Encoder.from_json(path.read_text(encoding="utf-8"))

"""Images or texts that occur more than once: identical ones by hash, near ones by what they look like.

Near texts differ in case, blanks and signs alone.
Near images (saved again, a little brighter, scaled down and up) have grids of 8 × 9 mean greys that differ
by at most `GREYS` and `SHARE` of their contrast in the root mean square, whatever their brightness. They are
found by locality-sensitive hashing: grids that fall into one cell of a coarse lattice along their principal
axes are compared, for `TABLES` lattices shifted at random, so that a pair torn by one border is together in
another lattice. Where very many images share a cell, each is compared with its `WINDOW` neighbours; a few
pairs may be missed.
Source: Datar, Immorlica, Indyk & Mirrokni 2004, https://doi.org/10.1145/997817.997857
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data.prepared import digests, open_arrays, read_fingerprint, read_schema
from workbench.data.table.rewritten import row_digests
from workbench.data.text.rewritten import text_digests
from workbench.data.text.stored import Stored

GREYS, SHARE = 5.0, 0.07
ROWS, COLUMNS = 8, 9
AXES, TABLES, WINDOW = 8, 12, 24
_CELL = 10 * GREYS  # side of the lattice
_PIECE = 4 << 20  # bytes of pixels worked on at once
_KEPT = "copies.json"


@dataclass(frozen=True)
class Copies:
    """same (m, 2), near (k, 2): pairs of rows, each with the lower row first; near leaves out the same."""

    same: np.ndarray
    near: np.ndarray

    def between(self, side: np.ndarray) -> Copies:
        """The pairs on two sides. Shapes: side (N,) integers, such as the code of the split."""
        return Copies(*(pairs[side[pairs[:, 0]] != side[pairs[:, 1]]] for pairs in (self.same, self.near)))


def copies_of(folder: Path) -> Copies:
    """The copies in a prepared set; kept beside it once found. Reads every sample. Raises DataError."""
    path, fingerprint = folder / _KEPT, read_fingerprint(folder)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text(encoding="ascii"))
        if kept["fingerprint"] == fingerprint and fingerprint:
            return Copies(*(np.array(kept[k], dtype=np.int64).reshape(-1, 2) for k in ("same", "near")))
    kinds = {"text": _texts, "table": _rows}
    found = kinds.get(read_schema(folder).kind, _images)(folder)
    with contextlib.suppress(OSError):  # on a read-only disk they are looked for each time
        draft = path.with_suffix(f".{os.getpid()}")
        kept = {"fingerprint": fingerprint, "same": found.same.tolist(), "near": found.near.tolist()}
        draft.write_text(json.dumps(kept), encoding="ascii")
        os.replace(draft, path)
    return found


def _rows(folder: Path) -> Copies:
    """Rows with equal cells; none are nearly so."""
    return Copies(same_pairs(row_digests(folder)), np.zeros((0, 2), np.int64))


def _texts(folder: Path) -> Copies:
    """Near are texts that differ in case, blanks and signs alone."""
    stored = Stored(folder)
    exact, rough = text_digests(stored), text_digests(stored, rough=True)
    near = same_pairs(rough)
    return Copies(same_pairs(exact), near[exact[near[:, 0]] != exact[near[:, 1]]])


def _images(folder: Path) -> Copies:
    arrays = open_arrays(folder)
    grids, exact = [], []
    step = max(1, _PIECE // max(1, arrays.images[0].size))
    for at in range(0, len(arrays.labels), step):
        block = np.asarray(arrays.images[at : at + step])
        exact.append(digests(block))
        grids.append(grid_of(block))
    return Copies(
        same_pairs(np.concatenate(exact)),
        near_pairs(np.concatenate(grids), np.concatenate(exact)),
    )


def same_pairs(found: np.ndarray) -> np.ndarray:
    """Each row that repeats an earlier one, with the first. Shapes: digests (N,) -> (m, 2) int64."""
    _, first, member = np.unique(found, return_index=True, return_inverse=True)
    of = first[member.reshape(-1)]
    again = np.flatnonzero(of != np.arange(len(found)))
    return np.stack([of[again], again], 1).astype(np.int64)


def grid_of(images: np.ndarray) -> np.ndarray:
    """Mean grey of 8 × 9 cells, less the mean of the image. (n, C, H, W) uint8 -> (n, 8, 9) float32."""
    grey = images.mean(1, dtype=np.float32)  # (n, H, W)
    for axis, cells in ((1, ROWS), (2, COLUMNS)):
        if grey.shape[axis] < cells:
            grey = grey.repeat(-(-cells // grey.shape[axis]), axis)
        edges = np.linspace(0, grey.shape[axis], cells + 1).round().astype(int)
        sums = np.add.reduceat(grey, edges[:-1], axis)
        grey = sums / np.diff(edges).reshape([-1 if a == axis else 1 for a in range(3)])
    return np.asarray(grey - grey.mean((1, 2), keepdims=True), dtype=np.float32)


def near_pairs(grids: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Near copies. Shapes: grids (N, 8, 9), exact (digests) (N,) uint64 -> (k, 2) int64."""
    flat = grids.reshape(len(grids), -1)
    contrast = flat.std(1)
    spread = flat.astype(np.float64).T @ flat
    axes = np.linalg.eigh(spread)[1][:, ::-1][:, :AXES].astype(np.float32)
    along = flat @ axes  # (N, AXES), the widest first
    rng = np.random.default_rng(0)  # the same images give the same pairs
    found = [np.zeros((0, 2), np.int64)]
    for _ in range(TABLES):
        cells = np.floor((along + rng.uniform(0, _CELL, AXES)) / _CELL).astype(np.int64)
        key = (cells * rng.integers(1, 2**40, AXES)).sum(1)  # cells that clash cost a comparison, no more
        order = np.lexsort((along[:, 0], key))
        for off in range(1, min(WINDOW, len(order) - 1) + 1):
            one, two = order[:-off], order[off:]
            mask = key[one] == key[two]
            if not mask.any():
                break  # sorted: none farther away shares the cell either
            one, two = one[mask], two[mask]
            close = np.square(along[one] - along[two]).sum(1) <= GREYS**2 * flat.shape[1]
            one, two = one[close], two[close]
            rms = np.sqrt(np.square(flat[one] - flat[two]).mean(1))
            good = (rms <= np.minimum(GREYS, SHARE * contrast[one])) & (exact[one] != exact[two])
            found.append(np.sort(np.stack([one[good], two[good]], 1), axis=1))
    return np.unique(np.concatenate(found), axis=0)

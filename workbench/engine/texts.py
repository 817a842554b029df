"""Texts as batches: rows of similar length together, windows of one long text, pairs side by side.

Notation: N texts, B of a batch, L tokens of the batch's longest text, T tokens of a split; 0 is padding.
Every width is known on the host before a batch is asked for, so that no batch waits for the device.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from workbench.engine.device import free_bytes
from workbench.specs.errors import DataError

PAD, BOS, EOS = 0, 2, 3
POOL = 32  # batches among which texts are sorted by length: little padding, and still a shuffled order
SHARE = 0.25  # of the free memory that ids may take on the device
NARROWEST = 2  # columns of the narrowest batch


class Ragged(Protocol):
    """Texts of different lengths end to end: values (T,), offsets (N + 1,) int64."""

    @property
    def values(self) -> np.ndarray: ...

    @property
    def offsets(self) -> np.ndarray: ...


class Pick(NamedTuple):
    """A batch: its rows (B,) int64 where its values are kept; how wide it is, and its target (`wide_too`)."""

    rows: Tensor
    width: int
    wide_too: int = 0


class Values:
    """Texts end to end: on the device where they fit, else in the file's memory map."""

    def __init__(self, texts: Ragged, device: torch.device) -> None:
        self.device = device
        self.lengths = np.diff(np.asarray(texts.offsets)).astype(np.int64)
        self._values = texts.values
        size = 8 * len(texts.values)
        self.is_near = size <= SHARE * free_bytes(device)
        self._starts = np.array(texts.offsets[:-1], dtype=np.int64)
        if self.is_near:
            self._near = torch.from_numpy(np.array(texts.values, dtype=np.int64)).to(device)
            self._near_starts = torch.from_numpy(self._starts).to(device)
            self._near_lengths = torch.from_numpy(self.lengths).to(device)

    @property
    def held_bytes(self) -> int:
        return 8 * (len(self._values) + 2 * len(self.lengths)) if self.is_near else 0

    def place(self, rows: np.ndarray) -> Tensor:
        """Row numbers where they are used."""
        return torch.from_numpy(rows).to(self.device) if self.is_near else torch.from_numpy(rows)

    def padded(self, rows: Tensor, width: int) -> Tensor:
        """(B, width) int64 on the device: each text's first tokens, and padding behind them."""
        if self.is_near:
            return _gathered(self._near, self._near_starts[rows], self._near_lengths[rows], width)
        index = rows.numpy()
        out = np.zeros((len(index), width), np.int64)
        for i, row in enumerate(index):
            start, n = self._starts[row], min(self.lengths[row], width)
            out[i, :n] = self._values[start : start + n]
        return torch.from_numpy(out).to(self.device)


def _gathered(values: Tensor, starts: Tensor, lengths: Tensor, width: int) -> Tensor:
    columns = torch.arange(width, device=values.device)
    places = starts.unsqueeze(1) + columns  # (B, width)
    if not len(values):
        return torch.zeros_like(places)
    found = values[places.clamp_(max=len(values) - 1)]
    return found.masked_fill_(columns >= lengths.unsqueeze(1), PAD)


class _Sorted:
    """What feeds of single texts have in common: batches of texts that are about equally long."""

    n: int
    _lengths: np.ndarray  # by which they are put together
    _sorted: np.ndarray  # rows from the shortest to the longest

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Pick]:
        return [self._pick(rows) for rows in bucketed(self._lengths, seed, epoch, sizes)]

    def changed(self, rows: Pick, augment: object, step: int) -> tuple[Tensor, Tensor]:
        raise _no_changes()

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """From the shortest text to the longest."""
        for start in range(0, self.n, batch):
            yield self.batch(self._pick(self._sorted[start : start + batch]))

    def batch(self, rows: Pick) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _pick(self, rows: np.ndarray) -> Pick:
        raise NotImplementedError


class TextFeed(_Sorted):
    """One label per text. x (B, L) int64, y (B,) int64."""

    def __init__(self, split: Any, device: torch.device, least: int = 1) -> None:
        self.n = len(split)
        self.device = device
        self._least = max(NARROWEST, least)
        self._values = Values(split.ids, device)
        self._host_y = np.asarray(split.y, dtype=np.int64)
        self.y = torch.from_numpy(self._host_y).to(device)
        self._lengths = self._values.lengths
        self._sorted = np.argsort(self._lengths, kind="stable")
        self._back = torch.from_numpy(np.argsort(self._sorted, kind="stable")).to(device)
        self.width = _width(self._lengths)

    @property
    def mark(self) -> int:
        return zlib.crc32(self._host_y.tobytes())

    @property
    def held_bytes(self) -> int:
        return self._values.held_bytes + 8 * self.n

    def batch(self, rows: Pick) -> tuple[Tensor, Tensor]:
        return self._values.padded(rows.rows, rows.width), self.y[rows.rows.to(self.device)]

    def as_stored(self, scores: Tensor) -> Tensor:
        return scores[self._back]

    def _pick(self, rows: np.ndarray) -> Pick:
        return Pick(self._values.place(rows), max(self._least, _width(self._lengths[rows])))


class PairFeed(_Sorted):
    """A text for a text. x (B, 2, L) int64: the source, and the target after BOS; y (B, L): the target, then
    EOS. A target of n tokens gives n + 1 of each."""

    y = None

    def __init__(self, split: Any, device: torch.device) -> None:
        self.n = len(split)
        self.device = device
        self._source, self._target = Values(split.ids, device), Values(split.target, device)
        self._lengths = np.maximum(self._source.lengths, self._target.lengths) + 1
        self._sorted = np.argsort(self._lengths, kind="stable")
        self.width = _width(self._lengths)

    @property
    def mark(self) -> int:
        return zlib.crc32(self._target.lengths.tobytes(), zlib.crc32(self._source.lengths.tobytes()))

    @property
    def held_bytes(self) -> int:
        return self._source.held_bytes + self._target.held_bytes

    def batch(self, rows: Pick) -> tuple[Tensor, Tensor]:
        return paired(
            self._source.padded(rows.rows, rows.width), self._target.padded(rows.rows, rows.wide_too)
        )

    def as_stored(self, scores: Tensor) -> Tensor:
        return scores

    def _pick(self, rows: np.ndarray) -> Pick:
        place, widths = self._source.place(rows), (self._source.lengths[rows], self._target.lengths[rows])
        return Pick(place, *(_width(lengths) for lengths in widths))


def paired(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """What a translator is taught. source (B, Ls), target (B, Lt), padded -> x (B, 2, L), y (B, L).

    Check: y is x[:, 1] one place to the left, with EOS at its end.
    """
    ends = _ended(target)
    width = max(source.shape[1] + 1, ends.shape[1])
    begins = torch.cat([torch.full_like(target[:, :1], BOS), target], dim=1)
    sides = [torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in (_ended(source), begins)]
    return torch.stack(sides, dim=1), torch.nn.functional.pad(ends, (0, width - ends.shape[1]))


def _ended(ids: Tensor) -> Tensor:
    """(B, L) padded -> (B, L + 1) with EOS behind each text's last token."""
    longer = torch.nn.functional.pad(ids, (0, 1))
    return longer.scatter(1, ids.ne(PAD).sum(dim=1, keepdim=True), EOS)


class WindowFeed:
    """One long text: N windows of L tokens, each token's label the next one. x (B, L), y (B, L) int64.

    An epoch's windows begin at a place drawn for it, so that tokens stand elsewhere in each epoch.
    """

    y = None

    def __init__(self, split: Any, length: int, device: torch.device, name: str) -> None:
        self.device = device
        self._length = self.width = length
        values = split.ids.values
        self._total = len(values)
        if 0 < self._total <= length:
            raise DataError.of(
                name, "a language model's text must be longer than its context",
                f"a split has {self._total:,} tokens, and data.text.length is {length:,}",
                "Add text, or choose a shorter length.",
            )  # fmt: skip
        self.n = max(0, (self._total - 1) // length)
        self._is_near = 8 * self._total <= SHARE * free_bytes(device)
        self._far = values
        self._near = torch.from_numpy(np.array(values, dtype=np.int64)).to(device) if self._is_near else None

    @property
    def mark(self) -> int:
        return zlib.crc32(np.ascontiguousarray(self._far[: 1 << 20]).tobytes(), self._total)

    @property
    def held_bytes(self) -> int:
        return 8 * self._total if self._is_near else 0

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Pick]:
        draw = np.random.default_rng([seed, epoch])
        shift = int(draw.integers(self._length))
        starts = (draw.permutation(self.n).astype(np.int64) * self._length + shift) % (
            self._total - self._length
        )
        cuts = np.cumsum(sizes)[:-1]
        return [Pick(self._placed(part), self._length) for part in np.split(starts, cuts)]

    def batch(self, rows: Pick) -> tuple[Tensor, Tensor]:
        if self._near is not None:
            whole = self._near[rows.rows.unsqueeze(1) + torch.arange(rows.width + 1, device=self.device)]
        else:
            places = rows.rows.numpy()[:, None] + np.arange(rows.width + 1)
            whole = torch.from_numpy(self._far[places].astype(np.int64)).to(self.device)
        return whole[:, :-1].contiguous(), whole[:, 1:].contiguous()

    def changed(self, rows: Pick, augment: object, step: int) -> tuple[Tensor, Tensor]:
        raise _no_changes()

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every token once as a label; the last window may be shorter."""
        starts = np.arange(self.n, dtype=np.int64) * self._length
        for at in range(0, self.n, batch):
            yield self.batch(Pick(self._placed(starts[at : at + batch]), self._length))
        rest = (self._total - 1) - self.n * self._length
        if rest > 0:
            yield self.batch(Pick(self._placed(np.array([self.n * self._length])), rest))

    def as_stored(self, scores: Tensor) -> Tensor:
        return scores

    def _placed(self, starts: np.ndarray) -> Tensor:
        found = torch.from_numpy(np.ascontiguousarray(starts))
        return found.to(self.device) if self._is_near else found


def bucketed(lengths: np.ndarray, seed: int, epoch: int, sizes: Sequence[int]) -> list[np.ndarray]:
    """Rows of every batch of an epoch: shuffled, sorted by length within pools of 32 batches, and the batches
    shuffled again. A pure function of its arguments.

    Shapes: lengths (N,) -> arrays of the given sizes, which sum to N. Check: every row occurs once.
    """
    draw = np.random.default_rng([seed, epoch])
    rows = draw.permutation(len(lengths))
    pool = POOL * (sizes[0] if sizes else 1)
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        rows[start : start + pool] = part[np.argsort(lengths[part], kind="stable")]
    batches = np.split(rows, np.cumsum(sizes)[:-1])
    turn = draw.permutation(max(0, len(batches) - 1))  # the last one may have another size
    return [batches[i] for i in turn] + batches[-1:]


def _width(lengths: np.ndarray) -> int:
    return max(NARROWEST, int(lengths.max(initial=0)))


def _no_changes() -> DataError:
    return DataError.of(
        "data.augment", "random changes are made to images", "these are texts", "Take the changes away."
    )

"""What the loop needs of those who hand out batches, and which of them serves which data.

A feed keeps one split where it fits best and gives (x, y) for any rows. `engine.batches` does it for
images, `engine.texts` for texts, `engine.series` for series, `engine.tables` for tables; the loop does not
know which one it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from workbench.engine.augment import Augment
from workbench.engine.batches import Batches
from workbench.engine.masked import MaskedBatches, OwnBatches
from workbench.engine.series import SeriesFeed
from workbench.engine.tables import TableFeed
from workbench.engine.task import Task
from workbench.engine.texts import PairFeed, TextFeed, WindowFeed
from workbench.records import Data
from workbench.specs.picture_tasks import UNLABELLED

Rows = Any  # what one batch holds; opaque to the loop, made and understood by the feed alone


class Feed(Protocol):
    """n: samples of the split; y: (N,) int64 labels, first row to last, None where every token has its own;
    mark: a number that another split of the same size would not have."""

    n: int
    device: torch.device
    width: int  # tokens of the longest sample; 1 for images

    @property
    def y(self) -> Tensor | None: ...

    @property
    def mark(self) -> int: ...

    @property
    def held_bytes(self) -> int:
        """Bytes on the device that stay for the whole run."""
        ...

    def shuffled(self, seed: int, epoch: int, sizes: list[int]) -> list[Rows]:
        """The batches of an epoch, one of each size in turn: a pure function of its arguments."""
        ...

    def batch(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """(x, y) of a batch on the device."""
        ...

    def changed(self, rows: Rows, augment: Augment, step: int) -> tuple[Tensor, Tensor]:
        """The same with random changes. Images only."""
        ...

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) batch by batch over the whole split: what an evaluation walks through."""
        ...

    def as_stored(self, scores: Tensor) -> Tensor:
        """Scores (N, K), in the order in which `in_order` came by, in the order of the split's rows."""
        ...


def feed_for(
    split: Any, data: Data, task: Task, device: torch.device, room_bytes: int | None = None, least: int = 1
) -> Feed:
    """The feed of `split` on `device`. room_bytes: memory it may count on; left out, what is free. least:
    tokens to which every text is padded at least.

    Raises: DataError where a language model's text is shorter than its context.
    """
    if data.kind == "series":
        return SeriesFeed(split, device)
    if data.kind == "images":
        kinds = {"segmentation": MaskedBatches, **dict.fromkeys(UNLABELLED, OwnBatches)}
        return kinds.get(task.kind, Batches)(split, data, device, room_bytes)
    if data.kind == "table":
        return TableFeed(split, device, room_bytes)
    if task.kind == "language_model":
        return WindowFeed(split, data.shape[0], device, data.name)
    if task.kind == "translation":
        return PairFeed(split, device)
    return TextFeed(split, device, least)

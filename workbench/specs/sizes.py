"""How much data there is: samples per split, and of texts how long they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple


class Extent(NamedTuple):
    """What a batch of texts looks like: width, its tokens per text, padding included; fill, the share of them
    that are tokens; even, whether all texts are equally long."""

    width: int
    fill: float = 1.0
    even: bool = True


@dataclass(frozen=True)
class Lengths:
    """Texts by their length. pairs: (tokens, texts that have so many), the longest first."""

    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Lengths:
        """Of the length of each text."""
        return cls(tuple(sorted(Counter(lengths).items(), reverse=True)))

    @classmethod
    def between(cls, ends: Iterable[int]) -> Lengths:
        """Of texts that lie end to end: where the first begins, then where each one ends."""
        return cls.of(stop - start for start, stop in pairwise(ends))

    @property
    def longest(self) -> int:
        return self.pairs[0][0] if self.pairs else 0

    @property
    def tokens(self) -> int:
        """In all texts."""
        return sum(length * texts for length, texts in self.pairs)

    def widest(self, batch: int) -> Extent:
        """The batch that needs most: the `batch` longest texts.

        Check: a batch of one is even and full.
        """
        left, tokens, shortest = batch, 0, self.longest
        for length, texts in self.pairs:
            if left <= 0:
                break
            taken = min(left, texts)
            tokens, left, shortest = tokens + taken * length, left - taken, length
        n = batch - max(0, left)
        width = max(1, self.longest)
        return Extent(width, tokens / (n * width) if n else 1.0, shortest == self.longest)


@dataclass(frozen=True)
class Sizes(Mapping[str, int]):
    """Samples per split, and more that is known of them."""

    counts: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class TextSizes(Sizes):
    """Samples per split by the names train, validation and test, as of images: texts, pairs of texts, or a
    language model's windows. lengths, targets: of the texts and of their translations, per split; of a
    language model one long text each."""

    lengths: Mapping[str, Lengths] = field(default_factory=dict)
    targets: Mapping[str, Lengths] = field(default_factory=dict)

    def tokens(self, name: str) -> int:
        """Of a split, targets not counted."""
        return self.lengths[name].tokens if name in self.lengths else 0


@dataclass(frozen=True)
class SeriesSizes(Sizes):
    """Windows per split by the names train, validation and test; numbers: of the whole series, all variates,
    which the windows share."""

    numbers: int


def text_sizes(splits: Mapping[str, Any], task: str, context: int) -> TextSizes:
    """Of splits of texts, by name; each has `ids` and perhaps `target` with `values` and `offsets`. task: the
    kind of task; context: tokens of a language model's window.

    Check: the counts are those of the engine's feeds.
    """
    if task == "language_model":
        whole = {name: len(split.ids.values) for name, split in splits.items()}
        windows = {name: max(0, (n - 1) // context) for name, n in whole.items()}
        return TextSizes(windows, {name: Lengths.of([n] if n else []) for name, n in whole.items()})
    lengths = {name: Lengths.between(split.ids.offsets.tolist()) for name, split in splits.items()}
    targets = {
        name: Lengths.between(split.target.offsets.tolist())
        for name, split in splits.items()
        if split.target is not None
    }
    return TextSizes({name: len(split.ids.offsets) - 1 for name, split in splits.items()}, lengths, targets)

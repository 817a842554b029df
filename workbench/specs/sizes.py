"""How much data there is: samples per split, and of texts how long they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


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
        counts: dict[int, int] = {}
        for length in lengths:
            counts[int(length)] = counts.get(int(length), 0) + 1
        return cls(tuple(sorted(counts.items(), reverse=True)))

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
class TextSizes(Mapping[str, int]):
    """Samples per split by the names train, validation and test, as of images: texts, pairs of texts, or a
    language model's windows. lengths, targets: of the texts and of their translations, per split; of a
    language model one long text each."""

    counts: Mapping[str, int]
    lengths: Mapping[str, Lengths] = field(default_factory=dict)
    targets: Mapping[str, Lengths] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int:
        return self.counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def tokens(self, name: str) -> int:
        """Of a split, targets not counted."""
        return self.lengths[name].tokens if name in self.lengths else 0

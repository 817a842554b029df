"""Small sets of texts for tests of the loop: plain arrays and a tokenizer of letters; no files, no mocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.specs.base import Pair, Tokens
from workbench.specs.data import DataSchema

LETTERS = "abcdefghij"


class Letters:
    """a..j as 4..13, beside the four special tokens."""

    size = 4 + len(LETTERS)

    def encode(self, text: str) -> list[int]:
        return [4 + LETTERS.index(c) if c in LETTERS else 1 for c in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(LETTERS[i - 4] if i >= 4 else "?" for i in ids)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [self.decode([i]) for i in ids]


@dataclass(frozen=True)
class Ends:
    values: np.ndarray
    offsets: np.ndarray


def ends(texts: Sequence[Sequence[int]]) -> Ends:
    lengths = [len(text) for text in texts]
    flat = np.array([token for text in texts for token in text], dtype=np.int32)
    return Ends(flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))


@dataclass(frozen=True)
class Part:
    ids: Ends
    y: np.ndarray | None = None
    target: Ends | None = None

    def __len__(self) -> int:
        return len(self.ids.offsets) - 1

    @property
    def nbytes(self) -> int:
        return self.ids.values.nbytes

    @property
    def index(self) -> np.ndarray:
        return np.arange(len(self))

    def text(self, row: int) -> str:
        return Letters().decode(self.ids.values[self.ids.offsets[row] : self.ids.offsets[row + 1]])

    def target_text(self, row: int) -> str:
        assert self.target is not None
        return Letters().decode(self.target.values[self.target.offsets[row] : self.target.offsets[row + 1]])


@dataclass(frozen=True)
class Texts:
    train: Part
    validation: Part
    shape: Any
    classes: tuple[str, ...] = ()
    task: str = "classification"
    kind: str = "text"
    name: str = "letters"
    tokenizer: Letters = field(default_factory=Letters)
    target_tokenizer: Letters = field(default_factory=Letters)

    @property
    def target(self) -> bool:
        return self.train.target is not None

    @property
    def schema(self) -> DataSchema:
        return DataSchema(kind="text", task=self.task, shape=(), classes=self.classes)


def labelled(n: int = 96, longest: int = 12, seed: int = 0) -> Texts:
    """Class 1 where the text holds a `b` (token 5), of any length."""
    rng = np.random.default_rng(seed)

    def part(size: int) -> Part:
        texts = [list(rng.integers(6, Letters.size, rng.integers(1, longest + 1))) for _ in range(size)]
        y = rng.integers(0, 2, size)
        for text, label in zip(texts, y, strict=True):
            if label:
                text[int(rng.integers(len(text)))] = 5
        return Part(ends(texts), y.astype(np.int64))

    return Texts(part(n), part(n // 3), Tokens(longest, Letters.size), ("without", "with"))


def stream(n: int = 900, length: int = 8, seed: int = 0) -> Texts:
    """One long text in which every letter says which two may follow."""
    rng = np.random.default_rng(seed)

    def part(size: int) -> Part:
        found = [4]
        for _ in range(size - 1):
            found.append(4 + (found[-1] - 4 + 1 + int(rng.integers(2))) % len(LETTERS))
        return Part(ends([found]))

    return Texts(part(n), part(n // 4), Tokens(length, Letters.size), task="language_model")


def reversals(n: int = 200, longest: int = 6, seed: int = 0) -> Texts:
    """A text and its reverse."""
    rng = np.random.default_rng(seed)

    def part(size: int) -> Part:
        texts = [list(rng.integers(4, Letters.size, rng.integers(1, longest + 1))) for _ in range(size)]
        return Part(ends(texts), target=ends([text[::-1] for text in texts]))

    shape = Pair(Tokens(longest + 1, Letters.size), Tokens(longest + 1, Letters.size))
    return Texts(part(n), part(n // 4), shape, task="translation")

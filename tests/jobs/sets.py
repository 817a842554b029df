"""Small registered sets of texts, one for each task: `notes` to tell apart, `book` to go on with, `pairs` to
translate; and a model for each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from workbench import catalog
from workbench.specs import starts
from workbench.specs.base import Pair
from workbench.specs.run import RunSpec, from_dict
from workbench.store import Store, open_store

NAMES = {"notes": "classification", "book": "language_model", "pairs": "translation"}
WORDS = [
    "the", "cat", "sat", "on", "a", "mat", "and", "ran", "far", "away", "from", "dogs", "who", "bark", "at",
    "night", "while", "rain", "falls",
]  # fmt: skip


@contextmanager
def home_of_texts(folder: Path) -> Iterator[Store]:
    """A home in `folder` with all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(folder / "home"))
        opened = open_store()
        add_all(opened, folder)
        yield opened


def add_all(store: Store, folder: Path, n: int = 200) -> None:
    """Registers them. A note is good where it holds `sun`; a pair is a text and its words backwards."""
    rng = random.Random(0)

    def sentence(least: int = 3) -> list[str]:
        return [rng.choice(WORDS) for _ in range(rng.randint(least, 20))]

    notes = []
    for i in range(n):
        words = sentence()
        words.insert(rng.randint(0, len(words)), "sun" if i % 2 else "moon")
        notes.append(f"{' '.join(words)},{'good' if i % 2 else 'bad'}")
    (folder / "notes.csv").write_text("text,label\n" + "\n".join(notes), encoding="utf-8")
    (folder / "book.txt").write_text("\n".join(" ".join(sentence()) for _ in range(n)), encoding="utf-8")
    pairs = [(" ".join(words), " ".join(words[::-1])) for words in (sentence() for _ in range(n))]
    (folder / "pairs.tsv").write_text("\n".join("\t".join(pair) for pair in pairs), encoding="utf-8")
    for name, suffix in (("notes", "csv"), ("book", "txt"), ("pairs", "tsv")):
        catalog.add(store, folder / f"{name}.{suffix}", name)


def spec_of(store: Store, name: str, *changes: str) -> RunSpec:
    """A small model that fits the set, and quick training on one thread."""
    task = NAMES[name]
    tokenizer = "character" if task == "language_model" else "word"
    tree: dict[str, Any] = {
        "data": {"name": name, "text": {"tokenizer": tokenizer, "length": 32}},
        "task": {"kind": task},
        "training": {"batch_size": 16, "epochs": 2, "device": "cpu", "threads": 1},
    }
    shape, columns = catalog.shape_and_classes(store, from_dict(tree).data)
    if isinstance(shape, Pair):
        layers, decoder = starts.encoder(width=32, layers=1), starts.decoder(columns, width=32, layers=1)
        tree["model"] = {"family": "seq2seq", "layers": layers, "decoder": decoder}
    elif task == "language_model":
        tree["model"] = {"family": "gpt", "layers": starts.gpt(columns, width=32, layers=1)}
    else:
        tree["model"] = {"family": "rnn", "layers": [
            {"kind": "embedding", "embedding_dim": 32}, {"kind": "lstm", "hidden_size": 32},
            {"kind": "sequence_pool", "mode": "max"}, {"kind": "linear", "out_features": columns},
        ]}  # fmt: skip
    return from_dict(tree).with_changes(*changes)

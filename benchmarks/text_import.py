"""How long importing and tokenizing texts takes: a table, pairs, a long text, a folder of files.

Everything is made here from a seed, of words that are as frequent as those of a language (Zipf), so that no
data set is needed. Times include the whole import: reading twice, guessing, writing, fingerprint.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.data_import import REPEATS, cancelled, timed
from benchmarks.report import Figure, report
from workbench.data import load, prepare
from workbench.specs.data import DataSpec, TextSpec

ROWS, FILES = 100_000, 10_000
KINDS = ("character", "word", "bpe", "wordpiece")


def sentences(n: int, words: int, seed: int = 0) -> list[str]:
    """n sentences of so many words of a vocabulary of 20,000."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    known = np.array(["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(20_000)])
    drawn = np.minimum(rng.zipf(1.2, (n, words)), len(known)) - 1
    return [" ".join(row) for row in known[drawn]]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        texts = sentences(ROWS, 20)
        table, pairs, prose, files = (place / n for n in ("table.csv", "pairs.tsv", "prose.txt", "files"))
        table.write_text(
            "label,text\n" + "".join(f'{"ab"[i % 2]},"{t}, well"\n' for i, t in enumerate(texts))
        )
        pairs.write_text("".join(f"{t}\t{t[::-1]} {i}\n" for i, t in enumerate(texts)))
        prose.write_text("\n".join(sentences(ROWS, 60, seed=1)))
        megabytes = prose.stat().st_size / 1e6
        for i in range(FILES):
            path = files / "ab"[i % 2] / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[i])
        seconds = {
            source: timed(lambda out, source=source: prepare(source, out), place)  # type: ignore[misc]
            for source in (table, pairs, prose, files)
        }
        late_s = max(cancelled(source, place / f"late-{i}") for i, source in enumerate((table, prose)))
        prepare(table, place / "set")
        tokenized = {}
        for kind in KINDS:
            spec = DataSpec(name="x", text=TextSpec.model_validate({"tokenizer": kind, "length": 64}))
            start = time.perf_counter()
            load(place / "set", spec)
            tokenized[kind] = time.perf_counter() - start
        again_s = timed(lambda _: load(place / "set", spec), place)
    figures = [
        Figure(f"{ROWS:,} rows of a CSV", seconds[table], "s", "< 10 s", seconds[table] < 10, REPEATS),
        Figure(f"{ROWS:,} pairs parted by tabs", seconds[pairs], "s", "< 10 s", seconds[pairs] < 10, REPEATS),
        Figure(
            f"plain text of {megabytes:.0f} MB", seconds[prose], "s", "< 10 s", seconds[prose] < 10, REPEATS
        ),
        Figure(
            f"{FILES:,} files in class folders", seconds[files], "s", "< 10 s", seconds[files] < 10, REPEATS
        ),
        Figure("longest wait until a cancel is heard", late_s, "s", "< 1 s", late_s < 1, 2),
        *(
            Figure(f"the CSV tokenized at first, {kind}", took, "s", "< 60 s", took < 60, 1)
            for kind, took in tokenized.items()
        ),
        Figure("the CSV loaded again", again_s * 1000, "ms", "< 500 ms", again_s < 0.5, REPEATS),
    ]
    report("text_import", "Import of texts to the prepared format, and tokenizing it", figures)


if __name__ == "__main__":
    main()

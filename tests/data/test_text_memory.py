"""A set of texts several times as large as the memory a process may take is imported, tokenized and read."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

SET_MB, ROOM_MB = 160, 40
WORK = """
import json, resource, sys
from pathlib import Path
import numpy as np
import pyarrow, pyarrow.compute
from workbench.data import load, prepare
from workbench.specs.data import DataSpec, TextSpec

root, room = Path(sys.argv[1]), int(sys.argv[2]) << 20
spec = DataSpec(name="x", text=TextSpec(tokenizer="word", vocabulary=2000, length=16))
prepare(root / "small.tsv", root / "warm")
load(root / "warm", spec)  # threads and tables of the libraries
status = Path("/proc/self/status").read_text().splitlines()
now = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (now + room, now + room))
try:
    held = bytearray(room + (1 << 20))
    limited = False
except MemoryError:
    limited = True
prepared = prepare(root / "large.tsv", root / "set")
data = load(root / "set", spec)
rows = np.random.default_rng(0).permutation(len(data.train))
tokens = 0
for start in range(0, len(rows), 256):
    tokens += sum(len(data.train.ids.row(i)) for i in rows[start : start + 256])
print(json.dumps({
    "limited": limited, "rows": sum(prepared.rows.values()), "train": len(data.train), "tokens": tokens,
    "last": data.train.text(len(data.train) - 1)[-12:],
    "bytes": (root / "set" / "texts.arrow").stat().st_size,
    "mapped": isinstance(data.train.ids.values, np.memmap),
}))
"""


@pytest.mark.slow
def test_a_set_four_times_the_memory_that_is_allowed_is_imported_tokenized_and_read(tmp_path: Path) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=60)) for _ in range(1_500)]
    n = 0
    for name, size in (("small.tsv", 1 << 20), ("large.tsv", SET_MB << 20)):
        with open(tmp_path / name, "w") as file:
            file.write("label\ttext\n")
            n = 0
            while file.tell() < size:
                lines = (
                    f"{'ab'[k % 2]}\t{' '.join(draw.choices(words, k=60))} text{k}\n"
                    for k in range(n, n + 500)
                )
                file.writelines(lines)
                n += 500
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(tmp_path), str(ROOM_MB)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["limited"]  # the limit is a limit
    assert found["bytes"] > 4 * (ROOM_MB << 20) - (4 << 20)
    assert (found["rows"], found["train"], found["mapped"]) == (n, round(0.9 * (n - round(0.1 * n))), True)
    assert found["tokens"] == 16 * found["train"]
    assert "text" in found["last"]


def test_the_datasets_library_opens_a_prepared_set(tmp_path: Path) -> None:
    import datasets

    from workbench.data.shipped import prepare_shipped

    prepare_shipped("tatoeba-fra-eng-small", tmp_path / "set")
    opened = datasets.Dataset.from_file(str(tmp_path / "set" / "texts.arrow"))
    assert opened.column_names == ["text", "target"]
    assert opened.num_rows == 6_000

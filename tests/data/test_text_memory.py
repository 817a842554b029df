"""A set of texts several times as large as the memory a process may take is imported, tokenized and read."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from workbench.data import Limits
from workbench.data.report import Report
from workbench.data.shipped import prepare_shipped
from workbench.data.splits import SPLITS
from workbench.data.text.library import as_dataset
from workbench.data.text.stored import Stored, TextWriter
from workbench.specs.data import DataSchema

SET_MB, ROOM_MB = 160, 40
WORK = """
import json, mmap, resource, sys
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
    mmap.mmap(-1, room + (1 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # from no heap
    limited = False
except OSError:
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


SHARED = """
import json, resource, sys
from pathlib import Path
import numpy as np
import datasets
from workbench.data.text.library import as_dataset

as_dataset(Path(sys.argv[1]) / "small")  # what the libraries take for themselves
status = Path("/proc/self/status").read_text().splitlines()
now = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
room = int(sys.argv[2]) << 20
resource.setrlimit(resource.RLIMIT_DATA, (now + room, now + room))
found = as_dataset(Path(sys.argv[1]) / "large")
rows = np.random.default_rng(0).permutation(len(found))
parts = (rows[start : start + 100] for start in range(0, len(rows), 100))
read = sum(len(text) for part in parts for text in found[part]["text"])
print(json.dumps({"rows": len(found), "read": read, "files": [f["filename"] for f in found.cache_files]}))
"""


@pytest.mark.slow
def test_the_datasets_library_reads_a_set_four_times_the_memory_that_is_allowed(tmp_path: Path) -> None:
    """Nothing is copied: not at the opening, and not by reading every row in any order."""
    sizes = {}
    for name, n in (("small", 10), ("large", 21_000)):
        (tmp_path / name).mkdir()
        writer = TextWriter(tmp_path / name, Limits(), "made")
        for i in range(n):
            writer.append(f"{i} " + "lorem ipsum " * 680, i % 2)
        schema = DataSchema(kind="text", task="classification", shape=())
        writer.finish(schema, Report(), ("even", "odd"))
        sizes[name] = (tmp_path / name / "texts.arrow").stat().st_size
    assert sizes["large"] > 4 * (ROOM_MB << 20) - (4 << 20)
    done = subprocess.run(
        [sys.executable, "-c", SHARED, str(tmp_path), str(ROOM_MB)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["rows"] == 21_000
    assert found["read"] == sum(len(f"{i} ") + 12 * 680 for i in range(21_000))
    assert str(tmp_path / "large" / "texts.arrow") in found["files"]


@pytest.mark.parametrize("name", ["tatoeba-fra-eng-small", "sms-spam"])
def test_a_prepared_set_is_a_dataset_of_the_datasets_library(tmp_path: Path, name: str) -> None:
    prepare_shipped(name, tmp_path / "set")
    stored = Stored(tmp_path / "set")
    before = pa.total_allocated_bytes()
    found = as_dataset(tmp_path / "set")
    assert pa.total_allocated_bytes() - before < 20 * len(stored)  # labels and splits, not texts
    assert len(found) == len(stored)
    rows = np.random.default_rng(0).permutation(len(stored))[:200]
    assert found[rows]["text"] == stored.texts(rows)
    assert found.features["split"].int2str(int(found[0]["split"])) == SPLITS[stored.splits[0]]
    if name == "sms-spam":
        assert found.features["label"].names == ["ham", "spam"]
        assert found[rows]["label"] == stored.labels[rows].tolist()
        assert found.filter(lambda row: row["label"] == 1).num_rows == int(stored.labels.sum())
    else:
        assert found[rows]["target"] == stored.texts(rows, "target")


def test_a_set_written_as_an_arrow_file_is_one_too(tmp_path: Path) -> None:
    """The form of the first sets."""
    prepare_shipped("sms-spam", tmp_path / "set")
    place = tmp_path / "set" / "texts.arrow"
    table = pa.ipc.open_stream(place.read_bytes()).read_all()
    with pa.OSFile(str(place), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert as_dataset(tmp_path / "set")[7]["text"] == Stored(tmp_path / "set").text(7)

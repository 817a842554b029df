"""A table more than twice as large as the memory a process may take is imported, encoded and read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS, COLUMNS, GROUP, ROOM_MB = 400_000, 50, 20_000, 64
WORK = """
import json, mmap, resource, sys
from pathlib import Path
import numpy as np
import pyarrow, pyarrow.compute, pandas, sklearn.preprocessing, sklearn.impute
from workbench.data import load, prepare
from workbench.specs.data import DataSpec
from workbench.specs.tables import TableImport

root, room = Path(sys.argv[1]), int(sys.argv[2]) << 20
asked, spec = TableImport(target=("y",)), DataSpec(name="x")
prepare(root / "small.parquet", root / "warm", table=asked)
load(root / "warm", spec)  # threads and tables of the libraries
status = Path("/proc/self/status").read_text().splitlines()
now = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (now + room, now + room))
try:
    mmap.mmap(-1, room + (1 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # from no heap
    limited = False
except OSError:
    limited = True
prepared = prepare(root / "large.parquet", root / "set", table=asked)
data = load(root / "set", spec)
total = 0.0
for start in range(0, len(data.train), 4096):
    total += float(np.asarray(data.train.x[start : start + 4096]).sum())
print(json.dumps({
    "limited": limited, "rows": sum(prepared.rows.values()), "train": len(data.train),
    "finite": total == total, "bytes": (root / "set" / "table.arrow").stat().st_size,
    "mapped": isinstance(data.train.x, np.memmap),
}))
"""


@pytest.mark.slow
def test_a_table_larger_than_the_memory_that_is_allowed_is_imported_encoded_and_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name, n in (("small", 2_000), ("large", ROWS)):
        with pq.ParquetWriter(tmp_path / f"{name}.parquet", _table(draw, 10).schema) as writer:
            for start in range(0, n, GROUP):
                writer.write_table(_table(draw, min(GROUP, n - start)))
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(tmp_path), str(ROOM_MB)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["limited"], "the limit was not in force"
    assert found["rows"] == ROWS
    assert found["bytes"] > 2 * (ROOM_MB << 20)
    assert found["mapped"]
    assert found["finite"]


def _table(draw: np.random.Generator, n: int) -> pa.Table:
    columns = {f"x{k}": draw.normal(size=n).round(3) for k in range(COLUMNS)}
    return pa.table({**columns, "y": draw.integers(0, 2, n)})

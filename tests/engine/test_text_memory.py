"""A model trains on a set of texts several times as large as the memory its process may take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).resolve().parents[2]
SET_MB, ROOM_MB, TOKENS = 200, 48, 1_000
WORK = """
import json, resource, sys
from collections import deque
from pathlib import Path
import numpy as np
import torch
from tests.engine.test_fit_texts import spec_of
from tests.engine.texts import Ends, Letters, Part, Texts
from workbench.engine import texts
from workbench.engine.fit import fit
from workbench.models.build import build
from workbench.specs.base import Tokens
from workbench.tasks.choose import task_for

torch.set_num_threads(1)
folder, room, tokens = Path(sys.argv[1]), int(sys.argv[2]) << 20, int(sys.argv[3])
LAYERS = [
    {"kind": "embedding", "embedding_dim": 8}, {"kind": "sequence_pool", "mode": "mean"},
    {"kind": "linear", "out_features": 2},
]

def part(name):
    values = np.load(folder / f"{name}.npy", mmap_mode="r")
    n = len(values) // tokens
    return Part(Ends(values, np.arange(n + 1, dtype=np.int64) * tokens), np.arange(n, dtype=np.int64) % 2)

def trained(name, steps):
    data = Texts(part(name), part("held"), Tokens(tokens, Letters.size), ("even", "odd"))
    length = {'steps': steps} if steps else {'epochs': 1}
    spec = spec_of(data, LAYERS, {}, batch_size=16, **length)
    model, task = build(spec.model, data.shape, seed=0), task_for(spec.task, 2, data.train.y)
    return deque(fit(model, data, task, spec), maxlen=1)[0]  # what was handed out is not kept

trained("held", 3)  # what the libraries take for themselves
status = Path("/proc/self/status").read_text().splitlines()
now = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (now + room, now + room))
texts.free_bytes = lambda device: room  # as the machine would say that has no more
try:
    np.load(folder / "large.npy")
    limited = False
except MemoryError:
    limited = True
last = trained("large", None)
print(json.dumps({"limited": limited, "step": last.step, "epoch": last.epoch, "outcome": last.outcome}))
"""


@pytest.mark.slow
def test_a_run_goes_over_a_set_four_times_the_memory_that_is_allowed(tmp_path: Path) -> None:
    """An epoch over ids in a memory map. Importing and tokenizing so: tests/data/test_text_memory.py."""
    n = (SET_MB << 20) // 4 // TOKENS
    for name, texts in (("large", n), ("held", 200)):
        values = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.int32, (texts * TOKENS,))
        for k in range(texts):
            values[k * TOKENS : (k + 1) * TOKENS] = np.arange(k, k + TOKENS) % 5 * 2 + 4 + k % 2
        values.flush()
        del values
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(tmp_path), str(ROOM_MB), str(TOKENS)],
        capture_output=True, text=True, timeout=280, cwd=REPO,
        # Large blocks go back at once: small ones that wait for a flush would keep holes between them.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["limited"]  # the limit is a limit
    assert found == {"limited": True, "step": -(-n // 16), "epoch": 1.0, "outcome": "finished"}

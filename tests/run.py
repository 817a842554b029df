"""`make test`: static checks, then the whole suite; exits with the first failure's code.

The fast tests share the cores, and so do the slow ones that start no process; those that start real
processes or a browser measure seconds, or the memory of a process, and so run one after another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

CROWDED = [
    "tests/engine/test_preflight.py", "tests/engine/test_preflight_texts.py", "tests/export", "tests/models",
]  # fmt: skip
BIN = Path(sys.executable).parent
STAGES = [
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "."],
    ["mypy"],
    ["lint-imports"],
    ["pytest", "-q", "-n", "2", "-m", "not slow and not browser"],
    ["pytest", "-q", "-n", "2", "-m", "slow", *CROWDED],
    ["pytest", "-q", "-m", "slow or browser", *[f"--ignore={room}" for room in CROWDED]],
]


def main() -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for stage in STAGES:
        began = time.monotonic()
        print(f"--- {' '.join(stage)}", flush=True)
        code = subprocess.run([BIN / stage[0], *stage[1:]], env=environment, check=False).returncode
        print(f"--- {time.monotonic() - began:.0f} s, exit {code}", flush=True)
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`make test`: static checks, then the whole suite; exits with the first failure's code.

Two tests run at a time, slow ones file by file, for the tests of a file share a trained run. Those with a
browser measure seconds and train while a person would look on, and so run one after another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
STAGES = [
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "."],
    ["mypy"],
    ["lint-imports"],
    ["pytest", "-q", "-n", "2", "-m", "not slow and not browser"],
    ["pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", "slow and not browser"],
    ["pytest", "-q", "-m", "browser"],
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

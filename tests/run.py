"""`make test`: static checks, then the whole suite; exits with the first failure's code.

Two tests run at a time, slow ones file by file, for the tests of a file share a trained run; the longest
file begins, so that no worker is left alone with it. Those with a browser measure seconds and train while a
person would look on, and so run one after another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
TESTS = Path(__file__).resolve().parent
LONGEST = ["chaos/test_chaos.py"]  # minutes each, in this order; all others follow by name


def slow_files() -> list[str]:
    """Files with slow tests, the longest first. Each imports what it needs: all files take 16 s, these 6."""
    found = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("test_*.py")
        if "mark.slow" in path.read_text(encoding="utf-8") and path.parent.name != "browser"
    }
    return [f"tests/{name}" for name in [*LONGEST, *sorted(found - {*LONGEST})]]


FAST, SLOW = "not slow and not browser", "slow and not browser"
STAGES = [
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "."],
    ["mypy"],
    ["lint-imports"],
    ["pytest", "-q", "-n", "2", "-m", FAST],
    ["pytest", "-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-m", SLOW, *slow_files()],
    ["pytest", "-q", "-m", "browser", "tests/browser"],
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

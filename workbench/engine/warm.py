"""What a process should have imported before it forks runs, so that they start at once."""

from __future__ import annotations

import importlib
import sys


def preload() -> int:
    """Imports all that a first training step would import, and runs no tensor operation.

    torch pulls torch._dynamo in when the first optimizer is made (1-2 s, 800 modules); importing it
    here moves that before the fork. Operations would start thread pools, which do not survive a fork.
    Returns how many modules are loaded now.
    """
    for name in ("torch._dynamo", "workbench.engine.fit"):
        importlib.import_module(name)
    return len(sys.modules)

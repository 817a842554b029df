"""Two small files in each run's folder, from which its row can be made again: spec.json and exit.json.

The database is the truth; these are for the day it is damaged (salvage.py). A disk that does not take
them must not keep a run from starting or ending.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.specs.errors import StoreError
from workbench.store.files import write_whole

SPEC = "spec.json"
EXIT = "exit.json"


def put(folder: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write a sheet, whole or not at all."""
    with contextlib.suppress(StoreError):
        write_whole(folder / name, json.dumps(dict(facts), indent=1).encode(), durable=False)


def drop(folder: Path, name: str) -> None:
    """Remove a sheet: what it says is no longer so."""
    with contextlib.suppress(OSError):
        (folder / name).unlink(missing_ok=True)


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """What a sheet says; None where there is none that can be read."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None

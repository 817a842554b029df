"""Folders beside a prepared set that hold what was made of it: each appears whole or not at all, and the
oldest go when there are many."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from workbench.specs.errors import DataError

KEPT = 12  # folders of one kind beside one set
PART = ".part-"  # in the names of drafts
ABANDONED_S = 24 * 3600  # a draft to which nothing was written for so long is of a process that was killed


def made(place: Path, name: str, what: str, make: Callable[[Path], None]) -> Path:
    """Make a folder beside `place` that becomes it; another process or thread may be quicker. name: of the
    data set; what: `the tokens of a set`, for people. Raises DataError."""
    draft = place.with_name(f"{place.name}{PART}{uuid4().hex}")
    try:
        draft.mkdir()
        make(draft)
        os.replace(draft, place)
    except OSError as error:
        if not place.exists():
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise DataError.of(
                f"data set `{name}`", f"{what} are kept beside it",
                "the disk is full" if full else error.strerror or str(error),
                "Free some space." if full else "Make the home of the workbench writable.",
            ) from None  # fmt: skip
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place


def used(place: Path) -> None:
    """Note that it was used now; what killed processes left half made beside it and in it goes."""
    with contextlib.suppress(OSError):
        os.utime(place)
        now = place.stat().st_mtime  # by the clock of the disk
        for draft in (*place.parent.glob(f"*{PART}*"), *place.glob(f"*{PART}*")):
            with contextlib.suppress(OSError):  # its maker is done with it just now
                if now - max(path.stat().st_mtime for path in (draft, *draft.rglob("*"))) > ABANDONED_S:
                    shutil.rmtree(draft, ignore_errors=True)


def tidy(folder: Path, prefix: str, newest: Path) -> None:
    """Let the oldest folders of `prefix` go; who reads one goes on reading, for its files stay while they are
    open."""
    with contextlib.suppress(OSError):
        ways = sorted(
            (path for path in folder.glob(f"{prefix}*") if path != newest and PART not in path.name),
            key=lambda path: path.stat().st_mtime,
        )
        for path in ways[: max(0, len(ways) + 1 - KEPT)]:
            shutil.rmtree(path, ignore_errors=True)

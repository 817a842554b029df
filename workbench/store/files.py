"""Files that are whole or absent: written beside their place, flushed, then moved into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from workbench.specs.errors import StoreError


def write_whole(path: Path, blob: bytes, *, durable: bool = True) -> None:
    """Write `blob` at `path`; a crash leaves the old file or the new one, never half of one.

    durable: wait for the disk as well, so that a power cut loses nothing (milliseconds a file).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError.of(
            str(path.name),
            "the artifact folder must take new files",
            f"writing failed: {error.strerror or error}",
            "Free some disk space or check the folder's permissions, then resume the run.",
        ) from error

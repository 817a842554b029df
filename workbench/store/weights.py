"""Weights that were imported: a file of our own form and what is known of it, under a name."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.store.files import write_whole

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
SUFFIX = ".safetensors"


class Weights:
    """Put, list and read. The folder is made with the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, blob: bytes, facts: Mapping[str, Any]) -> None:
        """Keep them; others of that name are replaced. Raises: DataError for what cannot be a name."""
        place = self._path(name)
        write_whole(place, blob)
        write_whole(place.with_suffix(".json"), json.dumps(dict(facts)).encode())

    def names(self) -> list[str]:
        """All of them, by name."""
        with contextlib.suppress(OSError):
            found = [entry.name for entry in os.scandir(self._folder) if entry.name.endswith(SUFFIX)]
            return sorted(name.removesuffix(SUFFIX) for name in found if NAME.fullmatch(name))
        return []

    def facts(self, name: str) -> dict[str, Any]:
        """What is known of them: {"source", "layers", "shape", "taken", "of"}. Raises: DataError."""
        path = self._path(name)
        if not path.is_file():
            raise DataError.of(
                f"weights `{name[:80]}`", "weights to begin with must have been imported", "there are none",
                f"{did_you_mean(name, self.names())} Import them: workbench import FILE --spec SPEC.yaml.",
            )  # fmt: skip
        try:
            found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def read(self, name: str) -> bytes:
        """The file. Raises: DataError."""
        self.facts(name)
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            rule, fact = "the file must be readable", error.strerror or str(error)
            raise DataError.of(f"weights `{name}`", rule, fact, "Import them again.") from None

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise DataError.of(
                "weights", "a name has letters, digits, `.`, `_` and `-`, 80 at most", f"it is {name[:80]!r}",
                "Choose another with --name.",
            )  # fmt: skip
        return self._folder / f"{name}{SUFFIX}"

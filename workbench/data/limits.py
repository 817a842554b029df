"""What an upload may cost at most: bytes, files, pixels. Sizes are in bytes, unpacked where not said."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError

MIB = 1024 * 1024
GIB = 1024 * MIB
PREFIX = "WORKBENCH_LIMIT_"


@dataclass(frozen=True)
class Limits:
    """Bounds of one import. Wide enough for ImageNet-sized photographs, too narrow for a bomb.

    Each is a setting: `WORKBENCH_LIMIT_PIXELS=100000000`, `WORKBENCH_LIMIT_BYTES=8GiB`.
    """

    bytes: int = 4 * GIB  # all files together, and the prepared set
    file_bytes: int = 64 * MIB  # one image file
    files: int = 200_000
    images: int = 1_000_000  # inside idx files
    texts: int = 20_000_000  # rows of a set of texts
    characters: int = 1_000_000  # one text; what is longer is cut off
    pixels: int = 64_000_000  # one image, width × height
    ratio: int = 200  # unpacked / packed; looked at only above `ratio_from`, small files may be blank
    ratio_from: int = 1 * MIB
    rows: int = 20_000_000  # of a table
    columns: int = 5_000
    classes: int = 2_000
    memory: int = 512 * MIB  # pixels in memory at once: one decoded image, one array in column order
    report_rows: int = 200  # rows per action that name a file; the rest is counted
    default_side: int = 64  # larger images are shrunk to this unless `size` says otherwise
    largest_side: int = 512

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """The defaults, with what WORKBENCH_LIMIT_<NAME> says otherwise. Raises DataError."""
        names = {f"{PREFIX}{field.name.upper()}": field.name for field in fields(cls)}
        given = {}
        for key, text in environment.items():
            if not key.startswith(PREFIX):
                continue
            if key not in names:
                raise DataError.of(
                    key, "only known limits can be set", "it is none", did_you_mean(key, names)
                )
            given[names[key]] = _amount(key, text)
        return cls(**given)


def _amount(key: str, text: str) -> int:
    """`500_000`, `8GiB`, `64 MB` as a number above 0."""
    found = re.fullmatch(r"\s*([0-9][0-9_,]*)\s*(?:([kmgt])i?b?)?\s*", text, re.IGNORECASE)
    digits = re.sub("[_,]", "", found[1]) if found else ""
    if not found or len(digits) > 15 or int(digits) == 0:
        raise DataError.of(
            key, "a limit is a whole number above 0, with or without KiB, MiB, GiB or TiB",
            f"it is {text[:40]!r}", "Write it as 4GiB or 200000.",
        )  # fmt: skip
    times: int = 1024 ** " kmgt".index((found[2] or " ").lower())
    return int(digits) * times


class ImportCancelled(DataError):
    """The caller's `stop` said so; nothing is left behind."""


def human(n: int) -> str:
    """4294967296 as `4.0 GiB`."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", 1024)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} bytes"

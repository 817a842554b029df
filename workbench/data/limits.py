"""What an upload may cost at most: bytes, files, pixels. Sizes are in bytes, unpacked where not said."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.specs.errors import DataError

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True)
class Limits:
    """Bounds of one import. Wide enough for ImageNet-sized photographs, too narrow for a bomb."""

    bytes: int = 4 * GIB  # all files together, and the prepared set
    file_bytes: int = 64 * MIB  # one image file
    files: int = 200_000
    images: int = 1_000_000  # inside idx files
    pixels: int = 64_000_000  # one image, width × height
    ratio: int = 200  # unpacked / packed; looked at only above `ratio_from`, small files may be blank
    ratio_from: int = 1 * MIB
    classes: int = 2_000
    report_rows: int = 200  # rows per action that name a file; the rest is counted
    default_side: int = 64  # larger images are shrunk to this unless `size` says otherwise
    largest_side: int = 512


class ImportCancelled(DataError):
    """The caller's `stop` said so; nothing is left behind."""


def human(n: int) -> str:
    """4294967296 as `4.0 GiB`."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", 1024)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} bytes"

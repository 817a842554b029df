"""Folders and archives as one thing: a list of safe files that can be read twice.

`scan` gives every safe file with its first bytes; `read` gives the chosen files again, as streams,
in the source's own order. Nothing is unpacked to disk, no name becomes a path, and links are never
followed. What is unsafe goes to the report; what is hostile as a whole raises DataError.
"""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from workbench.data.limits import Limits, human
from workbench.data.report import Report, shown
from workbench.specs.errors import DataError

HEAD_BYTES = 64 * 1024  # enough for the size of nearly every image; not all of them need to be known
JUNK = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "ehthumbs.db"}


class Member(NamedTuple):
    """A file of a source. path: with `/`, relative, cleaned; key: how the source finds it again."""

    path: str
    size: int
    key: Any


class Source(Protocol):
    """A folder, an archive or a few files."""

    where: str  # for messages
    limits: Limits

    def scan(self, report: Report) -> Iterator[tuple[Member, bytes]]:
        """Every safe file with its first HEAD_BYTES. Raises DataError."""

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, BinaryIO]]:
        """The chosen files as streams, each valid until the next is asked for. Raises DataError."""


class Folder:
    """A folder on this machine, or some files of it."""

    def __init__(self, root: Path, limits: Limits, only: Sequence[str] | None = None) -> None:
        self.root, self.limits, self.where = root, limits, root.name or str(root)
        if only is not None and len(only) == 1:  # what a person named is the file
            self.where = shown(only[0])
        self._only = only

    def scan(self, report: Report) -> Iterator[tuple[Member, bytes]]:
        sieve = Sieve(self.where, self.limits, report)
        names = self._walk(report) if self._only is None else iter(self._only)
        for name in names:
            path = sieve.name(name)
            if path is None:
                continue
            try:
                size = os.stat(self.root / name, follow_symlinks=False).st_size
                member = Member(path, size, name)  # not unpacked, so its size is no threat
                with open(self.root / name, "rb") as file:
                    head = file.read(HEAD_BYTES)
            except OSError as error:
                report.refused(shown(path), f"it cannot be read: {error.strerror or error}")
                continue
            yield member, head
        sieve.done()

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, BinaryIO]]:
        for member in members:
            try:
                with open(self.root / member.key, "rb") as file:
                    yield member, file
            except OSError as error:
                yield member, cast(BinaryIO, Unreadable(str(error.strerror or error)))

    def _walk(self, report: Report) -> Iterator[str]:
        """Relative paths of regular files in natural order; depth first, without following links."""
        stack = [""]
        while stack:
            here = stack.pop()
            if is_junk(here) and here:
                yield here  # counted by the sieve, not entered
                continue
            try:
                entries = sorted(os.scandir(self.root / here), key=lambda e: natural(e.name))
            except OSError as error:
                if not here:
                    raise DataError.of(
                        self.where, "the folder must be readable", f"{error.strerror or error}"
                    ) from None
                report.refused(shown(here), f"the folder cannot be read: {error.strerror or error}")
                continue
            folders = []
            for entry in entries:
                name = f"{here}/{entry.name}" if here else entry.name
                if entry.is_symlink():
                    report.refused(shown(name), "it is a symbolic link; links are not followed")
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_file(follow_symlinks=False):
                    yield name
                else:
                    report.refused(shown(name), "it is a device, a pipe or a socket")
            stack += reversed(folders)


class Sieve:
    """Names and sizes as they come by: junk is dropped, danger is refused, totals are bounded."""

    def __init__(self, where: str, limits: Limits, report: Report) -> None:
        self.where, self.limits, self.report = where, limits, report
        self._n = self._bytes = self._junk = 0
        self._seen: set[str] = set()

    def name(self, raw: str) -> str | None:
        """The cleaned path, or None where the file is dropped. Raises DataError beyond the file limit."""
        self._n += 1
        if self._n > self.limits.files:
            raise DataError.of(
                self.where,
                f"at most {self.limits.files:,} files may come at once",
                "it has more",
                "Split it, or raise the limit.",
            )
        danger = leads_outside(raw)
        if danger:
            self.report.refused(shown(raw), danger)
            return None
        path = clean(raw)
        if is_junk(path):
            self._junk += 1
            return None
        if path in self._seen:
            self.report.refused(shown(path), "the same name occurs twice; the first is used")
            return None
        self._seen.add(path)
        return path

    def size(self, member: Member, packed: int | None = None) -> bool:
        """False where the file is too suspicious to open. Raises DataError beyond the total."""
        limits = self.limits
        inflated = packed is not None and member.size > limits.ratio * max(packed, 1)
        if inflated and member.size > limits.ratio_from:
            self.report.refused(
                shown(member.path),
                f"it unpacks to more than {limits.ratio} times its packed size, as a zip bomb does",
            )
            return False
        self._bytes += member.size
        if self._bytes > limits.bytes:
            raise DataError.of(
                self.where,
                f"the files may take {human(limits.bytes)} unpacked",
                "they take more",
                "Shrink the images, split the set, or raise the limit.",
            )
        return True

    def done(self) -> None:
        """Mention what was dropped in silence."""
        if self._junk:
            noun = "file" if self._junk == 1 else "files"
            self.report.refused(f"{self._junk} hidden {noun}", "hidden and system files are left out")


class Unreadable(io.RawIOBase):
    """A stream that says why it cannot be read; what a file that vanished or is damaged reads as."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def read(self, size: int = -1, /) -> bytes:
        raise OSError(self._reason)


def clean(raw: str) -> str:
    """A relative path with `/`, without `.` parts, in Unicode's composed form (macOS zips are not)."""
    parts = [p for p in raw.replace("\\", "/").split("/") if p not in ("", ".")]
    return unicodedata.normalize("NFC", "/".join(parts))


def leads_outside(raw: str) -> str:
    """Why a name is dangerous, or ""."""
    path = raw.replace("\\", "/")
    if "\0" in path:
        return "its name holds a zero byte"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "its name is an absolute path"
    if ".." in path.split("/"):
        return "its name leads outside of the set"
    return ""


def is_junk(path: str) -> bool:
    """Hidden or written by an operating system."""
    return any(part.startswith(".") or part.lower() in JUNK for part in path.split("/"))


def natural(name: str) -> list[Any]:
    """A sort key by which `img10` comes after `img9`."""
    parts: list[Any] = re.split(r"([0-9]+)", name.casefold())
    parts[1::2] = [(int(p[:4000]), p) for p in parts[1::2]]  # int() refuses longer digit strings
    return [*parts, name]


def read_all(stream: BinaryIO, at_most: int) -> bytes:
    """The whole stream. Raises OSError where it is longer than `at_most` bytes."""
    data = stream.read(at_most + 1)
    if len(data) > at_most:
        raise OSError(f"it is larger than {human(at_most)}")
    return data

"""Zip and tar files as sources: listed and read in place, never unpacked to disk.

What the archive claims about itself is not believed: names go through the sieve, sizes are bounded
while reading, and an archive that is encrypted, damaged or a bomb is refused as a whole.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from workbench.data.limits import Limits, human
from workbench.data.npy import is_npy, role_of
from workbench.data.report import Report, shown
from workbench.data.sources import HEAD_BYTES, Folder, Member, Sieve, Source, Unreadable, natural
from workbench.data.text.opened import why_no_text
from workbench.data.text.sheets import is_workbook
from workbench.specs.errors import DataError

# What a damaged member raises, whichever layer notices first.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, struct.error)
TAR_DAMAGE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)
XZ = b"\xfd7zXZ\0"


class Zip:
    """A zip file, read member by member in natural order."""

    def __init__(self, path: Path, limits: Limits, where: str) -> None:
        self.limits, self.where = limits, where
        _bounded_directory(path, limits, where)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
            raise DataError.of(
                where,
                "a zip file must be whole",
                str(error).lower() or "it is damaged",
                "Pack or upload it again.",
            ) from None
        if any(info.flag_bits & 0x1 for info in self._zip.infolist()):
            raise DataError.of(
                where,
                "a zip file must be open to read",
                "it is encrypted",
                "Pack it again without a password.",
            )

    def scan(self, report: Report) -> Iterator[tuple[Member, bytes]]:
        sieve = Sieve(self.where, self.limits, report)
        named = [(_unicode_name(info), info) for info in self._zip.infolist() if not info.is_dir()]
        for name, info in sorted(named, key=lambda pair: natural(pair[0])):
            path = sieve.name(name)
            if path is None:
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
                report.refused(shown(path), f"it is {kind}; links are not followed")
                continue
            member = Member(path, info.file_size, info)
            # Arrays of labels deflate to a thousandth; they are read in pieces, so their size is no threat.
            if not sieve.size(member, None if path.lower().endswith(".npy") else info.compress_size):
                continue
            try:
                with self._zip.open(info) as file:
                    head = file.read(HEAD_BYTES)
            except DAMAGE as error:
                report.refused(shown(path), f"it is damaged inside the zip file: {_reason(error)}")
                continue
            yield member, head
        sieve.done()

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, BinaryIO]]:
        for member in members:
            try:
                stream = self._zip.open(member.key)
            except DAMAGE as error:
                yield member, cast(BinaryIO, Unreadable(_reason(error)))
                continue
            with stream:
                yield member, cast(BinaryIO, stream)


class Tar:
    """A tar file, plain or packed by gzip, bzip2 or xz, read from front to back, and twice."""

    def __init__(self, path: Path, limits: Limits, where: str) -> None:
        self.path, self.limits, self.where = path, limits, where

    def scan(self, report: Report) -> Iterator[tuple[Member, bytes]]:
        sieve = Sieve(self.where, self.limits, report)
        for place, (tar, info) in enumerate(self._infos()):
            if info.isdir():
                continue
            path = sieve.name(info.name)
            if path is None:
                continue
            if info.issym() or info.islnk():
                report.refused(shown(path), "it is a link; links are not followed")
                continue
            if not info.isreg() or info.issparse():
                report.refused(shown(path), "it is no regular file")
                continue
            member = Member(path, info.size, place)
            sieve.size(member)  # the ratio is bounded for the whole stream
            try:
                file = tar.extractfile(info)
                head = file.read(HEAD_BYTES) if file else b""
            except TAR_DAMAGE as error:
                raise self._damaged(error) from None
            yield member, head
        sieve.done()

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, BinaryIO]]:
        wanted = {member.key: member for member in members}
        for place, (tar, info) in enumerate(self._infos()):
            if place in wanted and (file := tar.extractfile(info)) is not None:
                yield wanted[place], cast(BinaryIO, file)

    def _infos(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        try:
            with (
                _Unpacked(self.path, self.limits, self.where) as stream,
                tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar,
            ):
                while (info := tar.next()) is not None:
                    yield tar, info
                    tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
        except TAR_DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError.of(
            self.where,
            "a tar file must be whole",
            f"it cannot be read to its end ({_reason(error)})",
            "Pack or upload it again.",
        )


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a tar file, bounded in total, in ratio and per read."""

    def __init__(self, path: Path, limits: Limits, where: str) -> None:
        super().__init__()
        self.limits, self.where = limits, where
        self._packed = open(path, "rb")  # noqa: SIM115 - closed by close()
        magic = self._packed.read(3)
        self._packed.seek(0)
        stream: Any = self._packed
        if magic[:2] == b"\x1f\x8b":
            stream = gzip.GzipFile(fileobj=self._packed)
        elif magic == b"BZh":
            stream = bz2.BZ2File(self._packed)
        elif magic == XZ[:3]:
            _modest_xz(self._packed, limits)
            stream = lzma.LZMAFile(self._packed)  # noqa: SIM115
        self._stream = stream
        # Headers and padding add to the files' own bytes.
        self._most = limits.bytes + limits.files * 2048 + (1 << 20)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self.limits.file_bytes:  # a header that claims gigabytes, or a long file
            raise OSError(f"one read of {human(size) if size > 0 else 'everything'} is more than is allowed")
        data = bytes(self._stream.read(size))
        self._check(self._stream.tell())
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        target = offset if whence == 0 else self._stream.tell() + offset
        while self._stream is not self._packed and self._stream.tell() < target:
            # Step by step, so that a bomb is noticed before it has been unpacked.
            if not self._stream.read(min(1 << 20, target - self._stream.tell())):
                break
            self._check(self._stream.tell())
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._packed.close()
        super().close()

    def _check(self, place: int) -> None:
        packed = max(self._packed.tell(), 1)
        bomb = self._stream is not self._packed and place > self.limits.ratio * packed
        if place > self._most or (bomb and place > 64 * self.limits.ratio_from):
            raise DataError.of(
                self.where,
                f"it may unpack to {human(self.limits.bytes)} and {self.limits.ratio} times its size",
                "it unpacks to more, as a bomb does",
                "Pack only the images.",
            )


def open_source(path: Path, limits: Limits, labels: Path | None = None) -> Source:
    """What lies at `path`, by its content and not by its name.

    `labels`: the labels file of a single idx images file, where its name does not tell.
    Raises DataError for what is missing, empty or of no known kind.
    """
    where = shown(path.name or str(path))
    if not path.exists():
        raise DataError.of(where, "the path must exist", f"there is nothing at {path}", "Check its spelling.")
    if path.is_dir():
        return Folder(path, limits)
    if not path.is_file():
        raise DataError.of(where, "a data set is a folder or a file", "it is neither")
    try:
        with open(path, "rb") as file:
            head = file.read(8)
        if not head:
            raise DataError.of(where, "a file must have content", "it is empty", "Upload it again.")
        if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08") or zipfile.is_zipfile(path):
            if is_workbook(path):
                return Folder(path.parent, limits, [path.name])
            return Zip(path, limits, where)
        inner = _first_bytes(path, head)
    except PermissionError:
        raise DataError.of(where, "the file must be readable", "permission is denied") from None
    if is_idx(inner):
        return _idx_files(path, labels, limits, where)
    if is_npy(head):
        return _npy_files(path, labels, limits, where)
    if (
        inner[257:262] == b"ustar"
        or ".tar" in path.name.lower()
        or path.suffix.lower() in (".tgz", ".tbz2", ".txz")
    ):
        return Tar(path, limits, where)
    if inner.startswith(b"PAR1") or not why_no_text(inner):
        return Folder(path.parent, limits, [path.name])
    raise DataError.of(
        where,
        "a data set is a zip, a tar, a folder of class folders, idx or NumPy files, a table or a text",
        f"this file begins with {head[:8]!r}",
        "Pack the class folders into a zip file.",
    )


def is_idx(head: bytes) -> bool:
    """Two zero bytes, a type code, a number of axes from 1 to 4."""
    return len(head) >= 8 and head[:2] == b"\0\0" and head[2] in (8, 9, 11, 12, 13, 14) and 1 <= head[3] <= 4


def _idx_files(path: Path, labels: Path | None, limits: Limits, where: str) -> Source:
    if labels is not None:
        if labels.parent.resolve() != path.parent.resolve():
            raise DataError.of(
                where,
                "images and labels lie in one folder",
                f"the labels are in {labels.parent}",
                "Move them.",
            )
        return Folder(path.parent, limits, [path.name, labels.name])
    low = path.name.lower()
    if "image" not in low:
        raise DataError.of(
            where,
            "an idx file comes with the file of its labels",
            "its name does not tell which that is",
            "Name both files, or put both in one folder or zip.",
        )
    stem = _labels_name(low)
    fits = [p.name for p in path.parent.iterdir() if p.is_file() and _bare(p.name.lower()) == _bare(stem)]
    if not fits:
        raise DataError.of(
            where,
            "an idx file of images comes with the file of its labels",
            f"there is no `{stem}` beside it",
            "Put both in one folder or zip.",
        )
    return Folder(path.parent, limits, [path.name, min(fits, key=len)])


def _npy_files(path: Path, labels: Path | None, limits: Limits, where: str) -> Source:
    """The file and what lies beside it of the same split."""
    _, split = role_of(path.name)
    beside = [p.name for p in path.parent.glob("*.npy") if p != path and p.is_file()]
    names = (
        [labels.name]
        if labels
        else [n for n in beside if role_of(n) in (("labels", split), ("names", split))]
    )
    if not names:
        raise DataError.of(
            where,
            "an .npy file of images comes with the file of its labels",
            "there is none beside it that its name would tell",
            "Name them alike, `X.npy` and `Y.npy`, or put both in one folder or zip.",
        )
    return Folder((labels or path).parent, limits, [path.name, *names])


def _labels_name(images_name: str) -> str:
    return images_name.replace("images", "labels").replace("image", "label").replace("idx3", "idx1")


def _bare(name: str) -> str:
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _first_bytes(path: Path, head: bytes) -> bytes:
    """The first 512 bytes, unpacked where the file is gzip or bzip2."""
    try:
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as unpacked:
                return unpacked.read(512)
        if head[:3] == b"BZh":
            with bz2.open(path) as unpacked:
                return unpacked.read(512)
        if head[:6] == XZ:
            with lzma.open(path) as unpacked:
                return unpacked.read(512)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, MemoryError):
        return b""
    with open(path, "rb") as file:
        return file.read(512)


def _modest_xz(packed: BinaryIO, limits: Limits) -> None:
    """Raises LZMAError where the file asks for more memory to be unpacked in than is allowed."""
    try:
        lzma.LZMADecompressor(memlimit=limits.memory).decompress(packed.read(1 << 16), 1)
    finally:
        packed.seek(0)


def _bounded_directory(path: Path, limits: Limits, where: str) -> None:
    """Refuse a zip whose directory alone would fill the memory, before zipfile reads it."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - 65_557))  # the longest comment, and the record itself
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            return  # zipfile says what is wrong
        entries, directory = struct.unpack("<HI", tail[at + 10 : at + 16])
        locator = tail[at - 20 : at] if at >= 20 else b""
        if locator[:4] == b"PK\x06\x07":  # zip64: the true numbers stand elsewhere
            file.seek(min(struct.unpack("<Q", locator[8:16])[0], size))
            record = file.read(56)
            if record[:4] == b"PK\x06\x06" and len(record) == 56:
                entries, directory = struct.unpack("<QQ", record[32:48])
    if entries > 2 * limits.files or directory > limits.files * 256 + (1 << 20):  # folders are entries too
        raise DataError.of(
            where,
            f"at most {limits.files:,} files may come at once",
            "its directory lists far more",
            "Split it, or raise the limit.",
        )


def _unicode_name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: UTF-8 without the flag that says so is common, and zipfile reads cp437."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _reason(error: BaseException) -> str:
    return shown(str(error) or type(error).__name__)

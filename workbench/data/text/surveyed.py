"""A first pass over the files of a source: how each is to be read, and some of its lines from both ends."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple, cast

from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.sources import Source, read_all
from workbench.data.text.opened import Survey, chunks, lines, opened, packed, survey
from workbench.data.text.records import LOOKED_AT, SAMPLE_ROWS
from workbench.data.text.sniffed import Sniffed
from workbench.data.text.structured import json_objects
from workbench.specs.errors import DataError, WorkbenchError

DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)
HEAD, TAIL = 1 << 19, 1 << 18  # bytes that are kept of both ends, for a look at a table
Tick = Callable[[int], None]  # told how many bytes were read


class Surveyed(NamedTuple):
    """A file that can be read to its end, how, and lines of its beginning and its end."""

    file: Sniffed
    found: Survey
    first: list[str]
    last: list[str]


def surveyed(
    source: Source, files: Sequence[Sniffed], limits: Limits, report: Report, tick: Tick,
    encoding: str | None = None, samples: bool = False,
) -> dict[str, Surveyed]:  # fmt: skip
    """By path, the files that can be read; damaged ones are reported. samples: whether lines are kept.

    Raises DataError where the source as a whole cannot be read.
    """
    by_path = {file.member.path: file for file in files}
    out = {}
    for member, stream in source.read([file.member for file in files]):
        file = by_path[member.path]
        ends = _Ends(opened(cast(BinaryIO, Ticking(stream, tick)), file.head, limits), samples)
        try:
            found = survey(cast(BinaryIO, ends), encoding)
        except WorkbenchError:
            raise
        except DAMAGE as error:
            reason = shown(str(error) or type(error).__name__)
            report.refused(shown(member.path), f"it cannot be read to its end: {reason}")
            continue
        if not found.lines:
            report.refused(shown(member.path), "it is empty")
            continue
        first, last = ends.lines(found) if samples else ([], [])
        out[member.path] = Surveyed(file, found, first, last)
    return out


@contextmanager
def spooled(source: Source, file: Sniffed, limits: Limits, tick: Tick) -> Iterator[BinaryIO]:
    """A file's unpacked bytes where they can be read back and forth: itself, or a copy without a name.

    Raises DataError where it is damaged.
    """
    with TemporaryFile(prefix="workbench-") as copy:
        try:
            for _, stream in source.read([file.member]):
                plain = opened(cast(BinaryIO, Ticking(stream, tick)), file.head, limits)
                while piece := plain.read(1 << 20):
                    copy.write(piece)
        except WorkbenchError:
            raise
        except DAMAGE as error:
            raise damaged(file, error) from None
        copy.seek(0)
        yield cast(BinaryIO, copy)


def objects_of(
    source: Source, file: Sniffed, limits: Limits, encoding: str | None = None
) -> list[dict[str, str]]:
    """The objects of a JSON file, which is read whole. Raises DataError where it is damaged."""
    for _, stream in source.read([file.member]):
        try:
            blob = read_all(opened(stream, file.head, limits), limits.file_bytes)
            found = survey(cast(BinaryIO, io.BytesIO(blob)), encoding)
            return json_objects("".join(chunks(cast(BinaryIO, io.BytesIO(blob)), found)))
        except WorkbenchError:
            raise
        except DAMAGE as error:
            raise damaged(file, error) from None
    return []


def damaged(file: Sniffed, error: BaseException) -> DataError:
    """What a file that ends too early, or is not what it claims, is told as."""
    fact = shown(str(error).split("\n", 1)[0] or type(error).__name__)
    return DataError.of(
        shown(file.member.path), "a file must be readable to its end", fact, "Save or upload it again."
    )


def text_lines(stream: BinaryIO, one: Surveyed, limits: Limits) -> Iterator[str]:
    """The lines of a surveyed file. stream: as the source gives it.

    They may be longer than a text, so that cutting a text is noticed and told.
    """
    return lines(opened(stream, one.file.head, limits), one.found, 4 * limits.characters)


class Ticking(io.RawIOBase):
    """A stream that tells how many bytes are read from it."""

    def __init__(self, stream: BinaryIO, tick: Tick) -> None:
        super().__init__()
        self._stream, self._tick = stream, tick

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._tick(len(data))
        return data

    def readable(self) -> bool:
        return True


class _Ends(io.RawIOBase):
    """A stream of which the first and the last bytes are kept."""

    def __init__(self, stream: BinaryIO, keep: bool) -> None:
        super().__init__()
        self._stream, self._keep = stream, keep
        self._first, self._last, self._n = b"", b"", 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        if self._keep and data:
            if len(self._first) < HEAD:
                self._first += data[: HEAD - len(self._first)]
            self._last = data[-TAIL:] if len(data) >= TAIL else (self._last + data)[-TAIL:]
            self._n += len(data)
        return data

    def readable(self) -> bool:
        return True

    def lines(self, found: Survey) -> tuple[list[str], list[str]]:
        whole = self._n <= HEAD
        first = list(islice(lines(cast(BinaryIO, io.BytesIO(self._first)), found, TAIL), SAMPLE_ROWS))
        if not whole and len(first) < SAMPLE_ROWS:
            first = first[:-1]  # it may be torn
        if len(first) >= SAMPLE_ROWS or not whole:
            start = (
                self._last if not found.encoding.startswith("utf-16") else self._last[len(self._last) % 2 :]
            )
            last = list(lines(cast(BinaryIO, io.BytesIO(start)), found, TAIL))[1:][-LOOKED_AT:]
            return first[:LOOKED_AT], last
        return first, []


def is_packed(file: Sniffed) -> bool:
    """Whether its bytes must be unpacked, so that its size says little."""
    return bool(packed(file.head))

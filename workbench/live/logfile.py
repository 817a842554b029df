"""A run's log, a window at a time: the tail, a page around a place, and the lines that hold a word.

Places are byte offsets, so that a log of any length costs what is shown of it. A search walks
backwards from the end in blocks and stops once it has enough lines: common words are found at once,
and a word that is nowhere costs one pass over the file (100 MB: a quarter of a second).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CHUNK = 64 * 1024  # bytes sent at once
BLOCK = 4 * 2**20  # bytes searched at once
MATCHES = 200  # lines of one answer
LINE_CHARACTERS = 240  # of a found line
MAX_WORD = 200
# A line that holds one of these is about something that went wrong.
ERRORS = ("traceback (most recent call last)", "error", "exception", "critical", "fatal")


class LogFile:
    """Reads of one log file. A file that is not there reads as empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._counted = (0, 0)  # up to this byte there are so many line ends

    def read(self, start: int | None = None, end: int | None = None) -> dict[str, Any]:
        """Text as {text, offset, end, more}; offsets are bytes, `more` says that earlier text exists.

        start: read on from there; None: the last CHUNK bytes before `end` (None: of the file).
        """
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                stop = size if end is None else max(0, min(end, size))
                tail = start is None or start > size  # a shorter file than before was begun anew
                begin = max(0, stop - CHUNK) if tail or start is None else start
                file.seek(begin)
                blob = file.read(min(stop - begin, 4 * CHUNK))
        except OSError:
            return {"text": "", "offset": 0, "end": 0, "more": False}
        if tail and begin:  # begin at a whole line
            cut = blob.find(b"\n") + 1
            begin, blob = begin + cut, blob[cut:]
        elif not tail:  # end at a whole character: the rest comes with the next read
            blob = _whole_characters(blob)
        return _page(blob, begin)

    def page(self, at: int) -> dict[str, Any]:
        """The text around byte `at` in whole lines: {text, offset, end, more, after, line}.

        line: the number of the first line, from 1; after: whether later text exists.
        """
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                at = max(0, min(at, size))
                begin = max(0, at - CHUNK // 2)
                file.seek(begin)
                blob = file.read(CHUNK)
        except OSError:
            return {"text": "", "offset": 0, "end": 0, "more": False, "after": False, "line": 1}
        if begin:
            cut = blob.find(b"\n", 0, at - begin) + 1
            begin, blob = begin + cut, blob[cut:]
        stop = begin + len(blob)
        if stop < size:
            whole = blob.rfind(b"\n", at - begin) + 1
            blob = blob[: whole or len(blob)]
            stop = begin + len(blob)
        return {**_page(blob, begin), "after": stop < size, "line": self._lines_before(begin) + 1}

    def find(self, word: str, before: int | None = None) -> dict[str, Any]:
        """The newest lines that hold `word`, whatever its case; "" finds lines that tell of errors.

        {lines: [[number from 1, offset, text]], in the file's order, more}. more: earlier ones may
        exist; ask again with `before` = the first offset. Letters beyond ASCII match as they are.
        """
        needles = [text.encode() for text in ([_ascii_lower(word)] if word else ERRORS)]
        found: list[list[Any]] = []
        more = False
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                for offset, text in _backwards(file, min(size, size if before is None else before), needles):
                    if len(found) == MATCHES:
                        more = True
                        break
                    found.append([0, offset, text])
        except OSError:
            return {"lines": [], "more": False}
        found.reverse()
        for line in found:
            line[0] = self._lines_before(line[1]) + 1
        return {"lines": found, "more": more}

    def _lines_before(self, at: int) -> int:
        """Line ends before byte `at`. What was counted once is not counted again."""
        upto, lines = self._counted
        if at < upto:
            return self._count(0, at) if at < upto // 2 else lines - self._count(at, upto)
        lines += self._count(upto, at)
        self._counted = (at, lines)
        return lines

    def _count(self, start: int, end: int) -> int:
        lines = 0
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end and (blob := file.read(min(BLOCK, end - start))):
                lines += blob.count(b"\n")
                start += len(blob)
        return lines


def _backwards(file: Any, stop: int, needles: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    """(offset, text) of the lines before byte `stop` that hold a needle, the last first."""
    while stop > 0:
        begin = max(0, stop - BLOCK)
        file.seek(begin)
        blob = file.read(stop - begin)
        if begin:  # a line that began before this block belongs to the next one
            cut = blob.find(b"\n", 0, len(blob) - 1) + 1  # a line as long as the block is taken in pieces
            begin, blob = begin + cut, blob[cut:]
        low = blob.lower()
        places = {needle: low.rfind(needle) for needle in needles}
        while (last := max(places.values())) >= 0:
            first = blob.rfind(b"\n", 0, last) + 1
            end = blob.find(b"\n", last)
            line = blob[first : end if end >= 0 else len(blob)]
            yield begin + first, line[: 4 * LINE_CHARACTERS].decode("utf-8", "replace")[:LINE_CHARACTERS]
            for needle, place in places.items():
                if place >= first:
                    places[needle] = low.rfind(needle, 0, first)
        stop = begin


def _ascii_lower(word: str) -> str:
    """As `bytes.lower` does it, which leaves all but ASCII alone."""
    return word.encode().lower().decode()


def _page(blob: bytes, begin: int) -> dict[str, Any]:
    return {
        "text": blob.decode("utf-8", "replace"),
        "offset": begin,
        "end": begin + len(blob),
        "more": begin > 0,
    }


def _whole_characters(blob: bytes) -> bytes:
    for cut in range(min(4, len(blob))):
        if blob[len(blob) - cut - 1] & 0xC0 != 0x80:  # the last byte that begins a character
            lead = blob[len(blob) - cut - 1]
            need = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return blob if need <= cut + 1 else blob[: len(blob) - cut - 1]
    return blob

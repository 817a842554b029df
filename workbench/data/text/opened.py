"""Files of text as lines of characters: unpacked, in whatever encoding, however their lines end.

`survey` reads a file once to its end and tells how to read it; `chunks` and `lines` then read it so. Lines
end at line feeds, or at carriage returns where there are no line feeds; nowhere else: other signs that
Unicode calls line ends, such as U+0085, occur inside of sentences.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from workbench.data.limits import Limits, human

PIECE = 1 << 20  # bytes read at once
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
_NO_TEXT = (
    (b"%PDF", "it is a PDF; save it as text"), (b"{\\rtf", "it is RTF; save it as text"),
    (b"PK\x03\x04", "it is a zip or Office file; add what is in it"),
    (b"\xd0\xcf\x11\xe0", "it is an Office file; save it as CSV or text"),
    (b"SQLite format 3\0", "it is a database; export its table as CSV"), (b"\x7fELF", "it is a program"),
    (b"ARROW1", "it is an Arrow file; save it as Parquet"), (b"Rar!", "it is a rar archive; pack it as zip"),
    (b"7z\xbc\xaf", "it is a 7z archive; pack it as zip"), (b"%!PS", "it is PostScript; save it as text"),
)  # fmt: skip
_CONTROL = bytes(c for c in range(32) if c not in b"\0\t\n\v\f\r\x1a\x1b\x08")
_MULTI = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


class Survey(NamedTuple):
    """What a file is, once read to its end. characters: after decoding; lines: those that hold anything up to
    the last that does; bad: bytes that are no character of the encoding."""

    encoding: str
    newline: str
    lines: int
    characters: int
    nuls: int
    bad: int

    @property
    def repairs(self) -> str:
        """What reading it had to mend, or ""."""
        told = []
        if self.encoding not in ("utf-8", "utf-8-sig"):
            told.append(
                f"read as {self.encoding}, for it is no UTF-8; name another (encoding, --encoding) where "
                "letters look wrong"
            )
        if self.bad:
            told.append(f"{self.bad:,} bytes that are no {self.encoding} became �")
        if self.nuls:
            told.append(f"{self.nuls:,} zero bytes left out")
        return "; ".join(told)


def packed(head: bytes) -> str:
    """`gzip`, `bzip2` or `xz` by the first bytes, else ""."""
    return next((name for magic, name in _PACKED.items() if head.startswith(magic)), "")


def unpacked_head(head: bytes, most: int = 1 << 16) -> bytes:
    """The first bytes of what is packed in a file that begins with `head`; b"" where they are damaged."""
    kind = packed(head)
    unpack: Any
    if kind == "gzip":
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif kind == "bzip2":
        unpack = bz2.BZ2Decompressor()
    elif kind == "xz":
        unpack = lzma.LZMADecompressor(memlimit=128 << 20)
    else:
        return head
    try:
        return bytes(unpack.decompress(head, most))
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        return b""


def why_no_text(head: bytes) -> str:
    """Why a file that begins with `head` is no text, or ""."""
    if not head:
        return "it is empty"
    for magic, reason in _NO_TEXT:
        if head.startswith(magic):
            return reason
    if any(head.startswith(bom) for bom, _ in _BOMS[:4]) or _wide(head):
        return ""
    strange = sum(head.count(c) for c in _CONTROL)
    if strange > 0.005 * len(head) or head.count(0) > 0.3 * len(head):
        return "it is no text"
    return ""


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a stream, bounded in total and in ratio. Raises OSError beyond."""

    def __init__(self, stream: BinaryIO, limits: Limits, kind: str) -> None:
        super().__init__()
        self._counted = _Counted(stream)
        self._limits, self._n = limits, 0
        raw = cast(Any, self._counted)
        if kind == "gzip":
            self._stream: Any = gzip.GzipFile(fileobj=raw)
        elif kind == "bzip2":
            self._stream = bz2.BZ2File(raw)
        else:
            self._stream = lzma.LZMAFile(raw)  # noqa: SIM115 - it holds no file of its own

    def read(self, size: int = -1, /) -> bytes:
        data = bytes(self._stream.read(PIECE if size is None or size < 0 else size))
        self._n += len(data)
        limits = self._limits
        if self._n > limits.bytes:
            raise OSError(f"it unpacks to more than {human(limits.bytes)}")
        if self._n > 64 * limits.ratio_from and self._n > limits.ratio * max(1, self._counted.n):
            raise OSError(f"it unpacks to more than {limits.ratio} times its size, as a bomb does")
        return data

    def readable(self) -> bool:
        return True


class _Counted(io.RawIOBase):
    """A stream that knows how much of it was read."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream, self.n = stream, 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.n += len(data)
        return data

    def readable(self) -> bool:
        return True


def opened(stream: BinaryIO, head: bytes, limits: Limits) -> BinaryIO:
    """The stream, unpacked where its first bytes say that it is packed."""
    kind = packed(head)
    return cast(BinaryIO, Unpacked(stream, limits, kind)) if kind else stream


def survey(stream: BinaryIO, encoding: str | None = None) -> Survey:
    """Read a text to its end. encoding: as a person says; found out where None.

    UTF-8 where it is; with a few bad bytes among many good characters still; by its mark where it has one;
    else cp1252, in which every byte is a letter. Raises OSError where it cannot be read.
    """
    head = stream.read(PIECE)
    found = encoding or _by_mark(head)
    checked = found is None
    whole = codecs.getincrementaldecoder("utf-8")("strict")
    good = bad = 0
    if found is None or found == "utf-8-sig":
        found, checked = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8", True
    counts = _Counts(found, stream_is_bytes=found.startswith("utf-8"))
    piece = head
    while piece:
        if checked and not bad:
            try:
                whole.decode(piece)
            except UnicodeDecodeError:
                bad = 1
        good += len(_MULTI.findall(piece)) if checked and not piece.isascii() else 0
        counts.add(piece)
        piece = stream.read(PIECE)
    if checked and not bad:
        try:
            whole.decode(b"", True)
        except UnicodeDecodeError:
            bad = 1
    broken = counts.finish()
    if checked and (bad or broken) and broken * 20 > good:
        return counts.told("cp1252")._replace(bad=0)
    return counts.told(found)._replace(bad=broken)


class _Counts:
    """Line ends, zero bytes and characters, over the pieces of a file."""

    def __init__(self, encoding: str, stream_is_bytes: bool) -> None:
        self._encoding = encoding
        self._decode = codecs.getincrementaldecoder(encoding)("replace")
        self._plain = stream_is_bytes
        self.feeds = self.returns = self.nuls = self.characters = self.bad = 0
        self._pending = 0  # empty lines since the last that holds anything
        self._open = False  # whether the line being read holds anything
        self.lines = 0

    def add(self, piece: bytes, final: bool = False) -> None:
        text = self._decode.decode(piece, final)
        self.characters += len(text)
        self.bad += text.count("�") - (piece.count("�".encode()) if self._plain else 0)
        self.nuls += text.count("\0")
        feeds = text.count("\n")
        self.feeds += feeds
        self.returns += text.count("\r")
        parts = text.split("\n") if self.feeds or "\r" not in text else text.split("\r")
        for k, part in enumerate(parts):
            self._open = self._open or not (part.isspace() or not part)
            if k < len(parts) - 1:
                self._end()

    def _end(self) -> None:
        self._pending += 1
        if self._open:
            self.lines += self._pending
            self._pending = 0
        self._open = False

    def finish(self) -> int:
        self.add(b"", final=True)
        if self._open:
            self._end()
        return max(0, self.bad)

    def told(self, encoding: str) -> Survey:
        newline = "\r" if self.returns and not self.feeds else "\n"
        return Survey(encoding, newline, self.lines, self.characters, self.nuls, max(0, self.bad))


def chunks(stream: BinaryIO, found: Survey) -> Iterator[str]:
    """The characters of a surveyed file in pieces, line ends made `\\n`, zero bytes left out."""
    decode = codecs.getincrementaldecoder(found.encoding)(
        _HANDLER if found.encoding == "cp1252" else "replace"
    )
    held = ""  # a carriage return at the end of a piece, until it is known what follows
    first = True
    while True:
        data = stream.read(PIECE)
        text = held + decode.decode(data, not data)
        held = ""
        if first and text.startswith("\ufeff"):
            text = text[1:]
        first = first and not text
        if text.endswith("\r") and data:
            text, held = text[:-1], "\r"
        if "\0" in text:
            text = text.replace("\0", "")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
            if found.newline == "\r":
                text = text.replace("\r", "\n")
        if text:
            yield text
        if not data:
            return


def lines(stream: BinaryIO, found: Survey, longest: int) -> Iterator[str]:
    """The lines of a surveyed file without their ends; of a longer one its first `longest` characters and
    U+2026, so that a reader can tell."""
    rest: list[str] = []
    held, cut = 0, False
    for chunk in chunks(stream, found):
        parts = chunk.split("\n")
        for k, part in enumerate(parts):
            if held + len(part) > longest and not cut:
                rest.append(part[: longest - held] + "…")
                cut = True
            elif not cut:
                rest.append(part)
            held += len(part)
            if k < len(parts) - 1:
                yield "".join(rest) if len(rest) != 1 else rest[0]
                rest, held, cut = [], 0, False
    if held:
        yield "".join(rest)


def _wide(head: bytes) -> str:
    """UTF-16 without its mark: every other byte of a Latin text is zero."""
    if len(head) < 8 or b"\0" not in head:
        return ""
    even, odd = head[0::2], head[1::2]
    for one, other, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if one.count(0) > 0.4 * len(one) and other.count(0) < 0.05 * len(other):
            return name
    return ""


def _by_mark(head: bytes) -> str | None:
    return next((name for bom, name in _BOMS if head.startswith(bom)), None) or _wide(head) or None


def _as_latin(error: UnicodeError) -> tuple[str, int]:
    """cp1252 leaves five bytes without a letter; they are read as Latin-1 does."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


_HANDLER = "workbench-latin"
codecs.register_error(_HANDLER, _as_latin)

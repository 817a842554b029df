"""Rows of texts from the files of a source, whatever form they have; what cannot be a row is reported."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, cast

from workbench.data.limits import Limits
from workbench.data.report import Report, shown
from workbench.data.sources import Source, read_all
from workbench.data.splits import TRAIN
from workbench.data.text.arranged import Arranged
from workbench.data.text.opened import chunks, opened, survey
from workbench.data.text.sniffed import Sniffed
from workbench.data.text.surveyed import DAMAGE, Surveyed, Tick, Ticking, spooled, surveyed, text_lines
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError, WorkbenchError


class Row(NamedTuple):
    """A text as it was read, and where: file and line from 1, 0 for a whole file."""

    file: str
    line: int
    text: str
    label: str = ""
    target: str | None = None
    split: int = TRAIN
    group: str = ""

    @property
    def place(self) -> str:
        """`data.csv, line 7`."""
        return f"{shown(self.file)}, line {self.line}" if self.line else shown(self.file)


@dataclass
class Reading:
    """What reads the files: the source, how far it may go, and who is told."""

    source: Source
    asked: TextImport
    limits: Limits
    report: Report
    tick: Tick
    _seen: dict[tuple[str, ...], dict[str, Surveyed]] = field(default_factory=dict)

    def told(self, path: str, one: Surveyed) -> None:
        if one.found.repairs:
            self.report.repaired(path, one.found.repairs)

    def folders(self, found: Arranged) -> Iterator[Row]:
        """A text per file, its class the folder."""
        by_path = {part.file.member.path: part for part in found.parts}
        for member, stream in self.source.read([part.file.member for part in found.parts]):
            part = by_path[member.path]
            self.tick(member.size)
            try:
                blob = read_all(opened(stream, part.file.head, self.limits), self.limits.file_bytes)
                one = survey(cast(BinaryIO, io.BytesIO(blob)), self.asked.encoding)
                text = "".join(chunks(cast(BinaryIO, io.BytesIO(blob)), one))
            except WorkbenchError:
                raise
            except DAMAGE as error:
                self.report.refused(shown(member.path), f"it cannot be read: {shown(str(error))}")
                continue
            if one.repairs:
                self.report.repaired(shown(member.path), one.repairs)
            yield Row(member.path, 0, text.strip(), found.names[part.label], None, part.split)

    def classes(self, found: Arranged) -> Iterator[Row]:
        """A text per line, its class the file."""
        seen = self._surveyed([part.file for part in found.parts])
        for part in found.parts:
            if (one := seen.get(part.file.member.path)) is not None:
                for n, line in self._lines(one):
                    if line.strip():
                        yield Row(
                            part.file.member.path, n, line.strip(), found.names[part.label], None, part.split
                        )

    def pairs(self, found: Arranged) -> Iterator[Row]:
        """A line beside the line of the same number. Raises DataError where they differ in number."""
        both = [file for part in found.parts for file in (part.file, part.other) if file is not None]
        seen = self._surveyed(both)
        for part in found.parts:
            assert part.other is not None
            one, other = (seen.get(file.member.path) for file in (part.file, part.other))
            if one is None or other is None:
                self.report.refused(shown(part.file.member.path), "its other side cannot be read")
                continue
            if one.found.lines != other.found.lines:
                names = " and ".join(f"`{shown(s.file.name, 60)}`" for s in (one, other))
                raise DataError.of(
                    names, "aligned files have a line for each line of the other",
                    f"they have {one.found.lines:,} and {other.found.lines:,}", "Find the missing lines.",
                )  # fmt: skip
            with spooled(self.source, part.other, self.limits, self.tick) as copy:
                right = iter(
                    text_lines(copy, other._replace(file=other.file._replace(head=b"")), self.limits)
                )
                for n, line in self._lines(one):
                    text, target = line.strip(), next(right, "").strip()
                    if text or target:
                        yield Row(part.file.member.path, n, text, "", target, part.split)

    def passages(self, found: Arranged, size: int) -> Iterator[Row]:
        """Plain files one after the other, in pieces of about `size` characters that end where lines do."""
        seen = self._surveyed([part.file for part in found.parts])
        for part in found.parts:
            one = seen.get(part.file.member.path)
            if one is None:
                continue
            self.told(shown(part.file.member.path), one)
            for _, stream in self.source.read([part.file.member]):
                plain = opened(cast(BinaryIO, Ticking(stream, self.tick)), part.file.head, self.limits)
                for piece in cut(chunks(plain, one.found), size):
                    yield Row(part.file.member.path, 0, piece.replace("\r", "\n"), "", None, part.split)

    def characters(self, found: Arranged) -> int:
        """Characters of plain files together, for the size of the pieces they are cut into."""
        return sum(one.found.characters for one in self._surveyed([p.file for p in found.parts]).values())

    def _surveyed(self, files: Sequence[Sniffed]) -> dict[str, Surveyed]:
        key = tuple(file.member.path for file in files)
        if key not in self._seen:
            self._seen[key] = surveyed(
                self.source, files, self.limits, self.report, self.tick, self.asked.encoding
            )
        return self._seen[key]

    def _lines(self, one: Surveyed) -> Iterator[tuple[int, str]]:
        self.told(shown(one.file.member.path), one)
        for _, stream in self.source.read([one.file.member]):
            lines = text_lines(cast(BinaryIO, Ticking(stream, self.tick)), one, self.limits)
            for n, line in enumerate(lines, 1):
                if n > one.found.lines:
                    return
                yield n, line


def cut(texts: Iterator[str], size: int) -> Iterator[str]:
    """A stream of characters in pieces of at most `size` that end behind a line, or else a word.

    Check: together the pieces are the stream.
    """
    held = ""
    for text in texts:
        held += text
        at = 0
        while len(held) - at > size:
            stop = held.rfind("\n", at, at + size) + 1 or held.rfind(" ", at, at + size) + 1
            stop = stop if stop > at else at + size
            yield held[at:stop]
            at = stop
        held = held[at:]
    if held:
        yield held if held.endswith("\n") else held + "\n"

"""Workbooks (XLSX): one sheet of them as records of text, read row by row. No formula is worked out."""

from __future__ import annotations

import datetime
import itertools
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from workbench.data.limits import Limits, human
from workbench.data.text.records import Record
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError

_FIRST = 500  # rows by which the width and the header are told


def is_workbook(path: Path) -> bool:
    """Whether a zip file is a workbook of sheets, by what is in it."""
    try:
        with zipfile.ZipFile(path) as file:
            return "xl/workbook.xml" in file.NameToInfo
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


class Sheet:
    """One sheet of a workbook. others: the names of those that are not read.

    Raises DataError where it is too large or has no such sheet, and what openpyxl raises where it is damaged.
    """

    def __init__(self, file: BinaryIO, limits: Limits, wanted: str | None, where: str) -> None:
        import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - half a second that workbooks need

        with zipfile.ZipFile(file) as packed:
            sizes = {info.filename: info.file_size for info in packed.infolist()}
        size = sum(sizes.values())
        words = sizes.get("xl/sharedStrings.xml", 0)
        if size > limits.bytes or words > limits.memory:  # the words of a workbook are held in memory
            raise DataError.of(
                where, f"a workbook may unpack to {human(limits.bytes)} with {human(limits.memory)} of words",
                f"it holds {human(size)} with {human(words)}", "Save the sheet as CSV.",
            )  # fmt: skip
        file.seek(0)
        self._book: Any = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = {sheet.title: sheet for sheet in self._book.worksheets}
        if wanted is not None and wanted not in sheets:
            raise DataError.of(
                where, "`sheet` names a sheet of the workbook", f"`{wanted[:40]}` is none",
                did_you_mean(wanted, sheets),
            )  # fmt: skip
        self.name, self._first = self._chosen(sheets, wanted)
        self._sheet = sheets[self.name]
        self.others = [name for name in sheets if name != self.name]
        filled = [[bool(cell) for cell in cells] for _, cells in self._first]
        self._width = max(
            (max((i + 1 for i, f in enumerate(row) if f), default=0) for row in filled), default=0
        )
        if not self._width:
            raise DataError.of(where, "a table has rows", "its sheet is empty", "Check the file.")
        self._skip = 0

    def header(self, decide: Callable[[Sequence[Sequence[str]]], bool]) -> list[str]:
        """Names of the columns, of the first row that fills half of them; its number where there is none.

        decide: whether the first of some rows is a header.
        """
        rows = [(line, self._fitted(cells)) for line, cells in self._first]
        start = next(k for k, (_, cells) in enumerate(rows) if 2 * sum(map(bool, cells)) >= self._width)
        has_names = decide([cells for _, cells in rows[start:]])
        self._skip = rows[start][0] if has_names else rows[start][0] - 1
        head = rows[start][1] if has_names else [""] * self._width
        return [name or f"column {c + 1}" for c, name in enumerate(head)]

    def records(self) -> Iterator[Record]:
        """The rows below the header, empty ones left out."""
        for line, cells in self._rows(self._sheet):
            if line > self._skip:
                yield Record(line, self._fitted(cells))

    def sample(self, n: int) -> list[Record]:
        """The first `n` of them."""
        return list(itertools.islice(self.records(), n))

    def close(self) -> None:
        self._book.close()

    def _chosen(self, sheets: dict[str, Any], wanted: str | None) -> tuple[str, list[tuple[int, list[str]]]]:
        names = [wanted] if wanted is not None else list(sheets)
        for name in names:
            first = list(itertools.islice(self._rows(sheets[name]), _FIRST))
            if len(first) > 1 or name == names[-1]:
                return name, first
        raise AssertionError("a workbook has a sheet")

    def _rows(self, sheet: Any) -> Iterator[tuple[int, list[str]]]:
        sheet.reset_dimensions()  # what a file says of its size may be wrong
        for line, row in enumerate(sheet.iter_rows(values_only=True), 1):
            cells = [_cell(value) for value in row]
            if any(cells):
                yield line, cells

    def _fitted(self, cells: list[str]) -> list[str]:
        while len(cells) > self._width and not cells[-1]:
            cells = cells[:-1]
        return cells + [""] * (self._width - len(cells))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        plain = value.replace(tzinfo=None)
        midnight = plain.time() == datetime.time(0)
        return plain.date().isoformat() if midnight else plain.isoformat(" ")
    return str(value).strip()

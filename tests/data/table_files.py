"""Tables as files, and what reading them gives."""

from __future__ import annotations

import io
from pathlib import Path

import openpyxl
import pandas as pd

from workbench.data.report import Report
from workbench.data.table.reading import ReadColumn, open_path
from workbench.specs.tables import TableReading


def read(
    tmp_path: Path, content: bytes | str, name: str = "t.csv", **asked: object
) -> tuple[pd.DataFrame, dict[str, ReadColumn], str]:
    """The frame, its columns by name, and the report as one text."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    report = Report()
    with open_path(path, TableReading(**asked), report=report) as table:
        frame = table.frame()
        columns = {column.name: column for column in table.columns}
    return frame, columns, "\n".join(f"{r['file']}: {r['action']}: {r['reason']}" for r in report.rows())


def rows(n: int, *cells: str, mark: str = ",") -> str:
    return "".join(mark.join(cell.format(i=i) for cell in cells) + "\n" for i in range(n))


def workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        for row in table:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()

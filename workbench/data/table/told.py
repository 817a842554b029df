"""Whether files that could be texts are rather a table: by the first rows of the largest."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO, cast

from workbench.data.limits import Limits
from workbench.data.pictures import SUFFIXES
from workbench.data.report import Report
from workbench.data.sources import Source
from workbench.data.table.numbers import MISSING, parts
from workbench.data.table.raw import Raw, cells_of
from workbench.data.text.opened import lines as lines_of
from workbench.data.text.opened import opened, survey
from workbench.data.text.sniffed import Sniffed, is_beside
from workbench.data.text.structured import Parquet, as_record, json_lines, names_of
from workbench.data.text.surveyed import DAMAGE, spooled
from workbench.specs.errors import WorkbenchError
from workbench.specs.tables import TableReading

HEAD = 1 << 17  # bytes that are looked at
WIDEST = 1 << 23  # where lines are long
FEW_LINES = 4
ROWS = 300
LONG = 12  # words of a cell from which a column is one of texts, whatever is beside it
SOME = 2.5
MANY = 25  # different cells of several words: more than a set of categories has


def looks_like_a_table(source: Source, files: Sequence[Sniffed], limits: Limits) -> bool:
    """Whether its columns are numbers, words and dates rather than texts to be read."""
    data = [file for file in files if not is_beside(file)] or list(files)
    tables = [file for file in data if file.is_table] or data
    if not tables or len(data) > 20 * len(tables):
        return False
    file = max(tables, key=lambda one: one.member.size)
    try:
        rows = _rows(source, file, limits)
    except (WorkbenchError, *DAMAGE, TypeError, KeyError):
        return False
    return _is_table(rows, file.kind == "lines")


def _is_table(rows: Sequence[Sequence[str]], is_plain: bool) -> bool:
    width = len(rows[0]) if rows else 0
    body = rows[1:] if len(rows) > 1 else rows
    if width < 2 or len(body) < 2:
        return False
    numbers = texts = 0
    longest = 0.0
    for c in range(width):
        cells = [row[c].strip() for row in body]
        cells = [cell for cell in cells if cell not in MISSING]
        if not cells:
            continue
        if all(cell.lower().endswith(tuple(SUFFIXES)) for cell in cells):
            return False  # it names images, and tells of them
        plain = sum(parts(cell) is not None or _is_moment(cell) for cell in cells)
        if plain >= 0.9 * len(cells):
            numbers += 1
            continue
        words = sum(len(cell.split()) for cell in cells) / len(cells)
        if words >= SOME and len(set(cells)) > min(0.5 * len(cells), MANY):
            texts += 1
            longest = max(longest, words)
    if is_plain and (numbers < 2 or numbers < 0.4 * width):
        return False
    if longest >= LONG:
        return False
    if texts:
        return numbers >= 3 and texts <= width / 3
    return numbers >= 1 or width >= 3


def _is_moment(cell: str) -> bool:
    return len(cell) >= 6 and cell[:1].isdigit() and all(c in "0123456789-/.: TZ+" for c in cell)


def _rows(source: Source, file: Sniffed, limits: Limits) -> list[list[str]]:
    """Some of the first rows, a header among them."""
    if file.kind == "parquet":
        with spooled(source, file, limits, lambda n: None) as copy:
            trees = Parquet(copy).sample()[:ROWS]
        names = names_of(trees)
        return [names, *(as_record(0, tree, names).cells for tree in trees)]
    if file.kind in ("xlsx", "json"):
        piece = next(Raw(source, [file], TableReading(), limits, Report(0)).pieces())
        columns = [[str(cell or "") for cell in column.to_pylist()[:ROWS]] for column in piece.columns]
        return [[""] * len(columns), *([*row] for row in zip(*columns, strict=True))]
    head = b""
    for _, stream in source.read([file.member]):
        whole = opened(stream, file.head, limits)
        head = whole.read(HEAD)
        while head.count(b"\n") < FEW_LINES and len(head) < WIDEST and (more := whole.read(HEAD)):
            head += more  # thousands of columns
    found = survey(cast(BinaryIO, io.BytesIO(head)))
    lines = list(lines_of(cast(BinaryIO, io.BytesIO(head)), found, len(head)))
    lines = lines[:-1] if len(head) >= HEAD else lines
    if file.kind == "jsonl":
        trees = [tree for _, tree in json_lines(lines[:ROWS], lambda line, why: None)]
        names = names_of(trees)
        return [names, *(as_record(0, tree, names).cells for tree in trees)]
    return cells_of(lines[: ROWS + 1])

"""A CSV of file names and labels beside images: which image each row means, and what it says of it.

Any separator, with a header or without. A name in a table is only ever looked up among the files of the
set: it never becomes a path. Columns besides names and labels may tell the split (`split`) and the group
(`group`, `patient`, ...) of an image; one column of 0 and 1 per class is understood too.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from workbench.data.layout import Layout, Place, split_of
from workbench.data.limits import Limits
from workbench.data.pictures import SUFFIXES
from workbench.data.report import Report, class_names, shown
from workbench.data.sources import clean, natural
from workbench.data.splits import TRAIN
from workbench.specs.errors import DataError

TABLES = {".csv", ".tsv", ".tab", ".txt"}
_LABEL = r"labels?|class(es)?|class_?(name|id|label)|category|targets?|y|species|breed|dx|diagnosis|tag"
SPLIT = r"split|set|subset|partition|usage|phase"
GROUP = r"groups?(_?id)?|(subject|patient|person|user|session|site|scene|video)(_?id)?"
_LOOKED_AT = 300  # rows that columns are recognised by


class Row(NamedTuple):
    """What a table says of one image."""

    label: str
    split: int | None
    group: str


class Names:
    """The files of a set, found by what a table calls them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self._by_name: dict[str, list[int]] = {}
        self._by_stem: dict[str, list[int]] = {}
        for i, path in enumerate(paths):
            name = path.rsplit("/", 1)[-1].casefold()
            self._by_name.setdefault(name, []).append(i)
            self._by_stem.setdefault(name.rsplit(".", 1)[0], []).append(i)

    def find(self, text: str, split: int | None = None) -> int | None:
        """The one file that `text` means, or None: no file, or several. split: of the table, as a hint."""
        path = clean(text.strip().strip("\"'"))
        name = path.rsplit("/", 1)[-1].casefold()
        found = self._by_name.get(name) or self._by_stem.get(name, [])
        if len(found) < 2:
            return found[0] if found else None
        exact = [i for i in found if f"/{self.paths[i]}".endswith("/" + path)]
        if len(exact) == 1:
            return exact[0]
        tail = "/" + path.casefold()
        whole = {i: f"/{self.paths[i]}".casefold() for i in found}
        for fits in (
            [i for i in found if whole[i].endswith(tail)],
            [i for i in found if whole[i].rsplit(".", 1)[0].endswith(tail)],
            [i for i in found if split is not None and split in map(split_of, self.paths[i].split("/")[:-1])],
        ):
            if len(fits) == 1:
                return fits[0]
        return None


def labelled(
    tables: Sequence[tuple[str, bytes]],
    names: Names,
    where: str,
    limits: Limits,
    report: Report,
    sure_only: bool,
) -> Layout | None:
    """Class, split and group of the images as the tables tell; None where no table names any.

    sure_only: a column of labels must be called so, since folders tell the classes too.

    Rows that cannot be used and images that no row names go to the report. Raises DataError for a table
    that names the images but gives fewer than two classes.
    """
    paths = names.paths
    told: dict[int, Row] = {}
    used: list[str] = []
    torn: set[int] = set()
    bare: set[int] = set()  # named, without a label
    for path, blob in tables:
        rows = _rows_of(path, blob, names, report, sure_only)
        if rows is None:
            continue
        used.append(path)
        for line, text, row in rows:
            place = names.find(text, split_of(path.rsplit("/", 1)[-1]))
            spot = f"{shown(path)}, row {line}"
            if place is None:
                report.refused(spot, f"no one file of the set is meant by `{shown(text, 60)}`")
            elif not row.label:
                bare.add(place)
            elif place in told and told[place].label != row.label:
                torn.add(place)
            else:
                told.setdefault(place, row)
    if not used or not told:
        for path in used:
            report.refused(shown(path), "it gives no image a label")
        return None
    for place in sorted(torn):
        report.refused(shown(paths[place]), "it is given two different labels")
        told.pop(place)
    for i, path in enumerate(paths):
        if i not in told and i not in torn:
            fact = "gives it no label" if i in bare else "has no row for it"
            report.refused(shown(path), f"`{shown(used[0])}` {fact}")
    layout = _laid_out(told, paths, where, limits)
    for path in used:
        report.kept(shown(path), f"labels of {len(layout.places):,} images in {len(layout.classes)} classes")
    return layout


def names_images(path: str, blob: bytes, names: Names) -> bool:
    """Whether any of the table's first rows means a file of the set."""
    rows = [row for _, row in parsed(blob[: 1 << 20])[:_LOOKED_AT] if len(row) > 1]
    split = split_of(path.rsplit("/", 1)[-1])
    return any(names.find(cell, split) is not None for row in rows for cell in row)


def _laid_out(told: dict[int, Row], paths: Sequence[str], where: str, limits: Limits) -> Layout:
    classes = sorted({row.label for row in told.values()}, key=natural)
    if len(classes) < 2:
        raise DataError.of(
            where,
            "a classifier needs at least two classes",
            f"the table gives every image the label `{shown(classes[0], 40)}`" if classes else "none is left",
            "Check which column holds the labels; name it `label`.",
        )
    if len(classes) > limits.classes:
        raise DataError.of(
            where,
            f"a set may have {limits.classes:,} classes",
            f"the table gives {len(classes):,} different labels",
            "Check which column holds the labels; name it `label`.",
        )
    number = {name: k for k, name in enumerate(classes)}
    groups = sorted({row.group for row in told.values()} - {""}, key=natural)
    group = {name: k for k, name in enumerate(groups)} | {"": -1}
    splits = {i: _split(row, paths[i]) for i, row in told.items()}
    if TRAIN not in splits.values():  # a test split that comes alone is all there is to train on
        splits = dict.fromkeys(splits, TRAIN)
    places = [Place(i, splits[i], number[row.label], group[row.group]) for i, row in sorted(told.items())]
    return Layout(class_names(classes), places, len(set(splits.values())) > 1, "table")


def _split(row: Row, path: str) -> int:
    """The row's own word, or that of the table or of the folders the image lies in."""
    if row.split is not None:
        return row.split
    found = [code for part in path.split("/")[:-1] if (code := split_of(part)) is not None]
    return found[-1] if found else TRAIN


def _rows_of(
    path: str, blob: bytes, names: Names, report: Report, sure_only: bool
) -> list[tuple[int, str, Row]] | None:
    """(line, file name, row) of a table that names images; None where it names none or tells no labels."""
    rows = parsed(blob)
    of_table = split_of(path.rsplit("/", 1)[-1])
    width = Counter(len(row) for _, row in rows[:_LOOKED_AT]).most_common(1)
    n_columns = width[0][0] if width else 0
    if n_columns < 2:
        return None
    sample = [row for _, row in rows[:_LOOKED_AT] if len(row) == n_columns]
    hits = [
        len({found for row in sample if (found := names.find(row[c], of_table)) is not None})
        for c in range(n_columns)
    ]
    if not max(hits):
        return None
    file = hits.index(max(hits))
    first = sample[0][file]
    is_data = names.find(first, of_table) is not None or PurePosixPath(first.lower()).suffix in SUFFIXES
    head = [] if is_data or rows[0][1] is not sample[0] else [_word(cell) for cell in rows[0][1]]
    body = rows[1:] if head else rows
    split, group, label = (_column(head, file, pattern) for pattern in (SPLIT, GROUP, _LABEL))
    if split is not None and not any(
        split_of(row[split]) is not None for row in sample[1:] if len(row) > split
    ):
        split = None
    others = [c for c in range(n_columns) if c not in (file, split, group)]
    hot: list[int] = []
    if label is None and sure_only:
        report.refused(
            shown(path), "folders tell the classes; to use it instead, name its column of labels `label`"
        )
        return None
    if label is None and len(others) == 1:
        label = others[0]
    elif label is None and head and _is_one_hot(sample[1:], others):
        hot = others
    elif label is None:
        columns = ", ".join(
            f"`{shown(cell, 20)}`" for cell in (rows[0][1] if head else others_names(n_columns))
        )
        report.refused(shown(path), f"which of its columns {columns} holds the labels? Name it `label`")
        return None
    out = []
    for line, row in body:
        if len(row) != n_columns:
            report.refused(
                f"{shown(path)}, row {line}", f"it has {len(row)} columns and the others {n_columns}"
            )
            continue
        if hot:
            text = next((rows[0][1][c].strip() for c in hot if _number(row[c]) == 1), "")
        else:
            assert label is not None
            text = row[label].strip()
        own = split_of(row[split]) if split is not None else of_table
        out.append((line, row[file], Row(text, own, row[group].strip() if group is not None else "")))
    return out


def _column(head: Sequence[str], file: int, pattern: str) -> int | None:
    return next((c for c, word in enumerate(head) if c != file and re.fullmatch(pattern, word)), None)


def parsed(blob: bytes) -> list[tuple[int, list[str]]]:
    """(row number from 1, cells) of a table in any usual encoding, by the separator that fits best."""
    if blob.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = blob.decode("utf-16", "replace")
    else:
        try:
            text = blob.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = blob.decode("cp1252", "replace")
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.split("\n", _LOOKED_AT)[:_LOOKED_AT] if line.strip()]
    best, score = ",", 0.0
    for mark in (",", ";", "\t", "|", " "):
        counts = Counter(len(cells) for cells in _cells("\n".join(lines), mark) if cells)
        common, n = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        fit = n / max(1, len(lines)) if common > 1 else 0.0
        if fit > score + 0.05:  # among equals the usual one
            best, score = mark, fit
    return [(n, cells) for n, cells in enumerate(_cells(text, best), 1) if any(c.strip() for c in cells)]


def _cells(text: str, mark: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True)
    rows: list[list[str]] = []
    while True:
        try:
            rows.append(next(reader))
        except StopIteration:
            return rows
        except csv.Error:  # a cell of endless length; the row is no row
            rows.append([])


def others_names(n: int) -> list[str]:
    """Names for the columns of a table without a header."""
    return [f"column {c + 1}" for c in range(n)]


def _is_one_hot(rows: Sequence[list[str]], columns: Sequence[int]) -> bool:
    values = [[_number(row[c]) for c in columns] for row in rows]
    return bool(values) and all(set(v) <= {0.0, 1.0} and sum(x or 0 for x in v) == 1 for v in values)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _word(cell: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", cell.strip().lower()).strip("_")

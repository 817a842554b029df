"""From files of text to a prepared set: what they are is found out; each row is kept, mended or refused."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, refuse_set
from workbench.data.report import Report, shown
from workbench.data.sources import Source, natural
from workbench.data.splits import SPLITS
from workbench.data.text.arranged import Arranged, arranged
from workbench.data.text.columns import Columns
from workbench.data.text.reading import Reading, Row
from workbench.data.text.sniffed import Sniffed
from workbench.data.text.stored import TextWriter
from workbench.data.text.surveyed import DAMAGE
from workbench.data.text.tabled import Tables
from workbench.specs.data import DataSchema, TextImport
from workbench.specs.errors import DataError, WorkbenchError

PASSAGE = 2_000  # characters of a piece of a long text
FEWEST = 500  # characters from which a text is taken for one to learn a language from, unless asked for
TOLD = 200  # classes or files that the report names
_TICK = 1 << 22  # bytes read between two looks at the clock


def import_texts(
    source: Source,
    files: Sequence[Sniffed],
    folder: Path,
    *,
    asked: TextImport,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str, float], None],
    class_names: Sequence[str] = (),
) -> Prepared:
    """Write the texts of a source into `folder`. class_names: of labels that are numbers, in their order.

    Raises DataError; what cannot be used is reported instead.

    Check: rows of all splits add up to the texts kept; the same source gives the same fingerprint.
    """
    _check_encoding(asked.encoding)
    found = arranged(files, asked, source.where, limits, report)
    progress = _Progress(files, tick)
    reading = Reading(source, asked, limits, report, progress.read)
    task, rows, columns = _rows(reading, found, report)
    progress.words = "Reading texts"
    writing = Writing(folder, task, limits, report, source.where)
    try:
        for row in rows:
            writing.add(row)
            progress.rows = writing.n
        writing.check()
        names = class_names or _names(source, found)
        schema = schema.model_copy(update={"kind": "text", "task": task, "columns": columns, "shape": ()})
        return writing.finish(schema, names, found.form)
    except WorkbenchError:
        raise
    except DAMAGE as error:
        fact = shown(str(error) or type(error).__name__)
        raise DataError.of(
            source.where, "a file must be readable to its end", fact, "Save or upload it again."
        ) from error
    finally:
        writing.close()


def guessed(source: Source, files: Sequence[Sniffed], asked: TextImport, limits: Limits) -> dict[str, object]:
    """What an import would make of the files, without one: task, form, and columns with an example of each.

    Raises DataError.
    """
    _check_encoding(asked.encoding)
    report = Report(limits.report_rows)
    found = arranged(files, asked, source.where, limits, report)
    reading = Reading(source, asked, limits, report, lambda n: None)
    if found.form == "tables":
        tables = Tables(reading).all(found)
        columns = tables[0].columns
        return {
            "task": columns.task, "form": found.form, "header": columns.header, "columns": columns.meaning,
            "names": list(columns.names), "examples": [list(row) for row in tables[0].examples],
            "files": [table.path for table in tables],
        }  # fmt: skip
    task = {"pairs": "translation", "lines": "language_model"}.get(found.form, "classification")
    return {
        "task": task, "form": found.form, "header": False, "names": list(found.names), "examples": [],
        "columns": _meaning(found), "files": [part.file.member.path for part in found.parts],
    }  # fmt: skip


def _rows(reading: Reading, found: Arranged, report: Report) -> tuple[str, Iterator[Row], dict[str, str]]:
    """The task, the rows and what became text, label and target."""
    if found.form == "tables":
        reader = Tables(reading)
        tables = reader.all(found)
        if not tables:
            refuse_set(reading.source.where, report, "a set needs texts", "no table could be read")
        tell_columns(tables[0].columns, reading.asked, report)
        columns = tables[0].columns
        return columns.task, (row for t in tables for row in reader.rows_of(t)), columns.meaning
    if found.form == "pairs":
        return "translation", reading.pairs(found), _meaning(found)
    if found.form == "lines":
        total = reading.characters(found)
        if total < FEWEST and reading.asked.task is None:
            refuse_set(
                reading.source.where, report,
                "a data set needs images in class folders, idx or NumPy files, or texts with labels",
                f"it holds neither, only {total:,} characters of plain text",
                "Add labels, or ask for the task language_model.",
            )  # fmt: skip
        size = max(100, min(PASSAGE, total // 200))  # a short text too can be cut where it should
        return "language_model", reading.passages(found, size), {}
    rows = reading.folders(found) if found.form == "folders" else reading.classes(found)
    return "classification", rows, {}


def _meaning(found: Arranged) -> dict[str, str]:
    return {"text": found.names[0], "target": found.names[1]} if found.form == "pairs" else {}


def tell_columns(columns: Columns, asked: TextImport, report: Report) -> None:
    """The choice of columns, in the report; and how to choose otherwise."""
    meaning = "; ".join(f"{role}: {shown(name, 80)}" for role, name in columns.meaning.items())
    how = "as asked for" if asked.text_columns or asked.label_column else "guessed; say which to change it"
    report.kept("columns", f"{meaning} ({how}; {'a header' if columns.header else 'no header'})")
    if columns.left:
        left = ", ".join(f"`{shown(name, 40)}`" for name in columns.left[:20])
        report.kept("columns", f"left out: {left}")


class Writing:
    """Rows into a set: cleaned, numbered, counted."""

    def __init__(self, folder: Path, task: str, limits: Limits, report: Report, where: str) -> None:
        self._task, self._limits, self._report, self._where = task, limits, report, where
        self._writer = TextWriter(folder, limits, where, paired=task == "translation")
        self._labels: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._kept: Counter[tuple[int, str]] = Counter()
        self._files: Counter[str] = Counter()
        self._has_files = self._has_groups = False

    @property
    def n(self) -> int:
        return self._writer.n

    def add(self, row: Row) -> None:
        """One row; or the reason why not, in the report."""
        text, target = row.text, row.target
        if not text.isascii() or "\0" in text or len(text) > self._limits.characters:
            text = self._clean(text, row)
        if target is not None and (not target.isascii() or len(target) > self._limits.characters):
            target = self._clean(target, row)
        if self._task != "language_model" and (not text or text.isspace()):
            self._report.refused(row.place, "it has no text")
            return
        label = 0
        if self._task == "classification":
            if not row.label:
                self._report.refused(row.place, "it has no label")
                return
            if row.label not in self._labels and len(self._labels) >= self._limits.classes:
                raise DataError.of(
                    self._where, f"a set may have {self._limits.classes:,} classes",
                    "its labels take more different values",
                    "Check which column holds the labels (label_column, --label-column).",
                )  # fmt: skip
            label = self._labels.setdefault(row.label, len(self._labels))
        elif self._task == "translation" and not (target or "").strip():
            self._report.refused(row.place, "it has no translation")
            return
        elif self._task == "language_model" and not text.endswith("\n"):
            text += "\n" if row.line else ""
        if not self.n:
            self._has_files, self._has_groups = (
                not row.line and self._task == "classification",
                bool(row.group),
            )
        self._writer.append(
            text, label, row.split, target if self._task == "translation" else None,
            row.file if self._has_files else None,
            (self._groups.setdefault(row.group, len(self._groups)) if row.group else -1)
            if self._has_groups else None,
        )  # fmt: skip
        self._kept[row.split, row.label if self._task == "classification" else ""] += 1
        self._files[row.file] += 1

    def check(self) -> None:
        """Raises DataError where no row was kept."""
        if not self.n:
            refuse_set(self._where, self._report, "a data set needs texts", "not one could be read")

    def finish(self, schema: DataSchema, names: Sequence[str], form: str) -> Prepared:
        """classes in natural order, under the names of a file of names where there is one."""
        order = sorted(self._labels, key=natural)
        if order:
            place = {label: k for k, label in enumerate(order)}
            self._writer.renumber([place[label] for label in self._labels])
        classes = _called(order, names)
        self._summary(order, classes, form)
        return self._writer.finish(schema, self._report, classes)

    def close(self) -> None:
        self._writer.close()

    def _clean(self, text: str, row: Row) -> str:
        """Without half characters and, where it is endless, without its end."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self._report.repaired(row.place, "halves of characters became �")
        if "\0" in text:  # JSON can spell one
            text = text.replace("\0", "")
            self._report.repaired(row.place, "zero bytes left out")
        if len(text) > self._limits.characters:
            text = text[: self._limits.characters]
            self._report.repaired(row.place, f"cut to {self._limits.characters:,} characters")
        return text

    def _summary(self, order: Sequence[str], classes: Sequence[str], form: str) -> None:
        """One row per class, or per file."""
        if self._task == "classification":
            for label, name in list(zip(order, classes, strict=True))[:TOLD]:
                parts = [(SPLITS[c], self._kept[c, label]) for c in range(3) if self._kept[c, label]]
                text = f"{sum(n for _, n in parts):,} texts"
                if len({c for c, _ in self._kept}) > 1:
                    text += f" ({', '.join(f'{n:,} {split}' for split, n in parts)})"
                self._report.kept(f"{name}/" if form == "folders" else name, text)
            if len(order) > TOLD:
                self._report.kept("classes", f"{len(order) - TOLD:,} more")
        if form != "folders":
            word = {"translation": "pairs", "language_model": "passages"}.get(self._task, "texts")
            for file, n in list(self._files.items())[:TOLD]:
                self._report.kept(shown(file), f"{n:,} {word}")


def _called(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Labels as people read them: `1.0` as `1`, and numbers by the names of a file that lists them."""
    if labels and all(re.fullmatch(r"-?\d+\.0+", label) for label in labels):
        labels = [label.split(".", 1)[0] for label in labels]
    if not names or not all(re.fullmatch(r"\d{1,4}", label) for label in labels):
        return list(labels)
    numbers = [int(label) for label in labels]
    first = 0 if 0 in numbers else 1
    if max(numbers) - first >= len(names):
        return list(labels)
    return [names[n - first] for n in numbers]


def _names(source: Source, found: Arranged) -> list[str]:
    """The lines of the file that names the classes, where there is one."""
    if found.class_file is None:
        return []
    for _, stream in source.read([found.class_file.member]):
        data = stream.read(1 << 20)
        return [line.strip() for line in data.decode("utf-8-sig", "replace").split("\n") if line.strip()]
    return []


def _check_encoding(name: str | None) -> None:
    if name is None:
        return
    try:
        known = codecs.lookup(name)
        if not getattr(known, "_is_text_encoding", True) or not isinstance(b"".decode(name), str):
            raise LookupError
    except (LookupError, ValueError, TypeError, UnicodeError):
        raise DataError.of(
            "encoding", "an encoding that Python knows is named", f"`{shown(name, 40)}` is none",
            "Leave it empty, or name one such as latin-1, shift_jis, gb18030 or koi8-r.",
        ) from None  # fmt: skip


class _Progress:
    """How far the bytes of the files are read; every text is read twice, once to see what it is."""

    def __init__(self, files: Sequence[Sniffed], tick: Callable[[str, float], None]) -> None:
        self._all = max(1, 2 * sum(max(1, file.member.size) for file in files))
        self._tick, self._n, self._told = tick, 0, 0
        self.rows, self.words = 0, "Looking at texts"

    def read(self, n: int) -> None:
        self._n += n
        if self._n - self._told >= min(_TICK, self._all // 50 + 1):
            self._told = self._n
            told = f": {self.rows:,}" if self.rows else ""
            self._tick(f"{self.words}{told}", min(0.99, self._n / self._all))

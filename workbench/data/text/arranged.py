"""What several files of text are together: tables, class folders, files of classes or languages, one text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from workbench.data.layout import arrange, folders_suffice, split_of
from workbench.data.limits import Limits
from workbench.data.report import Report, class_names, shown
from workbench.data.sources import natural
from workbench.data.splits import SPLITS, TRAIN
from workbench.data.text.languages import SIDES, is_language
from workbench.data.text.sniffed import Sniffed, is_beside, is_names
from workbench.specs.base import did_you_mean
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError

Form = Literal["tables", "folders", "classes", "pairs", "lines"]
_FEELINGS = {
    "pos", "neg", "positive", "negative", "neutral", "neut", "ham", "spam", "true", "false", "real", "fake",
    "subjective", "objective", "toxic", "clean", "happy", "sad", "good", "bad",
}  # fmt: skip


class Part(NamedTuple):
    """A file's place. label: of class folders and files, its class; other: the file it is aligned with."""

    file: Sniffed
    split: int = TRAIN
    label: int = 0
    other: Sniffed | None = None


class Arranged(NamedTuple):
    """names: of classes, or of the two languages; has_splits: whether the files tell them apart."""

    form: Form
    parts: list[Part]
    names: tuple[str, ...] = ()
    has_splits: bool = False
    class_file: Sniffed | None = None


def arranged(
    files: Sequence[Sniffed], asked: TextImport, where: str, limits: Limits, report: Report
) -> Arranged:
    """The form of a source of texts. Files that take no part are reported. Raises DataError."""
    files, class_file = _data_of(files, asked, report)
    plain, tables = [f for f in files if not f.is_table], [f for f in files if f.is_table]
    form, parts, names = _formed(files, plain, tables, asked, where, limits, report)
    used = {id(f) for part in parts for f in (part.file, part.other) if f is not None}
    for file in files:
        if id(file) not in used and form != "folders":
            report.refused(shown(file.member.path), f"it is not part of the {_WORDS[form]}")
    splits = {part.split for part in parts}
    if TRAIN not in splits:  # a test split that comes alone is all there is to learn from
        parts = [part._replace(split=TRAIN) for part in parts]
        splits = {TRAIN}
    if class_file is not None and form != "tables":
        report.refused(shown(class_file.member.path), "only tables need names of classes")
        class_file = None
    return Arranged(form, parts, names, len(splits) > 1, class_file)


_WORDS = {
    "tables": "tables", "folders": "class folders", "classes": "files of classes", "pairs": "aligned files",
    "lines": "text",
}  # fmt: skip


def _formed(
    files: list[Sniffed], plain: list[Sniffed], tables: list[Sniffed], asked: TextImport, where: str,
    limits: Limits, report: Report,
) -> tuple[Form, list[Part], tuple[str, ...]]:  # fmt: skip
    if (asked.task != "language_model" or not plain) and (pairs := _pairs(files, asked)):
        return "pairs", *pairs
    paths = [f.member.path for f in files]
    wants_classes = asked.task in (None, "classification") and not (asked.label_column or asked.text_columns)
    if wants_classes and folders_suffice(paths, where, limits) and len(files) > 1:
        laid = arrange(paths, where, limits, Report(0))
        several = len(laid.places) >= 2 * len(laid.classes) or asked.task == "classification"
        if several and not any(f.kind in ("parquet", "jsonl") or f.suffix in (".csv", ".tsv") for f in files):
            laid = arrange(paths, where, limits, report)
            parts = [Part(files[p.at], p.split, p.label) for p in laid.places]
            return "folders", parts, laid.classes
    if wants_classes and (classes := _classes(plain, asked)) and not tables:
        return "classes", *classes
    if tables and not (asked.task == "language_model" and plain and not asked.text_columns):
        big, small = (sum(f.member.size for f in group) for group in (tables, plain))
        named = any(f.kind != "table" or f.suffix in (".csv", ".tsv", ".tab") for f in tables)
        if named or big >= small or asked.label_column or asked.target_column:
            return "tables", [Part(f, split_told(f)) for f in tables], ()
    if asked.task == "classification":
        raise DataError.of(
            where, "texts to classify come with their classes", "these are plain texts without any",
            "Make a folder or a file per class, or a table with a column of labels.",
        )  # fmt: skip
    if asked.task == "translation":
        if asked.target_column is None and len(files) == 2:
            both = sorted(files, key=lambda f: natural(f.member.path))
            return "pairs", [Part(both[0], TRAIN, 0, both[1])], (both[0].name, both[1].name)
        raise DataError.of(
            where, "texts to translate come in pairs", f"{len(files)} plain files cannot be told apart",
            "Name two aligned files alike but for the language, train.de and train.en, or make a table.",
        )  # fmt: skip
    chosen = plain or files
    return "lines", [Part(f, split_told(f)) for f in sorted(chosen, key=lambda f: natural(f.member.path))], ()


def _data_of(
    files: Sequence[Sniffed], asked: TextImport, report: Report
) -> tuple[list[Sniffed], Sniffed | None]:
    """The files that are data, and the one that names classes. What tells of the data is reported."""
    data = [f for f in files if not is_beside(f)]
    if not data:
        return list(files), None
    for f in files:
        if is_beside(f):
            report.refused(shown(f.member.path), "it tells of the data")
    tables = [f for f in data if f.is_table]
    names = [f for f in data if is_names(f) and f.member.size <= 1 << 20]
    if tables and names and asked.task in (None, "classification"):
        return [f for f in data if f is not names[0]], names[0]
    return data, None


def split_told(file: Sniffed) -> int:
    """The split that the file's name or a folder of it speaks of; train where none does."""
    found = [code for part in reversed(file.bare.split("/")) if (code := split_of(part)) is not None]
    return found[0] if found else TRAIN


def _pairs(files: Sequence[Sniffed], asked: TextImport) -> tuple[list[Part], tuple[str, ...]] | None:
    """Files that are alike but for a language, or for `source` and `target`."""
    sides: dict[str, dict[str, Sniffed]] = defaultdict(dict)
    wanted = {n.casefold() for n in (*asked.text_columns, asked.target_column) if n}
    for file in files:
        if file.kind in ("parquet", "jsonl", "json") or file.suffix in (".csv", ".tsv"):
            continue
        for base, side in _marked(file.bare, wanted):
            sides[base].setdefault(side, file)
    groups = [(base, found) for base, found in sides.items() if len(found) >= 2]
    if not groups:
        return None
    common = set.intersection(*(set(found) for _, found in groups)) or set(groups[0][1])
    order = sorted(common, key=lambda side: (SIDES.get(side, 2), side))
    if len(order) < 2:
        return None
    source, target = order[:2]
    if asked.text_columns or asked.target_column:
        source, target = _chosen(order, asked)
    parts, taken = [], set()
    for _, found in groups:
        if source in found and target in found and id(found[source]) not in taken:
            taken.add(id(found[source]))
            parts.append(Part(found[source], split_told(found[source]), 0, found[target]))
    return (_once(parts), (source, target)) if parts else None


def _chosen(sides: list[str], asked: TextImport) -> tuple[str, str]:
    source = asked.text_columns[0].casefold() if asked.text_columns else None
    target = (asked.target_column or "").casefold() or None
    for side in (source, target):
        if side is not None and side not in sides:
            raise DataError.of(
                "text_columns or target_column", "a language of the aligned files is named",
                f"`{shown(side, 40)}` is none", did_you_mean(side, sides),
            )  # fmt: skip
    source = source or next(s for s in sides if s != target)
    return source, target or next(s for s in sides if s != source)


def _marked(path: str, wanted: set[str]) -> list[tuple[str, str]]:
    """(the path with a star for its language, the language), for each place where one may stand."""
    found = []
    parts = re.split(r"([/._-])", path.removesuffix(".txt"))
    last = len(parts) - 1
    for i in range(0, len(parts), 2):
        word = parts[i].casefold()
        whole_folder = i < last and parts[i + 1] == "/"
        is_suffix = i == last and i > 0
        if not word or not (whole_folder or is_suffix or word in SIDES or i == last):
            continue
        if word in SIDES or word in wanted or (is_language(word) and (whole_folder or is_suffix)):
            star = [*parts]
            star[i] = "*"
            found.append(("".join(star), word))
    return found


def _once(parts: list[Part]) -> list[Part]:
    """Of several files of one split, such as test_2016 and test_2017, all are kept, in natural order."""
    return sorted(parts, key=lambda part: natural(part.file.member.path))


def _classes(files: Sequence[Sniffed], asked: TextImport) -> tuple[list[Part], tuple[str, ...]] | None:
    """A file per class: alike but for their suffix, or named after classes."""
    if len(files) < 2:
        return None
    labels: dict[int, str] = {}
    stems = {f.name.rsplit(".", 1)[0] for f in files}
    suffixes = [f.suffix.lstrip(".") for f in files]
    if len(stems) == 1 and len(set(suffixes)) == len(files) and all(suffixes) and not any(
        split_of(s) is not None for s in suffixes
    ):  # fmt: skip
        labels = {i: suffixes[i] for i in range(len(files))}
    else:
        bare = [_without_split(f.bare) for f in files]
        common = _common(bare)
        rests = [re.sub(r"^[\W_]+|[\W_]+$", "", b[common[0] : len(b) - common[1] or None]) for b in bare]
        words = {w.casefold() for w in rests}
        if asked.task == "classification" or words <= _FEELINGS:
            if len(words) < 2 or not all(words):
                return None
            labels = dict(enumerate(rests))
    if not labels:
        return None
    names = sorted(set(labels.values()), key=natural)
    parts = [Part(f, split_told(f), names.index(labels[i])) for i, f in enumerate(files)]
    return parts, class_names(names)


def _without_split(path: str) -> str:
    """`train/pos.txt` as `pos`, `pos_train.txt` as `pos`."""
    parts = path.rsplit("/", 1)[-1].removesuffix(".txt")
    return re.sub(r"(^|[_.\-])(train(ing)?|val(id(ation)?)?|dev|test(ing)?)(?=[_.\-]|$)", "", parts)


def _common(names: Sequence[str]) -> tuple[int, int]:
    """Letters that all names begin and end with alike, up to where a word ends."""
    first, last = min(names), max(names)
    start = 0
    while start < min(len(first), len(last)) and first[start] == last[start]:
        start += 1
    while start and first[start - 1].isalnum():
        start -= 1
    back = [name[::-1] for name in names]
    one, other = min(back), max(back)
    end = 0
    while end < min(len(one), len(other)) and one[end] == other[end]:
        end += 1
    while end and one[end - 1].isalnum():
        end -= 1
    return start, end


def told(parts: Sequence[Part]) -> str:
    """`train 1, test 2`: files of each split, for the report."""
    counts = [(name, sum(p.split == code for p in parts)) for code, name in enumerate(SPLITS)]
    return ", ".join(f"{n} {name}" for name, n in counts if n)

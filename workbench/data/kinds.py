"""What kind of set a source is meant to be: said by a person, or told by its files."""

from __future__ import annotations

from workbench.data.found import Found
from workbench.data.layout import folders_suffice
from workbench.data.limits import Limits
from workbench.data.npy import has_images
from workbench.data.report import shown
from workbench.data.series.imported import guessed_series, may_be_series
from workbench.data.sources import Source
from workbench.data.table.told import looks_like_a_table
from workbench.specs.data import TextImport
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport
from workbench.specs.tables import TableImport

KINDS = ("images", "masks", "text", "series", "table")


def kind_asked(kind: str | None, table: TableImport | None) -> str | None:
    """The kind that is asked for, be it by what only a table has."""
    plain = {"header": None, "encoding": None, "dates": None}  # which other kinds of sets have too
    of_table = table is not None and table.model_copy(update=plain) != TableImport()
    return "table" if kind is None and of_table else kind


def kind_meant(
    source: Source,
    found: Found,
    kind: str | None = None,
    texts: TextImport | None = None,
    series: SeriesImport | None = None,
) -> str | None:
    """`series`, `table` or `text`; None where the set is one of images, with masks or without. Raises
    DataError where a person says what the source does not hold."""
    if _is_series(source, found, kind, texts, series):
        return "series"
    if _is_table(source, found, kind, texts, source.limits):
        return "table"
    return "text" if _is_text(source, found, kind) else None


def _is_table(
    source: Source, found: Found, kind: str | None, texts: TextImport | None, limits: Limits
) -> bool:
    """Whether a table of numbers and words is meant; also where nobody says so. Raises DataError."""
    if kind not in (None, "table"):
        return False
    if kind is None:
        named = texts is not None and (texts.text_columns or texts.label_column or texts.target_column)
        written = texts is not None and texts.task in ("language_model", "translation")
        if named or written or not _is_text(source, found, None):
            return False
        return looks_like_a_table(source, found.texts, limits)
    if not found.texts:
        raise DataError.of(
            source.where, "a table is read from files of rows and columns", found.no_text(),
            "Check the files.",
        )  # fmt: skip
    return True


def _is_text(source: Source, found: Found, kind: str | None) -> bool:
    """Whether texts are meant, and not images. Raises DataError for an Office file, which is a zip too."""
    if any(member.path == "[Content_Types].xml" for member in found.others):
        raise DataError.of(
            source.where, "a table is CSV, TSV, JSON or Parquet", "it is an Office file",
            "Save the sheet as CSV, or the document as plain text.",
        )  # fmt: skip
    if kind is not None:
        if kind not in KINDS:
            raise DataError.of(
                "kind", f"the kinds are {' and '.join(KINDS)}", f"it is `{shown(kind, 40)}`", "Choose one."
            )
        if kind == "text" and not found.texts:
            raise DataError.of(
                source.where, "a set of texts needs files of text", found.no_text(), "Check the files."
            )
        return kind == "text"
    if (
        any(len(file.dims) > 1 for file in found.idx)
        or has_images(found.arrays, found.unread)
        or not found.texts
    ):
        return False
    if not found.images:
        return True
    paths = [image.member.path for image in found.images]
    if len(found.texts) <= 10 * len(paths) or folders_suffice(paths, source.where, source.limits):
        return False
    return not any(t.kind == "table" for t in found.texts)


def _is_series(
    source: Source, found: Found, kind: str | None, texts: TextImport | None, series: SeriesImport | None
) -> bool:
    """Whether a series is meant. Where nobody says so, a table is one whose moments lie evenly beside columns
    of numbers. Raises DataError where a person says that it is one, and it holds no table."""
    plain = SeriesImport() if series is None else SeriesImport(dates=series.dates)
    if kind == "series" or (kind is None and series is not None and series != plain):
        if not found.texts:
            raise DataError.of(
                source.where, "a series is read from a table", found.no_text(), "Check the files."
            )
        return True
    if kind is not None or (texts is not None and texts != TextImport()) or found.images or found.arrays:
        return False
    if not found.texts or any(len(file.dims) > 1 for file in found.idx):
        return False
    if not may_be_series(source, found.texts, source.limits):
        return False
    return guessed_series(source, found.texts, plain, source.limits, sure=False) is not None

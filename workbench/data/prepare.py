"""From what a person has (a folder, an archive, idx files) to a prepared set on disk.

Every file ends in the report: kept, repaired or refused with the reason. The set appears whole or not
at all, and memory stays bounded: images are read one by one and written in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from workbench.data.archives import open_source
from workbench.data.arrays import import_arrays
from workbench.data.folders import import_folders, refuse_without_images
from workbench.data.found import SCAN_SHARE, Found, Progress, npz_inside, refuse, refuse_for_texts, sorted_out
from workbench.data.idx import import_idx
from workbench.data.kinds import kind_asked, kind_meant
from workbench.data.layout import Layout, arrange, folders_suffice
from workbench.data.limits import ImportCancelled, Limits
from workbench.data.npy import has_images
from workbench.data.paired import import_pairs
from workbench.data.pairs import Matched, matched
from workbench.data.pictures import quiet
from workbench.data.prepared import Prepared, new_folder
from workbench.data.report import Report, shown
from workbench.data.series.imported import guessed_series, import_series
from workbench.data.sources import Source, read_all
from workbench.data.table.imported import guessed as guessed_table
from workbench.data.table.imported import import_table
from workbench.data.tables import TABLES, Names, labelled, names_images
from workbench.data.text.imported import guessed, import_texts
from workbench.specs.data import DataSchema, TextImport
from workbench.specs.errors import DataError, Problem
from workbench.specs.series_import import SeriesImport
from workbench.specs.tables import TableColumn, TableImport

Stop = Callable[[], bool]
MOST_TABLES = 50
_LISTS = ("classes.txt", "labels.txt", "class_names.txt")  # names of classes, one a line


def prepare(
    source: Path,
    out: Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    labels: Path | None = None,
    class_names: Sequence[str] | None = None,
    origin: str = "",
    licence: str = "",
    limits: Limits | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    kind: str | None = None,
    texts: TextImport | None = None,
    series: SeriesImport | None = None,
    table: TableImport | None = None,
    known: Mapping[str, TableColumn] | None = None,
) -> Prepared:
    """Import `source` into the new folder `out`, as `data.prepared` or `data.text.stored` say.

    source: a zip, tar(.gz|.bz2|.xz) or folder of class folders, of images with a CSV of their labels, of
    images without classes, or of idx(.gz) or NumPy files; images with their masks; an .npz; one idx or .npy
    file of images beside its labels; or texts in one of the forms of docs/texts.md; or a table, of a series
    or of rows. kind: one of KINDS; found out where None. texts, series, table: how those are to be read.
    known: columns of a registered table, read alike.
    size: side in pixels of all images; without it their own size, or the median side where they differ, and
    at most `limits.default_side`. channels: 1 or 3; without
    it 3 when any image has colour. labels: the labels of a single idx file. class_names: by idx label.
    progress(text, share from 0 to 1) is called now and then; stop() → True ends the import.
    Check: rows of all splits add up to the images kept; the same source gives the same fingerprint.
    Raises DataError (ImportCancelled after `stop`); then `out` does not exist.
    """
    limits = limits or Limits.from_environment()
    kind = kind_asked(kind, table)
    where = shown(source.name or str(source))
    _check_choice(where, size, channels, limits)
    report = Report(limits.report_rows)

    def tick(text: str, share: float) -> None:
        if stop is not None and stop():
            raise ImportCancelled.of(
                where, "an import must run to its end", "it was cancelled", "Add the data set again."
            )
        if progress is not None:
            progress(text, share)

    def tick_reading(text: str, share: float) -> None:
        tick(text, SCAN_SHARE + (1 - SCAN_SHARE) * min(share, 1.0))

    with quiet(), ExitStack() as held:
        opened = open_source(source, limits, labels)
        found = sorted_out(opened, report, tick)
        if inner := found.lone_npz():
            refuse([member for member in found.others if member is not inner], report)
            opened = held.enter_context(npz_inside(opened, inner, limits))
            found = sorted_out(opened, report, tick)
        schema = DataSchema(source=origin or where, licence=licence)
        common: dict[str, Any] = {
            "size": size, "channels": channels, "schema": schema, "limits": limits, "report": report,
            "tick": tick_reading,
        }  # fmt: skip
        with new_folder(out, where) as folder:
            meant = kind_meant(opened, found, kind, texts, series)
            if meant == "series":
                refuse_for_texts(found, report, "it is no table, and the set is a series")
                prepared = import_series(
                    opened, found.texts, folder, asked=series or SeriesImport(), schema=schema, limits=limits,
                    report=report, tick=tick_reading,
                )  # fmt: skip
            elif meant == "table":
                refuse_for_texts(found, report)
                prepared = import_table(
                    opened, found.texts, folder, asked=table or TableImport(), schema=schema, limits=limits,
                    report=report, tick=tick_reading, known=known,
                )  # fmt: skip
            elif meant == "text":
                refuse_for_texts(found, report)
                prepared = import_texts(
                    opened, found.texts, folder, asked=texts or TextImport(), schema=schema, limits=limits,
                    report=report, tick=tick_reading, class_names=class_names or (),
                )  # fmt: skip
            elif any(len(file.dims) > 1 for file in found.idx) and not found.images:
                refuse([*found.others, *(a.member for a in found.arrays)], report)
                prepared = import_idx(opened, found.idx, folder, class_names=class_names, **common)
            elif has_images(found.arrays, found.unread) and not found.images:
                refuse([*found.others, *(file.member for file in found.idx)], report)
                prepared = import_arrays(
                    opened, found.arrays, folder, class_names=class_names, unread=found.unread, **common
                )
            elif (pairs := _paired(opened, found, kind, report)) is not None:
                refuse([m for m in found.others if PurePosixPath(m.path).name.lower() not in _LISTS], report)
                prepared = import_pairs(
                    opened, found.images, pairs, folder, names=class_names or _listed(opened, found), **common
                )
            else:
                layout = _laid_out(opened, found, limits, report)
                prepared = import_folders(opened, found.images, layout, folder, **common)
            tick("Done", 1.0)
    return prepared


def look(
    source: Path,
    *,
    kind: str | None = None,
    texts: TextImport | None = None,
    series: SeriesImport | None = None,
    table: TableImport | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """What an import would take the source for, without one: `{"kind": "images"}`, or of texts and tables
    also task, form, columns by meaning, all their names, whether there is a header, examples (rows of cells)
    and files; of a series also frequency, rows, variates, and the columns that are left out; of tables
    roles, kinds, missing and distinct cells by column.

    Raises DataError, also where the columns cannot be told.
    """
    limits = limits or Limits.from_environment()
    kind = kind_asked(kind, table)
    with quiet():
        opened = open_source(source, limits)
        found = sorted_out(opened, Report(0), lambda text, share: None)
        meant = kind_meant(opened, found, kind, texts, series)
        if meant == "series":
            told = guessed_series(opened, found.texts, series or SeriesImport(), limits, sure=True)
            return {"kind": "series", **(told or {})}
        if meant == "table":
            return {"kind": "table", **guessed_table(opened, found.texts, table or TableImport(), limits)}
        if meant is None:
            return {"kind": "images"}
        return {"kind": "text", **guessed(opened, found.texts, texts or TextImport(), limits)}


def kind_of(source: Path, limits: Limits | None = None) -> str:
    """images, text or table, as an import would guess from the first rows. Raises DataError."""
    limits = limits or Limits.from_environment()
    with quiet():
        opened = open_source(source, limits)
        found = sorted_out(opened, Report(0), lambda text, share: None)
        return kind_meant(opened, found) or "images"


def _paired(source: Source, found: Found, kind: str | None, report: Report) -> list[Matched] | None:
    """Images and masks, where the source holds such pairs or somebody said so. Raises DataError."""
    if kind not in (None, "masks"):
        return None
    pairs = matched([image.member.path for image in found.images], report, sure=kind == "masks")
    if pairs is None and kind == "masks":
        raise DataError.of(
            source.where, "images and masks need names that agree", "no mask belongs to an image",
            "Lay them out as images/NAME and masks/NAME, or NAME.png and NAME_mask.png.",
        )  # fmt: skip
    return pairs


def _listed(source: Source, found: Found) -> list[str]:
    """Names of classes that the source brings in a list; empty where it has none."""
    lists = [member for member in found.others if PurePosixPath(member.path).name.lower() in _LISTS]
    for _, stream in source.read(lists[:1]):
        text = _blob(stream, source.limits).decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]
    return []


def _laid_out(source: Source, found: Found, limits: Limits, report: Report) -> Layout:
    """Class and split of the images, by a table that names them or else by folders. Raises DataError."""
    left = [*(file.member for file in found.idx), *(a.member for a in found.arrays)]
    paths = [image.member.path for image in found.images]
    tables = [
        m
        for m in found.others
        if PurePosixPath(m.path).suffix.lower() in TABLES and m.size <= limits.file_bytes
    ][:MOST_TABLES]
    layout = None
    notes = Report(limits.report_rows)
    used: set[str] = set()
    if paths and tables:
        blobs = [(m.path, _blob(stream, limits)) for m, stream in source.read(tables)]
        names = Names(paths)
        named = [path for path, blob in blobs if names_images(path, blob, names)]
        used = set(named)
        by_folders = folders_suffice(paths, source.where, limits)
        chosen = [blob for blob in blobs if blob[0] in used]
        try:
            layout = labelled(chosen, names, source.where, limits, notes, sure_only=by_folders)
        except DataError as error:
            if not by_folders:
                raise
            report.refused(shown(named[0]), f"{error.problems[0].fact}; folders tell the classes")
        if layout is not None and by_folders and 2 * len(layout.places) < len(paths):
            fact = f"it names {len(layout.places):,} of {len(paths):,} images; folders tell the classes"
            report.refused(shown(named[0]), fact)
            layout = None
        else:
            report.add_all(notes)
    refuse([*left, *(m for m in found.others if m.path not in used)], report)
    if not paths:
        refuse_without_images(source.where, report)
    if layout is not None:
        return layout
    try:
        found_out = arrange(paths, source.where, limits, report)
        if tables and not found_out.classes:
            raise DataError.of(
                source.where, "a table beside images tells their classes",
                "no class of an image can be read from it, and folders tell none either",
                "Mend the table, or take it away to keep the images without classes.",
            )  # fmt: skip
        return found_out
    except DataError as error:
        told = [
            Problem(
                where=f"{source.where}: {file}", rule="a file must be usable", fact=fact, severity="warning"
            )
            for file, fact in report.first_refused(5)
        ]
        raise DataError(*error.problems, *told) from None


def _blob(stream: BinaryIO, limits: Limits) -> bytes:
    try:
        return read_all(stream, limits.file_bytes)
    except Exception:  # a table that cannot be read names no image
        return b""


def _check_choice(where: str, size: int | None, channels: int | None, limits: Limits) -> None:
    if size is not None and not 4 <= size <= limits.largest_side:
        raise DataError.of(
            where,
            f"`size` lies between 4 and {limits.largest_side} pixels",
            f"{size=}",
            "Choose another size.",
        )
    if channels not in (None, 1, 3):
        raise DataError.of(where, "`channels` is 1 (grey) or 3 (colour)", f"{channels=}", "Choose 1 or 3.")

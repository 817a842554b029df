"""From what a person has (a folder, an archive, idx files) to a prepared set on disk.

Every file ends in the report: kept, repaired or refused with the reason. The set appears whole or not
at all, and memory stays bounded: images are read one by one and written in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from workbench.data.archives import open_source
from workbench.data.folders import Candidate, candidate, import_folders, refuse_without_images
from workbench.data.idx import IdxFile, as_idx, import_idx
from workbench.data.limits import ImportCancelled, Limits
from workbench.data.pictures import SUFFIXES, has_magic, quiet
from workbench.data.prepared import Prepared, new_folder
from workbench.data.report import Report, shown
from workbench.data.sources import Source
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

Progress = Callable[[str, float], None]
Stop = Callable[[], bool]
_SCAN_SHARE = 0.2  # of the progress bar; the number of files is not known beforehand


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
) -> Prepared:
    """Import `source` into the new folder `out`, in the prepared format (`data.prepared`).

    source: a zip, tar(.gz|.bz2) or folder of class folders, or idx(.gz) files in one of those, or one
    idx file of images beside its labels. size: side in pixels of all images; without it their own size,
    or the median side where they differ, and at most `limits.default_side`. channels: 1 or 3; without
    it 3 when any image has colour. labels: the labels of a single idx file. class_names: by idx label.
    progress(text, share from 0 to 1) is called now and then; stop() → True ends the import.
    Check: rows of all splits add up to the images kept; the same source gives the same fingerprint.
    Raises DataError (ImportCancelled after `stop`); then `out` does not exist.
    """
    limits = limits or Limits()
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
        tick(text, _SCAN_SHARE + (1 - _SCAN_SHARE) * min(share, 1.0))

    with quiet():
        opened = open_source(source, limits, labels)
        images, idx, others = _sorted_out(opened, report, tick)
        schema = DataSchema(source=origin or where, licence=licence)
        with new_folder(out, where) as folder:
            if any(len(file.dims) > 1 for file in idx) and not images:
                _refuse(others, report)
                prepared = import_idx(
                    opened,
                    idx,
                    folder,
                    size=size,
                    channels=channels,
                    class_names=class_names,
                    schema=schema,
                    limits=limits,
                    report=report,
                    tick=tick_reading,
                )
            else:
                _refuse([*others, *(file.member.path for file in idx)], report)
                if not images:
                    refuse_without_images(where, report)
                prepared = import_folders(
                    opened,
                    images,
                    folder,
                    size=size,
                    channels=channels,
                    schema=schema,
                    limits=limits,
                    report=report,
                    tick=tick_reading,
                )
            tick("Done", 1.0)
    return prepared


def _sorted_out(
    source: Source, report: Report, tick: Progress
) -> tuple[list[Candidate], list[IdxFile], list[str]]:
    """Files by what they are: images, idx files, and paths of anything else."""
    images: list[Candidate] = []
    idx: list[IdxFile] = []
    others: list[str] = []
    for n, (member, head) in enumerate(source.scan(report)):
        if n % 100 == 0:
            # Creeps towards its share: the number of files is known at the end only.
            tick(f"Looking through the files: {n:,}", _SCAN_SHARE * n / (n + 5000))
        if has_magic(head) or PurePosixPath(member.path).suffix.lower() in SUFFIXES:
            images.append(candidate(member, head))
        elif file := as_idx(member, head):
            idx.append(file)
        else:
            others.append(member.path)
    return images, idx, others


def _refuse(paths: Sequence[str], report: Report) -> None:
    for path in paths:
        report.refused(shown(path), "it is no image (PNG, JPEG, GIF, BMP, TIFF, WebP)")


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

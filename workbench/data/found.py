"""The files of a source by what they are, and the report of those that are not read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile

from workbench.data.archives import Zip
from workbench.data.folders import Candidate, candidate
from workbench.data.idx import IdxFile, as_idx
from workbench.data.limits import Limits
from workbench.data.npy import Array, as_array, is_npy
from workbench.data.pictures import SUFFIXES, has_magic
from workbench.data.report import Report, shown
from workbench.data.sources import Folder, Member, Source
from workbench.data.text.sniffed import Sniffed, sniff
from workbench.specs.errors import DataError

Progress = Callable[[str, float], None]
ARCHIVES = {".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".rar", ".7z"}
SCAN_SHARE = 0.2  # of the progress bar; the number of files is not known beforehand


@dataclass
class Found:
    """The files of a source by what they are."""

    images: list[Candidate] = field(default_factory=list)
    idx: list[IdxFile] = field(default_factory=list)
    arrays: list[Array] = field(default_factory=list)
    unread: int = 0  # NumPy files that cannot be used: the labels may be among them
    others: list[Member] = field(default_factory=list)
    texts: list[Sniffed] = field(default_factory=list)  # of the others, those that can be read as texts
    no_texts: dict[str, str] = field(default_factory=dict)  # path of the rest: why not

    def no_text(self) -> str:
        """Why none of the files can be read as a text."""
        return next(iter(self.no_texts.values()), "it holds none")

    def lone_npz(self) -> Member | None:
        """The one .npz file, where it is all there is to be read."""
        inner = [member for member in self.others if member.path.lower().endswith(".npz")]
        return inner[0] if len(inner) == 1 and not (self.images or self.idx or self.arrays) else None


@contextmanager
def npz_inside(source: Source, member: Member, limits: Limits) -> Iterator[Source]:
    """An .npz of a folder or archive, opened as the zip of .npy files that it is. In an archive it is read
    into a file without a name of its own, for a zip is read from its end. Raises DataError."""
    where = shown(member.path)
    if isinstance(source, Folder):
        yield Zip(source.root / member.key, limits, where)
        return
    with NamedTemporaryFile(prefix="workbench-", suffix=".npz") as copy:
        try:
            for _, stream in source.read([member]):
                shutil.copyfileobj(stream, copy, 1 << 20)
            copy.flush()
        except DataError:
            raise
        except Exception as error:  # zipfile, zlib, tarfile and the disk each have their own
            fact = shown(str(error) or type(error).__name__)
            raise DataError.of(
                where, "an .npz inside an archive must be readable", fact, "Upload the .npz itself."
            ) from None
        yield Zip(Path(copy.name), limits, where)


def sorted_out(source: Source, report: Report, tick: Progress) -> Found:
    """The files of the source, looked at by their first bytes."""
    found = Found()
    for n, (member, head) in enumerate(source.scan(report)):
        if n % 100 == 0:
            # Creeps towards its share: the number of files is known at the end only.
            tick(f"Looking through the files: {n:,}", SCAN_SHARE * n / (n + 5000))
        if has_magic(head) or PurePosixPath(member.path).suffix.lower() in SUFFIXES:
            found.images.append(candidate(member, head))
        elif is_npy(head):
            if array := as_array(member, head, report):
                found.arrays.append(array)
            else:
                found.unread += 1
        elif file := as_idx(member, head):
            found.idx.append(file)
        else:
            found.others.append(member)
            sniffed = sniff(member, head)
            if isinstance(sniffed, str):
                found.no_texts[member.path] = sniffed
            else:
                found.texts.append(sniffed)
    return found


def refuse_for_texts(
    found: Found, report: Report, why: str = "it is no text, and the set is one of texts"
) -> None:
    """What is beside the texts of a set of texts, or beside the table of a series."""
    for member in found.others:
        if member.path in found.no_texts:
            report.refused(shown(member.path), found.no_texts[member.path])
    left = [
        *(i.member for i in found.images),
        *(f.member for f in found.idx),
        *(a.member for a in found.arrays),
    ]
    for member in left:
        report.refused(shown(member.path), why)


def refuse(members: Sequence[Member], report: Report) -> None:
    """What is beside the images of a set of images."""
    for member in members:
        suffix = PurePosixPath(member.path).suffix.lower()
        reason = "it is no image (PNG, JPEG, GIF, BMP, TIFF, WebP)"
        if suffix == ".npz":
            reason = "an .npz is read where it is all the data there is; upload the .npz itself"
        elif suffix in ARCHIVES:
            reason += "; an archive inside another is not opened, upload it by itself"
        report.refused(shown(member.path), reason)

"""Import of idx files, the format of MNIST: pairs of images and labels, plain or gzip.

Format (http://yann.lecun.com/exdb/mnist): two zero bytes, a type code, the number of axes, each axis as
a big-endian uint32, then the numbers. Files are read in pieces; only labels are held in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from workbench.data.folders import own_shape
from workbench.data.layout import split_of
from workbench.data.limits import Limits, human
from workbench.data.pictures import resized
from workbench.data.prepared import Prepared, Writer, room_for
from workbench.data.report import Report, shown
from workbench.data.shipped import FASHION_CLASSES, FASHION_SOURCE
from workbench.data.sources import Member, Source
from workbench.data.splits import SPLITS, TRAIN
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_PIECE = 4 << 20  # bytes read at once
# sha256 of the label bytes → class names, which idx files do not carry.
_KNOWN = {
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": (FASHION_CLASSES, FASHION_SOURCE),
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9": (FASHION_CLASSES, FASHION_SOURCE),
}


class IdxFile(NamedTuple):
    """An idx file by its header."""

    member: Member
    dtype: str
    dims: tuple[int, ...]
    is_gzip: bool

    @property
    def data_bytes(self) -> int:
        return math.prod(self.dims) * np.dtype(self.dtype).itemsize

    @property
    def header_bytes(self) -> int:
        return 4 + 4 * len(self.dims)


class Pair(NamedTuple):
    """Images with their labels."""

    split: int
    images: IdxFile
    labels: IdxFile


def as_idx(member: Member, head: bytes) -> IdxFile | None:
    """The header, or None where the file is not idx."""
    is_gzip = head[:2] == b"\x1f\x8b"
    if is_gzip:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 64)
        except zlib.error:
            return None
    if len(head) < 8 or head[:2] != b"\0\0" or head[2] not in _TYPES or not 1 <= head[3] <= 4:
        return None
    n_axes = head[3]
    if len(head) < 4 + 4 * n_axes:
        return None
    return IdxFile(member, _TYPES[head[2]], struct.unpack(f">{n_axes}I", head[4 : 4 + 4 * n_axes]), is_gzip)


def import_idx(
    source: Source,
    found: Sequence[IdxFile],
    folder: Path,
    *,
    size: int | None,
    channels: int | None,
    class_names: Sequence[str] | None,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str, float], None],
) -> Prepared:
    """Pair the files, check that they agree, and write the set into `folder`. Raises DataError."""
    pairs = pair(found, source.where, report)
    forms = {_chw(p.images) for p in pairs}
    if len({form[1:] for form in forms}) > 1:
        shapes = " and ".join("×".join(map(str, f[1:])) for f in sorted(forms))
        raise DataError.of(source.where, "all images of a set have one shape", f"the files hold {shapes}")
    _, n_channels, height, width = next(iter(forms))
    shape = own_shape((n_channels, height, width), size, channels, limits, report)
    room_for(sum(p.images.dims[0] for p in pairs), shape, limits, source.where)
    room_for(sum(p.images.dims[0] for p in pairs), (n_channels, height, width), limits, source.where)
    labels = _read_labels(source, pairs, limits, report)
    values = np.unique(np.concatenate(list(labels.values())))
    classes, origin = _class_names(values, labels, class_names, source.where, limits)
    update = {"classes": classes, **origin}
    writer = Writer(folder, shape, limits, source.where)
    total = sum(p.images.data_bytes for p in pairs)
    done = 0
    try:
        by_member = {id(p.images.member): p for p in pairs}
        for member, stream in source.read([p.images.member for p in pairs]):
            p = by_member[id(member)]
            codes = np.searchsorted(values, labels[p])
            form = _chw(p.images)
            per = max(1, _PIECE // max(1, math.prod(form[1:])))
            reader = _Data(stream, p.images, source.where)
            for at in range(0, p.images.dims[0], per):
                n = min(per, p.images.dims[0] - at)
                block = _block(reader.take(n * math.prod(form[1:])), n, form)
                writer.append(resized(block, shape), codes[at : at + n], p.split)
                done += n * math.prod(form[1:])
                tick(f"Reading images: {writer.n:,}", done / total)
            extra = reader.extra()
            note = f"{p.images.dims[0]:,} images of {width} × {height}, {SPLITS[p.split]}"
            if extra:
                report.repaired(shown(member.path), "bytes after the last image are left out")
            report.kept(shown(member.path), note)
        return writer.finish(schema.model_copy(update=update), report)
    finally:
        writer.close()


def pair(found: Sequence[IdxFile], where: str, report: Report) -> list[Pair]:
    """Images with labels, by split and name, in the order train, validation, test. Raises DataError."""
    if len(found) == 2 and len(found[0].dims) > 1 >= len(found[1].dims):
        return [_matched(TRAIN, found[0], found[1])]  # two files are a pair, whatever they are called
    if len(found) == 2 and len(found[1].dims) > 1 >= len(found[0].dims):
        return [_matched(TRAIN, found[1], found[0])]
    stems = sorted({_stem(file.member.path) for file in found})
    if len(stems) > 1:
        names = ", ".join(f"`{shown(s, 40)}`" for s in stems[:6])
        raise DataError.of(
            where,
            "a folder holds the idx files of one data set",
            f"it holds those of {len(stems)}: {names}",
            "Give the files of one of them, in a folder or zip of their own.",
        )
    by_split: dict[int, tuple[list[IdxFile], list[IdxFile]]] = {}
    for file in found:
        name = file.member.path.rsplit("/", 1)[-1].replace("t10k", "test")
        images, labels = by_split.setdefault(split_of(name) or TRAIN, ([], []))
        (images if len(file.dims) > 1 else labels).append(file)
    pairs = [
        _matched(split, _one(images, report), _one(labels, report))
        for split, (images, labels) in sorted(by_split.items())
    ]
    # A test file that comes alone is all there is to train on.
    return pairs if len(pairs) > 1 else [pairs[0]._replace(split=TRAIN)]


class _Data:
    """The numbers of an idx file, after its header, taken piece by piece."""

    def __init__(self, stream: BinaryIO, file: IdxFile, where: str) -> None:
        self._file, self._where = file, where
        self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if file.is_gzip else stream
        self.take(file.header_bytes)

    def take(self, n: int) -> bytes:
        """Exactly n bytes. Raises DataError where the file ends before."""
        parts, missing = [], n
        try:
            while missing:
                part = self._stream.read(min(missing, _PIECE))
                if not part:
                    break
                parts.append(part)
                missing -= len(part)
        except (OSError, EOFError, zlib.error) as error:
            raise self._short(str(error)) from None
        if missing:
            raise self._short("it ends before")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def extra(self) -> bool:
        """Whether bytes follow that the header does not speak of."""
        try:
            return bool(self._stream.read(1))
        except (OSError, EOFError, zlib.error):
            return True  # a damaged tail after all images were read

    def _short(self, fact: str) -> DataError:
        dims = "×".join(map(str, self._file.dims))
        return DataError.of(
            shown(self._file.member.path),
            f"it holds the {dims} numbers that its header declares",
            f"it cannot be read to their end ({fact})",
            "Download or upload it again.",
        )


def _matched(split: int, images: IdxFile | None, labels: IdxFile | None) -> Pair:
    if images is None or labels is None:
        have, lack = ("images", "labels") if images else ("labels", "images")
        file = images or labels
        assert file is not None  # a split is known by at least one file
        raise DataError.of(
            shown(file.member.path),
            "idx images and labels come in pairs",
            f"there are {have} for {SPLITS[split]} and no {lack}",
            f"Add the file of the {lack}.",
        )
    if images.dims[0] != labels.dims[0]:
        raise DataError.of(
            shown(images.member.path),
            "there is one label per image",
            f"there are {images.dims[0]:,} images and {labels.dims[0]:,} labels",
            "Check that the files belong together.",
        )
    return Pair(split, images, labels)


def _one(files: list[IdxFile], report: Report) -> IdxFile | None:
    """The file to use where one comes both packed and unpacked."""
    files = sorted(files, key=lambda f: (f.is_gzip, f.member.path))
    for other in files[1:]:
        report.refused(
            shown(other.member.path), f"`{shown(files[0].member.path)}` holds the same; it is used"
        )
    return files[0] if files else None


def _stem(path: str) -> str:
    """What names of one set share: `emnist-letters` of `emnist-letters-train-images-idx3-ubyte.gz`."""
    name = path.rsplit("/", 1)[-1].lower().removesuffix(".gz")
    words = re.split(r"[^a-z0-9]+", name)
    drop = re.compile(r"images?|labels?|idx[0-9]?|u?byte|t10k|train(ing)?|test(ing)?|val(id(ation)?)?|x|y")
    return "-".join(w for w in words if w and not drop.fullmatch(w))


def _chw(file: IdxFile) -> tuple[bool, int, int, int]:
    """(channels last, C, H, W) of an images file. Raises DataError."""
    dims = file.dims[1:]
    name = shown(file.member.path)
    if file.dtype != ">u1":
        raise DataError.of(
            name, "idx images hold unsigned bytes", "they hold other numbers", "Scale them to 0..255."
        )
    if 0 in file.dims:
        raise DataError.of(
            name, "a data set needs images", f"the header declares {'×'.join(map(str, file.dims))}"
        )
    if len(dims) == 2:
        return (False, 1, dims[0], dims[1])
    if len(dims) == 3 and dims[2] in (1, 3):
        return (True, dims[2], dims[0], dims[1])
    if len(dims) == 3 and dims[0] in (1, 3):
        return (False, dims[0], dims[1], dims[2])
    raise DataError.of(
        name,
        "idx images are (N, H, W), (N, H, W, 3) or (N, 3, H, W)",
        f"it is {'×'.join(map(str, file.dims))}",
    )


def _block(data: bytes, n: int, form: tuple[bool, int, int, int]) -> np.ndarray:
    last, channels, height, width = form
    if last:
        block = np.frombuffer(data, np.uint8).reshape(n, height, width, channels)
        return np.ascontiguousarray(block.transpose(0, 3, 1, 2))
    return np.frombuffer(data, np.uint8).reshape(n, channels, height, width)


def _read_labels(
    source: Source, pairs: Sequence[Pair], limits: Limits, report: Report
) -> dict[Pair, np.ndarray]:
    labels: dict[Pair, np.ndarray] = {}
    by_member = {id(p.labels.member): p for p in pairs}
    for member, stream in source.read([p.labels.member for p in pairs]):
        p = by_member[id(member)]
        if p.labels.dtype not in (">u1", ">i1", ">i2", ">i4") or math.prod(p.labels.dims[1:]) != 1:
            raise DataError.of(shown(member.path), "idx labels are one integer per image", "they are not")
        if p.labels.data_bytes > limits.bytes:
            raise DataError.of(shown(member.path), f"labels may take {human(limits.bytes)}", "they take more")
        data = _Data(stream, p.labels, source.where).take(p.labels.data_bytes)
        labels[p] = np.frombuffer(data, p.labels.dtype).reshape(-1).astype(np.int64)
        report.kept(shown(member.path), f"{len(labels[p]):,} labels, {SPLITS[p.split]}")
    return labels


def _class_names(
    values: np.ndarray,
    labels: dict[Pair, np.ndarray],
    given: Sequence[str] | None,
    where: str,
    limits: Limits,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names for the label values, and where the set comes from if it is a well-known one."""
    if len(values) > limits.classes:
        raise DataError.of(
            where,
            f"a set may have {limits.classes:,} classes",
            f"the labels take {len(values):,} values",
            "Check that the labels are class numbers.",
        )
    if given is not None:
        if len(given) <= int(values.max()) or int(values.min()) < 0:
            raise DataError.of(
                where,
                "every label has a class name",
                f"labels run from {values.min()} to {values.max()} and there are {len(given)} names",
            )
        return tuple(given[int(v)] for v in values), {}
    for array in labels.values():
        if int(array.min()) >= 0 and int(array.max()) < 256:
            known = _KNOWN.get(hashlib.sha256(array.astype(np.uint8).tobytes()).hexdigest())
            if known:
                return tuple(known[0][int(v)] for v in values), {"source": known[1], "licence": "MIT"}
    return tuple(str(int(v)) for v in values), {}

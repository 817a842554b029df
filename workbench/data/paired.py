"""Import of images with their masks, whatever source they come from.

Masks are read twice and images once: first to learn which values the masks of the whole set have, then as
class numbers into a file in the set's size, then with each image as it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from workbench.data.folders import BATCH_BYTES, Candidate, target_shape
from workbench.data.limits import Limits
from workbench.data.maskfiles import Census, Mask, read_mask
from workbench.data.masks import VOID, nearest
from workbench.data.pairs import Matched
from workbench.data.pictures import Unusable, decode, to_array
from workbench.data.prepared import Prepared, refuse_set, room_for
from workbench.data.report import Report, shown
from workbench.data.segmented import MaskWriter
from workbench.data.sources import Member, Source, read_all
from workbench.data.splits import SPLITS
from workbench.specs.data import DataSchema
from workbench.specs.errors import WorkbenchError

ASPECT = 0.02  # by which the sides of an image and its mask may differ in proportion
DRAFT = "masks.draft"


def import_pairs(
    source: Source,
    found: Sequence[Candidate],
    pairs: Sequence[Matched],
    folder: Path,
    *,
    size: int | None,
    channels: int | None,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str, float], None],
    names: Sequence[str] = (),
) -> Prepared:
    """Bring images and masks to one shape, and write the set into `folder`. names: of the classes, in order.

    Raises DataError; pairs that cannot be used are reported instead.
    """
    shape = target_shape([found[pair.image] for pair in pairs], size, channels, limits, report)
    room_for(len(pairs), shape, limits, source.where)
    masks = {id(found[pair.mask].member): i for i, pair in enumerate(pairs)}
    members = [found[pair.mask].member for pair in pairs]
    census, sides = Census(), {}
    for member, mask in _masks(source, members, limits, report):
        census.count(mask)
        sides[masks[id(member)]] = mask.values.shape
        tick("Counting the classes of the masks", 0.25 * len(sides) / len(pairs))
    if not sides:
        refuse_set(source.where, report, "a set for segmentation needs masks", "not one could be read")
    legend = census.legend(source.where, names)
    good = [member for member in members if masks[id(member)] in sides]
    strays = 0
    draft = np.lib.format.open_memmap(
        folder / DRAFT, mode="w+", dtype=np.uint8, shape=(len(pairs), *shape[1:])
    )
    for done, (member, mask) in enumerate(_masks(source, good, limits, Report(0))):
        numbers, stray = legend.numbered(mask)
        strays += stray
        draft[masks[id(member)]] = nearest(numbers, *shape[1:])
        tick("Reading masks", 0.25 + 0.25 * done / len(good))
    writer = MaskWriter(folder, shape, len(legend.names), limits, source.where)
    try:
        _write(source, found, pairs, sides, draft, writer, report, tick)
        if not writer.n:
            refuse_set(source.where, report, "a data set needs images", "not one could be read")
        if legend.n_stray:
            plural = "value" if legend.n_values == 1 else "values"
            report.repaired(
                "masks", f"{strays:,} pixels of {legend.n_values:,} stray {plural} count nowhere",
            )  # fmt: skip
        if legend.reach:
            report.repaired(
                "masks", f"JPEG changes values: those up to {legend.reach} from a class's are taken for it; "
                "save masks of class numbers as PNG",
            )  # fmt: skip
        if legend.void is not None:
            report.kept("masks", f"value {VOID} is a border that counts nowhere")
        _summary(writer, legend.names, report)
        return writer.finish(schema.model_copy(update={"classes": legend.names}), report)
    finally:
        writer.close()
        del draft
        (folder / DRAFT).unlink(missing_ok=True)


def _masks(
    source: Source, members: Sequence[Member], limits: Limits, report: Report
) -> Iterator[tuple[Member, Mask]]:
    """Those that can be read; the others are reported."""
    for member, stream in source.read(members):
        try:
            yield member, read_mask(_blob(stream, limits), limits)
        except Unusable as reason:
            report.refused(shown(member.path), f"the mask cannot be used: {reason}")


def _blob(stream: BinaryIO, limits: Limits) -> bytes:
    """Raises Unusable."""
    try:
        return read_all(stream, limits.file_bytes)
    except WorkbenchError:
        raise
    except Exception as error:  # zipfile, zlib, tarfile and the disk each have their own
        raise Unusable(f"it cannot be read: {shown(str(error)) or 'no reason given'}") from None


def _write(
    source: Source, found: Sequence[Candidate], pairs: Sequence[Matched], sides: dict[int, Any],
    draft: np.ndarray, writer: MaskWriter, report: Report, tick: Callable[[str, float], None],
) -> None:  # fmt: skip
    """Images with their masks, batch by batch."""
    places = {id(found[pair.image].member): i for i, pair in enumerate(pairs) if i in sides}
    wanted = [found[pair.image].member for i, pair in enumerate(pairs) if i in sides]
    lost = [found[pair.image].member for i, pair in enumerate(pairs) if i not in sides]
    for member in lost:
        report.refused(shown(member.path), "its mask cannot be read")
    channels, height, width = writer.images.shape
    per_batch = max(1, BATCH_BYTES // math.prod(writer.images.shape))
    limits, split = writer.images.limits, 0
    batch: list[tuple[np.ndarray, int, str]] = []

    def flush() -> None:
        if batch:
            rows = [place for _, place, _ in batch]
            images = np.stack([image for image, _, _ in batch])
            writer.append(
                images, np.stack([draft[row] for row in rows]), split, [file for _, _, file in batch]
            )
            batch.clear()

    for done, (member, stream) in enumerate(source.read(wanted)):
        place = places[id(member)]
        if len(batch) == per_batch or (batch and pairs[place].split != split):
            flush()
            tick(f"Reading images: {done:,} of {len(wanted):,}", 0.5 + 0.5 * done / len(wanted))
        try:
            suffix = PurePosixPath(member.path).suffix.lower()
            picture = decode(_blob(stream, limits), limits, suffix, (height, width))
        except Unusable as reason:
            report.refused(shown(member.path), str(reason))
            continue
        if why := _misfit(picture.image.size if picture.form != "JPEG" else picture.size, sides[place]):
            report.refused(shown(member.path), why)
            continue
        repairs = list(picture.repairs)
        if picture.size != sides[place][::-1]:
            repairs.append(f"its mask of {sides[place][1]} × {sides[place][0]} pixels is brought to its size")
        if repairs:
            report.repaired(shown(member.path), "; ".join(repairs))
        split = pairs[place].split
        batch.append((to_array(picture.image, height, width, channels), place, member.path))
    flush()


def _misfit(image: tuple[int, int], mask: tuple[int, int]) -> str:
    """Why a mask (height, width) is not that of an image (width, height); empty where it may be."""
    (width, height), (tall, wide) = image, mask
    if abs(width * tall - height * wide) <= ASPECT * max(width * tall, height * wide):
        return ""
    return f"its mask has other sides: {wide} × {tall} pixels, and the image {width} × {height}"


def _summary(writer: MaskWriter, names: Sequence[str], report: Report) -> None:
    """One row per class with its share of all pixels, and one per split."""
    total = max(1, int(writer.pixels.sum()))
    for k, name in enumerate(names):
        report.kept(name, f"{writer.pixels[k] / total:.1%} of all pixels")
    counts = writer.split_counts()
    report.kept("pairs", ", ".join(f"{n:,} {SPLITS[code]}" for code, n in enumerate(counts) if n))

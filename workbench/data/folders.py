"""Import of image files, in class folders or without classes, whatever source they come from."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from workbench.data.layout import Layout, Place
from workbench.data.limits import Limits
from workbench.data.pictures import Glance, Unusable, decode, glance, to_array
from workbench.data.prepared import Prepared, Writer, refuse_set, room_for
from workbench.data.report import Report, shown
from workbench.data.sources import Member, Source, read_all
from workbench.data.splits import SPLITS
from workbench.specs.base import Shape
from workbench.specs.data import DataSchema
from workbench.specs.errors import WorkbenchError

BATCH_BYTES = 4 << 20  # pixels written at once


class Candidate(NamedTuple):
    """A file that is or claims to be an image, and what its first bytes tell of it."""

    member: Member
    seen: Glance | None


def candidate(member: Member, head: bytes) -> Candidate:
    """A look at the first bytes."""
    return Candidate(member, glance(head))


def import_folders(
    source: Source,
    found: Sequence[Candidate],
    layout: Layout,
    folder: Path,
    *,
    size: int | None,
    channels: int | None,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str, float], None],
) -> Prepared:
    """Decode every image of the layout, bring all to one shape, and write the set into `folder`.

    Raises DataError; files that cannot be used are reported instead.
    """
    used = [found[place.at] for place in layout.places]
    shape = target_shape(used, size, channels, limits, report)
    if any(c.seen is not None for c in used):  # else decoding says what is wrong
        room_for(len(used), shape, limits, source.where)
    by_key = {id(c.member): place for c, place in zip(used, layout.places, strict=True)}
    writer = Writer(folder, shape, limits, source.where)
    per_batch = max(1, BATCH_BYTES // math.prod(shape))
    batch = Batch(writer, any(place.group >= 0 for place in layout.places))
    kept: Counter[tuple[int, int]] = Counter()
    facts: Counter[tuple[str, Any]] = Counter()
    try:
        for done, (member, stream) in enumerate(source.read([c.member for c in used])):
            place = by_key[id(member)]
            if len(batch.images) == per_batch or (batch.images and place.split != batch.split):
                batch.write()
                tick(f"Reading images: {done:,} of {len(used):,}", done / len(used))
            try:
                suffix = PurePosixPath(member.path).suffix.lower()
                blob = read_all(stream, limits.file_bytes)
                picture = decode(blob, limits, suffix, (shape[1], shape[2]))
            except Unusable as reason:
                report.refused(shown(member.path), str(reason))
                continue
            except WorkbenchError:
                raise
            except Exception as error:  # zipfile, zlib, tarfile and the disk each have their own
                report.refused(
                    shown(member.path), f"it cannot be read: {shown(str(error)) or 'no reason given'}"
                )
                continue
            if picture.repairs:
                report.repaired(shown(member.path), "; ".join(picture.repairs))
            batch.add(to_array(picture.image, shape[1], shape[2], shape[0]), place, member.path)
            kept[place.split, place.label] += 1
            facts.update([("form", picture.form), ("mode", picture.mode), ("size", picture.size)])
        batch.write()
        _summary(kept, layout, report)
        _note_facts(facts, folder, report)
        return writer.finish(schema.model_copy(update={"classes": layout.classes}), report)
    finally:
        writer.close()


class Batch:
    """Images of one split that are written together."""

    def __init__(self, writer: Writer, has_groups: bool) -> None:
        self._writer, self._has_groups = writer, has_groups
        self.split = 0
        self.images: list[np.ndarray] = []
        self._places: list[Place] = []
        self._files: list[str] = []

    def add(self, image: np.ndarray, place: Place, file: str) -> None:
        self.split = place.split
        self.images.append(image)
        self._places.append(place)
        self._files.append(file)

    def write(self) -> None:
        if self.images:
            labels = np.array([place.label for place in self._places])
            groups = np.array([place.group for place in self._places]) if self._has_groups else None
            self._writer.append(np.stack(self.images), labels, self.split, self._files, groups)
        self.images, self._places, self._files = [], [], []


def target_shape(
    found: Sequence[Candidate], size: int | None, channels: int | None, limits: Limits, report: Report
) -> Shape:
    """(C, H, W) for all images: theirs where they agree, else a square of the median side.

    Sides above `limits.default_side` are shrunk unless `size` says otherwise; the choice is reported.
    """
    seen = [c.seen for c in found if c.seen is not None]
    sizes = Counter((g.height, g.width) for g in seen)
    colour = any(g.is_colour for g in seen) if seen else True
    n_channels = channels or (3 if colour else 1)
    if size is not None:
        height = width = size
        why = "as asked for"
    elif not sizes:
        height = width = 28
        why = "no size could be read"
    elif len(sizes) == 1:
        height, width = next(iter(sizes))
        why = "the size of every image"
        if max(height, width) > limits.default_side:
            why = f"shrunk from {width} × {height}, the size of every image; give a size to keep more"
            height, width = shrunk(height, width, limits.default_side)
    else:
        side = int(statistics.median_low([s for g in seen for s in (g.height, g.width)]))
        height = width = max(4, min(side, limits.default_side))
        why = f"{len(sizes)} different sizes, median side {side}; images are stretched to a square"
        if side > limits.default_side:
            why += "; give a size to keep more"
    kinds = "colour" if n_channels == 3 else "grey"
    report.kept("all images", f"{width} × {height} pixels, {kinds}: {why}")
    return (n_channels, height, width)


def own_shape(
    form: Shape, size: int | None, channels: int | None, limits: Limits, report: Report
) -> tuple[int, int, int]:
    """(C, H, W) for images that all have `form`; large ones are shrunk unless `size` says otherwise."""
    own_channels, height, width = form
    out_h, out_w = (size, size) if size else (height, width)
    if not size and max(height, width) > limits.default_side:
        out_h, out_w = shrunk(height, width, limits.default_side)
        report.kept(
            "all images", f"shrunk from {width} × {height} to {out_w} × {out_h}; give a size to keep more"
        )
    return (channels or own_channels, out_h, out_w)


def refuse_without_images(where: str, report: Report) -> None:
    """No file was an image. Raises DataError."""
    refuse_set(
        where,
        report,
        "a data set needs images (PNG, JPEG, GIF, BMP, TIFF, WebP), or idx files",
        "it holds neither",
        "Pack one folder of images per class, or images alone to be painted anew.",
    )


def shrunk(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) with the longer one brought to `side`, at least 4 pixels each."""
    scale = side / max(height, width)
    return max(4, round(height * scale)), max(4, round(width * scale))


def _summary(kept: Counter[tuple[int, int]], layout: Layout, report: Report) -> None:
    """One row per class; one for all where there are none."""
    if not layout.classes:
        cut = [f"{kept[code, 0]:,} {split}" for code, split in enumerate(SPLITS) if kept[code, 0]]
        words = f" ({', '.join(cut)})" if layout.has_splits else ""
        report.kept(
            "all images",
            f"{sum(kept.values()):,} without classes{words}: to be painted anew, or made of noise. To tell "
            "classes apart, make one folder per class, or add a CSV of file names and labels",
        )
    for label, name in enumerate(layout.classes):
        parts = [(SPLITS[code], kept[code, label]) for code in range(len(SPLITS)) if kept[code, label]]
        total = sum(n for _, n in parts)
        if not total:
            continue  # Writer.finish says so
        text = "1 image, too few to be split" if total == 1 else f"{total:,} images"
        if layout.has_splits:
            text += f" ({', '.join(f'{n:,} {split}' for split, n in parts)})"
        report.kept(f"{name}/" if layout.told_by == "folders" else name, text)


def _note_facts(facts: Counter[tuple[str, Any]], folder: Path, report: Report) -> None:
    """Sizes, modes and formats of the files: a row of the report, and source.json for the page."""
    by_kind = {
        kind: [(value, n) for (k, value), n in facts.most_common() if k == kind]
        for kind in ("form", "mode", "size")
    }
    sizes = [size for size, _ in by_kind["size"]]
    if not sizes:
        return
    told = [", ".join(f"{value} {n:,}" for value, n in by_kind[kind][:8]) for kind in ("form", "mode")]
    low, high = min(sizes, key=math.prod), max(sizes, key=math.prod)
    extent = f"{low[0]} × {low[1]}" + (f" to {high[0]} × {high[1]}" if low != high else "")
    report.kept("all files", f"formats: {told[0]}; modes: {told[1]}; sizes: {extent} pixels")
    rows = {kind: [[value, n] for value, n in values[:200]] for kind, values in by_kind.items()}
    (folder / "source.json").write_text(json.dumps(rows), encoding="utf-8")

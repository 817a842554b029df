"""Import of NumPy files: an .npz, or .npy files of images and labels side by side.

An .npz is a zip of .npy files, so both are one thing here. Headers are read with NumPy's own reader,
numbers as plain bytes: nothing is ever unpickled. Images may be (N, H, W), (N, H, W, C), (N, C, H, W) or
flat (N, H·W); any number type. Arrays are read twice in pieces: once for the range of their values, once
for the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from workbench.data.folders import own_shape
from workbench.data.labels import labels_of, text
from workbench.data.limits import Limits, human
from workbench.data.npy import Array, Form, Part, Scale, assembled, dims_text, form_of, scale_of
from workbench.data.pictures import resized
from workbench.data.prepared import Prepared, Writer, room_for
from workbench.data.report import Report, shown
from workbench.data.sources import Source
from workbench.data.splits import SPLITS
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

PIECE = 4 << 20  # bytes read at once


def import_arrays(
    source: Source,
    found: Sequence[Array],
    folder: Path,
    *,
    size: int | None,
    channels: int | None,
    class_names: Sequence[str] | None,
    schema: DataSchema,
    limits: Limits,
    report: Report,
    tick: Callable[[str, float], None],
    unread: int = 0,
) -> Prepared:
    """Put images and labels together, bring the values to bytes, and write the set. unread: arrays that
    cannot be used. Raises DataError."""
    parts, names = assembled(found, source.where, report, unread=unread)
    forms = {part.images.member.path: form_of(part.images, report) for part in parts}
    heights = {(f.channels, f.height, f.width) for f in forms.values()}
    if len(heights) > 1:
        shapes = " and ".join("×".join(map(str, s)) for s in sorted(heights))
        raise DataError.of(source.where, "all images of a set have one shape", f"the arrays hold {shapes}")
    n_channels, height, width = next(iter(heights))
    shape = own_shape((n_channels, height, width), size, channels, limits, report)
    n_images = sum(part.images.dims[0] for part in parts)
    room_for(n_images, shape, limits, source.where)
    whole = _whole(source, [*(a for p in parts for a in (p.labels, p.groups) if a), *names], limits)
    given = class_names or (_text(whole[names[0].member.path]) if names else None)
    told = {p.labels.member.path: whole[p.labels.member.path] for p in parts if p.labels}
    labels = labels_of(told, source.where, limits, report, given) if told else None
    grouped = all(part.groups for part in parts)  # a group may reach over splits: numbered as one
    words = [text(whole[part.groups.member.path]) for part in parts if part.groups]
    ids = np.unique(np.concatenate(words)) if grouped else np.zeros(0)
    total = 2 * sum(part.images.data_bytes for part in parts)
    scale = _range(source, parts, limits, report, lambda done: tick("Looking at the values", done / total))
    writer = Writer(folder, shape, limits, source.where)
    try:
        done = total // 2
        by_path = {part.images.member.path: part for part in parts}
        for member, stream in source.read([part.images.member for part in parts]):
            part = by_path[member.path]
            numbers = np.zeros(part.images.dims[0], np.int64)
            if labels and part.labels:
                numbers = labels.numbers[part.labels.member.path]
            own = None
            if grouped and part.groups:
                own = np.searchsorted(ids, text(whole[part.groups.member.path]))
            for at, block in _pieces(stream, part.images, limits):
                _append(writer, at, block, part, forms[member.path], scale, numbers, own, report)
                done += block.nbytes
                tick(f"Reading images: {writer.n:,}", done / total)
            report.kept(
                shown(member.path),
                f"{part.images.dims[0]:,} images of {width} × {height}, {SPLITS[part.split]}; {scale.words}",
            )
        if not labels:
            report.kept(
                "all images",
                f"{n_images:,} without classes: to be painted anew, or made of noise. To tell classes apart, "
                "put an array of labels beside them, named alike: `x_train` and `y_train`",
            )
        classes = labels.classes if labels else ()
        return writer.finish(schema.model_copy(update={"classes": classes}), report)
    finally:
        writer.close()


def _whole(source: Source, arrays: Sequence[Array], limits: Limits) -> dict[str, np.ndarray]:
    """The small arrays, read as they are. Raises DataError."""
    by_path = {array.member.path: array for array in arrays}
    out = {}
    for member, stream in source.read([array.member for array in arrays]):
        array = by_path[member.path]
        if array.data_bytes > limits.memory:
            raise DataError.of(
                shown(member.path), f"labels may take {human(limits.memory)}", "they take more",
                "Raise the limit `memory`.",
            )  # fmt: skip
        out[member.path] = _numbers(_taken(stream, array.at, array.data_bytes, array), array, array.dims)
    return out


def _pieces(stream: BinaryIO, array: Array, limits: Limits) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows as stored) of an images array, a few MB at a time."""
    _taken(stream, 0, array.at, array)
    n, per_row = array.dims[0], array.data_bytes // array.dims[0]
    if array.by_column:  # the first image's last pixel lies at the end: all of it must be in memory
        if array.data_bytes > limits.memory:
            raise DataError.of(
                shown(array.member.path),
                f"an array kept in column order may take {human(limits.memory)}",
                f"it takes {human(array.data_bytes)}",
                "Save it with numpy.ascontiguousarray, or raise the limit `memory`.",
            )
        yield 0, _numbers(_taken(stream, 0, array.data_bytes, array), array, array.dims)
        return
    per = max(1, min(PIECE, limits.memory // 8) // max(1, per_row))
    for at in range(0, n, per):
        rows = min(per, n - at)
        yield at, _numbers(_taken(stream, 0, rows * per_row, array), array, (rows, *array.dims[1:]))


def _numbers(data: bytes, array: Array, dims: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(data, array.dtype).reshape(dims, order="F" if array.by_column else "C")


def _taken(stream: BinaryIO, skip: int, n: int, array: Array) -> bytes:
    """n bytes after `skip`. Raises DataError where the file ends before or is damaged."""
    parts, missing = [], skip + n
    fact = "it ends before"
    try:
        while missing and (part := stream.read(min(missing, PIECE))):
            parts.append(part)
            missing -= len(part)
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib, tarfile and the disk each have their own
        fact = shown(str(error) or type(error).__name__)
    if missing:
        raise DataError.of(
            shown(array.member.path),
            f"it holds the {dims_text(array)} numbers that its header declares",
            f"it cannot be read to their end ({fact})",
            "Save or upload it again.",
        )
    return b"".join(parts)[skip:]


def _range(
    source: Source, parts: Sequence[Part], limits: Limits, report: Report, tick: Callable[[int], None]
) -> Scale:
    """One scale for all parts, so that train and test stay alike."""
    low, high, done = math.inf, -math.inf, 0
    reach: dict[str, tuple[float, float]] = {}  # of each array
    by_path = {part.images.member.path: part.images for part in parts}
    for member, stream in source.read([part.images.member for part in parts]):
        for _, block in _pieces(stream, by_path[member.path], limits):
            finite = block if block.dtype.kind != "f" else block[np.isfinite(block)]
            if finite.size:
                below, above = reach.get(member.path, (math.inf, -math.inf))
                reach[member.path] = min(below, float(finite.min())), max(above, float(finite.max()))
            done += block.nbytes
            tick(done)
    for below, above in reach.values():
        low, high = min(low, below), max(high, above)
    _one_scale(parts, reach)
    if reach and not math.isfinite(high - low):
        raise DataError.of(
            source.where, "images hold numbers of a usual size", f"they run from {low:g} to {high:g}",
            "Look for what was never set, and scale them to 0..1.",
        )  # fmt: skip
    kinds = {part.images.dtype.kind for part in parts}
    is_bytes = all(part.images.dtype == np.uint8 for part in parts)
    scale = scale_of(low, high, whole=kinds <= set("bui"), is_bytes=is_bytes)
    if scale.words != "values from 0 to 255":
        report.repaired("all images", scale.words)
    return scale


def _one_scale(parts: Sequence[Part], reach: Mapping[str, tuple[float, float]]) -> None:
    """Floats from 0 to 1 beside numbers up to 255 would come out black. Raises DataError."""
    wide = [path for path, (low, high) in reach.items() if low >= 0 and high >= 128]
    for part in parts:
        path = part.images.member.path
        low, high = reach.get(path, (0.0, 0.0))
        if wide and part.images.dtype.kind == "f" and low >= 0 and 0 < high <= 1:
            raise DataError.of(
                shown(path), "all splits hold values of one scale",
                f"it reaches {high:g}, and `{shown(wide[0])}` {reach[wide[0]][1]:g}",
                "Divide both by the same number, or neither.",
            )  # fmt: skip


def _append(
    writer: Writer, at: int, block: np.ndarray, part: Part, form: Form, scale: Scale,
    numbers: np.ndarray, groups: np.ndarray | None, report: Report,
) -> None:  # fmt: skip
    """Write the usable rows of a piece; the others go to the report."""
    name = shown(part.images.member.path)
    own = numbers[at : at + len(block)]
    good = own >= 0
    finite = np.ones(len(block), dtype=bool)
    if block.dtype.kind == "f":
        finite = np.isfinite(block.reshape(len(block), -1)).all(1)
    for row in np.flatnonzero(~finite):
        report.refused(f"{name}[{at + row}]", "it holds NaN or infinite values")
    for row in np.flatnonzero(finite & ~good):
        report.refused(f"{name}[{at + row}]", "it has no label")
    kept = good & finite
    step = max(1, PIECE // max(1, block[0].size * 8))
    for start in range(0, len(block), step):  # the scaling is done in float64
        mask = kept[start : start + step]
        if mask.any():
            pixels = _bytes(block[start : start + step][mask], form, scale)
            rows = groups[at + start : at + start + len(mask)][mask] if groups is not None else None
            writer.append(
                resized(pixels, writer.shape), own[start : start + step][mask], part.split, (), rows
            )


def _bytes(block: np.ndarray, form: Form, scale: Scale) -> np.ndarray:
    """Rows as stored -> (n, 1 or 3, H, W) uint8; transparent pixels are laid on white."""
    if form.order == "hwc":
        block = block.reshape(len(block), form.height, form.width, form.stored).transpose(0, 3, 1, 2)
    else:
        block = block.reshape(len(block), form.stored, form.height, form.width)
    if scale.factor == 1.0 and scale.low == 0.0 and block.dtype == np.uint8:
        pixels = block
    else:
        scaled = (block.astype(np.float64) - scale.low) * scale.factor
        pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    if form.stored in (2, 4):
        colour, alpha = pixels[:, :-1].astype(np.float32), pixels[:, -1:].astype(np.float32) / 255
        pixels = np.rint(colour * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _text(array: np.ndarray) -> list[str]:
    return [shown(str(name)) for name in text(array).ravel()]

"""How well a trained model does: on the test split of its own data, or on other data."""

from __future__ import annotations

import re
import tempfile
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workbench import catalog
from workbench.data.dataset import Split
from workbench.data.masks import VOID, open_masks, taken_masks
from workbench.data.pictures import to_array
from workbench.data.prepare import prepare
from workbench.data.prepared import Arrays, open_arrays, read_schema
from workbench.data.report import Report
from workbench.data.table.asked import tell_unlearned
from workbench.data.table.dataset import TableSplit
from workbench.data.table.dataset import whole as whole_table
from workbench.data.text.dataset import whole
from workbench.engine.evaluate import evaluate
from workbench.engine.series import floors
from workbench.engine.writing import scored
from workbench.specs.base import did_you_mean
from workbench.specs.errors import DataError
from workbench.specs.picture_tasks import UNLABELLED
from workbench.specs.tables import TableImport
from workbench.specs.tasks import TranslationTask
from workbench.store import Store
from workbench.tasks.forecasting import Forecasting
from workbench.worker.series import other_series
from workbench.worker.trained import Trained

_PLAIN = re.compile(r"class \d+|#[0-9a-f]{6}|background|foreground")  # names that masks give by their values


def judge(store: Store, trained: Trained, data: str | None = None, beam: int | None = None) -> dict[str, Any]:
    """`{"metrics": {"loss", …}, "confusion": [[…]], "report": …, "repairs": […]}`; confusion rows: true
    classes; repairs: what was mended in a file of rows or steps, or counts as missing or unknown.
    Translators are judged by what they write too: bleu, chrf, exact_match, with the run's beams or `beam`.

    data: None for the run's own test split (validation where there is none); a registered set's name
    or else a folder or archive for all images of that. Raises DataError.
    """
    name: str
    split: Any
    mended, judged_by = Report(50), trained.task
    if data is not None and trained.data.kind == "series":
        name, split = data, other_series(store, trained, data, mended)
        if isinstance(trained.task, Forecasting):
            judged_by = copy(trained.task)
            judged_by.has_holes = split.known is not None  # which the run's own series may not have
    elif data is not None and trained.data.kind == "table":
        name, split = _other_table(store, trained, data, mended)
    elif data is not None and trained.data.kind != "images":
        name, split = _other_texts(store, trained, data)
    else:
        name, split = _own(trained) if data is None else _other(store, trained, data)
    found = evaluate(trained.model, split, trained.data, judged_by, device="cpu", least=trained.least)
    report, written = found.report, {}
    if trained.data.kind == "series":
        report = {**(report or {}), "floors": floors(split, trained.data, judged_by)}
    if isinstance(trained.row.spec.task, TranslationTask):
        task = trained.row.spec.task
        beams = task.beam if beam is None else int(beam)
        written = scored(trained.model, split, trained.data, trained.task, most=len(split), beam=beams)
    return {
        "metrics": {name: float(value) for name, value in {**found.marks, **written}.items()},
        "report": report,
        "confusion": found.confusion.tolist(),
        "classes": list(trained.data.classes),
        "data": name,
        "images": int(found.n),
        "samples": int(found.n),
        "repairs": mended.mended(),
        "run": trained.row.id,
        "checkpoint": trained.checkpoint.name,
        "step": trained.checkpoint.step,
    }


def _other_texts(store: Store, trained: Trained, data: str) -> tuple[str, Any]:
    """All texts of a registered set, read with the run's own tokenizer. Raises DataError."""
    known = {row.name: row for row in catalog.list(store)}
    if data not in known:
        raise DataError.of(
            data, "texts to judge on must be a registered set", "it is none", did_you_mean(data, known)
        )
    return data, whole(store.datasets.get(data).path, trained.data, data)


def _other_table(store: Store, trained: Trained, data: str, report: Report) -> tuple[str, Any]:
    """All rows of a registered table, or of a file, with the run's own encoder. Raises DataError."""
    known = {row.name: row for row in catalog.list(store)}
    path = Path(data).expanduser()
    if data in known:
        split, odd = whole_table(store.datasets.get(data).path, trained.data, data)
        tell_unlearned(odd, report)
        return data, split
    if not path.exists():
        raise DataError.of(
            data, "data is a table or a registered set", "it is neither", did_you_mean(data, known)
        )
    schema = trained.data.schema
    fields = {own.name: own for own in schema.fields}
    with tempfile.TemporaryDirectory(prefix="workbench-") as place:
        asked = TableImport(
            target=tuple(own.name for own in schema.fields if own.role == "target"), task=schema.task
        )
        found = prepare(path, Path(place) / "set", kind="table", table=asked, known=fields)
        for row in found.report:
            if row["action"] == "repaired":
                report.repaired(row["file"], row["reason"])
            elif row["action"] == "refused":
                report.refused(row["file"], row["reason"])
        split, odd = whole_table(Path(place) / "set", trained.data, path.name)
        tell_unlearned(odd, report)
        return path.name, TableSplit(np.array(split.x), split.y, split.index, split.stored)


def _own(trained: Trained) -> tuple[str, Any]:
    if len(trained.data.test):
        return f"{trained.data.name}, test", trained.data.test
    return f"{trained.data.name}, validation", trained.data.validation


def _other(store: Store, trained: Trained, data: str) -> tuple[str, Split]:
    path = Path(data).expanduser()
    known = {row.name: row for row in catalog.list(store)}
    if data in known or not path.exists():  # a folder that happens to be called like a set is ./NAME
        if data not in known:
            raise DataError.of(
                data, "data is a folder, an archive or a registered set", "it is none of them",
                did_you_mean(data, known),
            )  # fmt: skip
        folder = store.datasets.get(data).path
        return data, _shaped(trained, folder, data)
    channels, height, width = trained.data.shape
    asked: dict[str, Any] = {"size": height if height == width else None, "channels": channels}
    if trained.row.spec.task.kind == "segmentation":
        asked["kind"] = "masks"
        if not all(_PLAIN.fullmatch(name) for name in trained.data.classes):  # the files do not tell them
            asked["class_names"] = trained.data.classes
    with tempfile.TemporaryDirectory(prefix="workbench-") as place:
        folder = Path(place) / "set"
        prepare(path, folder, **asked)
        return path.name, _shaped(trained, folder, path.name)


def _shaped(trained: Trained, folder: Path, where: str) -> Split:
    """All images of a prepared set in the model's shape, labels and masks in the model's numbering. Raises
    DataError."""
    arrays, schema = open_arrays(folder), read_schema(folder)
    classes, has_masks = schema.classes, trained.row.spec.task.kind == "segmentation"
    ours = {name: k for k, name in enumerate(trained.data.classes)}
    if trained.row.spec.task.kind in UNLABELLED:
        classes, ours = ("",), {"": 0}  # the image itself is what should come out
        arrays = Arrays(arrays.images, np.zeros_like(arrays.labels), arrays.splits)
    elif has_masks and schema.task != "segmentation":
        raise DataError.of(
            where, "a segmentation is judged on images with masks", "these have none",
            "Lay them out as images/NAME and masks/NAME.",
        )  # fmt: skip
    elif not classes:
        raise DataError.of(
            where, "a classifier is judged on images with classes", "these have none",
            "Lay them out in a folder per class.",
        )  # fmt: skip
    for name in classes:
        if name not in ours:
            raise DataError.of(
                where, "every class must be one the model knows", f"`{name}` is not", did_you_mean(name, ours)
            )
    numbering = np.array([ours[name] for name in classes], np.int64)
    shape = trained.data.shape
    if arrays.images.shape[1:] == shape:
        x = np.array(arrays.images)  # out of the memory map, which may go away
    else:
        x = np.empty((len(arrays.images), *shape), np.uint8)
        for i, chw in enumerate(arrays.images):
            image = Image.fromarray(chw[0] if len(chw) == 1 else np.ascontiguousarray(chw.transpose(1, 2, 0)))
            x[i] = to_array(image, shape[1], shape[2], shape[0])
    masks = None
    if has_masks:
        numbers = np.full(VOID + 1, VOID, np.uint8)
        numbers[: len(numbering)] = numbering
        masks = numbers[taken_masks(open_masks(folder), np.arange(len(x)), *shape[1:])]
    return Split(x, numbering[arrays.labels], np.arange(len(x)), masks)

"""Data sets that come with the program: a sample of Fashion-MNIST, digits, shapes with masks, texts, tables.

They are written into the prepared folder format at their first use. How the sample was cut stands in
docs/data.md. Neither scikit-learn nor the network is needed to read them.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from workbench.data import shapes
from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, Writer, new_folder
from workbench.data.report import Report
from workbench.data.segmented import MaskWriter
from workbench.data.series.shipped import SHIPPED as SERIES
from workbench.data.series.shipped import prepare_series
from workbench.data.splits import TEST, TRAIN
from workbench.data.table.shipped import SHIPPED as TABLES
from workbench.data.table.shipped import prepare_table
from workbench.data.text.shipped import SHIPPED as TEXTS
from workbench.data.text.shipped import prepare_texts
from workbench.specs.base import did_you_mean
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

HERE = Path(__file__).parent / "shipped"
FASHION, DIGITS, SHAPES = "fashion-mnist-sample", "digits", "shapes"
IMAGES = (FASHION, DIGITS, SHAPES)
SHIPPED = (*IMAGES, *TEXTS, *SERIES, *TABLES)
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FASHION_SOURCE = "Fashion-MNIST, Zalando Research, https://github.com/zalandoresearch/fashion-mnist"


def prepare_shipped(name: str, out: Path) -> Prepared:
    """Write a shipped set as a prepared folder. Raises DataError for a name that is not shipped."""
    if name == FASHION:
        return _fashion(out)
    if name == DIGITS:
        return _digits(out)
    if name in SERIES:
        return prepare_series(name, out)
    if name == SHAPES:
        return _shapes(out)
    if name in TEXTS:
        return prepare_texts(name, out)
    if name in TABLES:
        return prepare_table(name, out)
    raise DataError.of(
        f"data set `{name}`",
        "the data set must come with the program",
        "it does not",
        did_you_mean(name, SHIPPED),
    )


def _fashion(out: Path) -> Prepared:
    """12,000 images (1, 28, 28), 10 classes: 1,000 of each to train, 200 of each to test."""
    schema = DataSchema(
        shape=(1, 28, 28),
        classes=FASHION_CLASSES,
        licence="MIT",
        source=f"{FASHION_SOURCE}; 10,000 of 60,000 training and 2,000 of 10,000 test images",
    )
    with np.load(HERE / f"{FASHION}.npz", allow_pickle=False) as file:
        images, labels, n_train = file["images"][:, None], file["labels"], int(file["n_train"])
    report = Report()
    report.kept(f"{FASHION}.npz", "comes with the program: 10,000 images to train, 2,000 to test")
    parts = ((slice(0, n_train), TRAIN), (slice(n_train, None), TEST))
    return _write(out, FASHION, schema, [(images[s], labels[s], code) for s, code in parts], report)


def _digits(out: Path) -> Prepared:
    """1,797 handwritten digits (1, 8, 8), values 0..16 scaled to 0..255. The source brings no split."""
    spec = importlib.util.find_spec("sklearn")  # does not import it: that takes a second and 60 MB
    if spec is None or not spec.submodule_search_locations:
        raise DataError.of(
            DIGITS,
            "the digits come with scikit-learn",
            "it is not installed",
            "Run `pip install scikit-learn`.",
        )
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.int64)  # (1797, 65): 64 pixels, then the label
        pixels, labels = table[:, :-1], table[:, -1]
    else:  # another version of scikit-learn may keep them elsewhere
        from sklearn.datasets import load_digits  # noqa: PLC0415 - slow, and only needed here

        bunch = load_digits()
        pixels, labels = bunch.data, bunch.target
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    schema = DataSchema(
        shape=(1, 8, 8),
        classes=tuple(map(str, range(10))),
        licence="CC BY 4.0",
        source="Optical recognition of handwritten digits, UCI (test part), as in scikit-learn's load_digits",
    )
    report = Report()
    report.kept("digits.csv.gz", "comes with scikit-learn: 1,797 images, values 0 to 16 scaled to 0 to 255")
    return _write(out, DIGITS, schema, [(images, labels, TRAIN)], report)


def _shapes(out: Path) -> Prepared:
    """1,200 pictures (3, 48, 48) with masks of four classes: 1,000 to train, 200 to test."""
    images, masks, splits = shapes.pictures()
    schema = DataSchema(
        shape=images.shape[1:], classes=shapes.CLASSES, licence="CC0",
        source="Made by the program: circles, squares and triangles in front of noise, with their masks",
    )  # fmt: skip
    report = Report()
    report.kept("1,200 pictures", "made by the program: 1,000 to train, 200 to test, a mask of each")
    with new_folder(out, SHAPES) as folder:
        writer = MaskWriter(folder, schema.shape, len(schema.classes), Limits(), SHAPES)
        try:
            for split in (TRAIN, TEST):
                writer.append(images[splits == split], masks[splits == split], split)
            return writer.finish(schema, report)
        finally:
            writer.close()


def _write(
    out: Path, name: str, schema: DataSchema, parts: list[tuple[np.ndarray, np.ndarray, int]], report: Report
) -> Prepared:
    with new_folder(out, name) as folder:
        writer = Writer(folder, schema.shape, Limits(), name)
        try:
            for images, labels, split in parts:
                writer.append(images, labels, split)
            return writer.finish(schema, report)
        finally:
            writer.close()

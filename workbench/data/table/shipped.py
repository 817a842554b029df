"""Tables that come with the program: packed beside the code, or made by it. See docs/tables.md."""

from __future__ import annotations

import lzma
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from workbench.data.limits import Limits
from workbench.data.prepared import Prepared, new_folder
from workbench.data.report import Report
from workbench.data.sources import Folder
from workbench.data.table.imported import BINS, import_table
from workbench.data.table.stored import TableWriter
from workbench.data.text.sniffed import Sniffed, sniff
from workbench.specs.data import DataSchema
from workbench.specs.tables import TableColumn, TableImport

HERE = Path(__file__).parents[1] / "shipped"
THOUSAND = "thousand-columns"
ROWS, COLUMNS = 3_000, 1_000

_SETS: dict[str, tuple[TableImport, str, str, str]] = {
    "wine-quality": (
        TableImport(target=("quality",), task="regression"),
        "Wine Quality, P. Cortez, A. Cerdeira, F. Almeida, T. Matos and J. Reis, 2009, UCI; red and white",
        "CC BY 4.0 (UCI)", "1,599 red and 4,898 white wines; quality from 0 to 10, as judged by people",
    ),
    "adult-sample": (
        TableImport(target=("income",), task="classification"),
        "Adult, B. Becker and R. Kohavi, 1996, UCI; 8,000 of 32,561 training and 4,000 of 16,281 test rows",
        "CC BY 4.0 (UCI)", "people of a census of 1994: who earns more than 50,000 dollars a year?",
    ),
    THOUSAND: (
        TableImport(target=("y",), task="classification"),
        "3,000 rows of 1,000 numbers, of which 20 tell the class (workbench.data.table.shipped)",
        "made by this program", "3,000 rows of 1,000 random numbers; 20 of them tell the class",
    ),
}  # fmt: skip
SHIPPED = tuple(_SETS)


def prepare_table(name: str, out: Path) -> Prepared:
    """Write a shipped table as a prepared folder. name: one of SHIPPED."""
    if name == THOUSAND:
        return _thousand(out)
    asked, origin, licence, words = _SETS[name]
    report, limits = Report(), Limits()
    report.kept(name, words)
    with TemporaryDirectory(prefix="workbench-") as place, new_folder(out, name) as folder:
        (Path(place) / f"{name}.csv").write_bytes(lzma.decompress((HERE / f"{name}.csv.xz").read_bytes()))
        source = Folder(Path(place), limits)
        files = [found for m, head in source.scan(report) if isinstance(found := sniff(m, head), Sniffed)]
        schema = DataSchema(source=origin, licence=licence)
        return import_table(
            source, files, folder, asked=asked, schema=schema, limits=limits, report=report,
            tick=lambda words, share: None,
        )  # fmt: skip


def _thousand(out: Path) -> Prepared:
    """The made table. It needs no reading, and is laid down at once: every first page waits for it."""
    asked, origin, licence, words = _SETS[THOUSAND]
    report = Report()
    report.kept(THOUSAND, words)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(ROWS, COLUMNS)).round(3)
    told = x[:, :10].sum(axis=1) + 2 * (x[:, 10:15] * x[:, 15:20]).sum(axis=1) / np.sqrt(5)
    y = (told + draw.normal(size=ROWS) > 0).astype(np.float64)
    names = [f"x{k}" for k in range(COLUMNS)]
    (target,) = asked.target
    kinds = dict.fromkeys([*names, target], "number")
    with new_folder(out, THOUSAND) as folder:
        writer = TableWriter(folder, kinds, Limits(), THOUSAND)
        try:
            columns = dict(zip(names, np.ascontiguousarray(x.T), strict=True)) | {target: y}
            writer.append(columns, y[:, None], np.zeros(ROWS, np.int8), names)
            fields = tuple(_field(name, values) for name, values in columns.items())
            schema = DataSchema(
                kind="table", task="classification", classes=("0", "1"), columns={"target": target},
                fields=fields, source=origin, licence=licence,
            )  # fmt: skip
            return writer.finish(schema, report)
        finally:
            writer.close()


def _field(name: str, values: np.ndarray) -> TableColumn:
    is_target = not name.startswith("x")
    counts, edges = np.histogram(values, BINS)
    return TableColumn(
        name=name, role="target" if is_target else "number", kind="number", distinct=len(np.unique(values)),
        is_whole=is_target, least=float(values.min()), greatest=float(values.max()),
        edges=tuple(edges.tolist()), counts=tuple(counts.tolist()),
    )  # fmt: skip

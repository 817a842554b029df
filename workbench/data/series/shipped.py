"""The series that comes with the program: monthly sunspots. See docs/series.md."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

from workbench.data.prepared import Prepared, new_folder
from workbench.data.report import Report
from workbench.data.series.regular import regular
from workbench.data.series.stored import write
from workbench.specs.data import DataSchema
from workbench.specs.series_import import SeriesImport

HERE = Path(__file__).parents[1] / "shipped"
SUNSPOTS = "sunspots"
SHIPPED = (SUNSPOTS,)
SOURCE = (
    "Monthly mean sunspot numbers, Zürich, 1749 to 1983 (Andrews and Herzberg 1985, Data, table 11.1; Time "
    "Series Data Library); the series goes on at WDC-SILSO, Royal Observatory of Belgium, Brussels"
)


def prepare_series(name: str, out: Path) -> Prepared:
    """Write a shipped series as a prepared folder. name: one of SHIPPED."""
    lines = lzma.decompress((HERE / f"{name}.csv.xz").read_bytes()).decode("ascii").splitlines()[1:]
    cells = [line.split(",") for line in lines]
    moments = np.array([cell[0].strip('"') for cell in cells], "datetime64[M]")
    values = np.array([[float(cell[1])] for cell in cells])
    report = Report()
    report.kept(f"{name}.csv", "comes with the program: 2,820 months")
    schema = DataSchema(
        kind="series", task="forecasting", shape=(), variates=("sunspots",), columns={"time": "month"},
        source=SOURCE, licence="public domain",
    )  # fmt: skip
    with new_folder(out, name) as folder:
        series = regular(moments, values, ["sunspots"], SeriesImport(), report)
        return write(folder, schema, series, report, name)

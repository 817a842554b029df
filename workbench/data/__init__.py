"""Images and texts in: from a folder, an archive, tables or the hub to arrays and a schema. No torch."""

from workbench.data.dataset import Dataset, Split, load
from workbench.data.limits import ImportCancelled, Limits
from workbench.data.prepare import kind_of, look, prepare
from workbench.data.prepared import Prepared
from workbench.data.series.dataset import SeriesData, Windows
from workbench.data.series.dataset import shape as series_shape
from workbench.data.shipped import SHIPPED, prepare_shipped
from workbench.data.table.dataset import TableData
from workbench.data.table.dataset import shape as table_shape
from workbench.data.text.dataset import TextData, Texts, tokenizers
from workbench.data.text.dataset import shape as text_shape

__all__ = [
    "SHIPPED",
    "Dataset",
    "ImportCancelled",
    "Limits",
    "Prepared",
    "SeriesData",
    "Split",
    "TableData",
    "TextData",
    "Texts",
    "Windows",
    "kind_of",
    "load",
    "look",
    "prepare",
    "prepare_shipped",
    "series_shape",
    "table_shape",
    "text_shape",
    "tokenizers",
]

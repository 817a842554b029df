"""Images in: from a folder, an archive, idx files or the hub to NumPy arrays and a schema. No torch."""

from workbench.data.dataset import Dataset, Split, load
from workbench.data.limits import ImportCancelled, Limits
from workbench.data.prepare import prepare
from workbench.data.prepared import Prepared
from workbench.data.shipped import SHIPPED, prepare_shipped
from workbench.data.text.dataset import TextData, Texts
from workbench.data.text.dataset import shape as text_shape

__all__ = [
    "SHIPPED",
    "Dataset",
    "ImportCancelled",
    "Limits",
    "Prepared",
    "Split",
    "TextData",
    "Texts",
    "load",
    "prepare",
    "prepare_shipped",
    "text_shape",
]

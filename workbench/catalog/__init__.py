"""Registered data sets, by name: the data room wired to the store. No torch, no streamlit."""

from workbench.catalog.looking import Samples, class_balance, samples
from workbench.catalog.sets import (
    add,
    delete,
    list_sets,
    load,
    prepare_all,
    rename,
    schema,
    shape_and_classes,
    show,
    with_shipped,
)

list = list_sets  # read as `catalog.list(store)`

__all__ = [
    "Samples",
    "add",
    "class_balance",
    "delete",
    "list",
    "load",
    "prepare_all",
    "rename",
    "samples",
    "schema",
    "shape_and_classes",
    "show",
    "with_shipped",
]

"""Registered data sets, by name: the data room wired to the store. No torch, no streamlit."""

from workbench.catalog.editing import (
    copy,
    drop_classes,
    drop_images,
    merge_classes,
    relabel,
    rename_class,
    restore,
)
from workbench.catalog.following import followed
from workbench.catalog.looking import Samples, Statistics, class_balance, copies, in_turn, samples, statistics
from workbench.catalog.series import Curve, SeriesView, series
from workbench.catalog.sets import (
    add,
    delete,
    kind_of,
    list_sets,
    load,
    look,
    prepare_all,
    rename,
    schema,
    shape_and_classes,
    show,
    with_shipped,
)
from workbench.catalog.texts import (
    Lengths,
    TextPage,
    Tokenized,
    lengths,
    texts,
    tokenized,
    unknown_rate,
    vocabulary,
)

list = list_sets  # read as `catalog.list(store)`

__all__ = [
    "Curve",
    "Lengths",
    "Samples",
    "SeriesView",
    "Statistics",
    "TextPage",
    "Tokenized",
    "add",
    "class_balance",
    "copies",
    "copy",
    "delete",
    "drop_classes",
    "drop_images",
    "followed",
    "in_turn",
    "kind_of",
    "lengths",
    "list",
    "load",
    "look",
    "merge_classes",
    "prepare_all",
    "relabel",
    "rename",
    "rename_class",
    "restore",
    "samples",
    "schema",
    "series",
    "shape_and_classes",
    "show",
    "statistics",
    "texts",
    "tokenized",
    "unknown_rate",
    "vocabulary",
    "with_shipped",
]

"""A prepared set of texts as the `datasets` library has it; nothing is copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.data.splits import SPLITS
from workbench.data.text.stored import FILE, Stored, is_stream


def as_dataset(folder: Path) -> Any:
    """The set in `folder` as a `datasets.Dataset`: text, of pairs target, of classes label, and split.
    Label and split are ClassLabels; the split is that which was brought, not as a run cuts the set.

    The texts stay where they are, in the memory-mapped file; labels and splits take nine bytes a row.
    Check: rows and their order are those of `Stored`.
    Raises: ImportError without the library, which is optional; DataError for what is no set of texts.
    """
    import datasets  # noqa: PLC0415 - optional, and a second to import

    library: Any = datasets
    stored = Stored(folder)
    texts = (
        library.Dataset.from_file(str(folder / FILE)) if is_stream(folder) else library.Dataset(stored.table)
    )
    columns: dict[str, Any] = {"split": stored.splits}
    features: dict[str, Any] = {"split": library.ClassLabel(names=list(SPLITS))}
    if stored.schema.classes:
        columns["label"] = stored.labels
        features["label"] = library.ClassLabel(names=list(stored.schema.classes))
    told = library.Dataset.from_dict(columns, features=library.Features(features))
    return library.concatenate_datasets([texts, told], axis=1)

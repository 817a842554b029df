"""Adding, naming and loading registered data sets; those that come with the program are always there.

A shipped set is written into the store when it is first asked for. An import is prepared below the
store's artifacts and registered in one step at the end, so that a set is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workbench import data
from workbench.data.hub import PREFIX, prepare_hub
from workbench.specs.base import AnyShape
from workbench.specs.data import DataName, DataSchema, DataSpec, TextImport
from workbench.specs.errors import DataError
from workbench.specs.series_import import SeriesImport
from workbench.specs.tables import TableImport
from workbench.store import Store
from workbench.store.datasets import DatasetRow

_NAME = TypeAdapter(DataName)
_SUFFIXES = (
    ".zip", ".gz", ".bz2", ".xz", ".tgz", ".tbz2", ".txz", ".tar", ".idx", ".idx3", ".npz", ".npy", ".txt",
    ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet",
)  # fmt: skip
_STALE_S = 24 * 3600  # an import that old was killed
_first_use = threading.Lock()


def list_sets(store: Store) -> list[DatasetRow]:
    """All registered sets by name, those that come with the program included."""
    prepare_all(store)
    return store.datasets.list()


def prepare_all(store: Store) -> None:
    """Write the shipped sets into the store where they are not yet; a second, once."""
    known = {row.name for row in store.datasets.list()}
    for name in data.SHIPPED:
        if name not in known:
            with_shipped(store, name)


def with_shipped(store: Store, name: str, version: int | None = None) -> DatasetRow:
    """The set of that name, in `version` or as it is now; a shipped one is written first where needed.

    Raises DataError.
    """
    if name in data.SHIPPED:
        with _first_use:  # two pages may ask at the same moment
            if name not in {row.name for row in store.datasets.list()}:
                with incoming(store) as folder:
                    prepared = data.prepare_shipped(name, folder)
                    return put(store, name, folder, prepared)
    return store.datasets.get(name, version)


def add(
    store: Store,
    source: Path | str,
    name: str | None = None,
    *,
    size: int | None = None,
    channels: int | None = None,
    labels: Path | None = None,
    class_names: Sequence[str] | None = None,
    licence: str = "",
    limits: data.Limits | None = None,
    progress: Callable[[str, float], None] | None = None,
    stop: Callable[[], bool] | None = None,
    kind: str | None = None,
    texts: TextImport | None = None,
    series: SeriesImport | None = None,
    table: TableImport | None = None,
) -> DatasetRow:
    """Import a folder, an archive or a file, or `hf:owner/name` from the Hugging Face hub, and register it.

    name: by default made from the source's name, with a number where that is taken. A name given and
    taken is refused. The other arguments are those of `data.prepare`.
    Raises DataError (data.ImportCancelled after `stop`); then nothing is registered.
    """
    is_hub = str(source).startswith(PREFIX)  # the command line may have made a Path of it
    if is_hub and kind in ("series", "table"):
        raise DataError.of(
            str(source), "sets of the hub are images or texts", f"a {kind} is asked for",
            "Download its Parquet or CSV files, and add those.",
        )  # fmt: skip
    chosen = checked_name(store, name) if name else free_name(store, str(source))
    with incoming(store) as folder:
        if is_hub:
            prepared = prepare_hub(
                str(source).removeprefix(PREFIX), folder, size=size, channels=channels, limits=limits,
                progress=progress, stop=stop, kind=kind, texts=texts,
            )  # fmt: skip
        else:
            prepared = data.prepare(
                Path(source).expanduser(), folder, size=size, channels=channels, labels=labels,
                class_names=class_names, licence=licence, limits=limits, progress=progress, stop=stop,
                kind=kind, texts=texts, series=series, table=table,
            )  # fmt: skip
        return put(store, chosen, folder, prepared)


def look(
    source: Path | str, *, kind: str | None = None, texts: TextImport | None = None,
    series: SeriesImport | None = None, table: TableImport | None = None,
    limits: data.Limits | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What `add` would take the source for, before it is added: kind, and of texts task, form, columns with
    examples, header, files. So a page can ask. Raises DataError."""
    if str(source).startswith(PREFIX):
        raise DataError.of(
            str(source), "a look is for files at hand", "this is a name of the hub",
            "Add it: the report says what its columns were taken for.",
        )  # fmt: skip
    return data.look(
        Path(source).expanduser(), kind=kind, texts=texts, series=series, table=table, limits=limits
    )


def kind_of(source: Path | str) -> str:
    """What a source would be taken for: images, text or table. Raises DataError."""
    return "images" if str(source).startswith(PREFIX) else data.kind_of(Path(source).expanduser())


def show(store: Store, name: str) -> dict[str, Any]:
    """The contract's JSON: name, kind, task, rows, classes, splits, schema, report. Raises DataError."""
    row = with_shipped(store, name)
    return {
        "name": row.name,
        "kind": row.schema.kind,
        "task": row.schema.task,
        "rows": sum(row.splits.values()),
        "classes": [*row.schema.classes],
        "splits": dict(row.splits),
        "schema": row.schema.model_dump(mode="json"),
        "report": [dict(line) for line in row.report],
        "version": row.version,
        "fingerprint": row.fingerprint,
    }


def load(store: Store, spec: DataSpec, version: int | None = None) -> Any:
    """The arrays a run trains on, cut and shaped as `spec` says. version: of the set; None is the newest.

    Raises DataError.
    """
    return data.load(with_shipped(store, spec.name, version).path, spec)


def schema(store: Store, name: str, version: int | None = None) -> DataSchema:
    """What a set is, or was in `version`. Raises DataError with the nearest name."""
    return with_shipped(store, name, version).schema


def shape_and_classes(store: Store, spec: DataSpec, version: int | None = None) -> tuple[AnyShape, int]:
    """What a model sees under `spec`, (C, H, W) or the tokens of a text or a pair, and how many scores it
    gives: classes, of language models and translators entries of the vocabulary, of a series the numbers
    that are told (`specs.tasks.score_columns` says how often each). Raises DataError."""
    row = with_shipped(store, spec.name, version)
    if row.schema.kind == "text":
        return data.text_shape(row.path, spec)
    if row.schema.kind == "series":
        return data.series_shape(row.path, spec)
    if row.schema.kind == "table":
        return data.table_shape(row.path, spec)
    return row.schema.shape_for(spec), len(row.schema.classes)


def rename(store: Store, old: str, new: str) -> DatasetRow:
    """Give a set another name. Runs keep theirs in their specs. Raises DataError."""
    _not_shipped(old, "renamed")
    store.datasets.get(old)
    checked_name(store, new)
    store.datasets.rename(old, new)
    return store.datasets.get(new)


def delete(store: Store, name: str) -> None:
    """Remove a set and its files. Raises DataError."""
    _not_shipped(name, "deleted")
    store.datasets.delete(name)


def checked_name(store: Store, name: str) -> str:
    """`name`, if it may be a data set's and is free. Raises DataError."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise DataError.of(
            "name",
            "a data set's name has letters, digits, `.`, `_` and `-`, at most 120, a letter or digit first",
            f"it is {name[:80]!r}", f"Try `{slug(name)}`.",
        ) from None  # fmt: skip
    if name in _names(store):
        raise DataError.of("name", "a data set's name must be free", f"`{name}` is taken", "Choose another.")
    return name


def free_name(store: Store, source: str) -> str:
    """A name made from a path or hub name; `flowers-2` where `flowers` is taken."""
    base = slug(source)
    taken = _names(store)
    n, name = 1, base
    while name in taken:
        n += 1
        name = f"{base}-{n}"
    return name


def slug(source: str) -> str:
    """`/data/My Flowers (2).tar.gz` as `my-flowers-2`; `hf:owner/name` as `name`."""
    last = source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].removeprefix(PREFIX)
    while (low := last.lower()).endswith(_SUFFIXES):
        last = low.rsplit(".", 1)[0]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:100] or "images"


def _names(store: Store) -> set[str]:
    return {row.name for row in store.datasets.list()} | set(data.SHIPPED)


def put(store: Store, name: str, folder: Path, prepared: data.Prepared) -> DatasetRow:
    """Register a prepared folder, which moves into the store; a new version where the name is taken."""
    return store.datasets.put(
        name,
        folder,
        schema=prepared.schema,
        rows=prepared.rows,
        report=prepared.report,
        fingerprint=prepared.fingerprint,
    )


@contextlib.contextmanager
def incoming(store: Store) -> Iterator[Path]:
    """A place for a set in preparation, on the disk where it will stay. Clears what killed imports left."""
    root = store.artifacts / "incoming"
    root.mkdir(parents=True, exist_ok=True)
    for left in root.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
    folder = root / uuid.uuid4().hex
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_shipped(name: str, verb: str) -> None:
    if name in data.SHIPPED:
        raise DataError.of(
            f"data set `{name}`",
            f"only sets you added can be {verb}",
            "it comes with the program",
            "Leave it.",
        )

"""Sets of images or texts of the Hugging Face hub by name, streamed through the `datasets` library.

The library is optional and imported here only. Whether the hub can be reached is asked first, with a
deadline: the library itself retries for half a minute.
"""

from __future__ import annotations

import math
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineError
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.data.folders import BATCH_BYTES, Candidate, target_shape
from workbench.data.layout import split_of
from workbench.data.limits import ImportCancelled, Limits
from workbench.data.pictures import Unusable, decode, glance, quiet, to_array
from workbench.data.prepared import Prepared, Writer, new_folder
from workbench.data.report import Report, class_names, shown
from workbench.data.sources import HEAD_BYTES, Member, natural
from workbench.data.splits import TRAIN
from workbench.data.text.streamed import Stream, import_rows
from workbench.specs.data import DataSchema, TextImport
from workbench.specs.errors import DataError, WorkbenchError

PREFIX = "hf:"
_NAME = re.compile(r"(?P<repo>(\w[\w.-]*/)?\w[\w.-]*)(:(?P<config>[\w.-]+))?", re.ASCII)
_GLANCED = 200  # images looked at to choose the size; a stream cannot be read twice
NO_TEXT = ("Image", "Audio", "Video", "Pdf")  # kinds of columns
_LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "y")


class Columns(NamedTuple):
    """The columns that matter; names: class names by label number, or None where labels are free."""

    image: str
    label: str
    names: tuple[str, ...] | None


def prepare_hub(
    name: str,
    out: Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    limits: Limits | None = None,
    progress: Callable[[str, float], None] | None = None,
    stop: Callable[[], bool] | None = None,
    timeout_s: float = 8.0,
    kind: str | None = None,
    texts: TextImport | None = None,
) -> Prepared:
    """Import `owner/name` or `owner/name:config` from the hub into the new folder `out`.

    kind: "images" or "text"; left out, a set with a column of images is one of images. texts: what its
    columns mean, where that should not be guessed.
    Raises DataError: a name that is none, the library absent, the hub out of reach within `timeout_s`,
    a set that is unknown, private, or neither one of labelled images nor of texts. Then `out` does not exist.
    """
    limits = limits or Limits.from_environment()
    where = PREFIX + name
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise DataError.of(
            shown(where),
            "a hub name reads owner/name or owner/name:config",
            "this one does not",
            "Copy it from the set's page on huggingface.co.",
        )
    repo, config = parts["repo"], parts["config"]
    library = _library(where)
    reach(where, repo, timeout_s)
    try:
        streams = library.load_dataset(repo, config, streaming=True)
        first = next(iter(streams.values()))
        features = first.features or first._resolve_features().features
        is_text = kind == "text" or (kind is None and (texts is not None or not _of(features, "Image")))
        columns = None if is_text else choose_columns(features, where)
        raw = _plain(streams, features) if columns is None else _encoded(streams, columns, library)
    except WorkbenchError:
        raise
    except Exception as error:  # the library raises its own, aiohttp's, pyarrow's and fsspec's
        raise DataError.of(
            where,
            "the set must be one that `datasets` can stream",
            shown(str(error), 300) or type(error).__name__,
            "Look at its page on huggingface.co; a set with several configurations needs owner/name:config.",
        ) from error
    schema = DataSchema(source=f"https://huggingface.co/datasets/{repo}")
    if columns is None:
        return stream_texts(
            raw, features, out, where=where, asked=texts or TextImport(), schema=schema, limits=limits,
            progress=progress, stop=stop,
        )  # fmt: skip
    with quiet():
        return import_streams(
            raw,
            columns,
            out,
            where=where,
            size=size,
            channels=channels,
            schema=schema,
            limits=limits,
            progress=progress,
            stop=stop,
        )


def stream_texts(
    streams: Mapping[str, Iterable[Mapping[str, Any]]],
    features: Mapping[str, Any],
    out: Path,
    *,
    where: str,
    asked: TextImport,
    schema: DataSchema,
    limits: Limits,
    progress: Callable[[str, float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Prepared:
    """Write streams of rows, by split name, as a prepared set of texts. Raises DataError."""
    report = Report(limits.report_rows)
    codes = _split_codes(list(streams), where, report)
    ordered = sorted(codes, key=lambda key: codes[key])
    parts = [Stream(key, codes[key], _safely(iter(streams[key]), where)) for key in ordered]
    coded = {key: tuple(features[key].names) for key in _of(features, "ClassLabel")}
    coded = {key: coded[key] for key in sorted(coded, key=lambda key: key not in _LABEL_NAMES)}
    with new_folder(out, where) as folder:
        return import_rows(
            parts, coded, folder, where=where, asked=asked, schema=schema, limits=limits, report=report,
            tick=lambda words: _tick(where, words, progress, stop),
        )  # fmt: skip


def _plain(streams: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """The streams without columns that no text is in, such as images: they are not even decoded."""
    left = [key for name in NO_TEXT for key in _of(features, name)]
    return {key: s.remove_columns(left) if left else s for key, s in streams.items()}


def _encoded(streams: Mapping[str, Any], columns: Columns, library: Any) -> dict[str, Any]:
    """The streams with their images as files are."""
    return {key: s.cast_column(columns.image, library.Image(decode=False)) for key, s in streams.items()}


def _of(features: Mapping[str, Any], kind: str) -> list[str]:
    """The columns of a kind, such as ClassLabel."""
    return [key for key, feature in features.items() if type(feature).__name__ == kind]


def choose_columns(features: Mapping[str, Any], where: str) -> Columns:
    """The image column and the label column of a set's features. Raises DataError."""
    images = _of(features, "Image")
    if len(images) != 1:
        raise DataError.of(
            where,
            "the set has one column of images",
            f"it has {len(images)} among {', '.join(features)}",
            "Choose a set for image classification.",
        )
    classes = _of(features, "ClassLabel")
    named = [key for key in (*_LABEL_NAMES, *classes) if key in (classes or features)]
    if not named:
        raise DataError.of(
            where,
            "the set has a column of class labels",
            f"its columns are {', '.join(features)}",
            "Choose a set for image classification.",
        )
    names = tuple(features[named[0]].names) if classes else None
    return Columns(images[0], named[0], names)


def import_streams(
    streams: Mapping[str, Iterable[Mapping[str, Any]]],
    columns: Columns,
    out: Path,
    *,
    where: str,
    size: int | None,
    channels: int | None,
    schema: DataSchema,
    limits: Limits,
    progress: Callable[[str, float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Prepared:
    """Write streams of rows, by split name, as a prepared set. Image cells are {"bytes", "path"}.

    Raises DataError.
    """
    report = Report(limits.report_rows)
    codes = _split_codes(list(streams), where, report)
    ordered = sorted(codes, key=lambda key: codes[key])
    iterators = {key: iter(streams[key]) for key in ordered}
    first = list(islice(_safely(iterators[ordered[0]], where), _GLANCED))
    glances = [Candidate(Member("", 0, None), glance(_blob(row, columns)[:HEAD_BYTES])) for row in first]
    shape = target_shape(glances, size, channels, limits, report)
    names: dict[Any, int] = {name: k for k, name in enumerate(columns.names or ())}
    with new_folder(out, where) as folder:
        writer = Writer(folder, shape, limits, where)
        per_batch = max(1, BATCH_BYTES // math.prod(shape))
        try:
            for key in ordered:
                rows = _safely(iterators[key], where)
                rows = chain(first, rows) if key == ordered[0] else rows
                batch: list[np.ndarray] = []
                labels: list[int] = []
                for n, row in enumerate(rows):
                    place = f"{key}[{n}]"
                    label = _label(row[columns.label], columns, names, limits, where)
                    if label is None:
                        report.refused(place, "it has no label")
                        continue
                    try:
                        picture = decode(_blob(row, columns), limits, "", (shape[1], shape[2]))
                    except Unusable as reason:
                        report.refused(place, str(reason))
                        continue
                    if picture.repairs:
                        report.repaired(place, "; ".join(picture.repairs))
                    batch.append(to_array(picture.image, shape[1], shape[2], shape[0]))
                    labels.append(label)
                    if len(batch) == per_batch:
                        writer.append(np.stack(batch), np.array(labels), codes[key])
                        batch, labels = [], []
                        _tick(where, f"{writer.n:,} images", progress, stop)
                if batch:
                    writer.append(np.stack(batch), np.array(labels), codes[key])
            report.kept(where, f"{writer.n:,} images from {', '.join(ordered)}")
            order = list(names) if columns.names is not None else sorted(names, key=lambda v: natural(str(v)))
            if names:
                writer.renumber(np.argsort([names[name] for name in order]))
            classes = class_names(str(name) for name in order)
            return writer.finish(schema.model_copy(update={"classes": classes}), report)
        finally:
            writer.close()


def _split_codes(keys: list[str], where: str, report: Report) -> dict[str, int]:
    """Stream name → split; a set with a single stream is all train."""
    if len(keys) == 1:
        return {keys[0]: TRAIN}
    codes: dict[str, int] = {}
    for key in sorted(keys, key=natural):
        code = split_of(key)
        if code is None or code in codes.values():
            report.refused(
                key, "it is neither train, validation nor test" if code is None else "one is enough"
            )
        else:
            codes[key] = code
    if TRAIN not in codes.values():
        raise DataError.of(
            where, "the set has a train split", f"it has {', '.join(keys)}", "Choose another set."
        )
    return codes


def _label(value: Any, columns: Columns, names: dict[Any, int], limits: Limits, where: str) -> int | None:
    if columns.names is not None:
        return int(value) if value is not None and 0 <= int(value) < len(columns.names) else None
    if value is None or value == "":
        return None
    if len(names) >= limits.classes and value not in names:
        raise DataError.of(where, f"a set may have {limits.classes:,} classes", "its labels take more values")
    return names.setdefault(value, len(names))


def _blob(row: Mapping[str, Any], columns: Columns) -> bytes:
    cell = row[columns.image]
    return bytes((cell or {}).get("bytes") or b"")  # a path alone would be a file of this machine: not read


def _safely(rows: Iterator[Mapping[str, Any]], where: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from rows
    except Exception as error:  # the network, or a broken shard; see prepare_hub
        raise DataError.of(
            where,
            "the set must be readable to its end",
            shown(str(error), 300) or type(error).__name__,
            "Try again.",
        ) from error


def _tick(
    where: str, text: str, progress: Callable[[str, float], None] | None, stop: Callable[[], bool] | None
) -> None:
    if stop is not None and stop():
        raise ImportCancelled.of(where, "an import must run to its end", "it was cancelled", "Add it again.")
    if progress is not None:
        progress(f"Reading {text}", 0.5)  # a stream does not tell its length


def _library(where: str) -> Any:
    # Read by huggingface_hub when it is first imported.
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "20")
    try:
        import datasets  # noqa: PLC0415 - optional, and a second to import
    except ImportError:
        raise DataError.of(
            where,
            "sets of the Hugging Face hub need the package `datasets`",
            "it is not installed",
            "Run `pip install datasets`, or download its files and add them as a folder or zip.",
        ) from None
    return datasets


def hub_address() -> str:
    """Where the hub is."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def reach(
    where: str,
    repo: str,
    timeout_s: float,
    kind: str = "datasets",
    what: str = "set",
    offline: str = "Go online, or download its files elsewhere and add them as a folder or zip.",
) -> None:
    """Ask the hub for a set (or a model: kind "models"), within a deadline that covers name servers too.
    offline: the repair without a connection. Raises DataError."""
    endpoint = hub_address()
    url = f"{endpoint}/api/{kind}/{urllib.parse.quote(repo)}"
    headers = {"User-Agent": "workbench"}
    if token := os.environ.get("HF_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"

    def ask() -> int:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=headers), timeout=timeout_s
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    fact = "HF_HUB_OFFLINE is set"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() not in ("1", "ON", "YES", "TRUE"):
        pool = ThreadPoolExecutor(1)
        try:
            status = pool.submit(ask).result(timeout_s)
        except DeadlineError:
            fact = f"{endpoint} did not answer within {timeout_s:g} s"
        except (OSError, ValueError) as error:
            fact = f"{endpoint} cannot be reached ({getattr(error, 'reason', error)})"
        else:
            if status in (401, 403, 404):
                raise DataError.of(
                    where,
                    f"the {what} must be on the hub and open to you",
                    f"the hub answers {status} for `{repo}`",
                    "Check the name; log in with `hf auth login` for a private one.",
                )
            if status < 500:
                return
            fact = f"{endpoint} answers {status}"
        finally:
            pool.shutdown(wait=False)
    raise DataError.of(
        where,
        f"{what}s of the Hugging Face hub need a connection",
        fact,
        offline,
    )

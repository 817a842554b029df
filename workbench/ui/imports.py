"""Imports that run beside the page: a thread each, with progress, a stop and a result.

They belong to the app process, not to a session, so that a reload or another page does not end
them; a restarted server does, and leaves nothing half-registered, because a set enters the store
in one step at the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import catalog
from workbench.data.pictures import SUFFIXES
from workbench.data.tables import TABLES
from workbench.specs.errors import DataError, Problem, WorkbenchError
from workbench.store import Store

log = logging.getLogger("workbench.pages")
IMAGES = tuple(suffix[1:] for suffix in SUFFIXES)
TEXTS = ("txt", "text", "csv", "tsv", "tab", "json", "jsonl", "ndjson", "parquet", "xlsx", "data", "dat")
LOOSE = tuple(dict.fromkeys((*IMAGES, *(suffix[1:] for suffix in sorted(TABLES)), *TEXTS)))
PACKED = ("zip", "tar", "gz", "tgz", "bz2", "xz")
TYPES = (*PACKED, "idx", "ubyte", "npz", "npy", *LOOSE)
CHUNK = 1 << 20
STALE_S = 3600.0  # an upload that was looked at and not imported
PREFIX = "workbench-upload-"


@dataclass
class Import:
    """One import under way or just over. Written by its thread, read by pages."""

    label: str
    home: Path
    source: Path = Path()
    words: str = "Waiting"
    share: float = 0.0  # 0 to 1
    started: float = field(default_factory=time.time)
    name: str | None = None  # of the registered set, once done
    problems: tuple[Problem, ...] = ()
    over: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def progress(self, words: str, share: float) -> None:
        self.words, self.share = words, min(1.0, max(0.0, share))


_imports: list[Import] = []
_lock = threading.Lock()


def imports(store: Store) -> list[Import]:
    """The imports of this home that are under way or not yet dismissed, oldest first."""
    with _lock:
        return [item for item in _imports if item.home == store.home]


def dismiss(item: Import) -> None:
    with _lock:
        if item in _imports:
            _imports.remove(item)


def forget(store: Store, name: str) -> None:
    """Take away what was said of a set that has another name now, or is gone."""
    for item in imports(store):
        if item.over and item.name == name:
            dismiss(item)


def staged(files: Sequence[Any]) -> Path:
    """What the browser sent, as one source on the disk: a file, or a zip of files that belong together.

    files: Streamlit's uploaded files. Their names are the sender's and never become paths: a single file
    gets a name of ours, several become members of a zip, whose names are looked through as those of any.
    """
    outer = place()
    if len(files) == 1 and extension(files[0].name) not in IMAGES:
        source = outer / safe_name(files[0].name)
        with source.open("wb") as out:
            shutil.copyfileobj(files[0], out, CHUNK)
        return source
    source = outer / ("1 uploaded file" if len(files) == 1 else f"{len(files)} uploaded files")
    with zipfile.ZipFile(source, "w") as packed:  # not deflated: it is read once
        for index, file in enumerate(files):
            own = last_name(file.name) or f"upload-{index}"
            again = own in packed.NameToInfo  # from two folders: which one is meant nobody can tell
            member = zipfile.ZipInfo(f"{index}/{own}" if again else own)
            with packed.open(member, "w", force_zip64=True) as inside:
                shutil.copyfileobj(file, inside, CHUNK)
    return source


def pasted(text: str) -> Path:
    """Text that was typed or pasted, as a source."""
    source = place() / "pasted.txt"
    source.write_text(text, encoding="utf-8")
    return source


def place() -> Path:
    """A folder of its own for one upload. Takes away those that were looked at and left."""
    now = time.time()
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if (
                left.stat().st_uid == os.getuid()
                and now - left.stat().st_mtime > STALE_S
                and not in_use(left)
            ):
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def in_use(folder: Path) -> bool:
    with _lock:
        return any(item.source.parent == folder and not item.over for item in _imports)


def start_staged(store: Store, source: Path, name: str, **options: Any) -> Import:
    """Import what `staged` or `pasted` laid down; it goes afterwards."""
    return _start(store, name, source, options, lambda: shutil.rmtree(source.parent, ignore_errors=True))


def start_path(store: Store, source: str, name: str, **options: Any) -> Import:
    """Import a folder or file of the server, or `hf:name` from the Hugging Face hub."""
    return _start(
        store, name, source if source.startswith("hf:") else Path(source).expanduser(), options, None
    )


def extension(name: str) -> str:
    """`csv` of `a.csv` and of `a.csv.gz`, in small letters; empty where there is none."""
    parts = last_name(name).lower().split(".")[1:]
    while parts and parts[-1] in ("gz", "bz2", "xz"):
        parts.pop()
    return parts[-1] if parts else ""


def is_text(name: str) -> bool:
    """Whether a file is one of texts, as far as its name tells."""
    return extension(name) in TEXTS


def is_loose(name: str) -> bool:
    """Whether a file is an image, a table or a text: one of several that make a set."""
    return name.lower().rpartition(".")[2] in LOOSE


def suggested_from(names: Sequence[str]) -> str:
    """What a set may be called after: its archive, array or texts; images are numbered as they like."""
    telling = [name for name in names if not is_loose(name)]
    if telling or not names:
        return telling[0] if telling else ""
    return names[0] if all(is_text(name) for name in names) else "pictures"


def last_name(name: str) -> str:
    """The file's own name, without folders and what no archive can hold."""
    tail = name.replace("\\", "/").rpartition("/")[2]
    return tail.replace("\0", "").encode("utf-8", "replace").decode("utf-8").lstrip(".")[:200]


def safe_name(name: str) -> str:
    """A file name of ours that keeps what an importer reads off a name: letters, digits, dots, dashes."""
    tail = last_name(name)
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in tail)[-80:].lstrip(".")
    return kept or "upload"


def _start(
    store: Store, name: str, source: str | Path, options: dict[str, Any], clean_up: Callable[[], None] | None
) -> Import:
    item = Import(label=name, home=store.home, source=Path(source))
    with _lock:
        _imports.append(item)
    arguments = (store, item, source, name, options, clean_up)
    threading.Thread(target=_work, args=arguments, name=f"import {name}", daemon=True).start()
    return item


def _work(
    store: Store,
    item: Import,
    source: str | Path,
    name: str,
    options: dict[str, Any],
    clean_up: Callable[[], None] | None,
) -> None:
    try:
        row = catalog.add(store, source, name, progress=item.progress, stop=item.stop.is_set, **options)
        item.name = row.name
    except WorkbenchError as error:
        item.problems = error.problems
    except Exception:
        log.exception("an import failed")
        item.problems = DataError.of(
            name,
            "the files must be readable as images or texts",
            "reading them failed in a way we did not foresee",
            "The app's log has the details.",
        ).problems
    finally:
        if clean_up:
            clean_up()
        item.over = True

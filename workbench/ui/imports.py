"""Imports that run beside the page: a thread each, with progress, a stop and a result.

They belong to the app process, not to a session, so that a reload or another page does not end
them; a restarted server does, and leaves nothing half-registered, because a set enters the store
in one step at the end.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import catalog
from workbench.specs.errors import DataError, Problem, WorkbenchError
from workbench.store import Store

log = logging.getLogger("workbench.pages")
SUFFIXES = ("zip", "tar", "gz", "tgz", "bz2", "xz", "idx", "ubyte", "npz", "npy")
CHUNK = 1 << 20


@dataclass
class Import:
    """One import under way or just over. Written by its thread, read by pages."""

    label: str
    home: Path
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


def start_uploads(store: Store, files: Sequence[Any], name: str, **options: Any) -> Import:
    """Import what the browser sent: one archive, or idx files together.

    files: Streamlit's uploaded files. Their names are the sender's and never become paths; only a
    known suffix and the letters around it are kept, for idx pairs are told apart by them.
    """
    outer = Path(tempfile.mkdtemp(prefix="workbench-upload-"))
    folder = (
        outer / f"{len(files)} uploaded files"
    )  # several files have no name of their own: the set's source
    folder.mkdir()
    for index, file in enumerate(files):
        with (folder / safe_name(file.name, index)).open("wb") as out:
            shutil.copyfileobj(file, out, CHUNK)
    source = next(folder.iterdir()) if len(files) == 1 else folder
    return _start(store, name, source, options, lambda: shutil.rmtree(outer, ignore_errors=True))


def start_path(store: Store, source: str, name: str, **options: Any) -> Import:
    """Import a folder or file of the server, or `hf:name` from the Hugging Face hub."""
    return _start(
        store, name, source if source.startswith("hf:") else Path(source).expanduser(), options, None
    )


def safe_name(name: str, index: int) -> str:
    """A file name of ours that keeps what an importer reads off a name: letters, digits, dots, dashes."""
    tail = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in tail)[-80:].lstrip(".")
    return kept or f"upload-{index}"


def _start(
    store: Store, name: str, source: str | Path, options: dict[str, Any], clean_up: Callable[[], None] | None
) -> Import:
    item = Import(label=name, home=store.home)
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
            "the files must be readable as images in classes",
            "reading them failed in a way we did not foresee",
            "The app's log has the details.",
        ).problems
    finally:
        if clean_up:
            clean_up()
        item.over = True

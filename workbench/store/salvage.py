"""A damaged SQLite database made good: every row that can still be read, in a new file beside it.

What the file no longer gives comes from the run folders: the spec and exit sheets (sheets.py) and the
checkpoints, whose files say what they are. The damaged file is kept under another name; nothing is lost
that was there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from workbench.specs.errors import StoreError, WorkbenchError
from workbench.specs.likeness import like
from workbench.specs.run import from_dict
from workbench.store import schema, sheets
from workbench.store.labels import haystack

MAGIC = b"SQLite format 3\x00"
PAGE = 4096  # SQLite's own default, which the store never changes
CHECKPOINT = re.compile(r"(?P<name>.+)-(?P<step>\d{10})-[0-9a-f]+\.safetensors")
SIDES = ("", "-wal", "-shm")


@dataclass
class Salvaged:
    """rows: table → rows taken over; folders: runs made again from their folders; kept: the old file."""

    rows: dict[str, int] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    kept: Path | None = None


def is_damage(fact: str) -> bool:
    """Whether a database's complaint means that its file is damaged."""
    return any(word in fact for word in ("malformed", "not a database", "database corruption", "disk I/O"))


def problems(file: Path) -> str | None:
    """What SQLite finds wrong with the file when it looks at every page; None when it is whole."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as error:
        return str(error)
    return None if found == ["ok"] else " ".join("; ".join(found).split())


def salvage(file: Path, artifacts: Path) -> Salvaged:
    """Replace the damaged database `file` by what can be saved of it and of the runs' folders.

    Nobody may have it open. Raises StoreError when the new one cannot be written.
    """
    done = Salvaged()
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".salvage-") as place:
        new = Path(place) / "new.db"
        engine = schema.connect(f"sqlite:///{new}")
        try:
            with engine.begin() as connection:
                _take_rows(_readable_copy(file, Path(place)), connection, done)
                _take_folders(artifacts / "runs", connection, done)
        finally:
            engine.dispose()  # moves the log into the file
        done.kept = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            for side in SIDES:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{file}{side}", f"{done.kept}{side}")
            os.replace(new, file)
        except OSError as error:
            fact = error.strerror or str(error)
            raise StoreError.of(file.name, "the new database must take its place", fact) from None
    return done


def _readable_copy(file: Path, place: Path) -> Path | None:
    """A copy to read from, its header made anew where that is what is missing; None for hopeless ones."""
    copy = place / "old.db"
    for side in SIDES[:2]:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{file}{side}", f"{copy}{side}")
    if not copy.exists():
        return None
    if not _opens(copy):
        with copy.open("r+b") as opened:
            pages = max(1, copy.stat().st_size // PAGE)
            opened.write(_header(pages))
    return copy if _opens(copy) else None


def _opens(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.Error:
        return False


def _header(pages: int) -> bytes:
    """The first 100 bytes of a database of ours: https://www.sqlite.org/fileformat.html, section 1.3."""

    def number(value: int) -> bytes:
        return value.to_bytes(4, "big")

    head = MAGIC + PAGE.to_bytes(2, "big") + bytes([2, 2, 0, 64, 32, 32])  # write-ahead log; no reserve
    head += number(1) + number(pages) + number(0) + number(0)  # changes, pages, no free pages
    head += number(1) + number(4) + number(0) + number(0) + number(1)  # schema cookie and format, UTF-8
    return head.ljust(92, b"\x00") + number(1) + number(sqlite3.sqlite_version_info[1])


def _take_rows(old: Path | None, target: Connection, done: Salvaged) -> None:
    if old is None:
        return
    with contextlib.closing(sqlite3.connect(old)) as source:
        source.row_factory = sqlite3.Row
        source.text_factory = lambda raw: raw.decode("utf-8", "replace")
        for table in schema.META.sorted_tables:
            if table.name == "about":
                continue
            taken = 0
            for row in _rows(source, table.name):
                values = {key: row[key] for key in row.keys() if key in table.columns}  # noqa: SIM118
                with contextlib.suppress(Exception), target.begin_nested():  # a row that is no longer whole
                    target.execute(insert(table).values(**values))
                    taken += 1
            done.rows[table.name] = taken


def _rows(source: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Every row that can be read; damaged stretches are cut in halves until only they are left out."""
    try:
        yield from list(source.execute(f'SELECT * FROM "{table}"'))
        return
    except sqlite3.Error:
        pass
    bounds = []
    for order in ("ASC", "DESC"):
        try:
            ends = source.execute(f'SELECT rowid FROM "{table}" ORDER BY rowid {order} LIMIT 1')
            bounds.append(ends.fetchone())
        except sqlite3.Error:
            bounds.append(None)
    low = bounds[0][0] if bounds[0] else 1
    high = bounds[1][0] if bounds[1] else max(low, 1) + 2**20
    stretches = [(low, high)]
    while stretches:
        first, last = stretches.pop()
        wanted = f'SELECT * FROM "{table}" WHERE rowid BETWEEN ? AND ? ORDER BY rowid'
        try:
            yield from list(source.execute(wanted, (first, last)))
        except sqlite3.Error:
            if first < last:
                middle = (first + last) // 2
                stretches += [(middle + 1, last), (first, middle)]


def _take_folders(root: Path, target: Connection, done: Salvaged) -> None:
    """Runs and checkpoints that only their folders know of."""
    known = set(target.execute(select(schema.runs.c.id)).scalars())
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.name not in known:
            row = _row_of(folder)
            if row is None:
                continue
            target.execute(insert(schema.runs).values(**row))
            done.folders.append(folder.name)
        _take_checkpoints(folder, target)


def _row_of(folder: Path) -> dict[str, Any] | None:
    """A run's row from its sheets: as it ended, or lost. None where its spec cannot be read."""
    sheet = sheets.read(folder, sheets.SPEC)
    try:
        spec = from_dict(json.loads(sheet["spec"])) if sheet else None
    except (WorkbenchError, KeyError, TypeError, ValueError):
        return None
    if sheet is None or spec is None:
        return None
    end = sheets.read(folder, sheets.EXIT) or {}
    created = float(sheet.get("created") or folder.stat().st_mtime)
    error = end.get("error") or {
        "where": "the database", "rule": "it must keep what the run wrote",
        "fact": "it was damaged, and the run's row with it", "repair": "Resume the run.",
    }  # fmt: skip
    kind = end.get("kind") or "lost"
    return {
        "id": folder.name, "name": spec.name, "created": created, "started": created,
        "ended": end.get("ended") or folder.stat().st_mtime, "parent": sheet.get("parent"),
        "parent_checkpoint": sheet.get("parent_checkpoint"), "exit_kind": kind, "spec": sheet["spec"],
        "step": 0, "epoch": 0.0, "metrics": "{}", "data": spec.data.name, "model": like(spec.model),
        "error": json.dumps(error) if kind in ("failed", "lost") else None,
        "haystack": haystack(folder.name, spec.name, spec.data.name),
    }  # fmt: skip


def _take_checkpoints(folder: Path, target: Connection) -> None:
    """Rows of checkpoint files without one; of several under a name the newest, as a killed write leaves."""
    table: Table = schema.checkpoints
    named = set(target.execute(select(table.c.name).where(table.c.run_id == folder.name)).scalars())
    files = sorted((folder / "checkpoints").glob("*.safetensors"))
    matches = [(path, match) for path in files if (match := CHECKPOINT.fullmatch(path.name))]
    newest = {match["name"]: (path, int(match["step"])) for path, match in matches}
    furthest = 0
    for name, (path, step) in newest.items():
        if name in named:
            continue
        meta = _meta(path)
        if meta is None:
            continue
        blob = path.read_bytes()
        target.execute(
            insert(table).values(
                run_id=folder.name, name=name, file=f"checkpoints/{path.name}", bytes=len(blob), step=step,
                sha256=hashlib.sha256(blob).hexdigest(), time=path.stat().st_mtime,
                epoch=float(meta.get("epoch", 0.0)), metrics=json.dumps(meta.get("metrics", {})),
            )
        )  # fmt: skip
        if name != "start":
            furthest = max(furthest, step)
    if furthest:
        here = (schema.runs.c.id == folder.name) & (schema.runs.c.step == 0)
        target.execute(schema.runs.update().where(here).values(step=furthest))


def _meta(path: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself in its safetensors header; None for a file that is cut off."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        if path.stat().st_size != 8 + size + max(ends, default=0):
            return None
        found = json.loads(header["__metadata__"]["workbench"])
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError):
        return None
    return found if isinstance(found, dict) else None

"""`workbench log`: what a run's process wrote, whole, from the end, searched, or its errors."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.terminal import Run, error_text, note, the_store

if TYPE_CHECKING:
    from workbench.store import RunRow, Store

POLL_S = 0.3
HEAD = b"Traceback (most recent call last)"


def log(
    run: Run,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run is over.")] = False,
    search: Annotated[
        str, typer.Option(metavar="TEXT", help="Only lines that hold this, whatever its case.")
    ] = "",
    errors: Annotated[
        bool, typer.Option("--errors", help="What went wrong, with the line that matters first.")
    ] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Only the last so many lines.")] = None,
) -> None:
    """Print what a run's process wrote."""
    store = the_store()
    row = store.runs.get(run)
    path = store.log_path(row.id)
    if errors:
        _errors(row, path, search, tail)
        return
    if not path.exists() or not path.stat().st_size:
        note("The log is empty so far.")
        if not follow:
            return
    offset = _print(path, search, tail)
    if follow:
        for line in _following(store, row, path, offset):
            _put(line, search)


def _print(path: Path, search: str, tail: int | None) -> int:
    """Print what is there; how far it went, in bytes."""
    offset = 0
    kept: deque[bytes] | None = None if tail is None else deque(maxlen=tail)
    for line in _lines(path):
        offset += len(line)
        if kept is None:
            _put(line, search)
        elif not search or search.lower() in _text(line).lower():
            kept.append(line)
    for line in kept or ():
        _put(line)
    sys.stdout.flush()
    return offset


def _errors(row: RunRow, path: Path, search: str, tail: int | None) -> None:
    """The run's error as it is: sentence, line that matters, offer, traceback. Then what the log tells."""
    from workbench.live.logfile import ERRORS

    if row.error and search.lower() in str(dict(row.error)).lower():
        print(f"{row.state}: {error_text(row)}")
        if row.error.get("line"):
            print(f"at {row.error['line']}")
        if row.error.get("offer"):
            print(f"offer: {row.error['offer']['text']}")
        if row.error.get("traceback"):
            print(str(row.error["traceback"]).rstrip())
    told = str((row.error or {}).get("traceback") or "")
    found: deque[str] = deque(maxlen=tail)
    inside = False
    for number, line in enumerate(_lines(path), 1):
        text = _text(line).rstrip()
        # The lines of a traceback go together: from its head to the first line that is not set in.
        inside = line.startswith(HEAD) or (inside and line[:1] in b" \t")
        is_error = inside or any(word in text.lower() for word in ERRORS)
        if is_error and text.strip() and text not in told and search.lower() in text.lower():
            found.append(f"{number}: {text}")
    if found and row.error:
        print("In the log:")
    for text in found:
        print(text)
    if not row.error and not found:
        note("Nothing went wrong so far.")


def _following(store: Store, row: RunRow, path: Path, offset: int) -> Iterator[bytes]:
    while True:
        over = store.runs.get(row.id).state.is_over  # asked before reading: nothing written after is missed
        for line in _lines(path, offset):
            offset += len(line)
            yield line
        sys.stdout.flush()
        if over:
            return
        time.sleep(POLL_S)


def _lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            file.seek(offset)
            yield from file


def _put(line: bytes, search: str = "") -> None:
    if not search or search.lower() in _text(line).lower():
        sys.stdout.buffer.write(line)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")

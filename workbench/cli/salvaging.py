"""`workbench doctor --salvage`: a new database from what a damaged one and the run folders still tell."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from workbench.cli.terminal import print_json
from workbench.specs.errors import StoreError
from workbench.store.salvage import problems, salvage
from workbench.store.store import database_file, places


def salvage_database(as_json: bool) -> None:
    """Replace the damaged database of this home. Raises StoreError when that is not to be done."""
    home, url, artifacts = places()
    file = database_file(url)
    if file is None or not file.exists():
        raise StoreError.of(
            "the database", "only a database in a file can be salvaged", "this one is not, or not there",
            "Restore a server's database from its backup.",
        )  # fmt: skip
    wrong = problems(file)
    if wrong is None:
        print_json({"damaged": False}) if as_json else print("The database is whole: nothing to salvage.")
        return
    if users := _users(home, file):
        raise StoreError.of(
            "the database", "nothing may work with it while it is replaced",
            f"processes {', '.join(map(str, users))} do", f"End them: kill {' '.join(map(str, users))}.",
        )  # fmt: skip
    done = salvage(file, artifacts)
    if as_json:
        print_json({"damaged": True, "rows": done.rows, "folders": done.folders, "kept": str(done.kept)})
        return
    rows = ", ".join(f"{count:,} of {table}" for table, count in sorted(done.rows.items()) if count)
    print(f"The database was damaged: {wrong}")
    print(f"Rows saved: {rows or 'none'}.")
    if done.folders:
        print(f"Made again from their folders: {', '.join(done.folders)}.")
    print(f"The damaged file is kept: {done.kept}")


def _users(home: Path, file: Path) -> list[int]:
    """Processes that have the database open, or belong to this home."""
    found = []
    for process in psutil.process_iter(["pid", "name"]):
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            ours = str(process.info["name"]).startswith("workbench-")
            is_here = ours and process.environ().get("WORKBENCH_HOME") == os.fspath(home)
            if is_here or any(os.path.samefile(opened.path, file) for opened in process.open_files()):
                found.append(process.pid)
    return sorted(found)

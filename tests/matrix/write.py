"""Works through all techniques on all families and writes the table into docs/seeds.md.

python -m tests.matrix.write
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.matrix import cells


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_HOME"] = f"{folder}/home"
        import workbench.jobs.runs as runs
        from workbench.store import open_store

        runs.ensure_supervisor = lambda store, wait_s=0: None  # type: ignore[assignment]
        store = open_store()
        cells.prepared(store, Path(folder))
        rows = {}
        for family in cells.FAMILIES:
            rows[family] = cells.row_of(store, family)
            print(family, flush=True)
    page = cells.PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(cells.BEGIN)
    tail = rest.partition(cells.END)[2]
    text = f"{head}{cells.BEGIN}\n{cells.told(rows)}\n{cells.END}{tail}"
    cells.PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

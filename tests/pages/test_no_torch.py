"""The view never loads torch: every page is opened in a fresh interpreter, and sys.modules is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
from workbench.specs.presets import PRESETS
from workbench.store import open_store

run = open_store().runs.create(PRESETS["cnn-mnist"].spec)
app = AppTest.from_file("workbench/app.py", default_timeout=60).run()
assert not app.exception, app.exception
opened = ["home"]
for page in sorted(p.stem for p in __import__("pathlib").Path("pages").glob("[!_]*.py")):
    if page != "home":
        app.query_params["run"] = app.query_params["runs"] = run.id
        app.switch_page(f"../pages/{page}.py").run()
        assert not app.exception, (page, app.exception)
        opened.append(page)
heavy = sorted(m for m in ("torch", "torchinfo", "accelerate", "sklearn", "scipy") if m in sys.modules)
print(len(opened), *heavy)
"""


def test_no_page_loads_torch(home: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    n_pages = len(list((ROOT / "pages").glob("[!_]*.py")))
    assert done.stdout.split() == [str(n_pages)]  # all opened, none of the heavy ones loaded

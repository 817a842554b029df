"""Opens pages through the entry script, as a visitor does, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

APP = Path(__file__).resolve().parents[2] / "workbench" / "app.py"
Opener = Callable[..., AppTest]


@pytest.fixture
def visit(home: Path, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """visit("train", draft="…") opens a page of the app on a fresh home; no supervisor is started."""
    monkeypatch.setattr("workbench.jobs.runs.ensure_supervisor", lambda store, wait_s=0: None)

    def open_page(name: str = "home", **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.run()
        for key, value in query.items():
            app.query_params[key] = value
        if name != "home" or query:
            app.switch_page(f"../pages/{name}.py").run()
        assert not app.exception
        return app

    return open_page

"""Opens pages through the entry script, as a visitor does, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

APP = Path(__file__).resolve().parents[2] / "workbench" / "app.py"
Opener = Callable[..., AppTest]


@pytest.fixture(autouse=True, scope="session")
def _packages_are_searched_once() -> Iterator[None]:
    """AppTest reads the metadata of every installed package at each start, for components that none has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests)
        )
        yield


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

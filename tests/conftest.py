"""Fixtures shared by all tests: a home of one's own, and the shared data where it lies."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run import slow_files
from workbench import data
from workbench.data.prepared import Prepared

REPO = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("WORKBENCH_SHARED_DATA", REPO.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`tests/run.py` hands slow tests over by file and those with a browser by folder: none may be lost."""
    known = slow_files()
    for item in items:
        file = item.path.relative_to(REPO).as_posix()
        if item.get_closest_marker("browser"):
            is_found = file.startswith("tests/browser/")
        else:
            is_found = not item.get_closest_marker("slow") or file in known
        if not is_found:
            raise pytest.UsageError(f"tests/run.py would not run {item.nodeid}")


@contextlib.contextmanager
def own_main() -> Iterator[None]:
    """On leaving, `__main__` is what it was.

    Streamlit puts the page it runs into its place for good. A process that multiprocessing spawns later would
    run that page, end with its error, and be started anew for ever.
    """
    main = sys.modules["__main__"]
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    with own_main():
        yield


@pytest.fixture(autouse=True, scope="session")
def _shipped_sets_are_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Writing the sets that come with the program takes two seconds a home; later homes get copies."""
    make, made = data.prepare_shipped, dict[str, tuple[Path, Prepared]]()

    def copied(name: str, out: Path) -> Prepared:
        if name not in made:
            folder = tmp_path_factory.mktemp("shipped") / name
            made[name] = folder, make(name, folder)
        folder, prepared = made[name]
        shutil.copytree(folder, out, dirs_exist_ok=True)
        return prepared

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "prepare_shipped", copied)
        yield


@pytest.fixture
def shared_data() -> Path:
    """The folder of development data; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    return SHARED


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh WORKBENCH_HOME, so that no test sees another's runs."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WORKBENCH_HOME", str(folder))
    for name in ("WORKBENCH_STORE", "WORKBENCH_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    return folder

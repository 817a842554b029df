"""A home that cannot be used: every page says so in words, with what helps, and none is blank."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import APP
from tests.pages.test_pages import finished, texts
from workbench.app import MENU
from workbench.store import open_store
from workbench.ui import state

PAGES = [name for name, _, _ in MENU]


def corrupt(home: Path) -> None:
    """Random bytes in the place of every page of the database, as a failing disk leaves them."""
    for name in ("workbench.db-wal", "workbench.db-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "workbench.db").write_bytes(bytes(range(256)) * 64)


def newer(home: Path) -> None:
    """As a workbench of next year leaves it."""
    with sqlite3.connect(home / "workbench.db") as connection:
        connection.execute("UPDATE about SET value = '999' WHERE key = 'schema_version'")
    connection.close()


def unreadable(home: Path) -> None:
    """A file stands where the home should be."""
    shutil.rmtree(home)
    home.write_text("not a folder")


def removed(home: Path) -> None:
    shutil.rmtree(home)


def visit(page: str) -> AppTest:
    """The page through the entry script, whatever the state of the home."""
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    if page != "home":
        app.switch_page(f"../pages/{page}.py").run()
    return app


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("wreck", "fact", "repair"),
    [
        (corrupt, "not a database", "workbench doctor --salvage"),
        (newer, "version 999", "Start the newer workbench"),
        (unreadable, "File exists", "WORKBENCH\\_HOME"),
    ],
)
def test_a_home_that_cannot_be_opened_is_told_on_every_page(
    home: Path, page: str, wreck: Callable[[Path], None], fact: str, repair: str
) -> None:
    store = open_store()
    finished(store)
    store.close()
    wreck(home)
    state.reopen()
    app = visit(page)
    assert not app.exception
    assert app.title[0].value == "The workbench cannot open its home"
    told = texts(app)
    assert fact in told.replace("\\", "")
    assert repair.replace("\\", "") in told.replace("\\", "")
    assert "Traceback" not in told


@pytest.mark.parametrize("page", PAGES)
def test_a_home_removed_under_the_open_app_is_told_on_every_page_and_can_be_opened_anew(
    home: Path, page: str
) -> None:
    finished(open_store())
    state.reopen()
    visit(page)  # the app has it open now
    removed(home)
    app = visit(page)
    assert not app.exception
    assert "it was removed or replaced" in texts(app)
    app.button(key="reopen").click().run()
    assert not app.exception
    assert "it was removed or replaced" not in texts(app)


@pytest.mark.parametrize("page", ["home", "live", "runs", "compare", "predict"])
def test_a_database_that_opens_but_holds_a_bad_page_is_told(home: Path, page: str) -> None:
    store = open_store()
    finished(store)
    store.close()
    with sqlite3.connect(home / "workbench.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'runs'").fetchall()
    connection.close()
    with (home / "workbench.db").open("r+b") as file:
        for (root,) in roots:
            file.seek((root - 1) * size)
            file.write(b"\x7f\xff" * (size // 2))
    state.reopen()
    app = visit(page)
    assert not app.exception
    assert "the database" in texts(app)
    assert "malformed" in texts(app)
    assert "workbench doctor --salvage" in texts(app).replace("\\", "")

"""The tour without a browser: where it stands, and that its end is kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.pages.conftest import Opener
from workbench.app import MENU
from workbench.store import open_store
from workbench.ui import tour


def test_every_page_but_home_has_one_stop() -> None:
    named = [page for stop in tour.STOPS for page in (stop.page, *stop.also)]
    assert sorted(named) == sorted(name for name, _, _ in MENU if name != "home")
    assert tour.WELCOME.page == "home"


@pytest.mark.parametrize("name", [name for name, _, _ in MENU])
def test_the_stop_is_that_of_the_page(visit: Opener, name: str) -> None:
    app = visit(name)
    stop = next((s for s in tour.STOPS if name in (s.page, *s.also)), tour.WELCOME)
    assert any(stop.text == text.value for text in app.sidebar.markdown)


def test_once_skipped_it_is_a_button(visit: Opener, home: Path) -> None:
    app = visit("data")
    app.button(key="tour-end").click().run()
    assert not any(stop.text == text.value for stop in tour.STOPS for text in app.sidebar.markdown)
    assert open_store(home).drafts.get(tour.KEPT) == tour.OVER
    app.button(key="tour-start").click().run()
    assert any(text.value == tour.WELCOME.text for text in app.sidebar.markdown)


def test_its_end_is_kept_when_old_drafts_are_forgotten(home: Path) -> None:
    store = open_store(home)
    store.drafts.put(tour.KEPT, tour.OVER)
    store.drafts.put("a-draft", "{}")
    time.sleep(0.01)
    assert store.drafts.prune(0.0) == 1
    assert store.drafts.get(tour.KEPT) == tour.OVER
    assert store.drafts.get("a-draft") is None

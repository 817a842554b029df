"""The guided tour, walked by a first visitor: it points, it follows, it covers nothing, it stays away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from workbench.store import Store
from workbench.ui import tour

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RINGED = """(selector) => [...document.querySelectorAll(selector)].filter(
    (e) => e.offsetParent && getComputedStyle(e).outlineStyle === "solid").length"""
COVERED = """() => {
    const card = document.querySelector(".st-key-tour").getBoundingClientRect();
    const main = document.querySelector("[data-testid=stMain]").getBoundingClientRect();
    return card.right > main.left + 1;
}"""


@pytest.fixture(autouse=True)
def first_visit(app: App, store: Store) -> None:
    tour_is_new = store.drafts.get(tour.KEPT) is None
    if not tour_is_new:  # a test before this one ended it
        store.drafts.put(tour.KEPT, "on")


def stands_at(page: Page, title: str) -> None:
    expect(page.locator(".st-key-tour .wb-tour b")).to_have_text(title, timeout=60_000)


def test_a_first_visitor_is_led_through_every_page_and_back(app: App, store: Store, page: Page) -> None:
    page.goto(app.url)
    stands_at(page, "Welcome")
    for number, stop in enumerate(tour.STOPS):
        words = "Start" if number == 0 else "Next"
        page.locator(".st-key-tour").get_by_role("button", name=words).click()
        stands_at(page, stop.title)
        expect(page).to_have_url(re.compile(rf"/{stop.page}(\?|$)"))
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        assert not page.evaluate(COVERED)
        if stop.page in ("data", "model", "train"):  # the others have nothing to point at before a run
            page.wait_for_function(
                f"(s) => ({RINGED})(s) === {len(stop.targets)}", arg=", ".join(stop.targets)
            )
    page.locator(".st-key-tour").get_by_role("button", name="Back").click()
    stands_at(page, "Runs and Compare")
    page.reload()
    stands_at(page, "Runs and Compare")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Train").click()  # who wanders is followed
    stands_at(page, "Train")
    expect(page.locator(".st-key-launch button")).to_be_enabled()


def test_skipped_it_stays_away_until_someone_asks(app: App, store: Store, page: Page) -> None:
    page.goto(f"{app.url}/model")
    stands_at(page, "Model")
    page.locator(".st-key-tour").get_by_role("button", name="Skip").click()
    expect(page.locator(".st-key-tour")).to_have_count(0, timeout=60_000)
    page.wait_for_function(f"(s) => ({RINGED})(s) === 0", arg=".st-key-editor")
    page.reload()
    again = page.locator(".st-key-tour-start").get_by_role("button", name="Tour")
    expect(again).to_be_visible(timeout=60_000)
    expect(page.locator(".st-key-tour")).to_have_count(0)
    again.click()
    stands_at(page, "Welcome")


def test_the_keyboard_alone_walks_it_and_ends_it(app: App, store: Store, page: Page) -> None:
    page.goto(f"{app.url}/live")
    stands_at(page, "Live")
    for words, title in (("Next", "Runs and Compare"), ("Next", "Predict")):
        tab_to(page, words)
        page.keyboard.press("Enter")
        stands_at(page, title)
    tab_to(page, "Done")
    page.keyboard.press("Space")
    expect(page.locator(".st-key-tour")).to_have_count(0, timeout=60_000)
    assert store.drafts.get(tour.KEPT) == tour.OVER


def tab_to(page: Page, words: str) -> None:
    """Press Tab until the tour's button has the focus, as who has no mouse does."""
    focused = "document.activeElement.closest('.st-key-tour') ? document.activeElement.innerText.trim() : ''"
    page.locator("body").evaluate("() => document.activeElement.blur()")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == words:
            ring = page.evaluate("getComputedStyle(document.activeElement).boxShadow + "
                                 "getComputedStyle(document.activeElement).outlineStyle")  # fmt: skip
            assert ring not in ("nonenone", "nonehidden"), "the focus must be seen"
            return
    pytest.fail(f"Tab never reached {words}")

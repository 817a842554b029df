"""Answers that are pictures, as a person gets them: from the data to the live view and to a file."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import PRINT, pane, step_of, until
from tests.browser.test_text_walk import launched, stopped, taken_up

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def tab(page: Page, name: str) -> None:
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name=name, exact=True).click()


def changes(page: Page, name: str, view_id: str, canvas: str) -> None:
    """A view is opened, its picture changes while the model learns, and an earlier one is found again."""
    tab(page, name)
    view = pane(page, view_id)
    until(lambda: step_of(view) > 0, f"the first picture of {name}")
    picture = view.locator(canvas).first
    before = picture.evaluate(PRINT)
    until(lambda: picture.evaluate(PRINT) != before, f"{name} changes")
    bar = view.locator(".wbl-scrub input[type=range]").first
    now = step_of(view)
    bar.focus()
    bar.press("Home")
    until(lambda: step_of(view) < now, "an earlier look is shown")


def test_masks_from_the_data_to_a_picture_of_ones_own(app: App, page: Page) -> None:
    page.goto(f"{app.url}/data?set=shapes")
    expect(page.locator(".wb-classes")).to_contain_text("triangle")
    editor = taken_up(app, page, "shapes")
    expect(editor).to_contain_text("skip")
    run = launched(page, "masks")
    changes(page, "Masks", "masks", "article figure:nth-of-type(3) canvas")
    view = pane(page, "masks")
    expect(view.locator(".wbl-classes li")).to_have_count(4)
    expect(view.locator("article")).to_have_count(6)
    stopped(page)
    page.goto(f"{app.url}/predict?run={run}")
    expect(page.get_by_text("What it marks")).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the mask").click()
    assert download.value.suggested_filename.endswith("-mask.png")


def test_two_networks_from_the_data_to_samples_that_form(app: App, page: Page) -> None:
    editor = taken_up(app, page, "fashion-mnist-sample")
    page.get_by_role("combobox", name="What for").click()
    page.get_by_role("option", name="Make new ones").click()
    expect(editor).to_contain_text("Discriminator")
    expect(editor).to_have_attribute("data-ok", "true")
    run = launched(page, "two networks")
    for name in ("loss", "discriminator"):
        expect(page.locator(f".wbl section[data-panel={name}]")).to_be_visible(timeout=60_000)
    changes(page, "Samples", "made", ".wbl-gallery canvas")
    expect(pane(page, "made").locator("canvas")).to_have_count(24)
    stopped(page)
    page.goto(f"{app.url}/predict?run={run}")
    expect(page.get_by_text("16 new pictures")).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the sheet").click()
    assert download.value.suggested_filename.endswith("-samples.png")

"""The preflight and the range test on the train page, in a real browser with real steps."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_preflight_says_how_long_and_how_much_memory(app: App, page: Page) -> None:
    page.goto(f"{app.url}/train")
    page.get_by_role("button", name="Try a few steps").click()
    facts = page.locator("[data-preflight=done]")
    expect(facts).to_contain_text("for the whole run", timeout=60_000)
    bar = page.get_by_role("img", name=re.compile("weights .*activations", re.I))
    expect(bar).to_be_visible()
    assert bar.locator("i").count() >= 4
    expect(page.get_by_text("The model sets the pace")).to_be_visible()
    expect(page.locator(".wb-list")).to_contain_text(re.compile(r"Time about \d+ (s|min)"))
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_the_range_test_suggests_a_rate_and_one_click_takes_it(app: App, page: Page) -> None:
    page.goto(f"{app.url}/train")
    page.get_by_role("button", name="Run the range test").click()
    use = page.get_by_role("button", name=re.compile(r"^\S*\s*Use [\d.e-]+"))
    expect(use).to_be_visible(timeout=90_000)
    rate = float((use.text_content() or "").split()[-1])
    use.click()
    field = page.get_by_role("spinbutton", name="Learning rate", exact=True).last  # the old one fades
    expect(field).to_have_value(re.compile(rf"^{re.escape(f'{rate:g}')}$"), timeout=60_000)
    expect(use).to_have_count(0)

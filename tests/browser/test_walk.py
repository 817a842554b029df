"""The main job as a person does it: one real browser, one real server, real training processes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.eyes import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A canvas counts as painted when enough of its pixels differ from its first one.
INK = """(canvas) => {
    const { width, height } = canvas;
    if (!width || !height) return { ink: 0, hash: 0 };
    const px = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
    let ink = 0, hash = 0;
    for (let i = 0; i < px.length; i += 1) { if (px[i] !== px[0]) ink += 1; hash = (hash * 31 + px[i]) | 0; }
    return { ink: ink / px.length, hash };
}"""


def strip(page: Page) -> Locator:
    """The status strip of the live page; data-state and data-step say what it shows."""
    return page.locator(".wbl[data-kind=status]")


def expect_state(page: Page, state: str, seconds: float = 60) -> None:
    expect(strip(page)).to_have_attribute("data-state", state, timeout=seconds * 1000)


def step(page: Page) -> int:
    return int(strip(page).get_attribute("data-step") or -1)


def open_page(page: Page, name: str, heading: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
    expect(page.get_by_role("heading", name=heading).first).to_be_visible(timeout=60_000)


def painted(page: Page) -> dict[str, float]:
    """Ink and fingerprint of the largest canvas on the live page."""
    canvases = page.locator(".wbl canvas:visible").all()
    best = max(canvases, key=lambda c: (c.bounding_box() or {"width": 0})["width"])
    found: dict[str, float] = best.evaluate(INK)
    return found


def expect_change(page: Page, what: str) -> None:
    """The largest picture has ink, and it becomes another."""
    until(lambda: page.locator(".wbl canvas:visible").count() > 0, f"{what}: a canvas")
    until(lambda: painted(page)["ink"] > 0.002, f"{what}: ink")
    before = painted(page)["hash"]
    until(lambda: painted(page)["hash"] != before, f"{what} changes")


def live_tab(page: Page, name: str) -> None:
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name=name).click()


def test_the_main_job_from_one_click_to_a_prediction(app, page: Page) -> None:  # type: ignore[no-untyped-def]
    # One click starts a training, and its inside is seen to change.
    page.goto(app.url)
    page.get_by_role("button", name="Train a CNN on Fashion-MNIST").click()
    page.wait_for_url(re.compile(r"/live\?.*run="), timeout=60_000)
    expect_state(page, "running")
    until(lambda: step(page) > 3, "the first steps")
    live_tab(page, "Curves")
    expect_change(page, "the loss curve")
    live_tab(page, "Filters")
    expect_change(page, "the filters")
    live_tab(page, "Feature maps")
    expect_change(page, "the feature maps")
    stop(page)
    expect_state(page, "stopped", 40)

    # The layers are edited; parameters follow; a faulty stack is marked and cannot be launched.
    open_page(page, "Model", "Model")
    editor = page.locator("[data-parameters]")
    expect(editor).to_have_attribute("data-ok", "true", timeout=60_000)
    before = int(editor.get_attribute("data-parameters") or 0)
    kernels = editor.locator("input[data-name=out_channels]").first
    kernels.fill("8")
    until(lambda: int(editor.get_attribute("data-parameters") or 0) < before, "fewer parameters")
    last = editor.locator("input[data-name=out_features]").last
    last.fill("7")
    expect(editor).to_have_attribute("data-ok", "false", timeout=60_000)
    expect(editor.get_by_text("one score per class").first).to_be_visible()
    last.fill("10")
    expect(editor).to_have_attribute("data-ok", "true", timeout=60_000)
    page.reload()
    expect(editor.locator("input[data-name=out_channels]").first).to_have_value("8", timeout=60_000)
    page.get_by_role("button", name="Continue to training").click()

    # It is launched, paused, found paused after a reload, resumed and stopped.
    expect(page.get_by_role("heading", name="Train").first).to_be_visible(timeout=60_000)
    name = page.get_by_label("Name", exact=True)
    name.fill("edited by hand")
    name.press("Enter")
    epochs = page.get_by_label(re.compile("^epochs", re.I)).first
    epochs.fill("40")
    epochs.press("Enter")
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url(re.compile(r"/live\?.*run="), timeout=60_000)
    expect_state(page, "running")
    until(lambda: step(page) > 3, "steps of the second run")
    strip(page).get_by_role("button", name="Pause").click()
    expect_state(page, "paused")
    held = step(page)
    page.reload()
    expect_state(page, "paused")
    page.wait_for_timeout(1500)
    assert step(page) == held, "a paused run does not step"
    strip(page).get_by_role("button", name="Resume").click()
    expect_state(page, "running")
    until(lambda: step(page) > held, "it goes on")
    stop(page)
    expect_state(page, "stopped", 40)
    run = re.search(r"run=([\w-]+)", page.url)
    assert run

    # The runs page lists both; the stopped model predicts.
    open_page(page, "Runs", "Runs")
    expect(page.get_by_text("edited by hand").first).to_be_visible(timeout=60_000)
    page.goto(f"{app.url}/predict?run={run.group(1)}")
    expect(page.get_by_role("heading", name="Predict").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("As the model sees it").first).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def stop(page: Page) -> None:
    """Stop asks once more, so that a slip costs nothing."""
    button = strip(page).locator("button[data-verb=stop]")
    button.click()
    expect(button).to_have_text("Really stop?")
    button.click()

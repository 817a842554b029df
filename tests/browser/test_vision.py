"""A Vision Transformer from Home to the live page: where its class token looks is painted over an image and
changes while it learns; the predict page says where it looked in a picture.
The same of a checkpoint on disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import PRINT, pane, step_of, until
from tests.browser.test_text_walk import launched, stopped
from tests.models import classifiers
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_vision_transformer_from_home_to_its_attention_over_an_image(
    app: App, store: Store, page: Page
) -> None:
    page.goto(app.url)
    page.locator(".st-key-edit-vit-tiny button").first.click()
    editor = page.locator(".wb-editor")
    expect(editor).to_have_attribute("data-ok", "true", timeout=90_000)
    patch = editor.locator("[data-name=patch_size]").first
    patch.fill("5")  # does not divide 28
    expect(editor).to_have_attribute("data-ok", "false")
    editor.get_by_role("button", name="Set patch_size to 4").first.click()
    expect(editor).to_have_attribute("data-ok", "true")

    run = launched(page, "a vision transformer")
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name="Attention", exact=True).click()
    view = pane(page, "attention")
    board, large = view.locator(".wbl-patchboard"), view.locator(".wbl-patchmap")
    until(lambda: step_of(view) > 0, "the first look")
    expect(board).to_have_attribute("data-query", "class")
    expect(view.locator(".wbl-patchboard .wbl-reading")).to_contain_text("The class token looks most at row")
    before, step = large.evaluate(PRINT), step_of(view)
    until(lambda: step_of(view) > step and large.evaluate(PRINT) != before, "another picture")

    view.get_by_role("button", name=re.compile("^Probe image 3")).click()
    box = large.bounding_box()
    assert box
    large.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.07})  # row 1, column 4 of 7
    expect(board).to_have_attribute("data-query", "3")
    expect(page).to_have_url(re.compile("patch=4"))
    large.press("ArrowDown")
    expect(board).to_have_attribute("data-query", "10")
    expect(board.locator(".wbl-reading")).to_contain_text("The patch in row 2, column 4")
    view.locator(".wbl-patchboard .wbl-heads").press("ArrowRight")
    expect(board).to_have_attribute("data-head", "1")
    view.get_by_role("button", name="As a matrix").click()
    expect(view.locator(".wbl-tokenmap")).to_be_visible()
    view.get_by_role("button", name="Over the image").click()
    expect(large).to_be_visible()
    stopped(page)

    tiles = store.snapshots.load(run, "attention/3.1.0")
    assert tiles is not None
    assert tiles.pixels.shape[1:] == (50, 50)


def test_a_checkpoint_on_disk_is_named_on_the_model_page_and_fine_tuned_in_sight(
    app: App, store: Store, page: Page, tmp_path: Path
) -> None:
    """Of a family with no code of its own here: BEiT, whose patches come without a border of their own."""
    folder = classifiers.saved("beit", tmp_path)
    page.goto(app.url)
    page.locator(".st-key-edit-image-classifier button").first.click()
    editor = page.locator(".wb-editor")
    expect(editor).to_have_attribute("data-ok", "false", timeout=90_000)
    expect(editor.get_by_text(re.compile("has not been fetched"))).to_be_visible()
    source = editor.locator("[data-name=source]").first
    source.fill(str(folder))
    source.press("Tab")
    expect(editor).to_have_attribute("data-ok", "true", timeout=60_000)

    run = launched(page, "a checkpoint fine-tuned")
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name="Attention", exact=True).click()
    view = pane(page, "attention")
    until(lambda: step_of(view) > 0, "the first look")
    expect(view.locator(".wbl-patchboard .wbl-reading")).to_contain_text("The class token looks most at row")
    large = view.locator(".wbl-patchmap")
    before, step = large.evaluate(PRINT), step_of(view)
    until(lambda: step_of(view) > step and large.evaluate(PRINT) != before, "another picture")
    stopped(page)

    page.goto(f"{app.url}/predict?run={run}")
    expect(page.get_by_text("Where the class token looked")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)

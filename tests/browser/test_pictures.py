"""Filters, feature maps and predictions in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.eyes import PRINT, ended, pane, step_of, until
from tests.live import trainer

pytestmark = pytest.mark.browser


def test_filters_change_while_it_trains_and_their_layer_is_in_the_url(app, trained, page):
    page.goto(f"{app.url}/live?run={trained}&tab=filters")
    mosaic = pane(page, "filters").locator(".wbl-mosaic")
    expect(mosaic).to_be_visible()
    expect(pane(page, "filters")).to_have_attribute("data-live", "live")
    until(lambda: step_of(pane(page, "filters")) > 0, "the first filters")
    before, picture = step_of(pane(page, "filters")), mosaic.evaluate(PRINT)
    until(lambda: step_of(pane(page, "filters")) > before, "newer filters")
    until(lambda: mosaic.evaluate(PRINT) != picture, "other pixels")
    pane(page, "filters").get_by_role("button", name="3 · conv2d 64").click()
    expect(page).to_have_url(re.compile("layer=3"))
    page.reload()
    expect(pane(page, "filters").get_by_role("button", name="3 · conv2d 64")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_the_scrub_bar_shows_what_the_filters_were(app, store, page):
    run = ended(store, trainer.new_run(store, "history"))
    page.goto(f"{app.url}/live?run={run}&tab=filters")
    filters = pane(page, "filters")
    expect(filters).to_have_attribute("data-step", "2000")
    newest = filters.locator(".wbl-mosaic").evaluate(PRINT)
    filters.get_by_label("Step of the picture").fill("0")
    expect(filters).to_have_attribute("data-step", "200")
    assert filters.locator(".wbl-mosaic").evaluate(PRINT) != newest
    filters.get_by_text("Follow", exact=True).click()
    expect(filters).to_have_attribute("data-step", "2000")
    until(lambda: filters.locator(".wbl-mosaic").evaluate(PRINT) == newest, "the newest again")


def test_feature_maps_of_the_chosen_probe_image(app, store, page):
    run = ended(store, trainer.new_run(store, "maps"))
    page.goto(f"{app.url}/live?run={run}&tab=maps")
    maps = pane(page, "maps")
    expect(maps).to_have_attribute("data-step", "2000")
    first = maps.locator(".wbl-mosaic").evaluate(PRINT)
    expect(maps.locator(".wbl-strip button")).to_have_count(6)
    maps.get_by_role("button", name="Probe image 4").click()
    until(lambda: maps.locator(".wbl-mosaic").evaluate(PRINT) != first, "another image's maps")
    expect(page).to_have_url(re.compile("image=3"))
    expect(maps.get_by_text("Dress")).to_be_visible()


def test_a_filter_is_read_exactly_at_the_pointer(app, store, page):
    run = ended(store, trainer.new_run(store, "values"))
    tiles = store.snapshots.load(run, "filters/0")
    page.goto(f"{app.url}/live?run={run}&tab=filters")
    mosaic = pane(page, "filters").locator(".wbl-mosaic")
    expect(pane(page, "filters")).to_have_attribute("data-step", "2000")
    mosaic.hover(position={"x": 6, "y": 6})
    reading = pane(page, "filters").locator(".wbl-reading")
    expect(reading).to_contain_text("row 0, column 0")
    value = tiles.lows[0] + tiles.pixels[0, 0, 0] / 255 * (tiles.highs[0] - tiles.lows[0])
    told = float((reading.text_content() or "").split(": ")[1].replace("−", "-"))
    assert told == pytest.approx(float(value), rel=0.01)


def test_confusion_and_predictions_are_told_not_only_by_colour(app, store, page):
    run = ended(store, trainer.new_run(store, "judged"))
    page.goto(f"{app.url}/live?run={run}&tab=predictions")
    table = page.get_by_role("table", name="Confusion matrix")
    expect(table).to_be_visible()
    panel = store.snapshots.load(run, "confusion")
    assert table.locator("tbody tr").nth(0).locator("td").nth(0).text_content() == str(
        panel.data["matrix"][0][0]
    )
    wrong = sum(not item["correct"] for item in store.snapshots.load(run, "samples").data["items"])
    assert wrong
    expect(page.get_by_text("✕ wrong")).to_have_count(wrong)
    page.get_by_text("Only wrong ones").click()
    expect(page.locator(".wbl-samples article")).to_have_count(wrong)

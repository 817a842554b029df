"""From the table to the comparison in a real browser: sort, choose, compare, zoom, tag, archive."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from tests.browser.test_walk import INK, until
from workbench.records import Scalars
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def trained(store: Store, i: int) -> str:
    run_id = store.runs.create(
        preset("mlp-tiny").spec.model_copy(update={"name": f"run {i:02d}", "seed": i})
    ).id
    steps = np.arange(1, 1001)
    loss = 2 / np.sqrt(steps) + 0.01 * i
    parts = [Scalars("train/loss", steps, steps / 100, time.time() + steps, loss)]
    parts.append(
        Scalars(
            "val/accuracy", steps[99::100], steps[99::100] / 100, steps[99::100] + 1e9, np.full(10, i / 100)
        )
    )
    store.flush(run_id, parts, step=1000, epoch=10.0, total_steps=1000)
    store.runs.exit(run_id, "finished")
    return run_id


def test_from_the_table_to_the_comparison(app: App, store: Store, page: Page) -> None:
    ids = [trained(store, i) for i in range(60)]
    page.goto(f"{app.url}/runs")
    rows = page.locator(".wb-runs .row")
    expect(rows).to_have_count(50)
    by_accuracy = page.locator(".wb-runs button.h", has_text="Accuracy")
    by_accuracy.click()
    expect(by_accuracy).to_have_attribute(
        "aria-sort", "descending"
    )  # the newest, which is first anyway, is the best
    expect(rows.first.locator("a")).to_have_text("run 59")
    by_accuracy.click()
    expect(rows.first.locator("a")).to_have_text("run 00")
    expect(page).to_have_url(re.compile("sort=best"))

    rows.nth(0).locator("input").check()
    rows.nth(1).locator("input").check()
    expect(page.get_by_text("2 runs chosen")).to_be_visible()
    page.get_by_role("button", name="Page 2").click()
    expect(rows).to_have_count(10)
    rows.nth(9).locator("input").check()  # a choice survives the change of page
    expect(page.get_by_text("3 runs chosen")).to_be_visible()

    page.get_by_role("button", name="Compare").click()
    chart = page.locator(".wbc")
    expect(chart).to_have_attribute("data-runs", "3", timeout=60_000)
    assert all(i in page.url.replace("%2C", ",") for i in (ids[0], ids[1], ids[59]))
    canvas = chart.locator("canvas")
    until(lambda: canvas.evaluate(INK)["ink"] > 0.001, "ink on the canvas")

    box = canvas.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile("zoom=step"))
    span = chart.get_attribute("data-span")
    assert span
    page.get_by_text("Epoch", exact=True).click()  # another axis: the range would mean nothing there
    expect(chart).to_have_attribute("data-span", "")
    page.get_by_text("Step", exact=True).click()
    page.get_by_text("Mean and range").click()
    expect(chart).to_have_attribute("data-bands", "1")
    expect(page.locator(".stException")).to_have_count(0)


def test_a_zoom_survives_options_and_a_reload(app: App, store: Store, page: Page) -> None:
    run_id = trained(store, 1)
    page.goto(f"{app.url}/compare?runs={run_id}&metric=train/loss&zoom=step,200,300")
    chart = page.locator(".wbc")
    expect(chart).to_have_attribute("data-span", "200 300")
    page.get_by_text("Log scale").click()
    expect(page).to_have_url(re.compile("log=true"))
    expect(chart).to_have_attribute("data-span", "200 300")
    page.reload()
    expect(chart).to_have_attribute("data-span", "200 300")
    page.get_by_role("button", name="Show all").click()
    expect(page).not_to_have_url(re.compile("zoom"))


def test_runs_are_tagged_and_put_away(app: App, store: Store, page: Page) -> None:
    run_id = trained(store, 2)
    store.runs.rename(run_id, "to be put away")
    page.goto(f"{app.url}/runs?search=put+away")
    row = page.locator(".wb-runs .row")
    expect(row).to_have_count(1)
    row.locator(".state").click()
    page.get_by_role("button", name="Edit").click()
    tags = page.get_by_role("dialog").get_by_role("combobox")
    tags.fill("paper")
    tags.press("Enter")
    page.get_by_role("dialog").get_by_label("Note").fill("the one in the paper")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(row.locator(".tag")).to_have_text("paper")
    assert store.runs.get(run_id).note == "the one in the paper"
    page.get_by_role("button", name="Archive", exact=True).last.click()
    until(lambda: store.runs.get(run_id).archived, "archived")
    expect(page.get_by_text("No run fits")).to_be_visible()

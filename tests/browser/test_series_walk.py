"""A series from a file to a forecast as a person does it: the curves, the windows, the tab that changes."""

from __future__ import annotations

import math
import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import PRINT, pane, step_of, until
from tests.browser.test_text_walk import launched, stopped, taken_up
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def spots() -> FilePayload:
    """Sixty years of months with a cycle of eleven years."""
    rows = [
        f"{1900 + i // 12}-{i % 12 + 1:02d},{60 + 50 * math.sin(i / 21) + 7 * math.sin(i * 1.7):.2f}"
        for i in range(720)
        if i not in (300, 301)
    ]
    return FilePayload(
        name="spots.csv", mimeType="text/csv", buffer="\n".join(["month,spots", *rows]).encode()
    )


def test_a_series_from_a_csv_to_a_forecast_that_changes_while_it_learns(
    app: App, store: Store, page: Page
) -> None:
    page.goto(f"{app.url}/data")
    page.get_by_role("button", name="Add data").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files([spots()])
    expect(dialog.get_by_text("Read as a series: 718 rows, a step every 1 month.")).to_be_visible(
        timeout=30_000
    )
    expect(dialog.get_by_label("Name", exact=True).first).to_have_value("spots")
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_text(re.compile("spots is ready"))).to_be_visible(timeout=60_000)
    assert store.datasets.get("spots").schema.variates == ("spots",)
    expect(page.get_by_text("2 missing steps were filled")).to_be_visible()

    editor = taken_up(app, page, "spots")
    assert editor.locator(".row[data-kind=series_linear]").count() == 1
    run = launched(page, "straight ahead")
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name="Forecast", exact=True).click()
    view = pane(page, "forecast")
    until(lambda: step_of(view) > 0, "the first forecast")
    first = view.locator(".wbl-window canvas").first
    before = first.evaluate(PRINT)
    until(lambda: first.evaluate(PRINT) != before, "the forecast changes")
    expect(view.locator("tr[data-mark=rmse] td")).to_have_count(3)  # the model and two floors
    first.focus()
    page.keyboard.press("ArrowLeft")
    expect(view.locator("p.wbl-hint").first).to_contain_text("forecast")
    stopped(page)

    page.goto(f"{app.url}/predict?run={run}")
    box = page.locator(".st-key-box-answer")
    expect(box.get_by_text(re.compile(r"12 steps ahead: 1960-01 to 1960-12"))).to_be_visible(timeout=60_000)
    with page.expect_download() as saved:
        box.get_by_test_id("stDownloadButton").get_by_role("button").click()
    lines = saved.value.path().read_text().splitlines()
    assert lines[0] == "time,spots,spots low,spots high"
    assert [line.split(",")[0] for line in lines[1:]] == [f"1960-{m:02d}" for m in range(1, 13)]
    expect(page.get_by_test_id("stException")).to_have_count(0)

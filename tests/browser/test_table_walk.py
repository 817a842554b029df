"""A table from an upload to a live page with scores, and an answer by form: as a person does it."""

from __future__ import annotations

import random
import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import pane, step_of, until
from tests.browser.test_text_walk import launched, stopped, taken_up
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def houses() -> FilePayload:
    """Six hundred houses: semicolons, decimal commas, gaps, an id, and a price that follows from the rest."""
    draw = random.Random(0)
    lines = ["id;area;town;rooms;price"]
    for i in range(600):
        area, town, rooms = draw.uniform(30, 200), draw.choice(["Ulm", "Köln", "Bonn"]), draw.randint(1, 6)
        price = 2000 * area + {"Ulm": 0, "Köln": 90_000, "Bonn": 40_000}[town] + 5000 * rooms
        told = "" if draw.random() < 0.05 else f"{area:.1f}".replace(".", ",")
        lines.append(f"{i};{told};{town};{rooms};{price:.0f}")
    text = "\n".join(lines) + "\n"
    return FilePayload(name="houses.csv", mimeType="text/csv", buffer=text.encode())


def test_a_table_from_an_upload_to_a_live_page_and_an_answer_by_form(
    app: App, store: Store, page: Page
) -> None:
    page.goto(f"{app.url}/data")
    page.get_by_role("button", name="Add data").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files([houses()])
    expect(dialog.get_by_text("A table of 600 rows; a model sees 3 of 5 columns.")).to_be_visible(
        timeout=60_000
    )
    expect(dialog.get_by_label("Name", exact=True).first).to_have_value("houses")
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_text(re.compile("houses is ready"))).to_be_visible(timeout=60_000)
    schema = store.datasets.get("houses").schema
    assert (schema.kind, schema.task, schema.columns["target"]) == ("table", "regression", "price")
    assert {own.name: own.role for own in schema.fields}["id"] == "id"

    editor = taken_up(app, page, "houses")
    assert editor.locator(".row[data-kind=column_embedding]").count() == 1
    run = launched(page, "prices of houses")
    tabs = page.locator(".wbl[data-kind=tabs]")
    tabs.get_by_role("tab", name="Rows", exact=True).click()
    rows = pane(page, "rows")
    until(lambda: step_of(rows) > 0, "the first validation")
    expect(rows.locator("[data-metric=rmse] dd")).not_to_have_text("–")
    expect(rows.get_by_text("Predicted against true")).to_be_visible()
    expect(rows.locator("tbody tr").first).to_contain_text("area")
    tabs.get_by_role("tab", name="Columns", exact=True).click()
    columns = pane(page, "columns")
    until(lambda: step_of(columns) >= 0, "the first look inside")
    assert set(columns.locator("[data-column]").evaluate_all("all => all.map(e => e.dataset.column)")) == {
        "area", "town", "rooms",
    }  # fmt: skip
    stopped(page)

    page.goto(f"{app.url}/predict?run={run}")
    answer = page.locator(".st-key-box-answer")
    expect(answer).to_contain_text("The model says", timeout=60_000)
    before = answer.inner_text()
    field = page.get_by_label("area", exact=True)
    field.fill("190")
    field.press("Enter")
    until(lambda: answer.inner_text() != before, "another answer")
    expect(page.get_by_test_id("stException")).to_have_count(0)

"""The log in a real browser: the tail follows, a search goes over the whole of it, tracebacks are folded."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import ended, pane, until
from tests.live import trainer
from workbench.store import Store

pytestmark = pytest.mark.browser

TRACE = """Traceback (most recent call last):
  File "data.py", line 3, in read
    return rows[i]
KeyError: 7

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "train.py", line 8, in step
    raise ValueError("row 7 is missing")
ValueError: row 7 is missing
"""


@pytest.fixture
def run(store: Store) -> str:
    """A run whose log has 200,000 lines (8 MB), one of them far from the end."""
    found = ended(store, trainer.new_run(store, "talks much"), 400)
    with store.log_path(found).open("w") as file:
        for i in range(1, 200_001):
            file.write(
                "the needle <b>in</b> the hay\n" if i == 1234 else f"line {i} of a long log, loss 0.5\n"
            )
        file.write(TRACE)
        file.write("the end\n")
    return found


def test_a_search_goes_over_the_whole_log_and_jumps_to_the_line(app: App, page: Page, run: str) -> None:
    page.goto(f"{app.url}/live?run={run}&tab=log")
    log = pane(page, "log")
    expect(log.locator(".wbl-log")).to_contain_text("the end")
    assert "line 1,233" not in (log.locator(".wbl-log").text_content() or "")
    page.get_by_label("Search the log").fill("NEEDLE")
    found = log.locator(".wbl-found button[data-line]")
    expect(found).to_have_count(1)
    expect(found).to_have_attribute("data-line", "1234")
    page.keyboard.press("Enter")
    here = log.locator(".wbl-here")
    expect(here).to_contain_text("the needle <b>in</b> the hay")
    expect(here).to_have_attribute("data-line", "1234")
    expect(here).to_be_in_viewport()
    expect(log.locator("[data-line='1233']")).to_contain_text("line 1233 of a long log")
    expect(log.locator("mark").first).to_have_text("needle")
    log.get_by_role("button", name="To the end").click()
    expect(log.locator(".wbl-log")).to_contain_text("the end")


def test_next_and_previous_walk_through_what_was_found(app: App, page: Page, run: str) -> None:
    page.goto(f"{app.url}/live?run={run}&tab=log")
    log = pane(page, "log")
    page.get_by_label("Search the log").fill("line 19999")
    expect(log.locator(".wbl-found button[data-line]")).to_have_count(11)  # 19999 and 199990 to 199999
    log.get_by_role("button", name="Previous line found").click()
    expect(log.locator(".wbl-here")).to_have_attribute("data-line", "199999")
    log.get_by_role("button", name="Previous line found").click()
    expect(log.locator(".wbl-here")).to_have_attribute("data-line", "199998")
    for _ in range(2):
        log.get_by_role("button", name="Next line found").click()
    expect(log.locator(".wbl-here")).to_have_attribute("data-line", "19999")  # round to the first


def test_a_traceback_is_one_block_with_its_last_line_first(app: App, page: Page, run: str) -> None:
    page.goto(f"{app.url}/live?run={run}&tab=log")
    trace = pane(page, "log").locator("details.wbl-trace")
    expect(trace).to_have_count(1)  # the cause belongs to it
    expect(trace.locator("summary")).to_contain_text("ValueError: row 7 is missing")
    expect(trace.get_by_text("return rows[i]")).to_be_hidden()
    trace.locator("summary").click()
    expect(trace.get_by_text("return rows[i]")).to_be_visible()
    page.get_by_text("Errors", exact=True).click()
    found = pane(page, "log").locator(".wbl-found button[data-line]")
    until(lambda: found.count() >= 4, "the lines of the errors")
    assert "ValueError: row 7 is missing" in found.all_text_contents()[-1]


def test_the_tail_follows_what_is_written(app: App, page: Page, store: Store, run: str) -> None:
    page.goto(f"{app.url}/live?run={run}&tab=log")
    text = pane(page, "log").locator(".wbl-log")
    expect(text).to_contain_text("the end")
    with store.log_path(run).open("a") as file:
        file.write("one more line\n")
    store.runs.beat(run)
    store.events.add(run, trainer.event("warning", "Something was written.", 400))
    expect(text).to_contain_text("one more line")
    at_end = text.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight < 30")
    assert at_end

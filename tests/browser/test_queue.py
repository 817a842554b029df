"""The queue on the runs page in a real browser: order, hold, release. Nothing starts: all are held first."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import until
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def waiting(store: Store) -> list[str]:
    spec = preset("mlp-tiny").spec
    return [store.runs.create(spec.model_copy(update={"name": f"waits {i}"})).id for i in range(20)]


@pytest.fixture(autouse=True)
def away(store: Store):  # type: ignore[no-untyped-def]
    yield
    for row in store.runs.waiting():
        store.runs.exit(row.id, "stopped")


def order(store: Store) -> list[str]:
    return [row.id for row in store.runs.waiting()]


def row(page: Page, run: str) -> Locator:
    return page.locator(f".wb-queue li[data-run='{run}']")


def test_runs_are_moved_up_to_the_head_and_down(
    app: App, store: Store, page: Page, waiting: list[str]
) -> None:
    page.goto(f"{app.url}/runs")
    panel = page.locator(".wb-queue")
    expect(panel).to_have_attribute("data-waiting", "20", timeout=60_000)
    expect(panel).to_have_attribute("data-order", " ".join(waiting))
    row(page, waiting[5]).locator("[data-act=first]").click()
    wanted = [waiting[5], *waiting[:5], *waiting[6:]]
    expect(panel).to_have_attribute("data-order", " ".join(wanted))
    row(page, waiting[0]).locator("[data-act=down]").click()
    wanted[1], wanted[2] = wanted[2], wanted[1]
    expect(panel).to_have_attribute("data-order", " ".join(wanted))
    row(page, waiting[7]).locator("[data-act=up]").focus()
    page.keyboard.press("Alt+ArrowUp")
    wanted[6], wanted[7] = wanted[7], wanted[6]
    expect(panel).to_have_attribute("data-order", " ".join(wanted))
    assert order(store) == wanted
    page.reload()
    expect(panel).to_have_attribute("data-order", " ".join(wanted), timeout=60_000)


def test_one_and_many_are_held_and_released(app: App, store: Store, page: Page, waiting: list[str]) -> None:
    page.goto(f"{app.url}/runs")
    first = row(page, waiting[0])
    first.get_by_role("button", name="Hold").click()
    expect(first).to_have_attribute("data-held", "true")
    expect(first).to_contain_text("Held until it is released")
    assert store.runs.get(waiting[0]).held
    expect(page.locator(".wb-runs .row .pill", has_text="held")).to_have_count(1, timeout=60_000)
    page.locator(".wb-queue .bar button", has_text="Hold all").click()
    until(lambda: all(run.held for run in store.runs.waiting()), "all are held")
    assert store.runs.next_queued() is None
    for i in (3, 4):
        row(page, waiting[i]).get_by_role("checkbox").check()
    page.locator(".wb-queue .bar button", has_text="Stop").click()
    until(lambda: len(store.runs.waiting()) == 18, "two are taken out")
    expect(page.locator(".wb-queue")).to_have_attribute("data-waiting", "18")

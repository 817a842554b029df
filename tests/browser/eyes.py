"""What the live page's tests look with: ink on canvases, the strip, the panes; and runs to look at."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page

from tests.live import trainer
from workbench.store import Store

INK = """(canvas, colour) => {
    const [r, g, b] = colour;
    const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let n = 0;
    for (let i = 0; i < d.length; i += 4)
        if (d[i + 3] > 150 && Math.abs(d[i] - r) + Math.abs(d[i + 1] - g) + Math.abs(d[i + 2] - b) < 40) n++;
    return n;
}"""
PRINT = """(canvas) => {
    const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let h = 0;
    for (let i = 0; i < d.length; i++) h = (h * 31 + d[i]) | 0;
    return h;
}"""
BLUE, ORANGE, RED = [47, 122, 229], [232, 113, 10], [229, 72, 77]


def until(true: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.1)
    pytest.fail(f"not within {seconds:.0f} s: {what}")


def ended(store: Store, run: str, steps: int = 2000) -> str:
    """Give a run its whole history at once, and its end."""
    trainer.claim(store, run, steps)
    records = [*trainer.curves(1, steps), trainer.probe(), trainer.confusion(steps), trainer.samples(200)]
    for step in (200, 900, steps):
        records += trainer.look(step)
    store.flush(
        run, [*records, trainer.event("finished", "Reached its last step.", steps)], step=steps, epoch=5.0
    )
    store.runs.exit(run, "finished")
    return run


def strip(page: Page) -> Locator:
    return page.locator(".wbl[data-kind=status]")


def plot(page: Page, name: str) -> Locator:
    return page.locator(f"section[data-panel={name}] canvas")


def pane(page: Page, name: str) -> Locator:
    return page.locator(f"#wbl-{name}")


def step_of(where: Locator) -> int:
    return int(where.get_attribute("data-step") or -1)

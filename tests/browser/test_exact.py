"""The promises of the curves at a million steps, in a real browser: nothing is hidden, at any zoom."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import plot, until
from tests.live import trainer
from workbench.records import Scalars

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N = 1_000_000
NAN, PLUS, MINUS, SPIKE = 200_123, 400_456, 600_789, 800_321  # steps

# Rows of red (or blue) pixels in a band around the column that stands for a share of the width.
ROWS = """(canvas, [share, colour]) => {
    const ratio = devicePixelRatio, d = canvas.getContext("2d");
    const [left, right] = [54 * ratio, canvas.width - 12 * ratio];
    const middle = Math.round(left + share * (right - left)), reach = Math.round(5 * ratio);
    const { data } = d.getImageData(middle - reach, 0, 2 * reach, canvas.height);
    const rows = [];
    for (let y = 0; y < canvas.height; y++) {
        let n = 0;
        for (let x = 0; x < 2 * reach; x++) {
            const i = 4 * (y * 2 * reach + x);
            const far = Math.abs(data[i] - colour[0]) + Math.abs(data[i + 1] - colour[1]);
            if (data[i + 3] > 200 && far + Math.abs(data[i + 2] - colour[2]) < 60) n++;
        }
        rows.push(n);
    }
    return rows;
}"""
BLUE, RED = [47, 122, 229], [229, 72, 77]


@pytest.fixture(scope="module")
def long_run(app: App) -> str:
    """A million steps: one NaN, one of each infinity, one spike; noise elsewhere."""
    from workbench.store import open_store

    store = open_store(app.home)
    run = trainer.new_run(store, "a million")
    trainer.claim(store, run, N)
    values = np.random.default_rng(0).normal(1.0, 0.01, N)
    for step, value in ((NAN, np.nan), (PLUS, np.inf), (MINUS, -np.inf), (SPIKE, 9.0)):
        values[step - 1] = value
    steps = np.arange(1, N + 1)
    for at in range(0, N, 100_000):
        part = slice(at, at + 100_000)
        store.flush(
            run,
            [Scalars("train/loss", steps[part], steps[part] / 400, 1e9 + steps[part] / 1e4, values[part])],
            step=at + 100_000, epoch=(at + 100_000) / 400,
        )  # fmt: skip
    store.runs.exit(run, "finished")
    store.close()
    return run


def rows(canvas: Locator, step: int, colour: list[int]) -> list[int]:
    return list(canvas.evaluate(ROWS, [step / N, colour]))


def test_a_nan_two_infinities_and_a_spike_among_a_million_are_seen_and_told_apart(
    app: App, page: Page, long_run: str
) -> None:
    page.goto(f"{app.url}/live?run={long_run}")
    canvas = plot(page, "loss")
    until(lambda: canvas.count() == 1, "the chart")
    until(lambda: sum(rows(canvas, NAN, RED)) > 5, "the mark of the NaN")
    height = len(rows(canvas, NAN, RED))
    upper, lower = slice(0, height // 3), slice(2 * height // 3, height)
    nan, plus, minus = (rows(canvas, step, RED) for step in (NAN, PLUS, MINUS))
    assert sum(nan[lower]) > 5 > sum(nan[upper])
    assert sum(plus[upper]) > 5 > sum(plus[lower])
    assert sum(minus[lower]) > 5 > sum(minus[upper])
    assert max(minus) > max(nan)  # a filled triangle has a broad row, a cross has none
    assert sum(rows(canvas, 500_000, RED)) == 0  # and nothing is marked where nothing is
    spike = rows(canvas, SPIKE, BLUE)
    tall = [y for y, n in enumerate(spike) if n]
    assert max(tall) - min(tall) > 0.6 * height
    calm = [y for y, n in enumerate(rows(canvas, 500_000, BLUE)) if n]
    assert max(calm) - min(calm) < 0.1 * height


def test_zooming_in_fetches_every_step_of_the_range_and_reads_the_true_value(
    app: App, page: Page, long_run: str
) -> None:
    page.goto(f"{app.url}/live?run={long_run}&from={SPIKE - 20}&to={SPIKE + 20}")
    canvas = plot(page, "loss")
    until(lambda: canvas.count() == 1, "the chart")
    script = """() => {
        const fine = [...window.__workbenchFeeds.values()][0].series.get("train/loss").fine;
        return fine ? Array.from(fine.columns[0]) : [];
    }"""
    wanted = list(range(SPIKE - 20, SPIKE + 21))
    until(lambda: page.evaluate(script) == wanted, "every step of the range")
    canvas.focus()
    page.keyboard.press("Home")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".wbl-where")).to_have_text(re.compile(f"step {SPIKE:,}"))
    expect(page.locator("section[data-panel=loss] [data-key='train/loss'] b")).to_have_text("9")

"""The curves in a real browser: ink on canvas, zoom, crosshair, extremes. A chart that says it drew may have
painted nothing, so ink is looked at, not only attributes."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.eyes import BLUE, INK, PRINT, RED, ended, plot, step_of, strip, until
from tests.live import trainer
from workbench.records import Scalars

pytestmark = pytest.mark.browser


def test_curves_are_painted_and_move(app, trained, page):
    page.goto(f"{app.url}/live?run={trained}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    until(lambda: plot(page, "loss").count() == 1, "the chart")
    until(lambda: plot(page, "loss").evaluate(INK, BLUE) > 150, "blue ink of the training loss")
    before, picture = step_of(strip(page)), plot(page, "loss").evaluate(PRINT)
    until(lambda: step_of(strip(page)) > before + 30, "newer steps")
    until(lambda: plot(page, "loss").evaluate(PRINT) != picture, "other pixels")
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_zoom_survives_ticks_and_a_reload_and_a_second_browser(app, trained, page, browser: Browser):
    page.goto(f"{app.url}/live?run={trained}")
    until(lambda: step_of(strip(page)) > 60, "enough steps to zoom into")
    box = plot(page, "loss").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 110, steps=5)
    page.mouse.up()
    zoomed = re.compile(r"from=[\d.]+&to=[\d.]+")
    expect(page).to_have_url(zoomed)
    url = page.url
    page.mouse.move(box["x"] + 5, box["y"] - 200)
    page.wait_for_timeout(300)
    shown = page.locator(".wbl-where").text_content()
    before = step_of(strip(page))
    until(lambda: step_of(strip(page)) > before + 40, "ticks")
    assert page.locator(".wbl-where").text_content() == shown
    assert page.url == url
    page.reload()
    expect(page.locator(".wbl-where")).to_have_text(shown)
    other = browser.new_context().new_page()
    other.goto(url)
    expect(other.locator(".wbl-where")).to_have_text(shown, timeout=60_000)
    other.context.close()
    plot(page, "loss").dblclick(position={"x": 200, "y": 100})
    expect(page).not_to_have_url(zoomed)


def test_the_crosshair_reads_true_values_by_mouse_and_by_keyboard(app, store, page):
    run = ended(store, trainer.new_run(store, "read"), 400)
    true = store.scalars.read(run)["train/loss"]
    page.goto(f"{app.url}/live?run={run}")
    canvas = plot(page, "loss")
    until(lambda: canvas.count() == 1, "the chart")
    value = page.locator("section[data-panel=loss] [data-key='train/loss'] b")
    canvas.focus()
    page.keyboard.press("Home")
    expect(page.locator(".wbl-where")).to_have_text("step 1")
    expect(value).to_have_text(f"{true.values[0]:.4g}")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".wbl-where")).to_have_text("step 5")
    expect(value).to_have_text(f"{true.values[4]:.4g}")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("from="))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("from="))


def test_a_spike_and_a_nan_among_many_steps_are_seen(app, store, page):
    run = trainer.new_run(store, "spiky")
    trainer.claim(store, run, 60_000)
    steps = np.arange(1, 60_001)
    values = np.full(60_000, 1.0)
    values[31_234] = 50.0
    values[45_678] = np.nan
    store.flush(
        run, [Scalars("train/loss", steps, steps / 400, time.time() + 0.0 * steps, values)], step=60_000
    )
    store.runs.exit(run, "finished")
    page.goto(f"{app.url}/live?run={run}")
    until(lambda: plot(page, "loss").count() == 1, "the chart")
    until(lambda: plot(page, "loss").evaluate(INK, RED) > 5, "the red mark of the NaN")
    # A spike of one step among 60,000 is a blue line nearly as tall as the chart.
    tall = """(canvas) => {
        const { width, height } = canvas, d = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        let best = 0;
        for (let x = 0; x < width; x++) {
            let n = 0;
            for (let y = 0; y < height; y++) {
                const i = 4 * (y * width + x);
                if (d[i + 3] > 60 && d[i + 2] > 150 && d[i] < 120) n++;
            }
            best = Math.max(best, n);
        }
        return best / height;
    }"""
    assert plot(page, "loss").evaluate(tall) > 0.6


def test_options_of_the_curves_survive_a_reload(app, store, page):
    run = ended(store, trainer.new_run(store, "options"), 800)
    page.goto(f"{app.url}/live?run={run}")
    until(lambda: plot(page, "loss").count() == 1, "the chart")
    linear = plot(page, "loss").evaluate(PRINT)
    page.get_by_text("Log scale").click()
    page.get_by_label("Smoothing").fill("0.9")
    page.get_by_role("button", name="Epoch").click()
    expect(page).to_have_url(re.compile(r"(?=.*log=1)(?=.*smooth=0.9)(?=.*x=epoch)"))
    page.reload()
    until(lambda: plot(page, "loss").count() == 1, "the chart again")
    expect(page.get_by_role("button", name="Epoch")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Smoothing")).to_have_value("0.9")
    assert plot(page, "loss").evaluate(PRINT) != linear


def test_thinning_in_the_browser_keeps_every_extreme(app, page):
    page.goto(app.url)
    from workbench.live.routes import VERSION

    found = page.evaluate(
        """async (url) => {
            const { Series } = await import(url);
            const series = new Series("loss");
            const n = 60000, y = Float64Array.from({ length: n }, (_, i) => Math.sin(i));
            y[1234] = 99; y[4321] = NaN; y[7777] = -Infinity;
            const steps = Float64Array.from({ length: n }, (_, i) => i + 1);
            for (let at = 0; at < n; at += 500)
                series.append([steps, steps, steps, y].map((c) => c.slice(at, at + 500)), at + 500);
            const kept = Array.from(series.columns[3].subarray(0, series.n));
            const max = Math.max(...kept.filter(Number.isFinite)), last = series.columns[0][series.n - 1];
            return { n: series.n, exact: series.exact, max, last,
                nan: kept.some(Number.isNaN), inf: kept.includes(-Infinity) };
        }""",
        f"{app.url}/live-assets/{VERSION}/series.js",
    )
    assert found["n"] < 30_000
    assert found == {"n": found["n"], "exact": False, "max": 99, "nan": True, "inf": True, "last": 60_000}


def test_smoothing_is_the_unbiased_average_of_the_textbook(app, page):
    from workbench.live.routes import VERSION

    page.goto(app.url)
    values = [1.0, 3.0, 2.0, 8.0, 5.0]
    got = page.evaluate(
        """async ([url, y]) => {
            const { smooth } = await import(url);
            return Array.from(smooth(Float64Array.from(y), Float64Array.from(y, (_, i) => i + 1), 0.8));
        }""",
        [f"{app.url}/live-assets/{VERSION}/series.js", values],
    )
    mean, expected = 0.0, []
    for i, value in enumerate(values, 1):  # Adam's bias correction: Kingma & Ba 2015, algorithm 1
        mean = 0.8 * mean + 0.2 * value
        expected.append(mean / (1 - 0.8**i))
    assert got == pytest.approx(expected)


def test_two_hundred_thousand_steps_open_quickly_and_zoom_to_exact_points(app, store, page):
    run = trainer.new_run(store, "long")
    trainer.claim(store, run, 200_000)
    for first in range(1, 200_001, 20_000):
        store.flush(run, trainer.curves(first, first + 19_999), step=first + 19_999)
    store.runs.exit(run, "finished")
    page.goto(f"{app.url}/live?run={run}&from=100000&to=100050")
    until(lambda: plot(page, "loss").count() == 1, "the chart")
    count = """() => {
        const feed = [...window.__workbenchFeeds.values()][0], s = feed.series.get("train/loss");
        return s.fine ? s.fine.columns[0].length : 0;
    }"""
    until(lambda: page.evaluate(count) == 53, "all 51 steps of the range and one neighbour on each side")

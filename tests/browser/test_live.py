"""The live page in a real browser, fed by a trainer that writes as a run process does. Ink is looked at,
not only attributes: a chart that says it drew may have painted nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import REPO, App, environment
from tests.live import trainer
from workbench.records import Scalars
from workbench.store import Store

pytestmark = pytest.mark.browser

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


def until(true: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.1)
    pytest.fail(f"not within {seconds:.0f} s: {what}")


@pytest.fixture
def trained(app: App, store: Store) -> Iterator[str]:
    """A run that is being trained by another process while the test looks at it."""
    run = trainer.new_run(store, "being watched")
    command = [
        sys.executable,
        "-m",
        "tests.live.trainer",
        run,
        "--seconds",
        "90",
        "--rate",
        "60",
        "--pictures",
        "0.4",
    ]
    process = subprocess.Popen(command, cwd=REPO, env=app.environment)
    yield run
    process.kill()
    process.wait()


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


def test_curves_are_painted_and_move(app, trained, page):
    page.goto(f"{app.url}/live?run={trained}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    until(lambda: plot(page, "loss").count() == 1, "the chart")
    until(lambda: plot(page, "loss").evaluate(INK, BLUE) > 150, "blue ink of the training loss")
    before, picture = step_of(strip(page)), plot(page, "loss").evaluate(PRINT)
    until(lambda: step_of(strip(page)) > before + 30, "newer steps")
    assert plot(page, "loss").evaluate(PRINT) != picture
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
    expect(other.locator(".wbl-where")).to_have_text(shown, timeout=20_000)
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


def test_filters_change_while_it_trains_and_their_layer_is_in_the_url(app, trained, page):
    page.goto(f"{app.url}/live?run={trained}&tab=filters")
    mosaic = pane(page, "filters").locator(".wbl-mosaic")
    expect(mosaic).to_be_visible()
    expect(pane(page, "filters")).to_have_attribute("data-live", "live")
    until(lambda: step_of(pane(page, "filters")) > 0, "the first filters")
    before, picture = step_of(pane(page, "filters")), mosaic.evaluate(PRINT)
    until(lambda: step_of(pane(page, "filters")) > before, "newer filters")
    assert mosaic.evaluate(PRINT) != picture
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


def test_the_tab_is_in_the_url_and_survives_a_reload(app, store, page):
    run = ended(store, trainer.new_run(store, "tabs"), 400)
    page.goto(f"{app.url}/live?run={run}")
    page.get_by_role("tab", name="Log").click()
    expect(page).to_have_url(re.compile("tab=log"))
    page.reload()
    expect(page.get_by_role("tab", name="Log")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("Reached its last step.")).to_be_visible()
    page.get_by_role("tab", name="Log").press("ArrowLeft")
    expect(page.get_by_role("tab", name="Predictions")).to_have_attribute("aria-selected", "true")


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


def test_pause_and_resume_are_obeyed_and_shown(app, trained, page, store):
    page.goto(f"{app.url}/live?run={trained}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    strip(page).get_by_role("button", name="Pause").click()
    expect(strip(page)).to_have_attribute("data-state", "paused")
    held = step_of(strip(page))
    page.wait_for_timeout(1000)
    assert step_of(strip(page)) == held
    strip(page).get_by_role("button", name="Resume").click()
    expect(strip(page)).to_have_attribute("data-state", "running")
    until(lambda: step_of(strip(page)) > held, "it goes on")


def test_a_killed_trainer_is_shown_as_lost_within_five_seconds(app, store, page):
    run = trainer.new_run(store, "killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.live.trainer", run], cwd=REPO, env=app.environment
    )
    page.goto(f"{app.url}/live?run={run}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    process.kill()
    process.wait()
    expect(strip(page)).to_have_attribute("data-state", "lost", timeout=5000)
    expect(strip(page).get_by_role("button", name="Resume")).to_be_visible()


def test_a_failed_run_says_where_rule_fact_and_repair_first(app, store, page):
    run = trainer.new_run(store, "<img src=x onerror=window.hit=1> ![x](http://evil.example/a.png)")
    trainer.claim(store, run)
    error = {"where": "training, step 7", "rule": "the loss must stay finite", "fact": "it became NaN",
             "repair": "Lower the learning rate.", "traceback": "Traceback <b>bold</b>"}  # fmt: skip
    store.flush(run, trainer.curves(1, 7), step=7)
    store.runs.exit(run, "failed", error)
    page.goto(f"{app.url}/live?run={run}")
    alert = strip(page).get_by_role("alert")
    expect(alert).to_contain_text("The loss must stay finite, but it became NaN.")
    expect(alert).to_contain_text("Lower the learning rate.")
    expect(alert.get_by_text("Traceback <b>bold</b>")).to_be_hidden()
    alert.get_by_text("Traceback", exact=True).click()
    expect(alert.get_by_text("Traceback <b>bold</b>")).to_be_visible()
    expect(strip(page).locator("h3")).to_contain_text("<img src=x onerror=window.hit=1>")
    assert page.evaluate("window.hit") is None


def test_the_stream_comes_back_after_the_server_was_restarted(store, page, app):
    run = ended(store, trainer.new_run(store, "survivor"), 400)
    port = app.url.rpartition(":")[2]
    second = int(port) + 1
    command = [sys.executable, "-m", "workbench.live.serve", str(second)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=REPO, env=environment(app.home), stdout=subprocess.PIPE)

    server = start()
    try:
        assert server.stdout is not None
        server.stdout.readline()
        page.goto(f"http://localhost:{second}/live?run={run}")
        expect(strip(page)).to_have_attribute("data-live", "live")
        server.kill()
        server.wait()
        server.stdout.close()
        expect(strip(page)).to_have_attribute("data-live", "reconnecting")
        expect(strip(page)).to_contain_text("connection lost")
        server = start()
        expect(strip(page)).to_have_attribute("data-live", "live", timeout=30_000)
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def test_all_views_share_one_socket_and_leave_none_behind(app, store, page):
    run = ended(store, trainer.new_run(store, "sockets"), 400)
    sockets = []
    page.on("websocket", lambda socket: "/live/ws" in socket.url and sockets.append(socket))
    page.goto(f"{app.url}/live?run={run}")
    for tab in ("Filters", "Feature maps", "Predictions", "Log", "Curves"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(150)
    assert len(sockets) == 1
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Runs").click()
    gone = lambda: page.evaluate("window.__workbenchFeeds.size") == 0  # noqa: E731
    until(lambda: gone() and all(socket.is_closed() for socket in sockets), "the socket is let go", 8)
    assert "tab=" not in page.url


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

"""Attention, states and texts of a run in a real browser: painted, read exactly, kept over ticks and
reloads."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import REPO
from tests.browser.eyes import PRINT, pane, step_of, until
from tests.browser.test_access import PRESSABLE, RULES, WIDTHS
from tests.live import texts, trainer
from workbench.records import Panel, Tiles
from workbench.store import Store

pytestmark = pytest.mark.browser

TONES = """(canvas) => {
    const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let i = 0; i < d.length; i += 4)
        if (d[i + 3] > 250) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
    return seen.size;
}"""


@pytest.fixture
def training(app, store: Store) -> Iterator[str]:
    """A run on texts that another process writes as a training does."""
    run = texts.new_run(store, "being watched")
    command = [sys.executable, "-m", "tests.live.texts", run, "--seconds", "280"]
    process = subprocess.Popen(command, cwd=REPO, env=app.environment)
    yield run
    process.kill()
    process.wait()


def number(text: str | None) -> float:
    return float((text or "").rsplit(": ", 1)[1].replace("−", "-"))


def value(tiles: Tiles, tile: int, row: int, column: int) -> float:
    low, high = float(tiles.lows[tile]), float(tiles.highs[tile])
    return low + tiles.pixels[tile, row, column] / 255 * (high - low)


def read_at(page: Page, where: Locator, keys: str) -> str:
    """What is told after these arrow keys on the large map; the first one goes to its corner."""
    where.locator(".wbl-tokenmap").focus()
    told = ""

    def is_told() -> bool:
        """Before the map of all tokens has come there is nothing to walk on."""
        nonlocal told
        page.keyboard.press("Escape")
        for key in keys.split():
            page.keyboard.press(f"Arrow{key}")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        told = where.locator(".wbl-reading").text_content() or ""
        return "Point at a place" not in told

    until(is_told, "a value of the map")
    return told


def test_every_head_is_painted_and_the_large_one_is_read_exactly(app, store, page):
    run = texts.ended(store, texts.new_run(store, "values"))
    page.goto(f"{app.url}/live?run={run}&tab=attention&text=2&attention=3&head=2")
    view = pane(page, "attention")
    expect(view).to_have_attribute("data-step", "2000")
    assert view.locator(".wbl-heads").evaluate(TONES) > 60
    tiles = store.snapshots.load(run, "attention/3")
    told = read_at(page, view, "Down Down Right")  # row 1, column 1 of the second text, second head
    assert told.startswith("“,” looks at “,”: ")
    assert number(told) == pytest.approx(value(tiles, 4 + 1, 1, 1), abs=2e-3)
    canvas = view.locator(".wbl-tokenmap")
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 8, "y": box["height"] - 8})
    reading = view.locator(".wbl-reading")
    expect(reading).to_contain_text("“tedious” looks at “tedious”")
    assert number(reading.text_content()) == pytest.approx(value(tiles, 5, 4, 4), abs=2e-3)


def test_maps_change_while_it_trains_and_the_choice_survives_ticks_and_a_reload(app, training, page):
    page.goto(f"{app.url}/live?run={training}&tab=attention")
    view = pane(page, "attention")
    board = view.locator(".wbl-board")
    until(lambda: step_of(view) > 0, "the first maps")
    view.get_by_role("button", name="3", exact=True).click()
    view.locator(".wbl-heads").press("ArrowRight")
    view.get_by_role("button", name="Probe text 2: neg").click()
    expect(page).to_have_url(re.compile("attention=4.*head=2.*text=2"))
    before, picture = step_of(view), view.locator(".wbl-heads").evaluate(PRINT)
    until(lambda: step_of(view) > before, "newer maps")
    before, place = step_of(view), view.locator(".wbl-tokenmap").bounding_box()
    until(lambda: step_of(view) > before, "newer maps of the same text")
    until(lambda: view.locator(".wbl-heads").evaluate(PRINT) != picture, "other pixels")
    assert view.locator(".wbl-tokenmap").bounding_box() == place
    assert [board.get_attribute(f"data-{name}") for name in ("layer", "head")] == ["4", "1"]
    page.reload()
    until(lambda: step_of(pane(page, "attention")) > 0, "the maps again")
    expect(board).to_have_attribute("data-layer", "4")
    expect(board).to_have_attribute("data-head", "1")
    expect(view.get_by_role("button", name="Probe text 2: neg")).to_have_attribute("aria-pressed", "true")


def test_only_what_is_looked_at_travels(app, store, page):
    run = texts.ended(store, texts.new_run(store, "wire"))
    received: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(bytes(data))
            if isinstance(data, bytes) else None))  # fmt: skip
    page.goto(f"{app.url}/live?run={run}&tab=attention")
    expect(pane(page, "attention")).to_have_attribute("data-step", "2000")
    topics = {m.decode() for f in received for m in re.findall(rb'"topic":"(tiles:[^"]+)"', f[:400])}
    assert topics == {"tiles:attention/2@0", "tiles:attention/3@0~64", "tiles:attention/4@0~64"}


def test_the_scrub_bar_takes_all_heads_back_in_time(app, store, page):
    run = texts.ended(store, texts.new_run(store, "history"))
    page.goto(f"{app.url}/live?run={run}&tab=attention")
    view = pane(page, "attention")
    expect(view).to_have_attribute("data-step", "2000")
    newest = view.locator(".wbl-heads").evaluate(PRINT)
    view.get_by_label("Step of the picture").fill("0")
    expect(view).to_have_attribute("data-step", "200")
    until(lambda: view.locator(".wbl-heads").evaluate(PRINT) != newest, "earlier maps")
    view.get_by_text("Follow", exact=True).click()
    expect(view).to_have_attribute("data-step", "2000")
    until(lambda: view.locator(".wbl-heads").evaluate(PRINT) == newest, "the newest again")


def test_a_translator_shows_its_alignment_first_and_the_rest_on_demand(app, store, page):
    run = texts.ended(store, texts.new_run(store, "pairs", "translation"), "translation")
    page.goto(f"{app.url}/live?run={run}&tab=attention")
    view = pane(page, "attention")
    expect(view.get_by_role("button", name="Decoder to encoder")).to_have_attribute("aria-pressed", "true")
    told = read_at(page, view, "Down Down Right Right")
    tiles = store.snapshots.load(run, "attention/decoder.3.cross")
    assert told.startswith("“je” looks at “reading”: ")
    assert number(told) == pytest.approx(value(tiles, 0, 1, 2), abs=2e-3)
    view.get_by_role("button", name="Encoder", exact=True).click()
    expect(view.locator(".wbl-board")).to_have_attribute("data-layer", "encoder.2")
    assert read_at(page, view, "Down").startswith("“i” looks at “i”")
    view.get_by_role("button", name="Decoder", exact=True).click()
    expect(page).to_have_url(re.compile("attention=decoder.1.self"))
    assert read_at(page, view, "Down Down").startswith("“je” looks at “▸”")


def test_lines_lead_from_a_token_to_those_it_looks_at(app, store, page):
    run = texts.ended(store, texts.new_run(store, "lines"))
    page.goto(f"{app.url}/live?run={run}&tab=attention&text=2")
    view = pane(page, "attention")
    canvas = view.locator(".wbl-tokenmap")
    expect(view).to_have_attribute("data-step", "2000")
    view.get_by_text("Lines", exact=True).click()
    expect(page).to_have_url(re.compile("lines=1"))
    drawn = canvas.evaluate(PRINT)
    told = read_at(page, view, "Down")
    tiles = store.snapshots.load(run, "attention/2")
    best = max(range(5), key=lambda column: value(tiles, 4, 0, column))
    words = ["simplistic", ",", "silly", "and", "tedious"]
    assert told.startswith(f"“simplistic” looks at “{words[best]}” ")
    assert canvas.evaluate(PRINT) != drawn
    page.keyboard.press("Escape")
    until(lambda: canvas.evaluate(PRINT) == drawn, "all lines again")


def test_states_of_an_lstm_are_read_at_their_tokens(app, store, page):
    run = texts.ended(store, texts.new_run(store, "lstm", "lstm"), "lstm")
    page.goto(f"{app.url}/live?run={run}&tab=states&text=2")
    view = pane(page, "states")
    expect(view).to_have_attribute("data-step", "2000")
    assert view.locator(".wbl-tokenmap").evaluate(TONES) > 40
    told = read_at(page, view, "Down Down Down Right Right")
    assert told.startswith("feature 2 at “silly”: ")
    tiles = store.snapshots.load(run, "states/1")
    assert number(told) == pytest.approx(value(tiles, 1, 2, 2), abs=5e-3)


def test_texts_written_are_listed_newest_first_and_never_parsed(app, store, page):
    run = texts.ended(store, texts.new_run(store, "gpt", "language_model"), "language_model")
    page.goto(f"{app.url}/live?run={run}&tab=text")
    view = pane(page, "text")
    entries = view.locator(".wbl-written article")
    expect(entries).to_have_count(3)
    expect(entries.nth(2)).to_contain_text("Step 200 is the sun.")
    assert [entries.nth(i).get_attribute("data-step") for i in range(3)] == ["2000", "900", "200"]
    expect(entries.nth(0)).to_contain_text("<b>through</b>")
    expect(entries.nth(0).locator("mark")).to_have_text("ROMEO:\n")
    view.locator("section").first.get_by_label("Step of the picture").fill("1")
    expect(entries).to_have_count(2)
    expect(entries.nth(0)).to_have_attribute("data-step", "900")


def test_translations_stand_beside_their_references(app, store, page):
    run = texts.ended(store, texts.new_run(store, "told", "translation"), "translation", steps=1000)
    page.goto(f"{app.url}/live?run={run}&tab=text")
    rows = pane(page, "text").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(pane(page, "text").get_by_text("✓ exact")).to_have_count(1)
    expect(rows.nth(1)).to_contain_text("elle ne mange pas de viande oui")
    expect(rows.nth(1).locator("u")).to_have_text("oui")
    pane(page, "text").get_by_text("Only those that differ").click()
    expect(rows).to_have_count(2)


def test_sample_texts_tell_what_is_wrong_and_stay_text(app, store, page):
    run = texts.ended(store, texts.new_run(store, "samples"), steps=300)
    page.goto(f"{app.url}/live?run={run}&tab=text")
    cards = pane(page, "text").locator(".wbl-samples article")
    expect(cards).to_have_count(12)
    wrong = sum(not item["correct"] for item in store.snapshots.load(run, "samples").data["items"])
    assert wrong
    expect(pane(page, "text").get_by_text("✕ wrong")).to_have_count(wrong)
    expect(pane(page, "text").get_by_text("<img src=x onerror=window.hit=1>").first).to_be_visible()
    assert page.evaluate("window.hit") is None


def test_the_report_says_each_class_beside_the_confusion_matrix(app, store, page):
    run = texts.ended(store, texts.new_run(store, "report"))
    page.goto(f"{app.url}/live?run={run}&tab=report")
    view = pane(page, "report")
    row = view.locator("tr[data-class=pos]")
    expect(row).to_contain_text("85.0 %")
    expect(row).to_contain_text("101")
    expect(view.locator("[data-metric=auroc]")).to_contain_text("95.0 %")
    expect(view.get_by_role("table", name="Confusion matrix")).to_be_visible()


def test_marks_of_texts_are_charts_with_names_people_know(app, store, page):
    run = texts.ended(store, texts.new_run(store, "marks", "language_model"), "language_model")
    page.goto(f"{app.url}/live?run={run}")
    for name, title in (("perplexity", "Perplexity"), ("bits", "Bits per character")):
        expect(page.locator(f"section[data-panel={name}] h4")).to_contain_text(title)
    expect(page.locator("section[data-panel=accuracy] h4")).to_contain_text("of tokens")
    expect(page.locator("[data-metric='val/perplexity']")).to_contain_text("1.853")


@pytest.mark.parametrize(
    ("kind", "tabs"),
    [
        ("images", ["Curves", "Filters", "Feature maps", "Predictions", "Log"]),
        ("classification", ["Curves", "Attention", "Text", "Report", "Log"]),
        ("lstm", ["Curves", "States", "Text", "Report", "Log"]),
        ("language_model", ["Curves", "Attention", "Text", "Log"]),
    ],
)
def test_tabs_follow_what_the_run_has(app, store, page, kind, tabs):
    run = trainer.new_run(store, "images") if kind == "images" else texts.new_run(store, kind, kind)
    page.goto(f"{app.url}/live?run={run}&tab=states")
    expect(page.get_by_role("tab")).to_have_text(tabs)
    chosen = "States" if "States" in tabs else "Curves"
    expect(page.get_by_role("tab", name=chosen)).to_have_attribute("aria-selected", "true")


def test_before_the_first_look_the_page_says_what_comes(app, store, page):
    run = texts.new_run(store, "waits")
    page.goto(f"{app.url}/live?run={run}&tab=attention")
    expect(pane(page, "attention")).to_contain_text("In the queue")
    page.get_by_role("tab", name="Text").click()
    expect(pane(page, "text")).to_contain_text("In the queue")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_views_of_texts_break_no_rule_of_access_and_fit_800_pixels(app, store, page, scheme):
    kinds = ("classification", "lstm", "translation")
    runs = {kind: texts.ended(store, texts.new_run(store, kind, kind), kind) for kind in kinds}
    page.set_viewport_size({"width": 800, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for kind, tab in (("classification", "attention"), ("classification", "text"),
                      ("classification", "report"), ("lstm", "states"), ("translation", "text")):  # fmt: skip
        page.goto(f"{app.url}/live?run={runs[kind]}&tab={tab}")
        expect(pane(page, tab)).to_have_attribute("data-step", "2000")
        found = Axe().run(page, options=RULES).response["violations"]
        assert not [(rule["id"], node["html"][:120]) for rule in found for node in rule["nodes"]]
        assert max(page.evaluate(WIDTHS)) <= 0
        assert page.evaluate(PRESSABLE) == []


def test_512_tokens_stay_readable(app, store, page):
    """Labels are thinned, the one pointed at is told, and nothing is wider than its place."""
    run = texts.new_run(store, "long", layers=1, heads=2)
    trainer.claim(store, run)
    words = [f"word{i}" for i in range(512)]
    item = {"tokens": words, "target_tokens": None, "label": "long", "text": " ".join(words)}
    panel = Panel("probe", 0, 0.0, 0.0, {"kind": "text", "items": [item], "width": 512})
    tiles = texts.attention("2", 9, [(512, 512)], 512, 2, causal=True)
    store.flush(run, [panel, tiles], step=9)
    page.goto(f"{app.url}/live?run={run}&tab=attention")
    view = pane(page, "attention")
    expect(view).to_have_attribute("data-step", "9")
    told = read_at(page, view, "Down Down Down Right")
    assert told.startswith("“word2” looks at “word1”: ")
    assert number(told) == pytest.approx(value(tiles, 0, 2, 1), abs=2e-3)
    canvas, room = view.locator(".wbl-tokenmap"), view.locator(".wbl-map-room")
    until(
        lambda: canvas.bounding_box()["width"] <= room.bounding_box()["width"] + 1,
        "a map as wide as its place",
    )

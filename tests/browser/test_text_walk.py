"""Texts from data to an answer as people do it: an LSTM, an encoder, a GPT, an encoder with a decoder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import PRINT, pane, step_of, until
from tests.browser.test_walk import painted, step, stop, strip
from workbench import catalog
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG = 100_000  # epochs or updates, more than anyone looks at: no run of a walk ends before it is stopped
GOOD, BAD = ("lovely", "great", "warm", "funny"), ("dull", "awful", "cold", "slow")


def reviews() -> FilePayload:
    """Two hundred short reviews whose one word tells the class."""
    rows = [
        f'"a {words[i % 4]} film, seen on day {i}",{label}'
        for i in range(100)
        for words, label in ((GOOD, "praise"), (BAD, "blame"))
    ]
    text = "review,verdict\n" + "\n".join(rows)
    return FilePayload(name="reviews.csv", mimeType="text/csv", buffer=text.encode())


def taken_up(app: App, page: Page, name: str) -> Locator:
    """The set chosen on the data page and used for a new run; the editor with layers that fit."""
    page.goto(f"{app.url}/data?set={name}")
    page.get_by_role("button", name="Use for a new run").click()
    editor = page.locator(".wb-editor")
    expect(editor).to_have_attribute("data-ok", "true")
    return editor


def edited(editor: Locator, field: str, value: str) -> None:
    """A number of a layer is changed, and the parameters follow."""
    before = int(editor.get_attribute("data-parameters") or 0)
    editor.locator(f"[data-name={field}]").first.fill(value)
    until(lambda: int(editor.get_attribute("data-parameters") or 0) < before, "fewer parameters")
    expect(editor).to_have_attribute("data-ok", "true")


def launched(page: Page, name: str) -> str:
    """On to the training page, a name, the launch; the id of the run, at work until it is stopped."""
    page.get_by_role("button", name="Continue to training").click()
    length = page.get_by_role("spinbutton", name=re.compile("^(Epochs|Steps)$"))
    length.fill(str(LONG))
    length.press("Enter")
    field = page.get_by_label("Name", exact=True)
    field.fill(name)
    field.press("Enter")
    launch = page.get_by_role("button", name="Launch")
    expect(launch).to_be_enabled()
    page.wait_for_timeout(800)
    launch.click()
    page.wait_for_url(re.compile(r"/live\?.*run="))
    found = re.search(r"run=([\w-]+)", page.url)
    assert found
    until(lambda: step(page) > 3, "the first steps")
    return found.group(1)


def changes(page: Page, tab: str, canvas: str) -> None:
    """A view is opened, and its picture becomes another while the model learns."""
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name=tab, exact=True).click()
    view = pane(page, tab.lower())
    until(lambda: step_of(view) > 0, f"the first picture of {tab}")
    first = view.locator(canvas).first
    before = first.evaluate(PRINT)
    until(lambda: first.evaluate(PRINT) != before, f"{tab} changes")


def stopped(page: Page) -> None:
    """Its last press; a model is kept."""
    stop(page)
    expect(strip(page)).to_have_attribute("data-state", "stopped")


def asked(app: App, page: Page, run: str, text: str, button: str) -> Locator:
    """A text of one's own on the predict page; the box with the answer."""
    page.goto(f"{app.url}/predict?run={run}")
    box = page.locator("[data-testid=stTextArea] textarea").first
    expect(box).to_be_visible()
    box.fill(text)
    box.press("Control+Enter")
    page.wait_for_timeout(600)
    page.get_by_role("button", name=button).click()
    answer = page.locator(".st-key-box-answer")
    expect(answer).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    return answer


def test_an_lstm_from_a_csv_to_a_verdict(app: App, store: Store, page: Page) -> None:
    page.goto(f"{app.url}/data")
    page.get_by_role("button", name="Add data").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files([reviews()])
    expect(dialog.get_by_text("Read as a table")).to_be_visible()
    expect(dialog.get_by_label("Name", exact=True).first).to_have_value("reviews")
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_text(re.compile("reviews is ready"))).to_be_visible(timeout=60_000)
    assert store.datasets.get("reviews").schema.classes == ("blame", "praise")

    editor = taken_up(app, page, "reviews")
    assert editor.locator(".row[data-kind=lstm]").count() == 1
    edited(editor, "hidden_size", "16")
    run = launched(page, "an LSTM on reviews")
    until(lambda: painted(page)["ink"] > 0.002, "a curve")
    page.locator(".wbl[data-kind=tabs]").get_by_role("tab", name="Text", exact=True).click()
    expect(pane(page, "text").locator("article").first).to_be_visible()
    stopped(page)
    answer = asked(app, page, run, "a lovely film, seen on day 7", "Ask the model")
    expect(answer.locator(".wb-probabilities")).to_contain_text("praise")


def test_an_encoder_from_its_preset_to_a_verdict(app: App, page: Page) -> None:
    page.goto(app.url)
    page.locator(".st-key-edit-text-encoder button").first.click()
    editor = page.locator(".wb-editor")
    expect(editor).to_have_attribute("data-ok", "true", timeout=60_000)  # the words are counted first
    edited(editor, "dim_feedforward", "64")
    run = launched(page, "an encoder on opinions")
    changes(page, "Attention", ".wbl-heads")
    stopped(page)
    answer = asked(app, page, run, "A great and funny film, I loved it.", "Ask the model")
    expect(answer.locator(".wb-probabilities")).to_contain_text("positive")


def test_a_gpt_from_a_text_to_a_continuation(app: App, store: Store, page: Page, tmp_path: Path) -> None:
    lines = [
        f"The {GOOD[i % 4]} king sat on the {BAD[i % 3]} hill, and day {i} went by.\n" for i in range(900)
    ]
    (tmp_path / "tale.txt").write_text("".join(lines))
    catalog.add(store, tmp_path / "tale.txt", "tale")
    editor = taken_up(app, page, "tale")
    edited(editor, "times", "1")
    run = launched(page, "a GPT on a tale")
    changes(page, "Attention", ".wbl-heads")
    stopped(page)
    answer = asked(app, page, run, "The lovely king", "Write on")
    expect(answer.locator(".wb-passage em")).to_have_text("The lovely king")
    assert len(answer.locator(".wb-passage").inner_text()) > len("The lovely king") + 10


def test_an_encoder_and_its_decoder_from_pairs_to_a_translation(
    app: App, store: Store, page: Page, tmp_path: Path
) -> None:
    words = [(f"{word} {i}", f"{word[::-1]} {i}") for i in range(400) for word in (*GOOD, *BAD)]
    (tmp_path / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in words))
    catalog.add(store, tmp_path / "pairs.tsv", "pairs")
    editor = taken_up(app, page, "pairs")
    expect(editor.locator(".edge strong")).to_have_text(["Encoder", "Decoder"])
    edited(editor, "dim_feedforward", "64")
    run = launched(page, "pairs backwards")
    changes(page, "Attention", ".wbl-heads")
    stopped(page)
    answer = asked(app, page, run, "lovely 7", "Translate")
    expect(answer.get_by_text("The model translates")).to_be_visible()


def test_the_runs_of_this_walk_are_listed(app: App, page: Page) -> None:
    """The runs of this walk stand on the runs page with marks that have words."""
    page.goto(f"{app.url}/runs")
    expect(page.get_by_text("an LSTM on reviews").first).to_be_visible()
    expect(page.get_by_text("pairs backwards").first).to_be_visible()

"""A real encoder trains while its attention is looked at, and a text of one's own is tried on it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.eyes import PRINT, pane, step_of, strip, until
from tests.live import texts
from workbench.jobs import runs as jobs
from workbench.jobs.answers import ask
from workbench.specs.run import from_dict
from workbench.store import Store

pytestmark = pytest.mark.browser

LAYER = {"kind": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 32, "dropout": 0.0}
SPEC = {
    "name": "spam",
    "data": {"name": "sms-spam", "limit": 1200, "text": {"vocabulary": 1000, "length": 32}},
    "model": {
        "family": "encoder",
        "layers": [
            {"kind": "embedding", "embedding_dim": 16},
            {"kind": "positions"},
            {"kind": "class_token"},
            {"kind": "repeat", "times": 2, "layers": [LAYER]},
            {"kind": "sequence_pool", "mode": "first"},
            {"kind": "linear", "out_features": 2},
        ],
    },
    "training": {"epochs": 4000, "batch_size": 32, "threads": 1, "validate_every": 2.0,
                 "optimizer": {"kind": "adamw", "lr": 0.003}},
    "watch": {"interval": 0.1, "budget": 0.2},
}  # fmt: skip
LEARNED = 300  # updates, after which it tells the two classes apart


def tried(page: Page, text: str) -> dict[str, object]:
    """Type a text, press Enter, and what is shown then."""
    field = page.locator(".st-key-tryout [data-testid=stTextInputField]")
    field.fill(text)
    field.press("Enter")
    shown = ".wbl[data-kind=tried]"
    arrived = f"(text) => document.querySelector('{shown}')?.view?.answer.input === text"
    page.wait_for_function(arrived, arg=text)
    expect(page.locator(f"{shown} .wbl-tokenmap")).to_be_visible()
    return page.evaluate(f"document.querySelector('{shown}').view.answer")


def test_a_real_encoder_is_watched_and_then_asked(app, store: Store, page):
    run = jobs.submit(store, from_dict(SPEC))
    page.goto(f"{app.url}/live?run={run}&tab=attention")
    view = pane(page, "attention")
    heads = view.locator(".wbl-heads")
    until(lambda: step_of(view) >= 0, "the first look")
    first, picture = step_of(view), heads.evaluate(PRINT)
    until(lambda: step_of(view) > first and heads.evaluate(PRINT) != picture, "attention that changes")
    expect(view.locator(".wbl-probes button")).to_have_count(6)
    until(lambda: store.runs.get(run).step > LEARNED, "it has learned")
    jobs.stop(store, run)
    expect(strip(page)).to_have_attribute("data-state", "stopped")
    words = "Free entry to win a prize now"
    answer = tried(page, words)
    assert answer["prediction"] == "spam"
    assert answer["tokens"] == words.split()
    newest = max(store.checkpoints.list(run), key=lambda c: c.step)
    assert answer["step"] == newest.step
    again = ask(store, "try", {"run": run, "checkpoint": newest.name, "text": words})
    assert again["attention"] == answer["attention"]
    assert {layer: part["shape"] for layer, part in again["attention"].items()} == {
        "3.0.0": [2, 8, 8], "3.1.0": [2, 8, 8],
    }  # fmt: skip
    page.locator(".wbl[data-kind=tried] .wbl-tokenmap").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".wbl[data-kind=tried] .wbl-reading")).to_contain_text("“‹class›” looks at “‹class›”")
    assert tried(page, "see you at home then")["prediction"] == "ham"


def test_before_the_first_checkpoint_the_box_says_so(app, store, page):
    run = texts.new_run(store, "too early")
    page.goto(f"{app.url}/live?run={run}")
    field = page.locator(".st-key-tryout [data-testid=stTextInputField]")
    field.fill("hello")
    field.press("Enter")
    expect(page.get_by_text("It has not saved a model yet")).to_be_visible()

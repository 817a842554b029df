"""All heads of a network of BERT's size on the live page, and a text of one's own tried on a checkpoint.

    python -m benchmarks.attention [ticks] [texts]

Twelve layers of twelve heads over 128 tokens. The maps written turn from one pattern to another; the
browser part looks at a pixel of every one of the 144 maps in each animation frame, and takes the time in
the frame after, when the picture has been presented. The last part trains a small encoder and types texts.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.launch import leave
from benchmarks.live_latency import FLAGS, server
from benchmarks.report import Figure, percentile, report
from tests.live import texts, trainer
from workbench.jobs import runs as jobs
from workbench.records import Panel, Tiles
from workbench.specs.run import from_dict
from workbench.store import Store, open_store

LAYERS, HEADS, TOKENS, TEXTS = 12, 12, 128, 4
OPENED = 8  # times that the tab is opened on a fresh page

# Watches all maps of the board: do they all show the pattern whose upper left quarter is strong (or is not)?
PROBE = """() => {
    const view = () => document.querySelector(".wbl[data-kind=tabs]").view.views.get("attention");
    window.seen = []; window.arrived = null;
    let last = null;
    const shown = () => {
        const heads = view()?.board.heads;
        if (!heads?.cell || heads.rows.length !== %d) return null;
        const { canvas, left, cell } = heads;
        const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let strong = 0;
        for (let row = 0; row < %d; row++) for (let head = 0; head < %d; head++) {
            const place = (i) => Math.round(i * (cell + 4) + cell / 4);
            const at = 4 * ((16 + place(row)) * canvas.width + left + place(head));
            if (d[at + 3] < 255) return null;
            strong += d[at] + d[at + 1] < 330 ? 1 : 0;
        }
        return strong === %d ? true : strong === 0 ? false : null;
    };
    const look = () => {
        const now = shown();
        if (now !== null && now !== last) {
            last = now;
            const arrived = window.arrived;
            window.arrived = null;
            const note = () => window.seen.push([now, Date.now() / 1000, performance.now() - arrived]);
            requestAnimationFrame(note);
        }
        requestAnimationFrame(look);
    };
    look();
    const feed = document.querySelector(".wbl[data-kind=tabs]").view.feed;
    const read = feed.read.bind(feed);
    feed.read = (buffer) => {
        if (buffer.byteLength > 20000) window.arrived ??= performance.now();
        read(buffer);
    };
}""" % (LAYERS, LAYERS, HEADS, LAYERS * HEADS)  # noqa: UP031 - braces are the script's own

SPEC = {
    "name": "to be asked",
    "data": {"name": "sms-spam", "text": {"vocabulary": 4000, "length": 48}},
    "model": {
        "family": "encoder",
        "layers": [
            {"kind": "embedding", "embedding_dim": 128},
            {"kind": "positions"},
            {"kind": "repeat", "times": 4, "layers": [{"kind": "transformer_encoder_layer", "nhead": 4}]},
            {"kind": "sequence_pool"},
            {"kind": "linear", "out_features": 2},
        ],
    },
    "training": {"epochs": None, "steps": 60, "batch_size": 32},
}


CLICK = "() => { document.getElementById('wbl-tab-attention').click(); return Date.now() / 1000; }"


def maps(step: int, is_strong: bool) -> list[Tiles]:
    """All heads of all layers: weight in the upper left quarter, or beside it."""
    pixels = np.zeros((TEXTS * HEADS, TOKENS, TOKENS), np.uint8)
    half = TOKENS // 2
    pixels[:, :, slice(0, half) if is_strong else slice(half, TOKENS)] = 255
    highs = np.full(len(pixels), 1 / half)
    zeros = np.zeros(len(pixels))
    return [
        Tiles(f"attention/{i + 2}", step, step / 400, time.time(), pixels, zeros, highs, "head", "", HEADS)
        for i in range(LAYERS)
    ]


def probe() -> Panel:
    items = [
        {"tokens": [f"word{i}" for i in range(TOKENS)], "target_tokens": None, "label": f"text {k + 1}",
         "text": ""}
        for k in range(TEXTS)
    ]  # fmt: skip
    return Panel("probe", 0, 0.0, time.time(), {"kind": "text", "items": items, "width": TOKENS})


def opened(page: Page, url: str, run: str) -> float:
    """Seconds from the click on the tab to all maps, on a page that shows the curves."""
    page.goto(f"{url}/live?run={run}&tab=curves")
    page.locator("section[data-panel=loss] canvas").wait_for()
    page.wait_for_timeout(1500)
    page.evaluate(PROBE)
    page.wait_for_timeout(300)
    clicked = page.evaluate(CLICK)
    page.wait_for_function("() => window.seen.length > 0")
    return float(page.evaluate("window.seen[0][1]")) - float(clicked)


def ticks(page: Page, store: Store, run: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds from arrival, and from the end of each write, to the frame that shows all of it."""
    page.evaluate("() => { window.seen = []; }")
    written = []
    chance = random.Random(1)
    for i in range(count):  # each is awaited, so that a busy machine makes ticks late and not lost
        store.flush(run, maps(100 + i, i % 2 == 1), step=100 + i)
        written.append(time.time())
        page.wait_for_function(f"() => window.seen.length > {i}")
        page.wait_for_timeout(chance.uniform(300, 500))
    seen: list[tuple[bool, float, float]] = page.evaluate("() => window.seen")
    arrivals = [ms / 1000 for _, _, ms in seen]
    return arrivals, [shown - wrote for (_, shown, _), wrote in zip(seen, written, strict=True)]


def answers(page: Page, url: str, store: Store, count: int) -> list[float]:
    """Seconds from Enter to the painted answer of a trained encoder, each text another."""
    run = jobs.submit(store, from_dict(SPEC))
    while not store.runs.get(run).state.is_over:
        time.sleep(0.5)
    page.goto(f"{url}/live?run={run}&tab=log")
    field = page.locator(".st-key-tryout [data-testid=stTextInputField]")
    field.wait_for()
    found = []
    for i in range(count + 1):  # the first one loads data and model
        text = f"Free entry number {i} to win a prize, see you at home then"
        field.fill(text)
        page.evaluate(ANSWERED, text)
        field.press("Enter")
        page.wait_for_function("() => window.answered")
        found.append(float(page.evaluate("window.answered")))
        page.wait_for_timeout(400)
    return found[1:]


ANSWERED = """(text) => {
    window.answered = null;
    let began = null;
    addEventListener("keydown", () => { began = performance.now(); }, { once: true, capture: true });
    const look = () => {
        const host = document.querySelector(".wbl[data-kind=tried]");
        const canvas = host?.querySelector(".wbl-tokenmap");
        const painted = host?.view?.answer.input === text && canvas.width > 60;
        if (!painted) { requestAnimationFrame(look); return; }
        requestAnimationFrame(() => { window.answered = (performance.now() - began) / 1000; });
    };
    look();
}"""


def main(count: int, tried: int) -> None:
    with server() as (url, _, home):
        store = open_store(home)
        run = texts.new_run(store, "as large as BERT", layers=LAYERS, heads=HEADS)
        trainer.claim(store, run, 100_000)
        store.flush(run, [probe(), *trainer.curves(1, 50), *maps(50, True)], step=50)
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            first = [opened(page, url, run) for _ in range(OPENED)]
            arrival, write = ticks(page, store, run, count)
            store.runs.exit(run, "finished")
            asked = answers(page, url, store, tried)
            browser.close()
        leave(store)
        store.close()
    ms = 1000
    paints, tick, answer = percentile(first, 0.95), percentile(arrival, 0.95), percentile(asked, 0.95)
    figures: list[Any] = [
        Figure("click on the tab to all 144 maps, median", ms * percentile(first, 0.5), "ms", n=len(first)),
        Figure("click on the tab to all 144 maps, p95", ms * paints, "ms", "< 500 ms", paints < 0.5, OPENED),
        Figure("a tick, arrival to all 144 maps, median", ms * percentile(arrival, 0.5), "ms", n=count),
        Figure("a tick, arrival to all 144 maps, p95", ms * tick, "ms", "< 150 ms", tick < 0.15, count),
        Figure("a tick, write to all 144 maps, median", ms * percentile(write, 0.5), "ms", n=count,
               note="0.8 MB; the poller's 100 ms among them"),
        Figure("a text of one's own, Enter to the painted answer, median", ms * percentile(asked, 0.5), "ms",
               n=tried, note="4 layers of 4 heads, attention and prediction"),
        Figure("a text of one's own, Enter to the painted answer, p95", ms * answer, "ms", "< 300 ms",
               answer < 0.3, tried),
    ]  # fmt: skip
    report(
        "attention",
        "Twelve layers of twelve heads over 128 tokens on the live page (pixels of every map read back in a "
        "real Chromium, without a GPU), and texts typed into the try-it line of a trained encoder.",
        figures,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30, int(sys.argv[2]) if len(sys.argv) > 2 else 20)

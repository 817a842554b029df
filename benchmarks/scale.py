"""Ten thousand runs in one home, and histories of a million steps.

python -m benchmarks.scale
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks import tensorboard_peer
from benchmarks.long_run import KEYS, app_server, long_run
from benchmarks.pages import CHROMIUM
from benchmarks.report import Figure, median, report
from workbench.records import Scalars
from workbench.specs.likeness import like
from workbench.specs.presets import PRESETS
from workbench.store import Query, Store, open_store, schema
from workbench.store.labels import haystack

RUNS = 10_000
ROUNDS = 7
LONG = 1_000_000  # steps of each of the ten keys
LONGEST = 10_000_000  # steps of one key
CURVES = 50  # runs on the compare page
READY = """([selector, n]) => new Promise(done => {
    const began = performance.now();
    const deep = (root) => [...root.querySelectorAll('*')].some(e =>
        (e.shadowRoot && deep(e.shadowRoot)) || (e.matches(selector) && e.offsetParent));
    const look = () => deep(document) ? done(performance.now() - began) : requestAnimationFrame(look);
    look();
})"""


def fill(store: Store) -> None:
    """Ten thousand ended runs of all presets with ten metrics, some tagged, some archived."""
    rng, now = random.Random(0), time.time()
    specs = [preset.spec for preset in PRESETS.values()]
    rows, metrics, tags = [], [], []
    for i in range(RUNS):
        spec = rng.choice(specs).model_copy(
            update={"name": f"run {i} {rng.choice(['wide', 'deep'])}", "seed": i}
        )
        run_id, begun = f"260101-000000-{i:05d}", now - 60 * (RUNS - i)
        known = {key: {"last": rng.random(), "best": rng.random(), "best_step": 300} for key in KEYS}
        mine = [tag for tag in ("baseline", "paper", "retry") if rng.random() < 0.2]
        rows.append(
            {
                "id": run_id, "name": spec.name, "spec": spec.to_json(), "created": begun, "started": begun,
                "ended": begun + 50, "heartbeat": begun + 50, "pid": 1, "pid_started": 0.0, "host": "other",
                "exit_kind": rng.choice(["finished", "finished", "finished", "stopped", "failed", "lost"]),
                "step": 355, "epoch": 5.0, "total_steps": 355, "metrics": json.dumps(known), "revision": 9,
                "data": spec.data.name, "model": like(spec.model), "tags": json.dumps(mine), "note": "",
                "archived": rng.random() < 0.1, "haystack": haystack(run_id, spec.name, spec.data.name, mine),
            }
        )  # fmt: skip
        metrics += [{"run_id": run_id, "key": key, **values} for key, values in known.items()]
        tags += [{"run_id": run_id, "tag": tag} for tag in mine]
    with store._engine.begin() as connection:
        for table, values in ((schema.runs, rows), (schema.run_metrics, metrics), (schema.run_tags, tags)):
            connection.execute(table.insert(), values)


def curves(store: Store) -> list[str]:
    """Fifty runs of a thousand steps, alike but for the seed."""
    rng, steps = np.random.default_rng(0), np.arange(1, 1001)
    ids = []
    for i in range(CURVES):
        spec = PRESETS["mlp-tiny"].spec.model_copy(update={"name": f"seed {i}", "seed": i})
        ids.append(store.runs.create(spec).id)
        loss = 2 * np.exp(-steps / 300) + rng.normal(0, 0.05, 1000)
        store.flush(ids[-1], [Scalars("train/loss", steps, steps / 100, 1e9 + steps, loss)], step=1000)
        store.runs.exit(ids[-1], "finished")
    return ids


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def first_rows(page: Page) -> float:
    """Milliseconds from the click on Runs in the menu to the table's first visible row."""
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Home").click()
    page.locator(".st-key-recent").wait_for()
    page.wait_for_timeout(1500)
    link = page.get_by_test_id("stSidebarNavLink").filter(has_text="Runs")
    link.evaluate(f"(e) => {{ window.__ready = ({READY})(['.wb-runs .row', 0]); e.click(); }}")
    return float(page.evaluate("window.__ready"))


def sorted_rows(page: Page) -> float:
    """Milliseconds from a click on a column's head to another first row."""
    head = page.locator(".wb-runs button.h", has_text="Accuracy")
    before = page.locator(".wb-runs .row").first.get_attribute("data-run")
    began = time.perf_counter()
    head.click()
    page.locator(f".wb-runs .row:first-child:not([data-run='{before}'])").wait_for()
    return 1000 * (time.perf_counter() - began)


def opened(page: Page, url: str, selector: str) -> float:
    """Milliseconds from a fresh tab's request to the first `selector` that is seen."""
    began = time.perf_counter()
    page.goto(url)
    page.locator(selector).first.wait_for()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = open_store(home)
        fill(store)
        ids = curves(store)
        ten, one = long_run(store, KEYS, LONG), long_run(store, KEYS[:1], LONGEST)
        open_ten = seconds(lambda: [store.scalars.overview(ten, key) for key in KEYS])
        open_one = seconds(lambda: store.scalars.overview(one, KEYS[0]))
        whole = store.scalars.overview(ten, KEYS[0]).values
        kept = bool(np.nanmax(whole) == 1e6 and np.isnan(whole).any())
        new = Query(archived=False)
        page_s = seconds(lambda: store.runs.search(new))
        sort_s = seconds(lambda: store.runs.search(new, sort_key="best:val/accuracy"))
        find_s = seconds(
            lambda: store.runs.search(Query("wide 77", states=["failed", "lost"], archived=False))
        )
        with app_server(home) as base:
            beside = tensorboard_peer.figures(store, ten, base, KEYS, LONG)
            store.close()
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                opened(page, f"{base}/runs", ".wb-runs .row")  # the browser fetches the app's own files
                fresh = median([opened(page, f"{base}/runs", ".wb-runs .row") for _ in range(ROUNDS)])
                rows = [first_rows(page) for _ in range(ROUNDS)]
                page.wait_for_timeout(500)
                order = [sorted_rows(page) for _ in range(ROUNDS)]
                compared = f"{base}/compare?metric=train/loss&runs={','.join(ids)}"
                overlay = median([opened(page, compared, f".wbc[data-runs='{CURVES}']") for _ in range(3)])
                browser.close()
    shown, turned, target = median(rows), median(order), "< 500 ms"
    report(
        "scale",
        f"One home with {RUNS:,} runs of ten metrics each; histories of a million and ten million steps. "
        "Browser times are taken in Chromium, store times in the process that asks.",
        [
            Figure("runs page, click to first rows", shown, "ms", target, shown < 500, ROUNDS),
            Figure("runs page, slowest of these", max(rows), "ms", n=len(rows)),
            Figure("runs page, reload to first rows", fresh, "ms", n=ROUNDS, note="with Streamlit's start"),
            Figure("all runs sorted by a metric, click to rows", turned, "ms", target, turned < 500, ROUNDS),
            Figure("compare page with 50 runs, reload to curves", overlay, "ms", n=3),
            Figure("store: a page of 50, newest first", 1000 * page_s, "ms", n=ROUNDS),
            Figure("store: the same by best val/accuracy", 1000 * sort_s, "ms", n=ROUNDS),
            Figure("store: found by two words and state", 1000 * find_s, "ms", n=ROUNDS),
            Figure("10 keys × 1,000,000 steps, opened", open_ten, "s", "< 1 s", open_ten < 1, ROUNDS),
            Figure("10,000,000 points of one key, opened", open_one, "s", "< 1 s", open_one < 1, ROUNDS),
            Figure("one spike and one NaN among a million are seen", float(kept), "", "yes", kept),
            *beside,
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()

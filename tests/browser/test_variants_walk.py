"""Smaller variants of a run, as a person makes and compares them."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import until
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SMALL = (
    "mlp-tiny",
    "--set",
    "training.epochs=1",
    "--set",
    "training.threads=1",
    "--set",
    "training.device=cpu",
)


def test_a_run_is_pruned_and_brought_to_8_bits_and_all_three_are_compared(
    app: App, page: Page, store: Store
) -> None:
    command = [sys.executable, "-m", "workbench.cli.main", "train", *SMALL]
    parent = subprocess.run(
        command, env=app.environment, capture_output=True, text=True, check=True, timeout=120
    )
    run = parent.stdout.split()[0]
    page.goto(f"{app.url}/variants?run={run}")
    expect(page.get_by_text("Nothing has been measured yet")).to_be_visible()

    page.get_by_role("button", name="Prune and train on").click()
    expect(page).to_have_url(re.compile(r"/live\?.*run="))
    until(lambda: len(store.runs.list()) == 2, "the pruned run is there")
    pruned = store.runs.list()[0].id
    until(lambda: store.runs.get(pruned).state.is_over, "the pruned run ends")

    page.goto(f"{app.url}/variants?run={run}")
    expect(page.locator(".st-key-variants-made")).to_contain_text("50 % of weights pruned")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("Made: 8-bit, static")).to_be_visible(timeout=90_000)
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_text("Measured 3 variants.")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("Accuracy on 180 test samples")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("button", name="Table as CSV").click()
    with Path(download.value.path()).open(encoding="utf-8") as file:
        rows = {row["kind"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["original", "int8", "pruned"]
    assert float(rows["int8"]["size"]) > 2  # bytes of four and one, and some scales
    weights = int(rows["original"]["parameters"])
    assert int(rows["pruned"]["nonzeros"]) == pytest.approx(0.5 * weights, rel=0.05)
    assert all(0 <= float(row["value"]) <= 1 and float(row["latency_1_ms"]) > 0 for row in rows.values())

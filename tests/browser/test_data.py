"""Loose images and their table in the uploader, a run on them, and its hardest samples relabelled."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import until
from tests.data.made import encoded
from workbench.data.dataset import rows_of
from workbench.data.prepared import open_arrays
from workbench.jobs import runs as jobs
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N, WRONG = 60, 7
SPEC = preset("mlp-tiny").spec.with_changes(
    "data={name: pictures, validation: 0.5, test: 0}", "training.epochs=20", "training.threads=1",
    "model.layers=[{kind: flatten}, {kind: linear, out_features: 2}]",
)  # fmt: skip


def sent() -> list[FilePayload]:
    """Dark and bright pictures, and a table that calls a bright one dark."""
    random = np.random.default_rng(0)
    files, rows = [], ["file;label"]
    for i in range(N):
        pixels = random.integers(0, 90, (8, 8), dtype=np.uint8) + 160 * (i % 2)
        files.append(
            FilePayload(name=f"bild ä {i}.png", mimeType="image/png", buffer=encoded(pixels.astype(np.uint8)))
        )
        rows.append(f"bild ä {i}.png;{'dark' if i % 2 == 0 or i == WRONG else 'bright'}")
    table = FilePayload(name="labels.csv", mimeType="text/csv", buffer="\n".join(rows).encode())
    return [*files, table]


def test_the_hardest_sample_of_a_run_is_the_wrong_label_and_is_mended(
    app: App, store: Store, page: Page
) -> None:
    page.goto(f"{app.url}/data")
    page.get_by_role("button", name="Add data").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("At most 4.0 GiB unpacked")).to_be_visible()
    expect(dialog.get_by_text(re.compile("4 ?GB per file"))).to_be_visible()
    dialog.locator("input[type=file]").set_input_files(sent())
    expect(dialog.get_by_label("Name", exact=True).first).to_have_value("pictures", timeout=60_000)
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_text(re.compile("pictures is ready"))).to_be_visible(timeout=60_000)
    row = store.datasets.get("pictures")
    assert row.rows == N

    tried = (SPEC.with_changes(f"data.split_seed={seed}") for seed in range(20))
    spec = next(spec for spec in tried if WRONG in rows_of(row.path, spec.data).validation)
    run = jobs.submit(store, spec)
    until(lambda: store.runs.get(run).state.is_over, "the run is over")
    assert store.runs.get(run).state == "finished"

    page.goto(f"{app.url}/data?set=pictures&view=Hard+and+odd&run={run}")
    grid = page.locator(".st-key-grid-images-hard")
    expect(grid.get_by_role("img").first).to_have_attribute("alt", "dark, called bright", timeout=60_000)
    grid.get_by_role("checkbox", name="Choose").first.locator("xpath=ancestor::label").click()
    page.get_by_role("button", name="Relabel · 1 chosen").click()
    expect(grid.get_by_text("now bright")).to_be_visible(timeout=60_000)
    newest = store.datasets.get("pictures")
    assert newest.version == 2
    was, now = (open_arrays(store.datasets.get("pictures", n).path).labels for n in (1, 2))
    assert np.flatnonzero(was != now).tolist() == [WRONG]
    assert store.runs.get(run).data_version == 1
    expect(page.get_by_test_id("stException")).to_have_count(0)

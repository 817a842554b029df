"""Someone who knows no PyTorch: own pictures in a zip, an empty stack, and only what the pages offer.

No size is typed into any layer. What is pressed is what the page marks; the bound on the accuracy is
read from the store, where the training process wrote it.
"""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App
from tests.browser.test_walk import expect_state, open_page, strip, until
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIDE = 32  # pixels, typed into the import form
MOST_REPAIRS = 20
ENOUGH = 0.90


def test_hand_signs_from_a_zip_are_learned_by_repairs_alone(
    app: App, store: Store, page: Page, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "sign-digits" / "Dataset"
    if not source.is_dir():
        pytest.skip(f"no sign-digits at {source}")
    packed = tmp_path / "sign-digits.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(source.rglob("*.*")):
            archive.write(file, file.relative_to(source.parent))
        archive.writestr("Dataset/3/torn.jpg", b"\xff\xd8\xff\xe0 torn")
    bring(app, page, packed, "sign-digits", classes=10)
    build_by_repairs(page)
    run = train(page, epochs=12)
    predict_one(app, page, run)
    assert best_accuracy(store, run) >= ENOUGH


def test_generated_shapes_from_a_zip_are_learned_from_menu_and_marks(
    app: App, store: Store, page: Page, tmp_path: Path
) -> None:
    packed = tmp_path / "stripes.zip"
    stripes(packed, per_class=150)
    bring(app, page, packed, "stripes", classes=3)
    build_by_repairs(page, "conv2d", "relu", "global_avg_pool2d")
    run = train(page, epochs=20)
    predict_one(app, page, run)
    assert best_accuracy(store, run) >= ENOUGH


def stripes(packed: Path, per_class: int) -> None:
    """Stripes in three directions, mixed modes and sizes, and one file that is no image."""
    random, folder = np.random.default_rng(0), packed.parent
    with zipfile.ZipFile(packed, "w") as archive:
        for k, name in enumerate(("lying", "standing", "slanting")):
            for i in range(per_class):
                side = int(random.integers(30, 50))
                y, x = np.mgrid[:side, :side]
                wave = np.sin(2 * math.pi * ((y, x, x + y)[k] / 8 + random.random()))
                pixels = np.clip(128 + 90 * wave + random.normal(0, 20, wave.shape), 0, 255)
                image = Image.fromarray(pixels.astype(np.uint8))
                file = folder / f"{name}-{i}.png"
                (image.convert("RGB") if i % 3 else image).save(file)
                archive.write(file, f"pictures/{name}/{file.name}")
        archive.writestr("pictures/lying/notes.png", b"this is no picture")


# ---------------------------------------------------------------- the pages, one after the other


def bring(app: App, page: Page, packed: Path, name: str, classes: int) -> None:
    """Upload, wait, and read in the report that the one torn file was refused."""
    page.goto(f"{app.url}/data")
    page.get_by_role("button", name="Add data").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files(packed)
    expect(dialog.get_by_label("Name", exact=True)).to_have_value(name, timeout=60_000)
    size = dialog.get_by_role("spinbutton", name=re.compile("^Resize to"))
    size.fill(str(SIDE))
    size.press("Tab")
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_text(re.compile(f"{name} is ready"))).to_be_visible(timeout=60_000)
    expect(page.locator(".wb-facts").first).to_contain_text(f"images{classes}classes", timeout=60_000)
    page.get_by_role("tab", name="Import report").click()
    expect(page.get_by_text(re.compile(r"\b1 refused"))).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Use for a new run").click()
    expect(page.get_by_role("heading", name="Model").first).to_be_visible(timeout=60_000)


def build_by_repairs(page: Page, *chosen: str) -> None:
    """From an empty stack: layers of the menu perhaps, then the first repair until nothing is marked."""
    editor = page.locator(".wb-editor")
    expect(editor).to_have_attribute("data-ok", "true", timeout=60_000)  # fitted to the new classes
    page.get_by_role("combobox", name="Start from").click()
    page.get_by_role("option", name="An empty stack").click()
    expect(editor).to_have_attribute("data-layers", "0", timeout=60_000)
    for count, name in enumerate(chosen, 1):
        editor.get_by_role("button", name="Add layer", exact=True).click()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(editor).to_have_attribute("data-layers", str(count))
    for _ in range(MOST_REPAIRS):
        settled(page, editor)
        repairs = editor.locator(".note .fix")
        if editor.get_attribute("data-ok") == "true" and not repairs.count():
            break
        repairs.first.click()
    expect(editor).to_have_attribute("data-ok", "true")
    page.get_by_role("button", name="Continue to training").click()
    expect(page.get_by_role("heading", name="Train").first).to_be_visible(timeout=60_000)


def settled(page: Page, editor: Locator) -> None:
    """Python has answered the last edit: the marks have stood still for a while."""
    before = None
    for _ in range(40):
        page.wait_for_timeout(300)
        now = (editor.get_attribute("data-ok"), editor.locator(".row, .note").all_text_contents())
        if now == before:
            return
        before = now
    pytest.fail("the editor's marks do not settle")


def train(page: Page, epochs: int) -> str:
    """Preflight, launch, and wait for the end; the run's id."""
    field = page.get_by_label(re.compile("^epochs", re.I)).first
    field.fill(str(epochs))
    field.press("Enter")
    page.wait_for_timeout(800)
    page.get_by_role("button", name="Try a few steps").click()
    expect(page.locator("[data-preflight=done]")).to_contain_text("for the whole run", timeout=60_000)
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url(re.compile(r"/live\?.*run="), timeout=60_000)
    until(lambda: strip(page).get_attribute("data-state") in ("running", "finished"), "it starts")
    expect_state(page, "finished", 120)
    found = re.search(r"run=([\w-]+)", page.url)
    assert found
    return found.group(1)


def predict_one(app: App, page: Page, run: str) -> None:
    open_page(page, "Predict", "Predict")
    page.goto(f"{app.url}/predict?run={run}")
    expect(page.get_by_text("As the model sees it").first).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stMain").get_by_text(re.compile("Right|Wrong")).first).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def best_accuracy(store: Store, run: str) -> float:
    return float(store.runs.get(run).metrics["val/accuracy"]["best"])

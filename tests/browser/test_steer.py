"""A real training steered from the live page: change the rate, step, park, resume, go on after an error."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App
from tests.browser.eyes import plot, step_of, strip, until
from tests.live import trainer
from workbench.jobs import runs
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RATE = "training.optimizer.lr"


@pytest.fixture
def at_work(app: App, store: Store, page: Page) -> str:
    """A real run that learns digits and has taken its first steps, on the live page."""
    spec = preset("cnn-digits").spec.with_changes(
        "training.steps=1000000", "training.epochs=null", "name=steered"
    )
    run = runs.submit(store, spec)
    page.goto(f"{app.url}/live?run={run}")
    expect(strip(page)).to_have_attribute("data-state", "running", timeout=60_000)
    until(lambda: step_of(strip(page)) > 20, "the first steps")
    return run


@pytest.fixture(autouse=True)
def end(store: Store):  # type: ignore[no-untyped-def]
    """Nothing is left at work for the next test."""
    yield
    for row in store.runs.active():
        if not row.state.is_over:
            runs.stop(store, row.id)
    until(lambda: all(row.state.is_over for row in store.runs.active()), "all runs are over")


def press(page: Page, verb: str) -> None:
    strip(page).locator(f"button[data-verb={verb}]").click()


def expect_state(page: Page, state: str, parked: bool = False) -> None:
    expect(strip(page)).to_have_attribute("data-state", state, timeout=60_000)
    expect(strip(page)).to_have_attribute("data-parked", "true" if parked else "false", timeout=60_000)


def test_a_new_rate_is_in_force_marked_on_the_curves_and_a_line_of_the_ledger(
    at_work: str, store: Store, page: Page
) -> None:
    press(page, "steer")
    expect(page).to_have_url(re.compile("panel=steer"))
    rate = page.get_by_label("Learning rate", exact=True)
    rate.fill("0.00007")
    rate.press("Enter")
    expect(page.get_by_text(re.compile("Learning rate .* → 7e-05"))).to_be_visible()
    page.get_by_role("button", name="Apply", exact=True).click()
    line = page.locator(".wb-ledger li")
    expect(line).to_have_count(1, timeout=60_000)
    expect(line).to_contain_text(re.compile("Learning rate .* → 7e-05"))
    (change,) = store.ledger.list(at_work)
    assert change.changes == {RATE: 7e-05}
    card = page.locator("section[data-panel=loss]")
    expect(card).to_have_attribute("data-marks", re.compile(rf"changed:{change.step}\b"))
    until(
        lambda: store.scalars.read(at_work)["lr"].values[-1] == pytest.approx(7e-05), "the new rate is used"
    )
    # The mark is on the canvas, not only in the attribute, and tells what it stands for.
    press(page, "pause")
    expect_state(page, "paused")
    canvas = plot(page, "loss")
    until(lambda: mark_column(canvas) is not None, "violet ink above the curves")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + (mark_column(canvas) or 0), box["y"] + 9)
    expect(page.locator(".wbl-tip:visible")).to_contain_text(re.compile("Learning rate .* → 7e-05"))


def mark_column(canvas: Locator) -> float | None:
    """Where, in CSS pixels, the row above the curves has most of the accent's ink."""
    found = canvas.evaluate(
        """(canvas) => {
            const ratio = devicePixelRatio, height = Math.round(18 * ratio);
            const { width, data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, height);
            const probe = new OffscreenCanvas(1, 1).getContext("2d");
            probe.fillStyle = getComputedStyle(canvas).getPropertyValue("--st-primary-color").trim();
            probe.fillRect(0, 0, 1, 1);
            const want = probe.getImageData(0, 0, 1, 1).data;
            let best = null, most = 3;
            for (let x = 0; x < width; x++) {
                let n = 0;
                for (let y = 0; y < height; y++) {
                    const i = 4 * (y * width + x);
                    const far = Math.abs(data[i] - want[0]) + Math.abs(data[i + 1] - want[1]);
                    if (data[i + 3] > 200 && far + Math.abs(data[i + 2] - want[2]) < 12) n++;
                }
                if (n > most) { most = n; best = x / ratio; }
            }
            return best;
        }"""
    )
    return None if found is None else float(found)


def test_five_steps_from_a_pause_and_no_more(at_work: str, store: Store, page: Page) -> None:
    press(page, "pause")
    expect_state(page, "paused")
    until(lambda: step_of(strip(page)) == store.runs.get(at_work).step, "the strip shows the last step")
    held = store.runs.get(at_work).step
    strip(page).get_by_label("Updates to do").fill("5")
    press(page, "step")
    until(lambda: step_of(strip(page)) == held + 5, "five more steps")
    expect_state(page, "paused")
    page.wait_for_timeout(1500)
    assert store.runs.get(at_work).step == held + 5
    assert len(store.scalars.read(at_work)["train/loss"].steps) == held + 5  # every step, none twice


def test_a_parked_run_gives_its_process_back_and_goes_on_where_it_was(
    at_work: str, store: Store, page: Page
) -> None:
    pid = store.runs.get(at_work).pid
    press(page, "park")
    expect_state(page, "paused", parked=True)
    expect(strip(page)).to_contain_text("paused · parked")
    held = store.runs.get(at_work).step
    until(lambda: not store.runs.get(at_work).at_work, "no process holds it")
    page.reload()
    expect_state(page, "paused", parked=True)
    press(page, "resume")
    expect_state(page, "running")
    until(lambda: step_of(strip(page)) > held, "it goes on")
    assert store.runs.get(at_work).pid != pid
    steps = store.scalars.read(at_work)["train/loss"].steps
    assert steps[: held + 1].tolist() == list(range(1, held + 2))  # the axis has no gap and no step twice


def test_a_change_of_a_parked_run_waits_for_it_and_a_fork_is_linked_both_ways(
    at_work: str, store: Store, page: Page
) -> None:
    until(lambda: any(c.name == "best" for c in store.checkpoints.list(at_work)), "a first checkpoint")
    press(page, "park")
    expect_state(page, "paused", parked=True)
    press(page, "fork")
    page.get_by_text(re.compile("^last · step")).click()
    page.get_by_role("button", name="Launch as it is").click()
    page.wait_for_url(re.compile(rf"run=(?!{at_work})"))
    expect(page.get_by_text("Forked from last of")).to_be_visible(timeout=60_000)
    child = next(row for row in store.runs.list() if row.parent == at_work)
    assert child.parent_checkpoint == "last"
    runs.stop(store, child.id)
    page.get_by_role("link", name="steered", exact=True).first.click()
    page.wait_for_url(re.compile(rf"run={at_work}"))
    expect(page.get_by_role("link", name="steered (fork)").first).to_be_visible()


def test_a_replay_walks_the_same_curve(at_work: str, store: Store, page: Page) -> None:
    runs.change(store, at_work, {RATE: 0.0002})
    until(lambda: bool(store.ledger.list(at_work)), "a line of the ledger")
    (line,) = store.ledger.list(at_work)
    until(lambda: store.runs.get(at_work).step > line.step + 50, "steps after the change")
    runs.stop(store, at_work)
    expect_state(page, "stopped")
    press(page, "steer")
    page.get_by_role("button", name="Replay as a new run").click()
    page.wait_for_url(re.compile(rf"run=(?!{at_work})"))
    child = next(row for row in store.runs.list() if row.parent == at_work)
    until(lambda: store.runs.get(child.id).step > line.step + 50, "the replay has passed the change")
    runs.stop(store, child.id)
    until(lambda: store.runs.get(child.id).state.is_over, "it has stopped")
    first, again = (store.scalars.read(run)["train/loss"].values for run in (at_work, child.id))
    n = min(len(first), len(again))
    assert n > line.step + 50
    assert first[:n].tolist() == again[:n].tolist()
    rates = store.scalars.read(child.id)["lr"].values
    assert (rates[line.step - 1], rates[line.step]) == (pytest.approx(0.001), pytest.approx(0.0002))


def test_the_offer_of_an_error_is_one_click(app: App, store: Store, page: Page) -> None:
    run = trainer.new_run(store, "too large")
    trainer.claim(store, run)
    store.flush(run, trainer.curves(1, 50), step=50)
    error = {
        "where": "training, step 51", "rule": "a batch must fit into the memory", "fact": "it did not",
        "repair": "Cut the batch into parts.", "line": "loss.backward()",
        "traceback": "Traceback (most recent call last):\n  the whole story\nMemoryError",
        "offer": {"text": "Half the memory", "changes": {"training.accumulation_steps": 2}},
    }  # fmt: skip
    store.runs.exit(run, "failed", error)
    page.goto(f"{app.url}/live?run={run}")
    alert = strip(page).get_by_role("alert")
    expect(alert.locator(".wbl-line")).to_have_text("loss.backward()")
    expect(alert.get_by_text("the whole story")).to_be_hidden()
    expect(alert).to_contain_text("No checkpoint was saved")
    alert.get_by_role("button", name="Go on with half the memory").click()
    until(lambda: not store.runs.get(run).state.is_over, "it goes on")
    assert [line.changes for line in store.ledger.list(run)] == [{"training.accumulation_steps": 2}]
    expect(strip(page)).to_have_attribute("data-state", "running", timeout=60_000)

"""The live page in a real browser, fed by a trainer that writes as a run process does: states, tabs,
errors, the socket."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import REPO, environment
from tests.browser.eyes import ended, step_of, strip, until
from tests.live import trainer

pytestmark = pytest.mark.browser


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


def test_a_killed_trainer_is_shown_as_lost(app, store, page):
    run = trainer.new_run(store, "killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.live.trainer", run], cwd=REPO, env=app.environment
    )
    page.goto(f"{app.url}/live?run={run}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    process.kill()
    process.wait()
    expect(strip(page)).to_have_attribute("data-state", "lost")
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
        expect(strip(page)).to_have_attribute("data-live", "live", timeout=60_000)
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
    until(lambda: gone() and all(socket.is_closed() for socket in sockets), "the socket is let go")
    assert "tab=" not in page.url


@pytest.mark.slow
def test_a_stopped_process_is_told_and_not_called_lost(app, trained, store, page):
    page.goto(f"{app.url}/live?run={trained}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    os.kill(store.runs.get(trained).pid, signal.SIGSTOP)
    note = strip(page).locator(".wbl-silent")
    expect(note).to_contain_text("its process is stopped", timeout=60_000)
    expect(strip(page)).to_have_attribute("data-state", "running")
    page.goto(f"{app.url}/runs")
    expect(page.locator(".wb-runs .pill.silent")).to_have_count(1, timeout=60_000)
    os.kill(store.runs.get(trained).pid, signal.SIGCONT)
    page.goto(f"{app.url}/live?run={trained}")
    expect(strip(page)).to_have_attribute("data-state", "running")
    expect(note).to_be_hidden()

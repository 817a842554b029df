"""A press and a timer in one session: the press keeps its page, and the timer waits its turn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.app_session import AppSessionState
from streamlit.runtime.scriptrunner import RerunData
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests

from workbench.live import reruns


def test_a_press_that_leads_on_is_not_lost_to_a_timer() -> None:
    """Between the press and the next page a timer of the old one joins: the next page comes all the same."""
    reruns.keep_to_the_page()
    old = RerunData(page_script_hash="old", query_string="a=1", fragment_id="part")
    for joined in (old, replace(old, is_auto_rerun=True)):
        requests = ScriptRequests()
        requests.request_rerun(RerunData(page_script_hash="new", query_string="run=7"))
        requests.request_rerun(joined)
        request = requests.on_scriptrunner_yield()
        assert request is not None
        given = request.rerun_data
        assert (given.page_script_hash, given.query_string) == ("new", "run=7")
        assert given.fragment_id_queue == []


def test_a_timer_waits_until_what_was_drawn_before_it_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(
        reruns, "_create", lambda session, wanted: done.append(f"runner {wanted.fragment_id}")
    )

    async def meet() -> None:
        loop = asyncio.get_running_loop()
        running = AppSessionState.APP_NOT_RUNNING
        session: Any = SimpleNamespace(_scriptrunner=object(), _state=running, _event_loop=loop)
        loop.call_soon(done.append, "the page")  # as an ended runner sends what it drew
        reruns._create_behind(session, RerunData(fragment_id="timer"))
        await asyncio.sleep(0.01)
        session._scriptrunner = None
        reruns._create_behind(session, RerunData(fragment_id="first"))

    asyncio.run(meet())
    assert done == ["the page", "runner timer", "runner first"]


def test_a_press_on_another_page_still_wins_over_the_one_before() -> None:
    reruns.keep_to_the_page()
    requests = ScriptRequests()
    requests.request_rerun(RerunData(page_script_hash="new"))
    requests.request_rerun(RerunData(page_script_hash="newer", query_string="run=8"))
    request = requests.on_scriptrunner_yield()
    assert request is not None
    assert request.rerun_data.page_script_hash == "newer"

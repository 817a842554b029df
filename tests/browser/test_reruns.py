"""A browser whose timer strikes while its press leads to another page: that page comes, and stays.

The browser is one that speaks Streamlit's own messages, so that the two requests meet every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSessionState
from streamlit.runtime.scriptrunner import RerunData
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests
from websockets.sync.client import ClientConnection, connect

from tests.browser.conftest import App
from workbench.live import reruns
from workbench.specs.presets import preset
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUIET_S, PATIENCE_S = 1.2, 60  # after a run, nothing more comes; until one has ended


class Visitor:
    """What a browser sends and gets: runs of a whole page by its hash, or of one fragment."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def ask(self, *, page: str = "", name: str = "", fragment: str = "") -> None:
        message = BackMsg()
        message.rerun_script.page_script_hash = page
        message.rerun_script.page_name = name
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        self.socket.send(message.SerializeToString())

    def told(self) -> list[ForwardMsg]:
        """All that comes until a run has ended and it is quiet."""
        messages: list[ForwardMsg] = []
        patience = float(PATIENCE_S)
        with suppress(TimeoutError):
            while True:
                messages.append(ForwardMsg.FromString(bytes(self.socket.recv(patience))))  # type: ignore[arg-type]
                if messages[-1].HasField("script_finished"):
                    patience = QUIET_S
        return messages


@contextmanager
def visiting(app: App) -> Iterator[Visitor]:
    address = app.url.replace("http", "ws") + "/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
        yield Visitor(socket)


def pages_of(messages: list[ForwardMsg]) -> list[str]:
    return [message.new_session.page_script_hash for message in messages if message.HasField("new_session")]


def arrive(visitor: Visitor, name: str) -> tuple[str, set[str]]:
    """A page by its name: its hash, and the fragments that have a timer there."""
    visitor.ask(name=name)
    told = visitor.told()
    ages = {m.new_session.config.max_cached_message_age for m in told if m.HasField("new_session")}
    assert ages == {100}, "what an answer names is kept until it comes"
    (page,) = {message.navigation.page_script_hash for message in told if message.HasField("navigation")}
    return page, {message.auto_rerun.fragment_id for message in told if message.HasField("auto_rerun")}


def test_a_timer_of_the_page_that_is_left_does_not_announce_it_again(app: App, store: Store) -> None:
    store.runs.create(preset("mlp-tiny").spec)  # the page of runs has a timer of its own then
    with visiting(app) as visitor:
        there, timers_there = arrive(visitor, "data")
        here, timers_here = arrive(visitor, "runs")
        (everywhere,) = timers_here & timers_there
        for timer in timers_here:
            visitor.ask(page=here, fragment=timer)
        assert {*pages_of(visitor.told())} == {here}, "on their own page they run"
        visitor.ask(page=there)
        for timer in timers_here:
            visitor.ask(page=here, fragment=timer)
        told = visitor.told()
        assert pages_of(told) == [there]
        assert len([message for message in told if message.metadata.active_script_hash == there]) > 3
        visitor.ask(page=there, fragment=everywhere)
        assert pages_of(visitor.told()) == [there], "and where it still is, it goes on"


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

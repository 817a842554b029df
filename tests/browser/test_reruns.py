"""A browser whose timer strikes while its press leads to another page: that page comes, and stays.

The browser is one that speaks Streamlit's own messages, so that the two requests meet every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from tests.browser.conftest import App
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

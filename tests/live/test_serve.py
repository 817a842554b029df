"""Starting: one sentence when it cannot, and the repository's options wherever it is started from."""

from __future__ import annotations

import socket

import pytest

from workbench.live import serve
from workbench.live.security import is_loopback
from workbench.specs.errors import WorkbenchError


def test_a_taken_port_is_said_in_one_sentence_with_the_repair():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkbenchError) as refusal:
            serve.listen("127.0.0.1", port)
    text = str(refusal.value)
    assert text == (
        f"port {port}: the port must be free, but another program listens there. "
        f"Choose another: PORT={port + 1} make run."
    )


def test_an_address_that_others_can_reach_needs_a_word():
    with pytest.raises(WorkbenchError, match="must not be reachable from other machines"):
        serve.listen("0.0.0.0", 0)
    serve.listen("0.0.0.0", 0, is_open=True).close()


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.4", "example.org")),
    ],
)
def test_loopback_addresses_are_told_apart(host, inside):
    assert is_loopback(host) is inside


def test_port_zero_takes_a_free_one():
    listener = serve.listen("127.0.0.1", 0)
    assert listener.getsockname()[1] > 0
    listener.close()

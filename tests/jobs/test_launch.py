"""The lease and the source stamp, without starting anything; the socket's messages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from workbench.jobs import wire
from workbench.jobs.launch import LEASE, supervisor
from workbench.jobs.source import source_stamp
from workbench.store import Store, open_store
from workbench.store.states import HOST


@pytest.fixture
def store(home: Path) -> Store:
    return open_store()


def test_a_living_holder_is_the_supervisor(store: Store) -> None:
    me = psutil.Process()
    store.leases.acquire(LEASE, "stamp-1/abc", me.pid, me.create_time(), HOST, 5.0)
    found = supervisor(store)
    assert found is not None
    assert (found.pid, found.stamp) == (os.getpid(), "stamp-1")


def test_a_killed_holder_is_known_as_gone_before_its_lease_lapses(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    store.leases.acquire(LEASE, "old/abc", child.pid, psutil.Process(child.pid).create_time(), HOST, 60.0)
    assert supervisor(store) is not None
    child.kill()
    child.wait()
    assert supervisor(store) is None
    me = psutil.Process()
    assert store.leases.acquire(LEASE, "new/def", me.pid, me.create_time(), HOST, 5.0), "and the name is free"


def test_a_dead_holder_is_known_where_nothing_can_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    store.leases.acquire(LEASE, "old/abc", child.pid, psutil.Process(child.pid).create_time(), HOST, 60.0)
    child.wait()

    def refuse(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(store.leases, "release", refuse)
    assert supervisor(store) is None


def test_a_holder_elsewhere_is_believed_until_its_lease_lapses(store: Store) -> None:
    store.leases.acquire(LEASE, "there/abc", 1, 0.0, "another-machine", 0.2)
    assert supervisor(store) is not None
    time.sleep(0.25)
    assert supervisor(store) is None


def test_the_stamp_follows_the_compute_rooms_and_not_the_pages(tmp_path: Path) -> None:
    for name in ("records.py", "engine/fit.py", "ui/frame.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("one")
        os.utime(path, (1_000, 1_000))
    first = source_stamp(tmp_path)
    (tmp_path / "ui/frame.py").write_text("two")
    assert source_stamp(tmp_path) == first
    (tmp_path / "engine/fit.py").write_text("two")
    assert source_stamp(tmp_path) > first, "a newer source compares greater"


def test_messages_of_any_size_arrive_whole() -> None:
    left, right = socket.socketpair()
    with left, right:
        wire.send(left, {"verb": "ping", "text": "é" * 10_000})
        assert wire.receive(right) == {"verb": "ping", "text": "é" * 10_000}
        left.close()
        assert wire.receive(right) is None


def test_half_a_message_is_an_error() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"\x10\x00\x00\x00{")
        left.close()
        with pytest.raises(ConnectionError, match="broke off"):
            wire.receive(right)


def test_a_message_that_claims_to_be_huge_is_refused() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(ConnectionError, match="more than"):
            wire.receive(right)


def test_a_home_of_any_depth_can_have_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    with listener, wire.address(deep) as path:
        listener.bind(path)
    assert (deep / wire.NAME).is_socket()

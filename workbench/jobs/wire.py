"""How the view and the answering process talk: JSON behind a 4-byte length, over a Unix socket.

Never pickle: what comes over a socket must not be able to run code. The socket lies in the home,
readable and writable by its owner only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "answers.sock"
MOST_BYTES = 512 * 1024 * 1024
_LENGTH = struct.Struct("<I")


def send(connection: socket.socket, message: Any) -> None:
    """One message, whole."""
    body = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket) -> Any:
    """One message; None when the other side closed. Raises ConnectionError for half a message."""
    head = _exactly(connection, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise ConnectionError(f"a message of {length} bytes is more than {MOST_BYTES}")
    body = _exactly(connection, length)
    if length and not body:
        raise ConnectionError("the message broke off")
    return json.loads(body)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(1 << 20, count - len(parts)))
        if not part:
            if parts:
                raise ConnectionError("the message broke off")
            return b""
        parts += part
    return bytes(parts)


@contextlib.contextmanager
def address(home: Path) -> Iterator[str]:
    """A path for bind() and connect() to the home's socket, short enough for the kernel.

    A Unix socket's path may have 107 bytes; homes may lie deeper. Linux reaches them through the
    open folder instead.
    """
    direct = os.fspath(home / NAME)
    if len(direct.encode()) < 100:
        yield direct
        return
    folder = os.open(home, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)

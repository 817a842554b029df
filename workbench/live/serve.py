"""Start the app server: the options that matter, one sentence when it is up, one when it cannot be."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from streamlit.web import bootstrap
from streamlit.web.server.starlette import starlette_server

from workbench.live.security import LOOPBACK, is_loopback
from workbench.specs.errors import WorkbenchError

REPO = Path(__file__).resolve().parents[2]
APP = "workbench.app:app"
GRACE_S = 2  # for open sockets to close at Ctrl-C


def serve(
    host: str = "127.0.0.1",
    port: int = 8501,
    *,
    is_open: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the workbench until Ctrl-C or SIGTERM. Trainings are other processes and go on.

    port: 0 takes a free one. is_open: allow an address that other machines can reach; there are no
    accounts yet, so whoever reaches it may do everything. on_ready gets the URL once the app answers
    (the default prints it). Raises WorkbenchError when the address cannot be had.
    """
    listener = listen(host, port, is_open=is_open)
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else "localhost" if host == "127.0.0.1" else host
    configure(host, port)
    options = starlette_server._get_uvicorn_config_kwargs()
    server = _Server(
        uvicorn.Config(
            APP, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE_S, **options
        ),
        lambda: (on_ready or announce)(f"http://{shown}:{port}"),
    )
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn has shut down in order and passes the signal on
        pass
    finally:
        listener.close()


def announce(url: str) -> None:
    print(f"The workbench is at {url}", flush=True)


def listen(host: str, port: int, *, is_open: bool = False) -> socket.socket:
    """A bound socket. Raises WorkbenchError in one sentence when there is none to be had."""
    if not is_open and not is_loopback(host):
        raise WorkbenchError.of(
            f"--host {host}",
            "the workbench must not be reachable from other machines without accounts",
            f"{host} is",
            "Use 127.0.0.1 and an SSH tunnel, or say explicitly that everyone may enter.",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            fact = "another program listens there"
        elif error.errno == errno.EACCES:
            fact = "this user may not open it"
        else:
            fact = error.strerror or str(error)
        raise WorkbenchError.of(
            f"port {port}", "the port must be free", fact, f"Choose another: PORT={port + 1} make run."
        ) from None
    listener.setblocking(False)
    return listener


def configure(host: str, port: int) -> None:
    """Give Streamlit the options of the repository's config.toml, wherever we were started from."""
    options: dict[str, Any] = {}
    file = REPO / ".streamlit" / "config.toml"
    if file.exists():
        _flatten(tomllib.loads(file.read_text(encoding="utf-8")), "", options)
    hosts = [*LOOPBACK] if is_loopback(host) else [*LOOPBACK, host]
    options |= {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.allowedHosts": ["*"] if host in ("0.0.0.0", "::") else hosts,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": False,
        "browser.gatherUsageStats": False,
        "runner.postScriptGC": False,
        # A browser tells what it keeps and may drop it, after so many runs of fragments, before the answer
        # refers to it: "Cached ForwardMsg MISS" (decision 12).
        "global.maxCachedMessageAge": 100,
        "logger.hideWelcomeMessage": True,
    }
    bootstrap.load_config_options(options)


def _flatten(tree: dict[str, Any], prefix: str, into: dict[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", into)
        else:
            into[prefix + key] = value


class _Server(uvicorn.Server):
    """uvicorn that says when it is up."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            asyncio.get_running_loop().call_soon(self._on_started)


if __name__ == "__main__":  # python -m workbench.live.serve [PORT]: for trials; people use `workbench up`
    try:
        serve(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8501)
    except WorkbenchError as refusal:
        sys.exit(str(refusal))

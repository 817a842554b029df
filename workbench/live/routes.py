"""The routes beside Streamlit's: the socket, the browser's modules, and the health of the stream."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from workbench.figures.theme import css_variables
from workbench.live import wire
from workbench.live.hub import Hub, Hubs, Viewer, trouble
from workbench.live.security import is_same_origin
from workbench.specs.errors import RunError, StoreError

ASSETS = Path(__file__).parent / "assets"
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_REQUEST = 8192  # characters of one request over the socket
GONE, TRY_AGAIN, REFUSED = 4404, 1013, 1008  # close codes; 4xxx are ours
PRE_IMPORTS = (
    "pandas",
    "pyarrow",
    "PIL.Image",
    "plotly.graph_objects",
    "streamlit.elements.plotly_chart",
    "workbench.catalog.sets",
    "workbench.jobs.runs",
)

TRIM_EVERY_S = 60.0

HUBS = Hubs()


def assets() -> dict[str, bytes]:
    """Every module and stylesheet by file name. The colours come from the one palette."""
    files = {path.name: path.read_bytes() for path in sorted(ASSETS.iterdir()) if path.suffix in TYPES}
    colours = "".join(f"{name}:{value};" for name, value in css_variables().items())
    return {**files, "colours.css": f":root{{{colours}}}\n".encode()}


FILES = assets()
VERSION = hashlib.sha256(b"".join(FILES.values())).hexdigest()[:12]


async def asset(request: Request) -> Response:
    """One file. The version is part of the path, so that modules import each other in one version."""
    name = request.path_params["name"]
    if name not in FILES:
        return PlainTextResponse("There is no such file.", 404)
    lasting = request.path_params["version"] == VERSION
    cache = "public, max-age=31536000, immutable" if lasting else "no-store"
    headers = {"cache-control": cache, "content-type": TYPES[Path(name).suffix]}
    return Response(FILES[name], headers=headers)


async def status(request: Request) -> Response:
    """Which runs are watched by how many."""
    return JSONResponse({"version": VERSION, "runs": HUBS.facts()})


async def stream(socket: WebSocket) -> None:
    """GET /live/ws?run=ID[&cursor=...]: frames to the browser, small JSON requests from it."""
    run_id = socket.query_params.get("run", "")
    if not RUN_ID.fullmatch(run_id) or not is_same_origin(socket):
        await socket.close(REFUSED)  # before accept: the handshake is answered 403
        return
    await socket.accept()
    viewer = Viewer()
    try:
        hub = await HUBS.join(run_id, viewer, socket.query_params.get("cursor", ""))
    except RunError:
        await socket.send_bytes(wire.pack("gone", {"run": run_id}))
        await socket.close(GONE)
        return
    except (StoreError, SQLAlchemyError) as error:
        await socket.send_bytes(wire.pack("trouble", {"text": trouble(error)}))
        await socket.close(TRY_AGAIN)
        return
    listening = asyncio.create_task(_listen(socket, hub, viewer))
    try:
        while (frame := await viewer.next()) is not None:
            await socket.send_bytes(frame)
        await socket.close(TRY_AGAIN)
    except (WebSocketDisconnect, RuntimeError):  # it left while we were sending
        pass
    finally:
        listening.cancel()
        hub.leave(viewer)


async def _listen(socket: WebSocket, hub: Hub, viewer: Viewer) -> None:
    """Answer requests one after another, so that a viewer cannot ask faster than we answer."""
    try:
        while True:
            try:
                text = await socket.receive_text()
            except KeyError:  # a binary message: no request of ours
                continue
            request = _parse(text)
            if request is not None:
                await hub.answer(viewer, request)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        viewer.cut()


def _parse(text: str) -> dict[str, Any] | None:
    if len(text) > MAX_REQUEST:
        return None
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


ROUTES: list[BaseRoute] = [
    WebSocketRoute("/live/ws", stream),
    Route("/live/status", status),
    Route("/live-assets/{version}/{name}", asset),
]


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """Import what pages use before the first visitor comes, and take it out of later collections.

    A full garbage collection of this heap takes 60 to 150 ms and would stop every stream meanwhile.
    """
    for name in PRE_IMPORTS:
        import_module(name)
    gc.collect()
    gc.freeze()
    tidying = asyncio.create_task(_give_memory_back())
    yield
    tidying.cancel()
    HUBS.close()


async def _give_memory_back() -> None:
    """Returns freed memory to the system now and then, where the C library is glibc.

    Frames of many sizes fragment its heap: in hours of 50 viewers the app grew by a tenth, with no
    object more. A trim takes milliseconds, in a thread and without Python's lock.
    """
    try:
        trim = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        await asyncio.to_thread(trim, 0)

"""Who may open the stream, and what every answer carries."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from tests.live import trainer
from workbench.live import routes, security, wire
from workbench.live.hub import Hubs

HOST = "http://localhost:8501"


@pytest.fixture
def client(store, run_id, monkeypatch):
    store.flush(run_id, trainer.curves(1, 20), step=20)
    monkeypatch.setattr(routes, "HUBS", Hubs(lambda: store))
    app = Starlette(routes=routes.ROUTES, middleware=security.middleware(security.LOOPBACK))
    return TestClient(app, base_url=HOST)


def kinds(client, url, n=4, **headers):
    with client.websocket_connect(url, headers={"host": "localhost:8501", **headers}) as socket:
        return [wire.unpack(socket.receive_bytes())[0]["k"] for _ in range(n)]


def test_a_stream_begins_with_state_topics_points_and_events(client, run_id):
    assert kinds(client, f"/live/ws?run={run_id}") == ["status", "topics", "scalars", "event"]


def test_our_own_page_may_open_it(client, run_id):
    assert kinds(client, f"/live/ws?run={run_id}", 1, origin=HOST) == ["status"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:9999", "null", "https://localhost.evil.example"]
)
def test_a_foreign_page_may_not(client, run_id, origin):
    with pytest.raises(WebSocketDisconnect) as refusal:
        kinds(client, f"/live/ws?run={run_id}", 1, origin=origin)
    assert refusal.value.code == routes.REFUSED


def test_a_foreign_host_is_refused_on_every_route(client, run_id):
    for path in ("/live/status", f"/live-assets/{routes.VERSION}/main.js"):
        assert client.get(path, headers={"host": "evil.example"}).status_code == 400
    with pytest.raises(WebSocketDenialResponse) as refusal:
        kinds(client, f"/live/ws?run={run_id}", 1, host="evil.example", origin="http://evil.example")
    assert refusal.value.status_code == 400


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "a" * 65, "a/b", "a b", "run'--", "%00", "ü"])
def test_what_cannot_be_a_run_id_is_refused(client, bad):
    with pytest.raises(WebSocketDisconnect) as refusal:
        kinds(client, f"/live/ws?run={bad}", 1)
    assert refusal.value.code == routes.REFUSED


def test_a_run_that_is_not_there_is_said_and_not_retried(client):
    with client.websocket_connect("/live/ws?run=nothing", headers={"host": "localhost:8501"}) as socket:
        assert wire.unpack(socket.receive_bytes())[0] == {"k": "gone", "run": "nothing"}
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_bytes()
    assert end.value.code == routes.GONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "7",
        "[" * 5000,
        '{"op":"sub","topics":7}',
        "x" * 100_000,
        b"\0binary",
        '{"op":"range","key":"train/loss","x":"step","lo":0,"hi":1%s,"px":9}' % ("0" * 400),
        '{"op":"range","key":"train/loss","x":"time","lo":-Infinity,"hi":Infinity,"px":9}',
        '{"op":"at","topics":["tiles:filters/0"],"step":99999999999999999999}',
        '{"op":"at","topics":["\\ud800"],"step":1}',
        '{"op":"log","before":-99999999999999999999}',
    ],
    ids=range(13),
)
def test_nonsense_from_a_viewer_does_not_end_its_stream(client, store, run_id, text):
    with client.websocket_connect(f"/live/ws?run={run_id}", headers={"host": "localhost:8501"}) as socket:
        for _ in range(4):
            socket.receive_bytes()
        socket.send_bytes(text) if isinstance(text, bytes) else socket.send_text(text)
        socket.send_text('{"op":"sub","topics":["log"]}')
        heads = [wire.unpack(socket.receive_bytes())[0]["k"] for _ in range(2)]
    assert "log" in heads


def test_every_answer_carries_the_security_headers(client):
    for path in ("/live/status", "/live-assets/x/main.js", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe-eval'" not in headers["content-security-policy"].replace("'wasm-unsafe-eval'", "")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_assets_of_this_version_last_and_others_do_not(client):
    assert "immutable" in client.get(f"/live-assets/{routes.VERSION}/main.js").headers["cache-control"]
    assert client.get("/live-assets/old/main.js").headers["cache-control"] == "no-store"
    assert (
        client.get(f"/live-assets/{routes.VERSION}/main.js")
        .headers["content-type"]
        .startswith("text/javascript")
    )


@pytest.mark.parametrize("name", ["../hub.py", "..%2fhub.py", "hub.py", "%2e%2e/hub.py", ".", "nothing.js"])
def test_only_assets_are_served(client, name):
    assert client.get(f"/live-assets/{routes.VERSION}/{name}").status_code == 404


def test_the_colours_are_those_of_the_palette(client):
    from workbench.figures.theme import TRAIN

    assert f"--wb-train:{TRAIN};" in client.get(f"/live-assets/{routes.VERSION}/colours.css").text


def test_no_asset_parses_text_as_html_or_calls_elsewhere():
    for name, blob in routes.FILES.items():
        text = blob.decode()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        ), name
        assert not re.search(r"https?://", text.replace("http://www.w3.org", "")), name
        assert len(text.splitlines()) < 400, name

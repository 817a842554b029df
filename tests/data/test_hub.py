"""The Hugging Face hub: a clear word when it cannot be reached, and streams that become sets."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.made import encoded, pixels
from tests.processes import at_its_quickest
from workbench.data import Limits
from workbench.data.hub import Columns, choose_columns, import_streams, prepare_hub
from workbench.data.prepared import open_arrays
from workbench.specs.data import DataSchema
from workbench.specs.errors import DataError

SIGNATURE = {"size": None, "channels": None, "schema": DataSchema(), "limits": Limits(), "where": "hf:x"}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[http.server.BaseHTTPRequestHandler]]:
    """A hub of our own that answers with `status`."""

    class Hub(http.server.BaseHTTPRequestHandler):
        status = 404

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"it is not installed\. Run `pip install datasets`"):
        prepare_hub("owner/name", tmp_path / "out")


def test_a_hub_out_of_reach_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")

    def seconds() -> float:
        start = time.monotonic()
        with pytest.raises(DataError, match=r"need a connection, but .* cannot be reached"):
            prepare_hub("owner/name", tmp_path / "out")
        return time.monotonic() - start

    assert at_its_quickest(seconds, 12) < 12
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_never_answers_does_not_hang_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")

        def seconds() -> float:
            start = time.monotonic()
            with pytest.raises(DataError, match=r"did not answer within 0\.5 s|cannot be reached"):
                prepare_hub("owner/name", tmp_path / "out", timeout_s=0.5)
            return time.monotonic() - start

        assert at_its_quickest(seconds, 3) < 3


def test_offline_mode_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        prepare_hub("owner/name", tmp_path / "out")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_unknown_set_is_said_to_be_so(status: int, endpoint: Any, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    endpoint.status = status
    with pytest.raises(DataError, match=f"the hub answers {status} for `owner/name`"):
        prepare_hub("owner/name", tmp_path / "out")


def test_a_hub_in_trouble_is_said_to_be_so(endpoint: Any, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    endpoint.status = 503
    with pytest.raises(DataError, match="answers 503"):
        prepare_hub("owner/name", tmp_path / "out")


@pytest.mark.parametrize("name", ["", "a/b/c", "../x", "a b", "owner/na?me", "/etc/passwd", "o/n:c:d", "é/x"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="owner/name"):
        prepare_hub(name, tmp_path / "out")


def rows(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"image": {"bytes": encoded(pixels(start + i)), "path": None}, "label": i % 2} for i in range(n)]


def test_streams_become_a_set_pixel_for_pixel(tmp_path: Path) -> None:
    columns = Columns("image", "label", ("cat", "dog"))
    prepared = import_streams(
        {"test": rows(4, 50), "train": rows(10)}, columns, tmp_path / "out", **SIGNATURE
    )
    arrays = open_arrays(tmp_path / "out")
    assert (prepared.rows, prepared.schema.classes) == ({"train": 10, "test": 4}, ("cat", "dog"))
    expected = [pixels(i).transpose(2, 0, 1) for i in (*range(10), *range(50, 54))]
    assert np.array_equal(arrays.images, expected)


def test_bad_rows_of_a_stream_are_reported(tmp_path: Path) -> None:
    bad = [
        {"image": {"bytes": b"no", "path": None}, "label": 0},
        {"image": {"bytes": None, "path": "/etc/passwd"}, "label": 0},
        {"image": None, "label": 1},
        {"image": {"bytes": encoded(pixels(1)), "path": None}, "label": -1},
        {"image": {"bytes": encoded(pixels(1)), "path": None}, "label": None},
    ]
    columns = Columns("image", "label", ("cat", "dog"))
    prepared = import_streams({"train": rows(4) + bad}, columns, tmp_path / "out", **SIGNATURE)
    assert prepared.rows == {"train": 4}
    refused = {r["file"]: r["reason"] for r in prepared.report if r["action"] == "refused"}
    assert list(refused) == [f"train[{i}]" for i in range(4, 9)]
    assert refused["train[7]"] == refused["train[8]"] == "it has no label"


def test_free_labels_become_classes_in_natural_order(tmp_path: Path) -> None:
    named = [row | {"label": ("ten 10", "nine 9", "two 2")[i % 3]} for i, row in enumerate(rows(9))]
    prepared = import_streams({"all": named}, Columns("image", "label", None), tmp_path / "out", **SIGNATURE)
    assert prepared.schema.classes == ("nine 9", "ten 10", "two 2")
    assert open_arrays(tmp_path / "out").labels.tolist() == [1, 0, 2] * 3


def test_a_parquet_set_of_the_library_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("datasets")
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog"])})
    cells = {"image": [r["image"] for r in rows(8)], "label": [r["label"] for r in rows(8)]}
    library.Dataset.from_dict(cells, features=features).to_parquet(tmp_path / "t.parquet")
    streams = library.load_dataset("parquet", data_files=str(tmp_path / "t.parquet"), streaming=True)
    columns = choose_columns(streams["train"].features, "hf:x")
    assert columns == Columns("image", "label", ("cat", "dog"))
    raw = {key: s.cast_column("image", library.Image(decode=False)) for key, s in streams.items()}
    prepared = import_streams(raw, columns, tmp_path / "out", **SIGNATURE)
    assert prepared.rows == {"train": 8}
    assert np.array_equal(open_arrays(tmp_path / "out").images[3], pixels(3).transpose(2, 0, 1))


def test_a_set_without_images_or_labels_is_refused() -> None:
    library = pytest.importorskip("datasets")
    with pytest.raises(DataError, match="one column of images"):
        choose_columns({"text": library.Value("string"), "label": library.Value("int64")}, "hf:x")
    with pytest.raises(DataError, match="a column of class labels"):
        choose_columns({"image": library.Image(), "text": library.Value("string")}, "hf:x")

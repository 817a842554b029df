"""A design travels in a link, whole; a broken or hostile link is refused in words."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from workbench.specs.errors import SpecError
from workbench.specs.presets import PRESETS
from workbench.ui import links, stack


@pytest.mark.parametrize("name", PRESETS)
def test_a_design_travels_in_a_link(name: str) -> None:
    layers = stack.dump(PRESETS[name].spec.model)
    text = links.packed(layers)
    assert links.unpacked(text) == layers
    assert len(text) < 1000  # short enough for any mail


def code(blob: bytes) -> str:
    return base64.urlsafe_b64encode(blob).decode()


@pytest.mark.parametrize(
    "text",
    ["", "x", "ü", "%%%", "a" * 100_000, code(b"no zlib"), code(zlib.compress(b"no json")),
     code(zlib.compress(b'{"kind": "conv2d"}')), code(zlib.compress(b"[1, 2]")),
     code(zlib.compress(b"[" * 100_000)), code(zlib.compress(b"9" * 10_000)),
     code(zlib.compress(b" " * 50_000_000)), code(zlib.compress(json.dumps([{"kind": "rm -rf"}]).encode()))],
    ids=range(13),
)  # fmt: skip
def test_a_broken_link_is_refused_in_words(text: str) -> None:
    with pytest.raises(SpecError, match="a link must carry a design"):
        links.unpacked(text)

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
    model = stack.read(stack.dump(PRESETS[name].spec.model))
    text = links.packed(model)
    assert links.unpacked(text) == model
    assert len(text) < 1000  # short enough for any mail


def test_two_stacks_and_shared_weights_travel_too() -> None:
    model = stack.model(
        stack.clean([{"kind": "embedding", "embedding_dim": 32}]),
        stack.clean([{"kind": "embedding"}, {"kind": "transformer_decoder_layer", "nhead": 8}]),
        tie_embeddings=True,
    )
    assert links.unpacked(links.packed(model)) == model


def test_a_link_of_an_older_version_still_opens() -> None:
    old = base64.urlsafe_b64encode(zlib.compress(b'[{"kind":"flatten"},{"kind":"linear"}]')).decode()
    assert [layer["kind"] for layer in links.unpacked(old)["layers"]] == ["flatten", "linear"]


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

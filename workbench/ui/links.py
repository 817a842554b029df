"""A design in a link: the layers as compressed JSON in base64, without what is usual."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence

from workbench.specs.errors import SpecError
from workbench.ui import stack

MOST_BYTES = 2_000_000  # of the JSON: a small link must not unfold into gigabytes


def packed(layers: Sequence[stack.Raw]) -> str:
    """The stack as text for a URL. Check: `unpacked` gives it back whole."""
    text = json.dumps(stack.brief(layers), separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpacked(text: str) -> list[stack.Raw]:
    """The stack of a link. Raises SpecError for anything that is none."""
    try:
        blob = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = zlib.decompressobj().decompress(blob, MOST_BYTES)
        layers = stack.clean(json.loads(plain))
    except (ValueError, zlib.error, RecursionError):
        layers = []
    if not layers:
        raise SpecError.of(
            "the link", "a link must carry a design", "this one cannot be read",
            "Copy it again, whole, from the model page.",
        )  # fmt: skip
    return layers

"""A design in a link: its layers as compressed JSON in base64, without what is usual.

One stack is a list, as in links of older versions; two of them, or shared weights, are a mapping.
"""

from __future__ import annotations

import base64
import json
import zlib

from workbench.specs.errors import SpecError
from workbench.ui import stack

MOST_BYTES = 2_000_000  # of the JSON: a small link must not unfold into gigabytes


def packed(model: stack.Model) -> str:
    """The design as text for a URL. Check: `unpacked` gives it back whole."""
    short: object = stack.brief(model["layers"])
    if model["decoder"] or model["tie_embeddings"]:
        short = {"layers": short, "decoder": stack.brief(model["decoder"]), "tie": model["tie_embeddings"]}
    text = json.dumps(short, separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpacked(text: str) -> stack.Model:
    """The design of a link. Raises SpecError for anything that is none."""
    try:
        blob = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = zlib.decompressobj().decompress(blob, MOST_BYTES)
        tree = json.loads(plain)
        if isinstance(tree, dict):
            model = stack.read({**tree, "tie_embeddings": tree.get("tie")})
        else:
            model = stack.read({"layers": tree})
    except (ValueError, zlib.error, RecursionError):
        model = stack.read({})
    if not model["layers"]:
        raise SpecError.of(
            "the link", "a link must carry a design", "this one cannot be read",
            "Copy it again, whole, from the model page.",
        )  # fmt: skip
    return model

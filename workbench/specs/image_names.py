"""Names of weights as files have them, and as today's library has them in its networks.

Files keep the names of the library's earlier versions; tests hold the rules against the library, family by
family. Names that are today's already stay as they are.
"""

from __future__ import annotations

import re

Rules = tuple[tuple[str, str], ...]

_ATTENTION: Rules = (
    (r"\.attention\.(?:attention|self)\.query\b", ".attention.q_proj"),
    (r"\.attention\.(?:attention|self)\.key\b", ".attention.k_proj"),
    (r"\.attention\.(?:attention|self)\.value\b", ".attention.v_proj"),
    (r"\.attention\.output\.dense\b", ".attention.o_proj"),
)
_WIDE: Rules = ((r"\.intermediate\.dense\b", ".mlp.fc1"), (r"(\.\d+)\.output\.dense\b", r"\1.mlp.fc2"))
_PLACES: Rules = (
    (r"\.attention\.(?:attention|self)\.(relative_position_bias_)", r".attention.relative_position_bias.\1"),
    (r"\.attention\.attention\.relative_position_bias\.", ".attention.relative_position_bias."),
)  # fmt: skip
_VIT: Rules = (*_ATTENTION, *_WIDE, *_PLACES, (r"\.encoder\.layer\.(\d+)\.", r".layers.\1."))
_SEGFORMER: Rules = (
    *_ATTENTION,
    (r"\.encoder\.block\.(\d+)\.(\d+)\.", r".stages.\1.blocks.\2."),
    (r"\.encoder\.patch_embeddings\.(\d+)\.", r".stages.\1.patch_embeddings."),
    (r"\.encoder\.layer_norm\.(\d+)\.", r".stages.\1.layer_norm."),
    (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.layer_norm_1\.", ".layernorm_before."),
    (r"\.layer_norm_2\.", ".layernorm_after."),
    (r"\.mlp\.dense([12])\.", r".mlp.fc\1."),
)
RENAMED: dict[str, Rules] = {
    "vit": _VIT,
    "deit": _VIT,
    "vit_msn": _VIT,
    "ijepa": _VIT,
    "beit": _VIT,
    "dinov2": _ATTENTION,
    "dinov2_with_registers": _ATTENTION,
    "swin": (*_ATTENTION, *_WIDE, *_PLACES),
    "segformer": _SEGFORMER,
}


def today(name: str, kind: str) -> str:
    """The name that a weight or module of a file has in today's network."""
    for pattern, to in RENAMED.get(kind, ()):
        name = re.sub(pattern, to, name)
    return name

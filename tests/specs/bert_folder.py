"""A BERT's folder written by hand, as its makers would save it; its weights are zeros."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.specs.base import Tokens
from workbench.specs.errors import LayerError, Problem
from workbench.specs.pretrained import PretrainedText

V, H, F, P = 50, 8, 32, 40  # words, width, feed-forward, places
SHAPE = Tokens(16, V)
CONFIG = {
    "model_type": "bert", "architectures": ["BertModel"], "vocab_size": V, "hidden_size": H,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": F, "max_position_embeddings": P,
    "pad_token_id": 0,
}  # fmt: skip


def tensors(layers: int = 2) -> dict[str, np.ndarray]:
    """A BERT without a head."""
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (V, H),
        "embeddings.position_embeddings.weight": (P, H),
        "embeddings.token_type_embeddings.weight": (2, H),
        "embeddings.LayerNorm.weight": (H,),
        "embeddings.LayerNorm.bias": (H,),
        "pooler.dense.weight": (H, H),
        "pooler.dense.bias": (H,),
    }
    for i in range(layers):
        place = f"encoder.layer.{i}"
        linear = {
            "attention.self.query": (H, H), "attention.self.key": (H, H), "attention.self.value": (H, H),
            "attention.output.dense": (H, H), "intermediate.dense": (F, H), "output.dense": (H, F),
        }  # fmt: skip
        for name, size in linear.items():
            sizes |= {f"{place}.{name}.weight": size, f"{place}.{name}.bias": size[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            sizes |= {f"{place}.{name}.weight": (H,), f"{place}.{name}.bias": (H,)}
    return {name: np.zeros(size, np.float32) for name, size in sizes.items()}


BODY = V * H + P * H + 2 * H + 2 * H + H * H + H + 2 * (4 * (H * H + H) + H * F + F + F * H + H + 4 * H)


def write(folder: Path, config: Any = None, weights: dict[str, np.ndarray] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    save_file(tensors() if weights is None else weights, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text('{"of": "the model"}')
    return folder


def layer(folder: Path | str, **fields: Any) -> PretrainedText:
    return PretrainedText(source=str(folder), **fields)


def refusal(folder: Path | str, shape: Any = SHAPE, **fields: Any) -> Problem:
    with pytest.raises(LayerError) as error:
        layer(folder, **fields).out_shape(shape)
    (problem,) = error.value.problems
    assert problem.rule
    assert problem.fact
    assert problem.repair, problem
    return problem

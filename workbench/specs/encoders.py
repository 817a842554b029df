"""The text encoders of Hugging Face that can be fine-tuned here: how their networks and weights are named.

A classifier is a base (embeddings, encoder layers) and a head. Names follow the library's own
`...ForSequenceClassification`; tests build each family with it and compare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Style = Literal["pooler", "dense", "distil", "context", "modern"]

# style -> the square layer of the head, where there is one, and its last layer
HEADS: dict[Style, tuple[str, str]] = {
    "pooler": ("", "classifier"),
    "dense": ("classifier.dense", "classifier.out_proj"),
    "distil": ("pre_classifier", "classifier"),
    "context": ("pooler.dense", "classifier"),
    "modern": ("head.dense", "classifier"),
}
WORDS = ("embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight")  # the table of all tokens
# No weights: saved by some, but counted or made anew by the library.
TABLES = ("position_ids", "token_type_ids", "inv_freq", "num_batches_tracked", "relative_position_index")
OLD_NAMES = {"gamma": "weight", "beta": "bias"}  # of the two halves of a norm, in older files


class Family(NamedTuple):
    """One `model_type`. base: the attribute that holds the base; style: what stands on it; layers: where its
    encoder layers stand, below the base; targets: where LoRA goes unless said otherwise; pad: the usual
    number of padding; offset: whether places are counted from behind that number; shared: whether all layers
    are one and the same; top: modules of the base behind its layers."""

    base: str
    style: Style
    layers: str = "encoder.layer"
    targets: tuple[str, ...] = ("query", "value")
    pad: int = 0
    offset: bool = False
    shared: bool = False
    top: tuple[str, ...] = ("pooler",)

    def layer_of(self, name: str) -> int | None:
        """The encoder layer that a weight belongs to, by its name below the base; None: to no layer."""
        found = re.match(rf"{re.escape(self.layers)}\.(\d+)\.", name)
        return int(found[1]) if found else None

    def is_top(self, name: str) -> bool:
        """Whether a weight of the base stands behind its layers."""
        return any(name.startswith(f"{module}.") for module in self.top)

    def head(self, hidden: int, labels: int, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the weights on the base. BERT's pooler stands in the base and is none of them."""
        first, last = HEADS[self.style]
        found: dict[str, tuple[int, ...]] = {f"{last}.weight": (labels, hidden), f"{last}.bias": (labels,)}
        if first:
            found[f"{first}.weight"] = (hidden, hidden)
        if first and (self.style != "modern" or config.get("classifier_bias", False)):
            found[f"{first}.bias"] = (hidden,)
        if self.style == "modern":
            found["head.norm.weight"] = (hidden,)
            found |= {"head.norm.bias": (hidden,)} if config.get("norm_bias", False) else {}
        return found


_ROBERTA = Family("roberta", "dense", pad=1, offset=True)

FAMILIES: dict[str, Family] = {
    "bert": Family("bert", "pooler"),
    "ernie": Family("ernie", "pooler"),
    "megatron-bert": Family("bert", "pooler", top=("pooler", "encoder.ln")),
    "rembert": Family("rembert", "pooler"),
    "albert": Family("albert", "pooler", layers="encoder.albert_layer_groups", shared=True),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "xlm-roberta-xl": _ROBERTA._replace(top=("encoder.LayerNorm",)),
    "roberta-prelayernorm": _ROBERTA._replace(base="roberta_prelayernorm", top=("LayerNorm",)),
    "data2vec-text": _ROBERTA._replace(base="data2vec_text"),
    "electra": Family("electra", "dense"),
    "mpnet": Family("mpnet", "dense", targets=("q", "v"), pad=1, offset=True),
    "distilbert": Family("distilbert", "distil", layers="transformer.layer", targets=("q_lin", "v_lin")),
    "deberta": Family("deberta", "context", targets=("in_proj",)),
    "deberta-v2": Family("deberta", "context", targets=("query_proj", "value_proj")),
    "modernbert": Family(
        "model", "modern", layers="layers", targets=("Wqkv",), pad=50283, top=("final_norm",)
    ),
}

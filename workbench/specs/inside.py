"""What can be seen inside a model while it learns, told from its spec alone."""

from __future__ import annotations

from workbench.specs.attention import MultiheadAttention, TransformerDecoderLayer, TransformerEncoderLayer
from workbench.specs.layer import Layer
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import every
from workbench.specs.recurrent import GRU, LSTM, RNN, LSTMDecoder
from workbench.specs.sequence import SequencePool

ATTENDING = (MultiheadAttention, TransformerEncoderLayer, TransformerDecoderLayer, LSTMDecoder)
RECURRENT = (RNN, LSTM, GRU, LSTMDecoder)
READING = ("embedding", "pretrained_text")  # layers that take tokens
PRETRAINED = "pretrained_text"


def attends(model: ModelSpec) -> bool:
    """Whether some layer weighs the steps of a sequence, so that there are attention maps."""
    return any(_attends(layer) for layer in every((*model.layers, *model.decoder)))


def recurs(model: ModelSpec) -> bool:
    """Whether some layer carries a state from step to step."""
    return any(isinstance(layer, RECURRENT) for layer in every((*model.layers, *model.decoder)))


def reads_text(model: ModelSpec) -> bool:
    """Whether the model takes tokens; a pair of texts, where it has a decoder."""
    return any(_kind(layer) in READING for layer in every((*model.layers, *model.decoder)))


def _attends(layer: Layer) -> bool:
    if isinstance(layer, SequencePool):
        return layer.mode == "attention"
    return isinstance(layer, ATTENDING) or _kind(layer) == PRETRAINED


def _kind(layer: Layer) -> str:
    return str(getattr(layer, "kind", ""))

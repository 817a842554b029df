"""What can be seen inside a model while it learns, told from its spec alone."""

from __future__ import annotations

from workbench.specs.attention import MultiheadAttention, TransformerDecoderLayer, TransformerEncoderLayer
from workbench.specs.base import AnyShape
from workbench.specs.errors import LayerError
from workbench.specs.layer import Layer
from workbench.specs.model import ModelSpec
from workbench.specs.nesting import every
from workbench.specs.patches import PatchEmbedding
from workbench.specs.pretrained_image import PretrainedImage
from workbench.specs.recurrent import GRU, LSTM, RNN, LSTMDecoder
from workbench.specs.rows import first_problem
from workbench.specs.sequence import SequencePool

ATTENDING = (MultiheadAttention, TransformerEncoderLayer, TransformerDecoderLayer, LSTMDecoder)
RECURRENT = (RNN, LSTM, GRU, LSTMDecoder)
READING = ("embedding", "pretrained_text")  # layers that take tokens
TABULAR = ("column_embedding", "column_tokens")
WIDE = 840  # columns, divided by all the numbers of groups that are usual
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


def patch_grid(model: ModelSpec, shape: AnyShape) -> tuple[int, int] | None:
    """Rows and columns of the patches that a model cuts images (C, H, W) into; None where it does not, or
    where its layers do not fit."""
    if len(shape) != 3:
        return None
    for layer, row in zip(model.layers, model.rows(shape), strict=True):
        if isinstance(layer, PatchEmbedding):
            return layer.grid(shape) if row.out_shape is not None else None
        if isinstance(layer, PretrainedImage):
            if row.out_shape is None or not _attends(layer):
                return None
            size = layer.checkpoint().patch
            return shape[1] // size, shape[2] // size
        if row.out_shape is None or len(row.out_shape) != 3:
            return None
        shape = row.out_shape
    return None


def reads_table(model: ModelSpec) -> bool:
    """Whether the model takes the columns of a table: a layer embeds them, or the first takes a vector."""
    if model.decoder or not model.layers or reads_text(model):
        return False
    if any(_kind(layer) in TABULAR for layer in every(model.layers)):
        return True
    if any(_kind(layer) == "flatten" for layer in model.layers):  # rows are vectors already
        return False
    return first_problem(model.rows((WIDE,))) is None


def duels(model: ModelSpec) -> bool:
    """Whether the model is two networks that learn against each other on images."""
    return bool(model.decoder) and not reads_text(model)


def _attends(layer: Layer) -> bool:
    if isinstance(layer, SequencePool):
        return layer.mode == "attention"
    if isinstance(layer, PretrainedImage):
        try:
            return layer.checkpoint().family.attends
        except LayerError:  # its folder is gone: there is nothing to be seen
            return False
    return isinstance(layer, ATTENDING) or _kind(layer) == PRETRAINED


def _kind(layer: Layer) -> str:
    return str(getattr(layer, "kind", ""))

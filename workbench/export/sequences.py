"""Layers of sequences as calls of the classes that a script carries."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.specs import attention, columns, patches, recurrent, sequence, series
from workbench.specs.base import Shape, Tokens
from workbench.specs.layer import Layer

Call = tuple[str, list[str]]  # a class, and its arguments as code


def of_sequences(layer: Layer, shape: Shape) -> Call | None:
    """The class and the arguments that differ from its defaults; None for a layer of another kind."""
    if isinstance(layer, sequence.Embedding):
        assert isinstance(shape, Tokens), "checked before"
        more = changed(layer, "scale", "std")
        return "Embedding", [str(shape.vocabulary), str(layer.embedding_dim), *more]
    if isinstance(layer, columns.ColumnEmbedding | columns.ColumnTokens):
        known = columns.need_columns(layer.kind, shape)
        last = layer.widths(shape) if isinstance(layer, columns.ColumnEmbedding) else layer.embedding_dim
        return type(layer).__name__, [str(known.numeric), repr(known.categories), repr(last)]
    if isinstance(layer, sequence.Positions):
        return "Positions", [str(shape[0]), str(shape[1]), *changed(layer, "encoding", "dropout")]
    if isinstance(layer, sequence.ClassToken):
        return "ClassToken", [str(shape[1])]
    if isinstance(layer, sequence.Conv1d):
        given = [str(shape[1]), str(layer.out_channels), f"kernel_size={layer.kernel_size}"]
        return "Conv1d", given + list(
            changed(layer, "stride", "padding", "dilation", "groups", "bias", "causal")
        )
    if isinstance(layer, series.SeriesLinear):
        given = [str(shape[0]), str(shape[1]), str(layer.out_steps)]
        return "SeriesLinear", given + list(changed(layer, "kernel_size", "individual", "normalize", "bias"))
    if isinstance(layer, sequence.SequencePool):
        width = [str(shape[1])] if layer.mode == "attention" else []
        return "SequencePool", [repr(layer.mode), *width]
    if isinstance(layer, recurrent.Recurrent):
        names = ["num_layers", "bias", "bidirectional"]
        names += ["dropout"] if layer.num_layers > 1 else []
        names += ["nonlinearity"] if isinstance(layer, recurrent.RNN) else []
        given = [str(shape[1]), str(layer.hidden_size), *changed(layer, *names), "batch_first=True"]
        return "Recurrent", [f"nn.{type(layer).__name__}({', '.join(given)})"]
    if isinstance(layer, recurrent.LSTMDecoder):
        return "LSTMDecoder", [
            str(shape[1]),
            str(layer.hidden_size),
            str(layer.num_layers),
            str(layer.dropout),
        ]
    if isinstance(layer, patches.PatchEmbedding):
        more = changed(layer, "patch_size", "bias")
        return "PatchEmbedding", [str(shape[0]), str(layer.embed_dim), *more]
    if isinstance(layer, attention.MultiheadAttention):
        more = changed(layer, "dropout", "bias", "causal", "rotary")
        return "SelfAttention", [str(shape[1]), str(layer.num_heads), *more]
    if isinstance(layer, attention.TransformerLayer):
        given = [str(shape[1]), str(layer.nhead), str(layer.dim_feedforward)]
        names = ["dropout", "activation", "norm_first", "bias", "rotary"]
        if isinstance(layer, attention.TransformerDecoderLayer):
            return "TransformerLayer", [*given, *changed(layer, *names), "is_decoder=True"]
        return "TransformerLayer", [*given, *changed(layer, *names, "causal")]
    return None


def changed(layer: Layer, *names: str) -> Iterator[str]:
    """`name=value` of the fields that differ from their defaults."""
    for name in names:
        value = getattr(layer, name)
        if value != type(layer).model_fields[name].default:
            yield f"{name}={value!r}"

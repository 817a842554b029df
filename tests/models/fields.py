"""Random values for the fields of every kind of layer. No torch here."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

# Small numbers on purpose: many stacks, each cheap, most of them just at the edge of what fits.
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "conv2d": {
        "out_channels": st.sampled_from([1, 2, 3, 4, 6, 8]),
        "kernel_size": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 3),
        "dilation": st.integers(1, 3),
        "groups": st.sampled_from([1, 1, 1, 2, 3]),
        "bias": st.booleans(),
    },
    "depthwise_conv2d": {
        "multiplier": st.integers(1, 2),
        "kernel_size": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 3),
        "dilation": st.integers(1, 3),
        "bias": st.booleans(),
    },
    "conv_transpose2d": {
        "out_channels": st.sampled_from([1, 2, 3, 4, 6]),
        "kernel_size": st.integers(1, 4),
        "stride": st.integers(1, 3),
        "padding": st.sampled_from([0, 0, 1, 2]),
        "output_padding": st.sampled_from([0, 0, 0, 1, 2]),
        "dilation": st.integers(1, 2),
        "groups": st.sampled_from([1, 1, 1, 1, 2]),
        "bias": st.booleans(),
    },
    "upsample": {"scale_factor": st.integers(1, 3), "mode": st.sampled_from(["nearest", "bilinear"])},
    "squeeze_excitation": {"reduction": st.integers(1, 4)},
    "max_pool2d": {
        "kernel_size": st.integers(1, 4),
        "stride": st.none() | st.integers(1, 3),
        "padding": st.integers(0, 2),
        "dilation": st.integers(1, 2),
        "ceil_mode": st.booleans(),
    },
    "avg_pool2d": {
        "kernel_size": st.integers(1, 4),
        "stride": st.none() | st.integers(1, 3),
        "padding": st.integers(0, 2),
        "ceil_mode": st.booleans(),
        "count_include_pad": st.booleans(),
    },
    "adaptive_avg_pool2d": {"output_size": st.integers(1, 6)},
    "adaptive_max_pool2d": {"output_size": st.integers(1, 6)},
    "layer_norm2d": {"elementwise_affine": st.booleans()},
    "layer_scale": {"init": st.floats(0.1, 1)},
    "prelu": {"per_channel": st.booleans(), "init": st.floats(-1, 1)},
    "rrelu": {"lower": st.floats(0, 0.3), "upper": st.floats(0.3, 1)},
    "celu": {"alpha": st.floats(0.1, 2)},
    "gelu": {"approximate": st.sampled_from(["none", "tanh"])},
    "hardtanh": {"min_val": st.floats(-3, 0), "max_val": st.floats(0.1, 3)},
    "hardshrink": {"lambd": st.floats(0, 2)},
    "softshrink": {"lambd": st.floats(0, 2)},
    "alpha_dropout": {"p": st.floats(0, 0.9)},
    "batch_norm": {"affine": st.booleans()},
    "layer_norm": {"elementwise_affine": st.booleans()},
    "group_norm": {"num_groups": st.integers(1, 4), "affine": st.booleans()},
    "instance_norm": {"affine": st.booleans()},
    "leaky_relu": {"negative_slope": st.floats(0, 1)},
    "elu": {"alpha": st.floats(0.1, 2)},
    "dropout": {"p": st.floats(0, 0.9)},
    "dropout2d": {"p": st.floats(0, 0.9)},
    "linear": {"out_features": st.integers(1, 12), "bias": st.booleans()},
    "unflatten": {"height": st.sampled_from([1, 1, 2, 3]), "width": st.sampled_from([1, 1, 2])},
}

SHARES = st.sampled_from([0.0, 0.2])
HEADS = st.sampled_from([1, 1, 2, 3])
SEQUENCES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "embedding": {"embedding_dim": st.sampled_from([2, 4, 6, 8]), "scale": st.booleans()},
    "positions": {"encoding": st.sampled_from(["learned", "sinusoidal"]), "dropout": SHARES},
    "conv1d": {
        "out_channels": st.sampled_from([2, 4, 6]),
        "kernel_size": st.integers(1, 4),
        "stride": st.sampled_from([1, 1, 2]),
        "padding": st.integers(0, 2),
        "dilation": st.sampled_from([1, 1, 2]),
        "groups": st.sampled_from([1, 1, 1, 2]),
        "bias": st.booleans(),
        "causal": st.sampled_from([False, False, True]),
    },
    "series_linear": {
        "out_steps": st.integers(1, 6),
        "kernel_size": st.sampled_from([1, 1, 2, 3, 4, 25]),
        "individual": st.booleans(),
        "normalize": st.sampled_from(["none", "last", "mean"]),
        "bias": st.booleans(),
    },
    "patch_embedding": {
        "patch_size": st.integers(1, 4),
        "embed_dim": st.sampled_from([2, 4, 6, 8]),
        "bias": st.booleans(),
    },
    "sequence_pool": {"mode": st.sampled_from(["last", "mean", "max", "attention", "first"])},
    "multihead_attention": {
        "num_heads": HEADS,
        "dropout": SHARES,
        "bias": st.booleans(),
        "causal": st.booleans(),
        "rotary": st.booleans(),
    },
    "lstm_decoder": {
        "hidden_size": st.sampled_from([2, 4]),
        "num_layers": st.integers(1, 2),
        "dropout": SHARES,
    },
}
for _kind in ("rnn", "lstm", "gru"):
    SEQUENCES[_kind] = {
        "hidden_size": st.integers(1, 5),
        "num_layers": st.integers(1, 2),
        "bidirectional": st.booleans(),
        "dropout": SHARES,
        "bias": st.booleans(),
    }
SEQUENCES["rnn"]["nonlinearity"] = st.sampled_from(["tanh", "relu"])
for _kind in ("transformer_encoder_layer", "transformer_decoder_layer"):
    SEQUENCES[_kind] = {
        "nhead": HEADS,
        "dim_feedforward": st.integers(1, 9),
        "dropout": SHARES,
        "activation": st.sampled_from(["relu", "gelu", "silu"]),
        "norm_first": st.booleans(),
        "bias": st.booleans(),
        "rotary": st.booleans(),
    }
SEQUENCES["transformer_encoder_layer"]["causal"] = st.booleans()
FIELDS.update(SEQUENCES)

"""Random layers and stacks of sequences for property tests. No torch here."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.models import stacks
from workbench.specs.base import Shape, Tokens
from workbench.specs.layer import Layer
from workbench.specs.layers import GROUPS, LAYERS
from workbench.specs.model import ModelSpec

KINDS = sorted(stacks.SEQUENTIAL - set(GROUPS))
# What may stand between an embedding and the scores, the rest of the registry's step-by-step layers among it.
BETWEEN = [
    k
    for k in KINDS
    if k
    not in (
        "embedding",
        "image_rows",
        "patch_embedding",
        "lstm_decoder",
        "transformer_decoder_layer",
        "series_linear",
    )
]
BY_STEP = ["linear", "layer_norm", "gelu", "relu", "dropout", "glu", "softmax", "prelu", "layer_scale"]

tokens: st.SearchStrategy[Tokens] = st.builds(Tokens, st.integers(1, 7), st.integers(3, 9))
features: st.SearchStrategy[Shape] = st.tuples(st.integers(1, 7), st.sampled_from([1, 2, 3, 4, 6, 8]))
inputs: st.SearchStrategy[Shape] = features | features | features | tokens | stacks.shapes


def some(*kinds: str) -> st.SearchStrategy[Layer]:
    return st.sampled_from(kinds).flatmap(stacks.layer)


def grouped(inner: st.SearchStrategy[Layer]) -> st.SearchStrategy[Layer]:
    """The layers, some of them within groups."""
    few = st.lists(inner, min_size=1, max_size=2).map(tuple)
    residual = st.builds(LAYERS["residual"], layers=few, activation=st.sampled_from(["none", "gelu"]))
    parallel = st.builds(
        LAYERS["parallel"], branches=st.lists(few, min_size=1, max_size=2).map(tuple),
        join=st.sampled_from(["concat", "concat", "sum"]),
    )  # fmt: skip
    repeat = st.builds(LAYERS["repeat"], layers=few, times=st.integers(1, 2))
    return inner | inner | residual | parallel | repeat


between = grouped(some(*BETWEEN) | some(*BY_STEP))

# Texts as they are read: an embedding, layers along the steps, a pooling, dense layers.
texts = st.builds(
    lambda first, middle, pool, tail: (first, *middle, *pool, *tail),
    stacks.layer("embedding"), st.lists(between, max_size=4), st.lists(some("sequence_pool"), max_size=1),
    st.lists(some("linear", "relu", "layer_norm"), max_size=1),
)  # fmt: skip
# Anything at all: most of it is refused.
wild = st.lists(
    grouped(some(*KINDS) | some(*BY_STEP) | some("flatten", "conv2d")), min_size=1, max_size=5
).map(tuple)


@st.composite
def fitting(draw: st.DrawFn, *, decoder: bool = False, causal: bool = False) -> tuple[Layer, ...]:
    """A stack on tokens whose layers all keep its width of 4 or 8: most work, and many pairs of them."""
    width = draw(st.sampled_from([4, 8]))
    narrow = st.builds(LAYERS["linear"], out_features=st.just(width))
    cells = [
        st.builds(
            LAYERS[kind],
            hidden_size=st.just(width),
            num_layers=st.integers(1, 2),
            bidirectional=st.just(False),
        )
        for kind in ("rnn", "lstm", "gru")
    ]
    attending = st.builds(
        LAYERS["transformer_encoder_layer"],
        nhead=st.sampled_from([1, 2]),
        dim_feedforward=st.just(6),
        norm_first=st.booleans(),
        causal=st.just(causal or decoder),
        rotary=st.booleans(),
    )
    plain = st.one_of(narrow, *cells, attending, some("positions", "layer_norm", "gelu", "dropout"))
    if decoder:
        looking = st.builds(
            LAYERS["transformer_decoder_layer"],
            nhead=st.sampled_from([1, 2]),
            dim_feedforward=st.just(6),
            norm_first=st.booleans(),
            rotary=st.booleans(),
        ) | st.builds(LAYERS["lstm_decoder"], hidden_size=st.just(width), num_layers=st.integers(1, 2))
        plain = looking | looking | plain
    first = LAYERS["embedding"](embedding_dim=width)
    return (first, *draw(st.lists(grouped(plain), max_size=3)))


encoders = texts | fitting() | fitting()
decoders = fitting(decoder=True)


def pooled(layers: tuple[Layer, ...], shape: Tokens, mode: str = "mean") -> ModelSpec:
    """The stack, with a pooling where it ends in a sequence."""
    model = ModelSpec(layers=layers)
    out = model.rows(shape)[-1].out_shape
    end = (LAYERS["sequence_pool"](mode=mode),) if out is not None and len(out) == 2 else ()
    return ModelSpec(layers=(*layers, *end))

"""Attention: every step looks at the others and takes what it needs (Vaswani et al. 2017).

Parameters count as those of torch.nn.MultiheadAttention and the Transformer layers of torch.nn. d_model is
never a field: it is the width of what comes in.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import EVERYTHING, Layer, Sight, need_sequence, refuse, set_to


def heads_fit(name: str, heads: int, width: int, rotary: bool) -> None:
    """Raises LayerError where the heads do not share the width evenly."""
    if width % heads:
        fit = min((d for d in range(1, width + 1) if width % d == 0), key=lambda d: (abs(d - heads), -d))
        raise refuse(
            f"{name} must divide the width (d_model)", f"{heads} heads and a width of {width}",
            f"Set {name} from {heads} to {fit}.", set_to(**{name: fit}),
        )  # fmt: skip
    if rotary and (width // heads) % 2:
        raise refuse(
            "rotary positions turn pairs of numbers: each head needs an even width",
            f"each head has {width // heads}",
            "Turn rotary off, or use another number of heads.",
            set_to(rotary=False),
        )


class MultiheadAttention(Layer):
    """Self-attention alone, without norm and feed-forward (torch.nn.MultiheadAttention)."""

    group: ClassVar[str] = "attention"
    kind: Literal["multihead_attention"] = "multihead_attention"
    num_heads: int = knob(4, "Heads that look for different things; they share the width", ge=1, le=256)
    dropout: float = knob(0.0, "Share of the attention that is zeroed while training", ge=0, lt=1)
    bias: bool = knob(True, "Add learned numbers", advanced=True)
    causal: bool = knob(False, "See earlier steps only, as a language model must")
    rotary: bool = knob(False, "Tell places by turning pairs of numbers (Su et al. 2021)", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        _, width = need_sequence(self.kind, shape)
        heads_fit("num_heads", self.num_heads, width, self.rotary)
        return shape

    def n_params(self, shape: Shape) -> int:
        return attention_params(shape[1], self.bias)

    def mult_adds(self, shape: Shape) -> int:
        return attention_mult_adds(shape, self.bias)

    def activations(self, shape: Shape) -> int:
        return 6 * shape[0] * shape[1]

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return EVERYTHING


class TransformerLayer(Layer):
    """What encoder and decoder layers share."""

    group: ClassVar[str] = "attention"
    nhead: int = knob(4, "Heads that look for different things; they share the width", ge=1, le=256)
    dim_feedforward: int = knob(512, "Numbers inside the feed-forward part", ge=1, le=65_536)
    dropout: float = knob(0.1, "Share of the values that is zeroed while training", ge=0, lt=1)
    activation: Literal["relu", "gelu", "silu"] = knob("relu", "What bends the feed-forward part")
    norm_first: bool = knob(
        False, "Norm before each part (trains more easily) instead of behind it, as at first"
    )
    bias: bool = knob(True, "Add learned numbers", advanced=True)
    rotary: bool = knob(False, "Tell places by turning pairs of numbers (Su et al. 2021)", advanced=True)

    def out_shape(self, shape: Shape) -> Shape:
        kind = str(getattr(self, "kind", ""))
        _, width = need_sequence(kind, shape)
        heads_fit("nhead", self.nhead, width, self.rotary)
        return shape

    def sight(self, before: Sight, shape: Shape) -> Sight:
        return EVERYTHING

    def _feedforward(self, width: int) -> int:
        biases = self.dim_feedforward + width if self.bias else 0
        return 2 * width * self.dim_feedforward + biases

    def _norms(self, width: int, n: int) -> int:
        return n * width * (2 if self.bias else 1)


class TransformerEncoderLayer(TransformerLayer):
    """Self-attention and a feed-forward part, each with a norm and a way around it."""

    kind: Literal["transformer_encoder_layer"] = "transformer_encoder_layer"
    causal: bool = knob(False, "See earlier steps only, as a language model must")

    def n_params(self, shape: Shape) -> int:
        width = shape[1]
        return attention_params(width, self.bias) + self._feedforward(width) + self._norms(width, 2)

    def mult_adds(self, shape: Shape) -> int:
        length, width = shape
        rest = self._feedforward(width) + self._norms(width, 2)
        return attention_mult_adds(shape, self.bias) + length * rest

    def activations(self, shape: Shape) -> int:
        return shape[0] * (12 * shape[1] + 2 * self.dim_feedforward)


class TransformerDecoderLayer(TransformerLayer):
    """Causal self-attention, attention over what the encoder read, and a feed-forward part.

    It never sees the token it must tell: its mask is not a choice.
    """

    needs_memory: ClassVar[bool] = True
    kind: Literal["transformer_decoder_layer"] = "transformer_decoder_layer"

    def memory_width(self, shape: Shape) -> int:
        """Features that the encoder must give."""
        return shape[1]

    def n_params(self, shape: Shape) -> int:
        width = shape[1]
        return 2 * attention_params(width, self.bias) + self._feedforward(width) + self._norms(width, 3)

    def mult_adds(self, shape: Shape) -> int:
        length, width = shape
        rest = self._feedforward(width) + self._norms(width, 3)
        return 2 * attention_mult_adds(shape, self.bias) + length * rest

    def activations(self, shape: Shape) -> int:
        return shape[0] * (20 * shape[1] + 2 * self.dim_feedforward)


def attention_params(width: int, bias: bool) -> int:
    """Three projections in, one out."""
    return 4 * width * width + (4 * width if bias else 0)


def attention_mult_adds(shape: Shape, bias: bool) -> int:
    """The projections of every step, the products of all pairs of steps, and the sums they weigh."""
    length, width = shape
    return length * attention_params(width, bias) + 2 * length * length * width

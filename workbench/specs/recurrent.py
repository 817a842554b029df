"""Recurrent layers: they read step by step and carry a state along."""

from __future__ import annotations

from typing import ClassVar, Literal

from workbench.specs.base import Shape, knob
from workbench.specs.layer import Layer, need_sequence


class Recurrent(Layer):
    """What all of them share. `gates`: matrices per cell."""

    group: ClassVar[str] = "recurrent"
    gates: ClassVar[int] = 1
    hidden_size: int = knob(128, "Numbers of the state, per direction", ge=1, le=8192)
    num_layers: int = knob(1, "Layers on top of each other", ge=1, le=16)
    bidirectional: bool = knob(False, "Read backwards too, with weights of its own; doubles the features")
    dropout: float = knob(
        0.0, "Share of the values between two layers that is zeroed while training", ge=0, lt=1
    )
    bias: bool = knob(True, "Add learned numbers", advanced=True)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def out_shape(self, shape: Shape) -> Shape:
        length, _ = need_sequence(str(getattr(self, "kind", "")), shape)
        return (length, self.hidden_size * self.directions)

    def n_params(self, shape: Shape) -> int:
        total, width = 0, shape[1]
        for _ in range(self.num_layers):
            cell = width + self.hidden_size + (2 if self.bias else 0)
            total += self.directions * self.gates * self.hidden_size * cell
            width = self.hidden_size * self.directions
        return total

    def mult_adds(self, shape: Shape) -> int:
        return self.n_params(shape) * shape[0]

    def activations(self, shape: Shape) -> int:
        """Gates and states of every step."""
        per_step = (self.gates + 2) * self.hidden_size * self.directions * self.num_layers
        return shape[0] * per_step


class RNN(Recurrent):
    """The plain recurrent layer (torch.nn.RNN, Elman 1990)."""

    kind: Literal["rnn"] = "rnn"
    nonlinearity: Literal["tanh", "relu"] = knob("tanh", "What bends the state", advanced=True)


class LSTM(Recurrent):
    """Long short-term memory (torch.nn.LSTM, Hochreiter & Schmidhuber 1997)."""

    gates: ClassVar[int] = 4
    kind: Literal["lstm"] = "lstm"


class GRU(Recurrent):
    """Gated recurrent unit (torch.nn.GRU, Cho et al. 2014)."""

    gates: ClassVar[int] = 3
    kind: Literal["gru"] = "gru"


class LSTMDecoder(Layer):
    """An LSTM that writes while it looks at what the encoder read (Luong et al. 2015, dot attention).

    Its first state is the mean of the encoder's output, which must be as wide as its own state.
    """

    group: ClassVar[str] = "recurrent"
    needs_memory: ClassVar[bool] = True
    kind: Literal["lstm_decoder"] = "lstm_decoder"
    hidden_size: int = knob(256, "Numbers of the state; as many as the encoder's features", ge=1, le=8192)
    num_layers: int = knob(1, "Layers on top of each other", ge=1, le=16)
    dropout: float = knob(0.0, "Share of the values that is zeroed while training", ge=0, lt=1)

    def memory_width(self, shape: Shape) -> int:
        """Features that the encoder must give."""
        return self.hidden_size

    def out_shape(self, shape: Shape) -> Shape:
        length, _ = need_sequence(self.kind, shape)
        return (length, self.hidden_size)

    def n_params(self, shape: Shape) -> int:
        lstm = LSTM(hidden_size=self.hidden_size, num_layers=self.num_layers).n_params(shape)
        return lstm + 2 * self.hidden_size * self.hidden_size + self.hidden_size

    def mult_adds(self, shape: Shape) -> int:
        """Of a source as long as the text."""
        length = shape[0]
        return length * self.n_params(shape) + 2 * length * length * self.hidden_size

    def activations(self, shape: Shape) -> int:
        return shape[0] * self.hidden_size * (6 * self.num_layers + 4)

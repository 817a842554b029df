"""A running average of the weights: smoother than the weights themselves, and often better.

Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; exponential as in Tarvainen and
Valpola 2017, https://arxiv.org/abs/1703.01780.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.engine.flat import Flat


class Average:
    """vector (n,), laid out like the weights, on their device.

    Averages trainable weights alone: buffers, such as batch norm's running mean, are averages already
    and stay the model's own.
    """

    def __init__(self, flat: Flat, decay: float) -> None:
        self._flat = flat
        self.decay = decay
        self.vector = flat.weights.detach().clone()

    def follow(self, step: int) -> None:
        """After update number `step` (from 1): vector = d * vector + (1 - d) * weights. Waits for nothing.

        d = min(decay, (1 + step) / (10 + step)), so that a young run is not an average of its random start.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        self.vector.lerp_(self._flat.weights.detach(), 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model holds the average inside; its own weights are back afterwards, bit for bit."""
        weights = self._flat.weights.detach()
        own = weights.clone()
        weights.copy_(self.vector)
        try:
            yield
        finally:
            weights.copy_(own)

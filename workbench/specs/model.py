"""A model as a stack of layers, or two of them, and what can be said of it without building it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from workbench.specs.base import AnyShape, Duel, Pair, Picture, Shape, Spec, Tokens, Window, knob
from workbench.specs.doubts import Loss, blind_decoder, doubts, inner_doubts, output_problem
from workbench.specs.duels import duel_problems, missing_stack
from workbench.specs.errors import Problem, SpecError
from workbench.specs.forecasts import forecast_problem
from workbench.specs.layer import Layer
from workbench.specs.layers import MAX_LAYERS, AnyLayer
from workbench.specs.nesting import built, depth, every
from workbench.specs.picture_output import picture_problem
from workbench.specs.rows import Row, first_problem, trace, walk
from workbench.specs.starts import start
from workbench.specs.two_stacks import fixes_length, joined, tied, tied_problem

MAX_DEPTH = 4  # groups within groups
MAX_BUILT = 2_000  # layers that torch builds, repeats counted as often as they run
SHORTEST = 64  # tokens; a text that no layer takes at this length is padded to the longest


class ModelSpec(Spec):
    """A feed-forward stack whose last layer gives the scores; a translator has a second one, its decoder."""

    family: Literal[
        "mlp", "cnn", "rnn", "encoder", "seq2seq", "gpt", "vit", "pretrained", "unet", "autoencoder", "gan"
    ] = knob(
        "cnn",
        "What kind of network it is, mlp dense, cnn convolutions, rnn recurrent, encoder, seq2seq "
        "(encoder and decoder) and gpt Transformers, vit a Transformer on images, pretrained, unet, "
        "autoencoder, gan (generator and discriminator)",
    )
    layers: tuple[AnyLayer, ...] = knob((), "The layers, first to last", max_length=MAX_LAYERS)
    decoder: tuple[AnyLayer, ...] = knob(
        (),
        "The second stack: of a translator, it writes what the first one read; of a gan, the discriminator",
        max_length=MAX_LAYERS,
    )
    tie_embeddings: bool = knob(
        False,
        "The last linear layer shares the embedding's weights (the decoder's where there are two): fewer "
        "parameters, often better",
    )

    @model_validator(mode="after")
    def _bounded(self) -> ModelSpec:
        both = (*self.layers, *self.decoder)
        if max(depth(self.layers), depth(self.decoder)) > MAX_DEPTH:
            raise ValueError(f"groups may stand {MAX_DEPTH} deep; take the innermost group apart")
        if sum(1 for _ in every(both)) > MAX_LAYERS:
            raise ValueError(f"a model has at most {MAX_LAYERS} layers; remove some, or use a repeat")
        if built(both) > MAX_BUILT:
            raise ValueError(
                f"all repetitions together build at most {MAX_BUILT:,} layers; repeat less often"
            )
        return self

    @property
    def numbered(self) -> tuple[Layer, ...]:
        """All layers in the order in which `training.freeze` counts them from 0: that of the layer table, the
        decoder's behind the encoder's."""
        return (*self.layers, *self.decoder)

    def rows(self, shape: AnyShape) -> list[Row]:
        """The layer table for an input of `shape`: (C, H, W), the tokens of a text, or a pair of texts; blank
        from the first fault on.

        One row per layer; what stands in groups is in `Row.children` (`rows.walk`). Of a pair, the encoder's
        rows come first; those of the decoder have paths that begin with "decoder".
        """
        if isinstance(shape, Duel):
            second = trace(self.decoder, shape.image, ("decoder",))
            return [*joined(self.layers, None, shape.noise), *second]
        if isinstance(shape, Pair):
            encoder = joined(self.layers, None, shape.source)
            return tied(self, [*encoder, *joined(self.decoder, encoder, shape)], shape)
        return tied(self, joined(self.layers, None, shape), shape)

    def out_shape(self, shape: AnyShape) -> Shape:
        """Shape after the last layer; of a gan, of what is made. Raises SpecError at the first at fault."""
        rows = self.rows(shape)
        problem = first_problem(rows)
        if problem:
            raise SpecError(problem)
        if isinstance(shape, Duel):
            return rows[len(self.layers) - 1].out_shape or shape.image
        end = shape.target if isinstance(shape, Pair) else shape
        return (rows[-1].out_shape if rows else None) or end

    def n_params(self, shape: AnyShape) -> int:
        """Trainable numbers of the whole model; weights that are shared count once."""
        return sum(row.parameters for row in self.rows(shape))

    def problems(
        self, shape: AnyShape, n_classes: int, loss: Loss = "cross_entropy", *, per_token: bool = False
    ) -> list[Problem]:
        """All that is wrong or doubtful, for inputs of `shape` and `n_classes` columns of scores: of a window
        of a series, the numbers that are told.

        per_token: whether every token has scores, as in a language model; a pair's always have. Each problem
        says where, and carries its repair as data where there is one obvious way. Only the fault nearest to
        the input is told: those behind it often go with it.
        """
        per_token = per_token or isinstance(shape, Pair)
        loss = "forecast" if isinstance(shape, Window) else loss
        missing = self._missing(shape, n_classes, per_token)
        if missing:
            return [missing]
        if isinstance(shape, Duel):
            return duel_problems(self.layers, self.decoder, self.rows(shape), shape)
        rows = self.rows(shape)
        last: tuple[Layer, ...] = self.decoder if isinstance(shape, Pair) else self.layers
        prefix = ("decoder",) if isinstance(shape, Pair) else ()
        fault = first_problem(rows) or tied_problem(self, shape)
        own = rows[-len(last) :]
        if isinstance(shape, Window):
            fault = fault or forecast_problem(last, own, shape, n_classes)
        if isinstance(shape, Picture):
            what = "a score per class" if shape.scored else "the image as it came"
            fault = fault or picture_problem(last, own, shape.gives, what, is_image=not shape.scored)
        else:
            fault = fault or output_problem(last, own, shape, n_classes, per_token=per_token, prefix=prefix)
        if loss == "cross_entropy" and n_classes == 2 and own[-1].out_shape == (1,):
            loss = "bce_with_logits"  # one score says how sure it is of the second class
        told = doubts(last, own, shape, loss, prefix=prefix, causal=per_token)
        if isinstance(shape, Pair):
            told += inner_doubts(self.layers) + blind_decoder(self.decoder, own)
        return ([fault] if fault else []) + told

    def _missing(self, shape: AnyShape, n_classes: int, per_token: bool) -> Problem | None:
        if isinstance(shape, Duel):
            return missing_stack(self.layers, self.decoder, shape)
        if self.decoder and not isinstance(shape, Pair):
            return Problem(
                where="model.decoder", rule="a decoder needs pairs of texts",
                fact="the data has single samples", repair="Remove the decoder, or choose a set of pairs.",
            )  # fmt: skip
        if self.layers and (self.decoder or not isinstance(shape, Pair)):
            return None
        empty = "model.decoder" if self.layers else "model.layers"
        what = "the stack is empty" if not isinstance(shape, Pair) else (
            "the decoder is empty" if self.layers else
            "the encoder is empty" if self.decoder else "both stacks are empty"
        )  # fmt: skip
        return Problem(
            where=empty,
            rule="a model needs at least one layer" + (" in each stack" if isinstance(shape, Pair) else ""),
            fact=what,
            repair="Add a layer or start from a preset.",
            fix=start(shape, n_classes, per_token, bool(self.layers), bool(self.decoder)),
        )

    def least_length(self, shape: AnyShape) -> int:
        """Tokens to which every text is padded at least, so that no window is wider than its text; the whole
        length where the stack takes no other. 1 for all but tokens."""
        if not isinstance(shape, Tokens | Pair):
            return 1
        longest = max(shape.source.length, shape.target.length) if isinstance(shape, Pair) else shape.length
        if not self.any_length(shape):
            return longest
        for length in range(1, min(SHORTEST, longest) + 1):
            if not first_problem(self.rows(_cut(shape, length))):
                return length
        return longest

    def any_length(self, shape: AnyShape) -> bool:
        """Whether texts of every length give scores of the same shape; flatten on a sequence ends that."""
        if isinstance(shape, Pair):
            stacks = ((self.layers, shape.source), (self.decoder, shape.target))
            return not any(fixes_length(layers, tokens) for layers, tokens in stacks)
        return not isinstance(shape, Tokens) or not fixes_length(self.layers, shape)


def _cut(shape: Tokens | Pair, length: int) -> AnyShape:
    """The shape of shorter texts."""
    if isinstance(shape, Pair):
        return Pair(*(part._replace(length=min(length, part.length)) for part in shape))
    return shape._replace(length=length)


def activation_numbers(model: ModelSpec, shape: AnyShape) -> int:
    """Numbers that one sample's activations hold over all layers: a floor for training memory."""
    size = sum(part.length for part in shape) if isinstance(shape, Pair) else math.prod(shape)
    size = shape.length if isinstance(shape, Tokens) else size
    return size + sum(row.activations for row in model.rows(shape))


__all__ = ["MAX_BUILT", "MAX_DEPTH", "ModelSpec", "Row", "activation_numbers", "walk"]

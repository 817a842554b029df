"""Two stacks that learn against each other: the first makes images of noise, the second tells them from true
ones. What each must give, and what is amiss."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.specs.base import Duel
from workbench.specs.doubts import doubts, inner_doubts, output_problem
from workbench.specs.errors import Problem
from workbench.specs.layer import Layer
from workbench.specs.picture_output import picture_problem
from workbench.specs.rows import Row, first_problem
from workbench.specs.starts import start


def duel_problems(
    generator: Sequence[Layer], discriminator: Sequence[Layer], rows: Sequence[Row], shape: Duel
) -> list[Problem]:
    """The fault nearest to the input, and every doubt. rows: of both stacks, the generator's first."""
    making, telling = rows[: len(generator)], rows[len(generator) :]
    fault = first_problem(rows)
    fault = fault or picture_problem(
        generator, making, shape.image, "the images that are made", is_image=True
    )
    fault = fault or _score_problem(discriminator, telling, shape)
    told = doubts(discriminator, telling, shape.image, "bce_with_logits", prefix=("decoder",))
    return ([fault] if fault else []) + told + inner_doubts(generator)


def missing_stack(generator: Sequence[Layer], discriminator: Sequence[Layer], shape: Duel) -> Problem | None:
    """Which of the two is empty; None where both have layers."""
    if generator and discriminator:
        return None
    empty = "model.decoder" if generator else "model.layers"
    what = "the discriminator is" if generator else (
        "the generator is" if discriminator else "generator and discriminator are"
    )  # fmt: skip
    return Problem(
        where=empty,
        rule="generation needs a generator (layers) and a discriminator (decoder)",
        fact=f"{what} empty",
        repair="Add layers, or start from the preset dcgan.",
        fix=start(shape, 1, False, bool(generator), bool(discriminator)),
    )


def _score_problem(layers: Sequence[Layer], rows: Sequence[Row], shape: Duel) -> Problem | None:
    found = output_problem(layers, rows, shape.image, 1)
    if found is None:
        return None
    fix = found.fix
    if fix is not None:
        edits = tuple(edit.model_copy(update={"path": ("decoder", *edit.path)}) for edit in fix.edits)
        fix = fix.model_copy(update={"edits": edits})
    return found.model_copy(
        update={
            "where": found.where.replace("layer ", "layer decoder.", 1),
            "rule": "the last layer must give one score, high for true images", "fix": fix,
        }
    )  # fmt: skip

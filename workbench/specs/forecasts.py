"""What a model of a series must give at its end, and a stack to begin with; each fault with its repair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.specs.base import Shape, Window
from workbench.specs.doubts import appended, changes_size, kind_of
from workbench.specs.errors import Edit, Fix, Problem
from workbench.specs.layer import Layer, set_to, show
from workbench.specs.layers import LAYERS
from workbench.specs.rows import Row, placed, where
from workbench.specs.series import WindowNormGroup

Raw = dict[str, Any]
POOLING = ("recurrent", "attention")  # headings of the layers behind which a sequence is pooled


def forecast_problem(layers: Sequence[Layer], rows: Sequence[Row], shape: Window, n: int) -> Problem | None:
    """One vector of n numbers: steps ahead, times what is told of each, times variates. rows: of a stack that
    works."""
    out = rows[-1].out_shape
    assert out is not None
    if out == (n,):
        return None
    last = len(layers) - 1
    within = layers[last]
    if isinstance(within, WindowNormGroup) and rows[last].children:  # what tells is in it, on its own scale
        found = forecast_problem(within.layers, rows[last].children, shape, n)
        if found is not None and found.fix is not None:
            place = (last, "layers")
            return found.model_copy(
                update={"where": where((last,), within.kind), "fix": placed(found.fix, place)}
            )
    fix = _repair(layers, rows, out, shape, n)
    return Problem(
        where=where((last,), kind_of(layers[last])),
        rule=f"the last layer must give {n:,} numbers: every step ahead of every variate that is told",
        fact=f"it gives {show(tuple(out))}",
        repair=f"{fix.label}.",
        fix=fix,
    )


def _repair(layers: Sequence[Layer], rows: Sequence[Row], out: Shape, shape: Window, n: int) -> Fix:
    ahead, rest = divmod(n, shape.variates)
    kinds = [kind_of(layer) for layer in layers]
    straight = max((i for i, kind in enumerate(kinds) if kind == "series_linear"), default=None)
    if straight is not None and not rest and kinds[straight + 1 :] in ([], ["flatten"]):
        width = rows[straight].out_shape
        if width is not None and width[1] == shape.variates:
            edits = placed(set_to(out_steps=ahead), (straight,)).edits if width[0] != ahead else ()
            if kinds[straight + 1 :]:
                return Fix(label=f"Set out_steps of series_linear to {ahead:,}", edits=edits)
            flat = Edit(action="insert", path=(straight + 1,), layer={"kind": "flatten"})
            label = "Add flatten" if not edits else f"Set out_steps to {ahead:,} and add flatten"
            return Fix(label=label, edits=(*edits, flat))
    linear = max((i for i, kind in enumerate(kinds) if kind == "linear"), default=None)
    head: Raw = {"kind": "linear", "out_features": n}
    is_head = len(out) == 1 and linear is not None and rows[linear].out_shape == out
    if is_head and linear is not None and not any(map(changes_size, layers[linear + 1 :])):
        fix = placed(set_to(out_features=n), (linear,))
        return fix.model_copy(update={"label": f"Set out_features of the last linear layer to {n:,}"})
    if len(out) == 2:
        groups = {LAYERS[kind].group for kind in kinds}
        first: Raw = (
            {"kind": "sequence_pool", "mode": "last"} if groups & set(POOLING) else {"kind": "flatten"}
        )
        return appended(layers, f"{first['kind']} and linear ({n:,})", first, head)
    if len(out) != 1:
        return appended(layers, f"flatten and linear ({n:,})", {"kind": "flatten"}, head)
    return appended(layers, f"linear ({n:,})", head)


def forecaster(shape: Window, n: int) -> list[Raw]:
    """The linear stack that is hard to beat; a flat one where not all variates are told."""
    ahead, rest = divmod(n, shape.variates)
    if rest:
        return [{"kind": "flatten"}, {"kind": "linear", "out_features": n}]
    return [{"kind": "series_linear", "out_steps": ahead}, {"kind": "flatten"}]

"""The base of every spec: frozen, strict about names, and rich in what a form needs.

A field's bounds, unit and help live in the field itself (`knob`), so that the form, the command
line's messages and the documentation cannot part.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.specs.errors import Problem

# Without the batch axis: (C, H, W) for images, (D,) for vectors, (L, D) for sequences; or one of those below.
Shape = tuple[int, ...]


class Tokens(NamedTuple):
    """The shape of a text as numbers of tokens: at most `length` of them, each below `vocabulary`."""

    length: int
    vocabulary: int


class Pair(NamedTuple):
    """The shape of a text and its translation."""

    source: Tokens
    target: Tokens


class Columns(tuple[int, ...]):
    """The shape (F,) of a row of a table that also tells what its entries are: `numeric` numbers, and behind
    them codes of categories, those of column k below categories[k]. Without categories it equals (F,)."""

    numeric: int
    categories: tuple[int, ...]

    def __new__(cls, numeric: int, categories: Iterable[int] = ()) -> Self:
        known = tuple(categories)
        self = super().__new__(cls, (numeric + len(known),))
        self.numeric, self.categories = numeric, known
        return self

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:  # type: ignore[override]
        return self.numeric, self.categories

    def __eq__(self, other: object) -> bool:
        known = getattr(other, "categories", ())
        return super().__eq__(other) and known == self.categories

    def __ne__(self, other: object) -> bool:  # tuple has one of its own
        return not self == other

    def __hash__(self) -> int:
        return hash((*self, *self.categories))

    def __repr__(self) -> str:
        return f"Columns(numeric={self.numeric}, categories={self.categories})"


class Window(tuple[int, ...]):
    """The shape (L, V) of a stretch of a series: `length` steps of `variates` numbers each. told: places of
    the variates that are forecast, all of them where nothing else is said."""

    told: tuple[int, ...]

    def __new__(cls, length: int, variates: int, told: Iterable[int] | None = None) -> Self:
        made = super().__new__(cls, (length, variates))
        made.told = tuple(range(variates) if told is None else (int(place) for place in told))
        return made

    def __getnewargs__(self) -> tuple[int, int, tuple[int, ...]]:  # type: ignore[override]
        return self.length, self.variates, self.told

    @property
    def length(self) -> int:
        return self[0]

    @property
    def variates(self) -> int:
        return self[1]


class Picture(tuple[int, ...]):
    """The shape (C, H, W) of an image to which an image is the answer: `gives` (K, H', W') must come out.

    scored: whether its channels are scores of classes, pixel by pixel; otherwise they are pixels themselves.
    """

    gives: Shape
    scored: bool

    def __new__(cls, shape: Shape, gives: Shape, scored: bool = False) -> Self:
        made = super().__new__(cls, shape)
        made.gives, made.scored = tuple(gives), scored
        return made

    def __getnewargs__(self) -> tuple[Shape, Shape, bool]:  # type: ignore[override]
        return tuple(self), self.gives, self.scored


class Duel(tuple[int, ...]):
    """The shape (C, H, W) of images, of which one network tells the true ones from those that another one
    makes of `noise` (D,)."""

    noise: Shape

    def __new__(cls, image: Shape, noise: Shape) -> Self:
        made = super().__new__(cls, image)
        made.noise = tuple(noise)
        return made

    def __getnewargs__(self) -> tuple[Shape, Shape]:  # type: ignore[override]
        return tuple(self), self.noise

    @property
    def image(self) -> Shape:
        """(C, H, W) alone."""
        return tuple(self)


AnyShape = Shape | Pair  # what comes into a model


class Spec(BaseModel):
    """A frozen choice of the user. Unknown names are refused, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


def knob(default: Any, help: str, *, unit: str = "", advanced: bool = False, **bounds: Any) -> Any:
    """A field with its help text, unit and bounds (`ge=`, `le=`, `gt=`, `lt=`) in one place.

    `advanced` fields are folded away in forms until asked for.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced}
    if isinstance(default, list | dict):
        return Field(
            default_factory=lambda: type(default)(default),
            description=help,
            json_schema_extra=extra,
            **bounds,
        )
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean `x`?` for a near miss, else the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(names)}."


def problems_of(error: ValidationError, tree: Any = None) -> tuple[Problem, ...]:
    """A pydantic error as located problems (where, rule, fact, repair), all at once.

    tree: the plain data that was validated, to tell names the user wrote from pydantic's own.
    """
    found = []
    for item in error.errors(include_url=False):
        where = _place(item["loc"], tree) or "spec"
        value = item.get("input")
        kind = item["type"]
        if kind == "extra_forbidden":
            rule, fact = "only known names may appear", f"`{item['loc'][-1]}` is not one"
            repair = "Remove it or correct its name."
        elif kind == "missing":
            rule, fact, repair = "this field must be given", "it is missing", "Add it."
        elif kind.startswith("union_tag"):
            rule = "the kind must be a known one"
            fact = f"it is {short(value)}"
            expected = str(item.get("ctx", {}).get("expected_tags", "")).replace("'", "")
            tag = str(item.get("ctx", {}).get("tag", ""))
            repair = did_you_mean(tag, [t.strip() for t in expected.split(",")]) if tag else "Add `kind`."
        elif kind == "value_error":  # our own validators write "rule; repair"
            rule, _, repair = str(item["ctx"]["error"]).partition("; ")
            fact, repair = "it does not hold here", repair[:1].upper() + repair[1:] + "."
        else:
            rule = item["msg"][0].lower() + item["msg"][1:]
            fact, repair = f"it is {short(value)}", "Change the value."
        found.append(Problem(where=where, rule=rule, fact=fact, repair=repair))
    return tuple(found)


def _place(path: tuple[int | str, ...], tree: Any) -> str:
    """`model.layers[0].out_channels`, without the kinds that pydantic adds for tagged unions."""
    text, node = "", tree
    for part in path:
        if isinstance(node, dict) and part not in node and node.get("kind") == part:
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
        inside = isinstance(node, dict) and part in node
        inside = inside or (isinstance(node, list) and isinstance(part, int) and part < len(node))
        node = node[part] if inside else None
    return text.strip(".")


def short(value: Any) -> str:
    """A value as a message shows it, in at most 60 characters; a YAML bomb is not unfolded for that."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python refuses to write out whole numbers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 3, 60, 60, 60

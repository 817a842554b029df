"""The exception tree. Bad input is always one of these; `assert` is for what cannot happen.

WorkbenchError
├── SpecError        a spec that cannot work: what to do is wrong
│   └── LayerError   located at one layer of the stack
├── DataError        a data set or a file that cannot be used
├── RunError         a run that does not exist or cannot do what was asked
├── StoreError       the database or the artifact root cannot serve
└── ProbeError       a probe asked of a model it does not fit
"""

from __future__ import annotations

import unicodedata
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

Path = tuple[int | str, ...]  # a layer's place: (3, "layers", 1) is `model.layers[3].layers[1]`


class Edit(BaseModel):
    """One change of a stack of layers. Paths lead to where the layer stands before the edit."""

    model_config = ConfigDict(frozen=True)

    action: Literal["insert", "set", "remove", "move"]
    path: Path  # insert: the place that the new layer takes
    layer: dict[str, Any] | None = None  # insert: the layer as plain data
    fields: dict[str, Any] | None = None  # set: the fields that change
    to: int | None = None  # move: its place in the same list, counted without it


class Fix(BaseModel):
    """A repair that a program can apply: what a button says, and the edits, one after the other."""

    model_config = ConfigDict(frozen=True)

    label: str
    edits: tuple[Edit, ...]


class Problem(BaseModel):
    """One thing that is wrong: where, which rule, the fact that breaks it, and the repair."""

    model_config = ConfigDict(frozen=True)

    where: str  # "model.layers[3] (linear)", "training.batch_size", "images.zip"
    rule: str
    fact: str
    repair: str = ""
    severity: Literal["error", "warning"] = "error"
    fix: Fix | None = None  # the same repair as data, where there is one obvious way

    def sentence(self) -> str:
        """The four parts on one line, as the command line and the error boxes print them."""
        text = f"{self.where}: {self.rule}, but {self.fact}."
        return one_line(f"{text} {self.repair}" if self.repair else text)


def one_line(text: str) -> str:
    """The same on one line that no terminal obeys: breaks become spaces, control characters U+FFFD."""
    if text.isprintable():
        return text
    kinds = ((c, unicodedata.category(c)) for c in text)
    return "".join(" " if c.isspace() else "\ufffd" if kind in ("Cc", "Cs") else c for c, kind in kinds)


class WorkbenchError(Exception):
    """Anything the user can understand and mend. Carries one or more problems."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(p.sentence() for p in problems))

    @classmethod
    def of(cls, where: str, rule: str, fact: str, repair: str = "") -> Self:
        """An error with a single problem: `raise DataError.of("x.zip", "…must…", "it …", "Do …")`."""
        return cls(Problem(where=where, rule=rule, fact=fact, repair=repair))


class SpecError(WorkbenchError):
    """A spec that cannot work."""


class LayerError(SpecError):
    """A layer that cannot take the shape it gets."""


class DataError(WorkbenchError):
    """A data set or file that cannot be used."""


class RunError(WorkbenchError):
    """A run that does not exist, or cannot do what was asked of it."""


class StoreError(WorkbenchError):
    """The database or the artifact root cannot serve."""


class ProbeError(WorkbenchError):
    """A probe asked of a model that it does not fit."""

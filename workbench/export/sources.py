"""The classes that the workbench trains, as text, for scripts that carry them.

They are read and never imported, since they need torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

FILES = (
    "blocks.py",
    "duel.py",
    "columns.py",
    "patches.py",
    "sequence.py",
    "series.py",
    "attention.py",
)  # of workbench/models, each using those before it
IMPORTS = {  # name -> the line that brings it, beside torch and nn
    "math": "import math",
    "dataclass": "from dataclasses import dataclass",
    "replace": "from dataclasses import replace",
    "F": "from torch.nn import functional as F",
}


class Definition(NamedTuple):
    """A class or function as it stands in its file, and the names that it uses."""

    text: str
    uses: frozenset[str]


@cache
def definitions() -> dict[str, Definition]:
    """Every class and function of the blocks, by name, in an order in which a script may define them."""
    found: dict[str, Definition] = {}
    for name in FILES:
        text = (files("workbench.models") / name).read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
                source = "\n".join(lines[first - 1 : node.end_lineno])
                found[node.name] = Definition(source, names_in(node))
    return found


def names_in(tree: ast.AST) -> frozenset[str]:
    """Names that stand by themselves: of `nn.Conv1d` it is `nn`."""
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def carried(code: str) -> tuple[list[str], str]:
    """What a script needs before `code`: lines of imports, and the definitions, those that they use too."""
    known, wanted = definitions(), set(names_in(ast.parse(code)))
    while True:
        more = {name for one in wanted & set(known) for name in known[one].uses} - wanted
        if not more & (set(known) | set(IMPORTS)):
            break
        wanted |= more
    texts = [known[name].text for name in known if name in wanted]
    used: Iterable[str] = (name for text in texts for name in names_in(ast.parse(text)))
    needed = set(used) & set(IMPORTS)
    before = [IMPORTS["math"]] if "math" in needed else []
    both = sorted({"dataclass", "replace"} & needed)
    before += [f"from dataclasses import {', '.join(both)}"] if both else []
    after = [IMPORTS["F"]] if "F" in needed else []
    lines = [*before, ""] if before else []
    return [*lines, "import torch", "from torch import nn", *after], "".join(
        f"\n{text}\n\n" for text in texts
    )

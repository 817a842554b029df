"""A run: all that is needed to do it again. YAML and JSON in and out, versioned from the first day."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from workbench.specs.base import Spec, did_you_mean, knob, problems_of, short
from workbench.specs.data import DataSpec
from workbench.specs.errors import SpecError, one_line
from workbench.specs.model import ModelSpec
from workbench.specs.tasks import AnyTask, ClassificationTask
from workbench.specs.training import TrainingSpec, WatchSpec

VERSION = 1

# MIGRATIONS[n] turns a spec of version n into one of version n + 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

RunName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
MOST_CHARACTERS = 500_000  # 256 layers with every field written out are a sixth of it
# What PyYAML lets through besides its own errors for values such as 2020-13-45 and `!!bool x`.
ODD_VALUES = (ValueError, KeyError, AttributeError, TypeError, OverflowError)


class RunSpec(Spec):
    """What to do: data, model, task, training, and what to watch."""

    version: Literal[1] = 1
    name: RunName = knob("run", "Shown in lists; any text")
    seed: int = knob(
        0, "Seed of weights, order and dropout: the same seed gives the same run", ge=0, le=2**31 - 1
    )
    data: DataSpec = Field(default_factory=DataSpec)
    model: ModelSpec = Field(default_factory=ModelSpec)
    task: AnyTask = Field(default_factory=ClassificationTask)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    watch: WatchSpec = Field(default_factory=WatchSpec)

    def to_json(self) -> str:
        return self.model_dump_json()

    def to_yaml(self) -> str:
        """A YAML text that `parse` reads back to an equal spec."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def with_changes(self, *changes: str) -> RunSpec:
        """A copy with `a.b=value` applied, values read as YAML. Raises SpecError."""
        tree = self.model_dump(mode="json")
        for change in changes:
            _apply(tree, change)
        return from_dict(tree)


def parse(text: str, where: str = "spec") -> RunSpec:
    """A RunSpec from YAML or JSON text. Raises SpecError with every problem at once."""
    if len(text) > MOST_CHARACTERS:
        raise SpecError.of(
            where, f"a spec has at most {MOST_CHARACTERS:,} characters", f"this one has {len(text):,}",
            "Shorten it.",
        )  # fmt: skip
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        spot = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        fact = str(getattr(error, "problem", "") or "it cannot be read").removeprefix("but ")
        raise SpecError.of(spot, "a spec must be valid YAML or JSON", fact, "Mend the text there.") from None
    except RecursionError:
        raise SpecError.of(where, "a spec must not nest deeply", "it nests too deeply") from None
    except ODD_VALUES as error:
        rule, fact = "a spec must be valid YAML or JSON", str(error) or type(error).__name__
        raise SpecError.of(where, rule, fact, "Put quotes around the value, or correct it.") from None
    if not isinstance(tree, dict):
        raise SpecError.of(
            where,
            "a spec must be a mapping with the keys name, seed, data, model, task, training, watch",
            f"it is a {type(tree).__name__}",
            "Start from `workbench presets cnn-mnist`.",
        )
    return from_dict(tree)


def from_dict(tree: dict[str, Any]) -> RunSpec:
    """A RunSpec from plain data, migrated from older versions. Raises SpecError."""
    try:
        return RunSpec.model_validate(migrate(tree))
    except ValidationError as error:
        raise SpecError(*problems_of(error, tree)) from None


def migrate(tree: dict[str, Any]) -> dict[str, Any]:
    """The same spec in today's version. Raises SpecError for a version this program does not know."""
    version = tree.get("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        raise SpecError.of(
            "version",
            f"this program reads specs of version 1 to {VERSION}",
            f"this one says {short(version)}",
            "Open it with a newer workbench, or correct the number.",
        )
    while version < VERSION:
        tree = MIGRATIONS[version](tree)
        version += 1
    return {**tree, "version": VERSION}


def _apply(tree: dict[str, Any], change: str) -> None:
    path, sign, text = change.partition("=")
    if not sign or not path:
        raise SpecError.of(
            f"--set {change}", "a change must read path=value", "there is no `=`", "Write --set a.b=v."
        )
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, *ODD_VALUES):
        value = text
    if value == text.strip():  # YAML 1.1 reads 1e-3 as text; unquoted, people mean the number
        with contextlib.suppress(ValueError):
            value = float(value)
    keys = path.split(".")
    node: Any = tree
    for depth, key in enumerate(keys[:-1]):
        node = _child(node, key, ".".join(keys[: depth + 1]))
        if node is None:  # an unset optional block, such as early_stopping
            raise SpecError.of(
                f"--set {change}",
                f"{'.'.join(keys[: depth + 1])} must be set first",
                "it is empty",
                f"Write --set '{'.'.join(keys[: depth + 1])}={{{keys[depth + 1]}: {text}}}'.",
            )
    last = keys[-1]
    if isinstance(node, list):
        _child(node, last, path)
        node[int(last)] = value
    elif isinstance(node, dict):
        if last == "kind":  # a new kind brings its own fields; those of the old kind would be refused
            node.clear()
        node[last] = value
    else:
        raise SpecError.of(f"--set {change}", "the path must lead to a field", f"`{path}` does not")


def _child(node: Any, key: str, path: str) -> Any:
    if isinstance(node, list):
        if not key.isdecimal() or len(key) > 9 or int(key) >= len(node):
            raise SpecError.of(path, f"the list has the places 0 to {len(node) - 1}", f"`{key}` is not one")
        return node[int(key)]
    if isinstance(node, dict):
        if key not in node:
            raise SpecError.of(
                path, "only known names may appear", f"`{key}` is not one", did_you_mean(key, node)
            )
        return node[key]
    raise SpecError.of(path, "the path must lead to a field", f"`{key}` lies below a plain value")


def dump_json(value: Any) -> str:
    """JSON with NaN and infinities written as null: what every `--json` prints."""
    return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_finite(v) for v in value]
    return value

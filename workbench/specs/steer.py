"""What may be changed while a run trains, and what such a change does to its spec. Plain Python.

A run is its spec, its seed and the lines of its ledger (`records.Change`): each line holds paths of
`STEERABLE` with their new values. Everything else of a spec is fixed when the run starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.specs.base import did_you_mean, short
from workbench.specs.errors import Problem, SpecError
from workbench.specs.layer import Layer
from workbench.specs.run import RunSpec, from_dict

# path -> how a sentence names it
NAMES = {
    "training.optimizer.lr": "Learning rate",
    "training.optimizer.weight_decay": "Weight decay",
    "training.clip_norm": "Gradient clipping",
    "training.freeze": "Frozen layers",
    "training.accumulation_steps": "Parts of a batch",
    "data.augment": "Augmentation",
    "training.early_stopping": "Early stopping",
    "training.stop_at_loss": "Stop at loss",
}
STEERABLE = tuple(NAMES)


def steered(spec: RunSpec, changes: Mapping[str, Any]) -> RunSpec:
    """`spec` with `changes` in force: {path: JSON-ready value}, paths of STEERABLE, blocks as a whole.

    Raises: SpecError for a path that is not steerable, a bad value, or a freeze that cannot be.
    """
    tree = spec.model_dump(mode="json")
    for path, value in changes.items():
        if path not in NAMES:
            raise _not_steerable(path)
        *parents, last = path.split(".")
        node = tree
        for key in parents:
            node = node[key]
        node[last] = value
    found = from_dict(tree)
    if found.training.freeze != spec.training.freeze:
        problems = freeze_problems(found)
        if problems:
            raise SpecError(*problems)
    return found


def steered_by_line(spec: RunSpec, step: int, changes: Mapping[str, Any]) -> RunSpec:
    """`steered` by a line of a ledger, in force after `step`.

    Raises: SpecError that names the line: somebody may have written it by hand.
    """
    try:
        return steered(spec, changes)
    except SpecError as error:
        first = error.problems[0]
        raise SpecError.of(
            f"ledger, after step {step:,} ({first.where})", first.rule, first.fact,
            "A run cannot go on with such a line. Fork it without a replay: that leaves the ledger behind.",
        ) from None  # fmt: skip


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """`path=value` texts as {path: JSON-ready value}, values read as YAML and checked within their bounds.

    Check: parse_changes(["training.optimizer.lr=1e-3"]) == {"training.optimizer.lr": 0.001}.
    Raises: SpecError.
    """
    found: dict[str, Any] = {}
    for text in texts:
        path, sign, value = text.partition("=")
        path = path.strip()
        if not sign:
            raise SpecError.of(
                short(text), "a change must read path=value", "there is no `=`",
                "Write training.optimizer.lr=0.001.",
            )  # fmt: skip
        if path not in NAMES:
            raise _not_steerable(path)
        found[path] = _value(RunSpec().with_changes(f"{path}={value}"), path)
    return found


def differences(before: RunSpec, after: RunSpec) -> dict[str, tuple[Any, Any]]:
    """Steerable paths in which two specs are not alike: {path: (old, new)}, values JSON-ready."""
    pairs = {path: (_value(before, path), _value(after, path)) for path in STEERABLE}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def sentence(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """`differences` in words: "Learning rate 0.05 → 0.005; frozen layers none → 0, 1"."""
    parts = [f"{NAMES[path]} {_words(old)} → {_words(new)}" for path, (old, new) in changed.items()]
    text = "; ".join(part[0].lower() + part[1:] for part in parts)
    return text[:1].upper() + text[1:]


def freeze_problems(spec: RunSpec) -> list[Problem]:
    """What is wrong with `training.freeze`: layers that do not exist, or nothing left to train."""
    layers = spec.model.numbered
    where, n = "training.freeze", len(layers)
    frozen = set(spec.training.freeze)
    absent = sorted(i for i in frozen if not 0 <= i < n)
    if n and absent:
        rule, fact = f"the model's layers are 0 to {n - 1}", f"there is no layer {absent[0]}"
        if spec.model.decoder:
            rule += f", the decoder's from {len(spec.model.layers)} on"
        return [Problem(where=where, rule=rule, fact=fact, repair="Choose among them.")]
    # Whoever overrides n_params may have weights; the engine refuses what only it can know.
    weighty = {i for i, layer in enumerate(layers) if type(layer).n_params is not Layer.n_params}
    if n and frozen and weighty <= frozen:
        rule, fact = "something must be left to train", "every layer with weights is frozen"
        return [Problem(where=where, rule=rule, fact=fact, repair="Take at least one of them out.")]
    return []


def _value(spec: RunSpec, path: str) -> Any:
    node: Any = spec.model_dump(mode="json")
    for key in path.split("."):
        node = node[key]
    return node


def _words(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(str(v["kind"]) if isinstance(v, Mapping) else str(v) for v in value)
    if isinstance(value, Mapping):
        return f"{value['metric']}, patience {value['patience']}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _not_steerable(path: str) -> SpecError:
    return SpecError.of(
        short(path).strip("'\""),
        "only some choices may change while a run trains",
        "this is not one of them",
        f"{did_you_mean(path, STEERABLE)} Anything else is a fork.",
    )

"""Plain weights laid onto a design: what matched, key by key, and the weights kept for runs to begin with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import catalog
from workbench.engine.checkpoint import Checkpoint, to_bytes
from workbench.models.build import build
from workbench.models.foreign import Line, laid, numel, oddities, opened
from workbench.specs.errors import DataError
from workbench.specs.pretrained import as_built
from workbench.specs.run import RunSpec
from workbench.store import Store

KINDS = ("matched", "renamed", "missing", "superfluous", "misshapen")


def import_weights(
    store: Store, path: Path, spec: RunSpec, name: str | None = None, keep: bool = True
) -> dict[str, Any]:
    """Reads the file, lays it onto the model of `spec`, and keeps what fits under `name` (the file's own
    where none is given); keep: False only reports.

    Gives {"name", "ok", "counts", "parameters", "taken", "warnings", "lines": [{"what", "ours", "theirs",
    "shape", "their_shape"}]}; ok: nothing of the model is missing or has another shape. Raises: DataError for
    a file that is refused, or of which nothing fits; SpecError for a model that cannot be built.
    """
    shape, _ = catalog.shape_and_classes(store, spec.data)
    model = build(spec.model, spec.task.input(shape, 0), seed=spec.seed)
    ours = model.state_dict()
    found = laid(opened(path), ours)
    counts: Counter[str] = Counter(line.what for line in found.lines)
    if not any(t.ndim for t in found.tensors.values()):
        raise DataError.of(
            "the weights", "some must fit the design, by name or by shape", "none does",
            "Check that the design's sizes are those of the network that the weights are from.",
        )  # fmt: skip
    name = name or slug(path.stem)
    report = {
        "name": name,
        "ok": not counts["missing"] and not counts["misshapen"],
        "counts": {kind: counts[kind] for kind in KINDS},
        "parameters": sum(t.numel() for t in ours.values()),
        "taken": numel(found.lines, "matched", "renamed"),
        "warnings": oddities(found.tensors),
        "lines": [told(line) for line in found.lines],
    }
    if keep:
        tensors = {f"model/{key}": tensor for key, tensor in found.tensors.items()}
        blob = to_bytes(Checkpoint(tensors, {"step": 0, "epoch": 0.0, "source": path.name[:200]}))
        layers = as_built((*spec.model.layers, *spec.model.decoder))
        facts = {
            "source": path.name[:200], "layers": [layer.model_dump(mode="json") for layer in layers],
            "taken": report["taken"], "of": report["parameters"],
        }  # fmt: skip
        store.weights.put(name, blob, facts)
    return report


def told(line: Line) -> Mapping[str, Any]:
    """A line as JSON."""
    return {
        "what": line.what, "ours": line.ours, "theirs": line.theirs,
        "shape": None if line.shape is None else list(line.shape),
        "their_shape": None if line.their_shape is None else list(line.their_shape),
    }  # fmt: skip


def slug(text: str) -> str:
    """A name for what is kept, made of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:80] or "weights"

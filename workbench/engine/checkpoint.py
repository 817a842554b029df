"""A training state as one safetensors file: tensors by name, and JSON beside them. Never pickle.

Tensor names: "model/<parameter or buffer>", "ema/<parameter>" where weights are averaged,
"optimizer/<slot>/<parameter>", "rng/cpu", "rng/cuda".
Names follow the layers and not the memory layout, so that a file outlives the engine that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from workbench.specs.errors import RunError

FORMAT = 1
KEY = "workbench"  # the entry of the file's metadata that holds our JSON


@dataclass(frozen=True)
class Checkpoint:
    """All that is needed to go on as if nothing had happened.

    tensors: CPU tensors by name; meta: JSON-ready facts (step, epoch, what stopping and the schedule
    remember, the shape of the work). Two checkpoints of one run at one step hold equal tensors.
    """

    tensors: Mapping[str, Tensor]
    meta: Mapping[str, Any]

    @property
    def step(self) -> int:
        return int(self.meta["step"])

    @property
    def epoch(self) -> float:
        return float(self.meta["epoch"])

    @property
    def metrics(self) -> dict[str, float]:
        """The newest value of each metric that was known, such as "val/loss"."""
        return dict(self.meta.get("metrics", {}))

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose names begin with `prefix` + "/", without it."""
        head = prefix + "/"
        return {name[len(head) :]: t for name, t in self.tensors.items() if name.startswith(head)}


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as a whole safetensors file. `from_bytes` gives equal tensors and meta back."""
    meta = {KEY: json.dumps({"format": FORMAT, **checkpoint.meta})}
    tensors = {name: t.contiguous() for name, t in checkpoint.tensors.items()}
    return bytes(safetensors.torch.save(tensors, metadata=meta))


def from_bytes(blob: bytes) -> Checkpoint:
    """The checkpoint in `blob`. Raises RunError when it is damaged, foreign or from a newer program."""
    meta = _meta(blob)
    try:
        tensors = safetensors.torch.load(blob)
    except SafetensorError as error:
        raise _damaged(str(error)) from None
    return Checkpoint(tensors, meta)


def model_tensors(blob: bytes) -> dict[str, Tensor]:
    """The weights and buffers to use the model with, named as `model.load_state_dict` takes them.

    Averaged weights where there are any; buffers are the model's own. Raises RunError.
    """
    checkpoint = from_bytes(blob)
    return checkpoint.part("model") | checkpoint.part("ema")


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints hold the same tensors, bit for bit (NaN equals NaN)."""
    if one.tensors.keys() != other.tensors.keys():
        return False
    return all(_bits_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def _bits_equal(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    one, other = (t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b))
    return bool(torch.equal(one, other))


def _meta(blob: bytes) -> dict[str, Any]:
    # A safetensors file begins with the length of its JSON header, u64 little-endian.
    size = int.from_bytes(blob[:8], "little") if len(blob) >= 8 else 0
    if not 2 <= size <= len(blob) - 8:
        raise _damaged("its header is cut off")
    try:
        header = json.loads(blob[8 : 8 + size])
        meta = json.loads(header["__metadata__"][KEY])
    except (ValueError, KeyError, TypeError):
        raise _damaged("it carries no training state of ours") from None
    if not isinstance(meta, dict) or not isinstance(meta.get("format"), int) or meta["format"] > FORMAT:
        raise RunError.of(
            "checkpoint",
            f"this program reads checkpoints up to format {FORMAT}",
            f"this one says {meta.get('format') if isinstance(meta, dict) else meta!r}",
            "Open it with a newer workbench.",
        )
    return meta


def _damaged(fact: str) -> RunError:
    return RunError.of(
        "checkpoint",
        "a checkpoint must be a whole safetensors file written by the workbench",
        fact,
        "Use another checkpoint of the run.",
    )

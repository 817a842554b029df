"""Weights that were made elsewhere: opened without running anything, and laid onto a model by name and shape.

Safetensors hold numbers and nothing else. Files of torch are read with `weights_only=True`, which makes
tensors and refuses every other object; archives are looked at first, since an archive may unfold to far more
than its size.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from workbench.specs.checkpoint_folder import header
from workbench.specs.encoders import TABLES
from workbench.specs.errors import DataError, LayerError

SUFFIXES = (".safetensors", ".pt", ".pth")
MOST_TENSORS = 50_000
SLACK = 1 << 20  # bytes that an archive may unfold to beyond its own size
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "ema")
PREFIXES = ("module.", "_orig_mod.", "model.", "network.")  # that wrappers of torch put before every name
WHERE = "the weights"

What = Literal["matched", "renamed", "missing", "superfluous", "misshapen"]


class Line(NamedTuple):
    """What became of one tensor. ours, theirs: its names; shape: ours; their_shape: theirs."""

    what: What
    ours: str = ""
    theirs: str = ""
    shape: tuple[int, ...] | None = None
    their_shape: tuple[int, ...] | None = None


class Laid(NamedTuple):
    """tensors: by our names, in our number formats; lines: every tensor of either side, once."""

    tensors: dict[str, Tensor]
    lines: list[Line]


# ---------------------------------------------------------------- opening


def opened(path: Path) -> dict[str, Tensor]:
    """Name → tensor on the CPU, in the file's order.

    Raises: DataError for what is no file of plain weights: of another kind, cut off, with other objects in
    it, packed to unfold to more than it is, larger than the memory, or without any weights.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise refused(
            f"weights are read from {', '.join(SUFFIXES)}", f"this is `{path.suffix[:20] or path.name[:40]}`",
            "Save them with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors').",
        )  # fmt: skip
    try:
        size = path.stat().st_size
    except OSError as error:
        raise refused("the file must be there", error.strerror or str(error), "Correct the path.") from None
    if size > psutil.virtual_memory().available:
        raise refused(
            "the weights must fit into the memory", f"the file has {size:,} bytes, and fewer are free",
            "Use a machine with more memory.",
        )  # fmt: skip
    found = _safetensors(path) if path.suffix.lower() == ".safetensors" else _of_torch(path)
    return _plain(found)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        names = list(header(path))  # refuses huge and damaged headers, and other numbers than floats
        tensors = safetensors.torch.load_file(path)
    except LayerError as error:
        problem = error.problems[0]
        raise refused(problem.rule.replace(" of the model", ""), problem.fact, problem.repair) from None
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(str(error)) from None
    # Such a file is sorted by name, and not by the order in which its network has them.
    return {name: tensors[name] for name in sorted(names, key=_natural) if name in tensors}


def _of_torch(path: Path) -> dict[str, Tensor]:
    _check_archive(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle's own, torch's, and whatever a hostile file brings about
        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        if re.search("weights.only|unsupported", str(error), re.IGNORECASE):
            other = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
            raise refused(
                "a file of weights holds tensors and nothing else: other objects can run programs",
                f"it holds `{other[1]}`" if other else "it holds other objects",
                "Save the tensors alone: torch.save(model.state_dict(), 'weights.pt').",
            ) from None  # fmt: skip
        raise _damaged(first) from None
    return _tensors_in(found)


def _check_archive(path: Path) -> None:
    """torch stores its records as they are; one that is packed may unfold to anything."""
    if not zipfile.is_zipfile(path):
        return  # the format before 2020, a bare pickle
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(str(error)) from None
    whole = sum(entry.file_size for entry in entries)
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if len(entries) > MOST_TENSORS or (packed and whole > path.stat().st_size + SLACK):
        raise refused(
            "an archive of weights unfolds to its own size", f"this one would unfold to {whole:,} bytes",
            "Save the weights again with torch.save, or as safetensors.",
        )  # fmt: skip


def _tensors_in(found: Any) -> dict[str, Tensor]:
    """The mapping of names to tensors in what was saved: itself, or under one of the usual names."""
    if isinstance(found, Mapping):
        tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
        inner = [found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)]
        if inner and not any(value.ndim for value in tensors.values()):
            return _tensors_in(inner[0])
        if tensors:
            return tensors
    kind = type(found).__name__
    raise refused(
        "a file of weights holds tensors by name", f"this one holds a {kind} without any",
        "Save model.state_dict().",
    )  # fmt: skip


def _plain(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that are what they say they are. Raises: DataError."""
    if not found:
        raise refused("a file of weights holds tensors by name", "it is empty", "Save model.state_dict().")
    if len(found) > MOST_TENSORS:
        raise refused(f"there may be {MOST_TENSORS:,} tensors", f"there are {len(found):,}", "Join some.")
    for name, tensor in found.items():
        is_table = name.rpartition(".")[2] in TABLES
        odd = tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu"
        if odd or not (tensor.is_floating_point() or is_table):
            raise refused(
                "weights must be plain floating-point numbers",
                f"`{name[:60]}` holds {str(tensor.dtype).removeprefix('torch.')}",
                "Use the weights of the model before it was quantised.",
            )  # fmt: skip
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise refused(
                "every number of a tensor must be in the file",
                f"`{name[:60]}` claims {tensor.numel():,} numbers and brings fewer",
                "Save model.state_dict() of the model itself.",
            )  # fmt: skip
    return dict(found)


def refused(rule: str, fact: str, repair: str) -> DataError:
    return DataError.of(WHERE, rule, fact, repair)


def _damaged(fact: str) -> DataError:
    first = (fact.splitlines() or ["it cannot be read"])[0][:200]
    return refused("the file must be whole", first, "Copy or download it again.")


# ---------------------------------------------------------------- laying them onto a model


def laid(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> Laid:
    """Weights from elsewhere under our names: by name where it is the same, else by order and shape.

    What wrappers put before every name is left off. Of those without a partner by name, modules with equal
    last names and shapes go together, in order where several are alike, then tensors of equal shapes.
    Check: every tensor of either side stands in exactly one line; shapes of what is taken are equal.
    """
    theirs = _unwrapped(theirs, ours)
    tensors: dict[str, Tensor] = {}
    lines: dict[str, Line] = {}
    used: set[str] = set()
    for name, own in ours.items():
        other = theirs.get(name)
        if other is None:
            continue
        used.add(name)
        same = own.shape == other.shape
        what: What = "matched" if same else "misshapen"
        lines[name] = Line(what, name, name, tuple(own.shape), tuple(other.shape))
        if same:
            tensors[name] = other
    left = [name for name in ours if name not in lines]
    free = [name for name in theirs if name not in used]
    for own_name, their_name in _pairs(left, free, ours, theirs):
        shape = tuple(ours[own_name].shape)
        lines[own_name] = Line("renamed", own_name, their_name, shape, shape)
        tensors[own_name] = theirs[their_name]
        used.add(their_name)
    told = [
        lines.get(name, Line("missing", name, shape=tuple(tensor.shape))) for name, tensor in ours.items()
    ]
    told += [
        Line("superfluous", theirs=name, their_shape=tuple(tensor.shape))
        for name, tensor in theirs.items()
        if name not in used
    ]
    converted = {name: value.to(ours[name].dtype).contiguous() for name, value in tensors.items()}
    return Laid(converted, told)


def _unwrapped(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without a prefix that all names share and ours lack, where more of ours are found without it."""
    best = dict(theirs)
    now = best
    for _ in range(3):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in now)), None)
        if prefix is None:
            break
        now = {name.removeprefix(prefix): value for name, value in now.items()}
        if sum(name in ours for name in now) >= sum(name in ours for name in best):
            best = now
    return best


def _pairs(
    left: Sequence[str], free: Sequence[str], ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]
) -> list[tuple[str, str]]:
    """Names of ours and of theirs that go together: modules whose tensors have the same last names and
    shapes, in order among those that are alike; then single tensors of equal shapes. Scalars go with their
    module."""
    mine, other = _modules(left, ours), _modules(free, theirs)
    found: list[tuple[str, str]] = []
    for own, parts in mine.items():
        match = next((name for name, their in other.items() if their == parts), None)
        if match is not None:
            del other[match]
            found += [(_joined(own, last), _joined(match, last)) for last in parts]
    paired = {one for one, _ in found}, {one for _, one in found}
    rest = [name for name in free if name not in paired[1]]
    for name in (name for name in left if name not in paired[0] and ours[name].ndim):
        match = next((one for one in rest if theirs[one].shape == ours[name].shape), None)
        if match is not None:
            rest.remove(match)
            found.append((name, match))
    return found


def _modules(names: Sequence[str], of: Mapping[str, Tensor]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Module → last name → shape, in order."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name in names:
        module, _, last = name.rpartition(".")
        found.setdefault(module, {})[last] = tuple(of[name].shape)
    return found


def _joined(module: str, last: str) -> str:
    return f"{module}.{last}" if module else last


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts layer 2 before layer 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def oddities(tensors: Mapping[str, Tensor]) -> list[str]:
    """What a person should know of the numbers before training on them."""
    bad = [name for name, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    told = [f"{len(bad)} tensors hold NaN or infinite numbers, `{bad[0]}` among them"] if bad else []
    dead = [name for name, t in tensors.items() if t.ndim > 1 and not bool(t.any())]
    return told + ([f"{len(dead)} tensors are all zero, `{dead[0]}` among them"] if dead else [])


def numel(lines: Sequence[Line], *what: What) -> int:
    """Numbers in our tensors of these lines."""
    return sum(math.prod(line.shape or ()) for line in lines if line.what in what and line.shape is not None)

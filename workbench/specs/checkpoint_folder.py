"""What lies in the folder of a pretrained model: read from config.json and the head of its weights' file.

Weights are never loaded and nothing is ever run: only safetensors are opened, and of them only the header,
which says the name and shape of every tensor. Kept until a file changes.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.specs.encoders import FAMILIES, HEADS, OLD_NAMES, TABLES, WORDS, Family
from workbench.specs.layer import refuse

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
OTHER_FORMATS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".pkl")
FLOATS = ("F64", "F32", "F16", "BF16")
MOST_JSON = 64 << 20  # bytes
MOST = 10**7  # of a number in config.json

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """A text encoder on disk. base: shapes of its weights by their names below the base; others: of what
    stands beside it, its own head among them; longest: tokens of the longest text; pad: the number of its
    padding; labels: classes of its own head, None where it has none."""

    folder: Path
    kind: str
    family: Family
    config: Mapping[str, Any]
    base: Shapes
    others: Shapes
    hidden: int
    heads: int
    layers: int
    vocabulary: int
    longest: int
    pad: int
    labels: int | None

    @property
    def files(self) -> list[Path]:
        """Its safetensors."""
        return weight_files(self.folder)


def read(source: str) -> Checkpoint:
    """The model that `source` names: a folder by its whole path, or a model of the hub that was fetched.

    Raises: LayerError when there is none, or one that cannot be fine-tuned here.
    """
    try:
        return _found(folder_of(source))
    except (OSError, RuntimeError) as error:
        raise unreadable(source, error) from None


def unreadable(source: str, error: Exception) -> Exception:
    """No permission, a name too long, the home of nobody."""
    fact = getattr(error, "strerror", None) or str(error)
    rule = f"the model's folder must be readable ({source[:200]})"
    return refuse(rule, fact, "Correct the path, or its permissions.")


def _found(folder: Path) -> Checkpoint:
    if not (folder / "config.json").is_file():
        fact = "it holds only an adapter" if (folder / "adapter_config.json").is_file() else "it has none"
        repair = "Choose the folder that the model was saved to: `save_pretrained` writes config.json."
        raise refuse(f"the folder of a model has a config.json ({folder.name})", fact, repair)
    files = weight_files(folder)
    seen = tuple((str(path), *state_of(path)) for path in (folder / "config.json", *files))
    return _read(folder, seen)


def folder_of(source: str, kind: str = "pretrained_text") -> Path:
    """The folder on this machine. Raises: LayerError when there is none."""
    if not source.strip():
        raise refuse(
            f"{kind} needs a model to begin with", "its source is empty",
            "Set source to the whole path of a model's folder, or to its name on huggingface.co.",
        )  # fmt: skip
    path = Path(source).expanduser()
    if path.is_absolute():
        if not path.is_dir():
            fact = "it is a file" if path.exists() else "there is none at that path"
            raise refuse(f"the model's folder must exist ({source})", fact, "Correct the path.")
        return path
    if not HUB_NAME.fullmatch(source) or ".." in source:
        raise refuse(
            "source is the whole path of a folder, or a name on huggingface.co (owner/name)",
            f"`{source[:80]}` is neither",
            "Write the path from `/` on, or copy the name from the model's page.",
        )  # fmt: skip
    found = in_cache(source)
    if found is None:
        raise refuse(
            f"the model must be on this machine ({source})", "it has not been fetched from huggingface.co",
            f"Run `workbench fetch {source}`. Offline, copy the model's folder here and give its whole path.",
        )  # fmt: skip
    return found


def hub_cache() -> Path:
    """Where the libraries of Hugging Face keep what they fetched, by the variables that they obey."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def in_cache(name: str) -> Path | None:
    """The folder of a fetched model; None where it was not fetched, or not whole."""
    place = hub_cache() / f"models--{name.replace('/', '--')}"
    try:
        commit = (place / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return None
    folder = place / "snapshots" / commit
    whole = re.fullmatch(r"\w+", commit) and (folder / "config.json").is_file()
    return folder if whole else None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a model, one or several. Raises: LayerError where it has none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        parts = json_of(folder / INDEX).get("weight_map")
        names = sorted({str(name) for name in parts.values()}) if isinstance(parts, dict) else []
        missing = [name for name in names if "/" in name or not (folder / name).is_file()]
        if not names or missing:
            fact = f"{missing[0]!r} is missing" if missing else "it lists none"
            raise refuse(f"every file that {INDEX} lists must be there", fact, "Fetch the model again.")
        return [folder / name for name in names]
    found = sorted(p.name for p in folder.iterdir() if p.suffix in OTHER_FORMATS)
    fact = f"it has {found[0]}" if found else "it has no weights"
    raise refuse(
        f"weights are read from {WEIGHTS}: other formats can run programs when they are opened", fact,
        _conversion(folder) if found else "Choose the folder that the model was saved to.",
    )  # fmt: skip


def _conversion(folder: Path) -> str:
    """How to make safetensors of other weights, where one trusts them."""
    kinds = json_of(folder / "config.json").get("architectures")
    told = str(kinds[:1]) if isinstance(kinds, list) else ""
    classifiers = (kind for kind in ("SequenceClassification", "ImageClassification") if kind in told)
    name = f"AutoModelFor{next(classifiers, '')}".removesuffix("For")
    code = f"from transformers import {name} as M; M.from_pretrained('{folder}').save_pretrained('NEW')"
    return (
        f'Where you trust the file, convert it: python -c "{code}"; copy the other JSON files to NEW and use '
        "that."
    )


# ---------------------------------------------------------------- reading


@lru_cache(maxsize=32)  # asked at every keystroke
def _read(folder: Path, seen: tuple[tuple[Any, ...], ...]) -> Checkpoint:
    config = json_of(folder / "config.json")
    kind = config.get("model_type") or ""
    if not isinstance(kind, str):
        raise damaged(folder / "config.json", "its model_type is no word")
    if kind not in FAMILIES or config.get("is_decoder") or config.get("is_encoder_decoder"):
        fact = f"config.json says `{kind}`" if kind else "config.json does not say its model_type"
        known = ", ".join(sorted(FAMILIES))
        raise refuse("the model must be a text encoder that is known here", fact, f"Known: {known}.")
    family = FAMILIES[kind]
    tensors: dict[str, tuple[int, ...]] = {}
    for path, *_ in seen[1:]:
        tensors |= header(Path(path))
    base, others = split(tensors, family)
    words = next((base[name] for name in WORDS if name in base), None)
    if words is None or len(words) != 2:
        raise other_weights(kind, "they have no table of words")
    hidden = number(config, "hidden_size", number(config, "dim", words[1]))
    indices = {index for name in base if (index := family.layer_of(name)) is not None}
    layers = number(config, "num_hidden_layers", number(config, "n_layers", len(indices)))
    expected = 1 if family.shared else layers
    if indices != set(range(expected)):
        raise other_weights(kind, f"config.json speaks of {layers} layers and they hold {len(indices)}")
    if number(config, "vocab_size", words[0]) != words[0]:
        raise other_weights(
            kind, f"config.json speaks of {config['vocab_size']:,} words, they of {words[0]:,}"
        )
    pad = number(config, "pad_token_id", family.pad, least=0)
    places = number(config, "max_position_embeddings", 512)
    last = others.get(f"{HEADS[family.style][1]}.weight")
    return Checkpoint(
        folder, kind, family, config, base, others, hidden, layers=layers, vocabulary=words[0],
        heads=number(config, "num_attention_heads", number(config, "n_heads", 12)),
        longest=max(1, places - (pad + 1 if family.offset else 0)), pad=min(pad, words[0] - 1),
        labels=last[0] if last else None,
    )  # fmt: skip


def split(tensors: Shapes, family: Family) -> tuple[Shapes, Shapes]:
    """Weights of the base by their names below it, and all others; tables that are made anew left out."""
    prefix = f"{family.base}."
    is_whole = any(name.startswith(prefix) for name in tensors)
    base: dict[str, tuple[int, ...]] = {}
    others: dict[str, tuple[int, ...]] = {}
    for name, shape in tensors.items():
        head, _, last = name.rpartition(".")
        if last in TABLES:
            continue
        name = f"{head}.{OLD_NAMES[last]}" if last in OLD_NAMES else name
        if is_whole and not name.startswith(prefix):
            others[name] = shape
        else:
            base[name.removeprefix(prefix)] = shape
    if family.style != "pooler":  # a pooler that the classifier has no use for
        base = {name: shape for name, shape in base.items() if not name.startswith("pooler.")}
    return base, others


def header(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in a safetensors file; its weights are not read.

    Raises: LayerError for a file that is damaged, cut off, or holds other numbers than floats.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MOST_JSON, size - 8):
            raise damaged(path, "its header is cut off")
        blob = file.read(length)
    tree = _parsed(blob, path)
    found: dict[str, tuple[int, ...]] = {}
    end = 0
    for name, entry in tree.items():
        if name == "__metadata__":
            continue
        try:
            shape, kind, stop = tuple(entry["shape"]), entry["dtype"], int(entry["data_offsets"][1])
        except (TypeError, KeyError, ValueError, IndexError):
            raise damaged(path, f"it does not say what `{name[:60]}` is") from None
        if any(type(n) is not int or not 0 <= n <= MOST * 100 for n in shape) or len(shape) > 8:
            raise damaged(path, f"`{name[:60]}` has no shape that could be")
        if kind not in FLOATS and name.rpartition(".")[2] not in TABLES:
            raise refuse(
                f"weights must be plain numbers, {', '.join(FLOATS)}",
                f"`{name[:60]}` in {path.name} is {kind}",
                "Use the model that was not quantised.",
            )  # fmt: skip
        found[name] = shape
        end = max(end, stop)
    if size != 8 + length + end:
        raise damaged(path, f"it should have {8 + length + end:,} bytes and has {size:,}")
    return found


def json_of(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises: LayerError."""
    try:
        if path.stat().st_size > MOST_JSON:
            raise damaged(path, "it is too large to be one")
        blob = path.read_bytes()
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from None
    return _parsed(blob, path)


def _parsed(blob: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(blob)
    except (ValueError, RecursionError):
        raise damaged(path, "it is no JSON") from None
    if not isinstance(found, dict):
        raise damaged(path, "it holds something else")
    return found


def number(config: Mapping[str, Any], name: str, default: int, least: int = 1) -> int:
    """A whole number of config.json. Raises: LayerError."""
    value = config.get(name)
    if value is None:
        return default
    if type(value) is not int or not least <= value <= MOST:
        raise refuse(
            f"{name} in config.json must be a number from {least} on", f"it is {str(value)[:40]}",
            "Fetch the model again.",
        )  # fmt: skip
    return value


def state_of(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def damaged(path: Path, fact: str) -> Exception:
    """The refusal of a file that is not whole."""
    return refuse(f"{path.name} of the model must be whole", fact, "Fetch or copy the model again.")


def other_weights(kind: str, fact: str) -> Exception:
    """The refusal of weights that config.json does not describe."""
    return refuse(
        f"the weights must be those of the {kind} that config.json describes", fact, "Fetch the model again."
    )


def numel(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Numbers in all of them."""
    return sum(math.prod(shape) for shape in shapes.values())

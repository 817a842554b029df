"""The tokenizer that a pretrained model brings, as it is: nothing of it is learned here."""

from __future__ import annotations

import hashlib

from tokenizers import Tokenizer as Backend

from workbench.data.text.tokenizer import Tokenizer
from workbench.specs.checkpoint_folder import Checkpoint, read
from workbench.specs.data import TextSpec
from workbench.specs.errors import DataError, LayerError

WHERE = "data.text.source"


def of_model(spec: TextSpec) -> Tokenizer:
    """The tokenizer of the model that `spec.source` names; texts are cut to `spec.length` tokens, those that
    the model expects around a text among them.

    Raises: DataError when the model is not there, or has no tokenizer.json that fits it.
    """
    found, blob = _read(spec)
    try:
        backend = Backend.from_buffer(blob)
        most = max(backend.get_vocab().values(), default=-1)
        backend.no_padding()
        backend.enable_truncation(spec.length)
        backend.encode("a b")
    except Exception as error:  # the library raises its own, of no common kind
        fact = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        rule, repair = "tokenizer.json must be one that `tokenizers` reads", "Fetch or copy the model again."
        raise DataError.of(WHERE, rule, fact, repair) from None
    if most >= found.vocabulary:
        raise DataError.of(
            WHERE, f"the model has a vector for each of {found.vocabulary:,} tokens",
            f"tokenizer.json has a token with number {most:,}", "Choose the tokenizer that belongs to it.",
        )  # fmt: skip
    return Tokenizer(backend, pad=found.pad, size=found.vocabulary)


def mark(spec: TextSpec) -> str:
    """What changes when the tokenizer does. Raises: DataError."""
    found, blob = _read(spec)
    return hashlib.sha256(blob).hexdigest() + f" {found.pad} {found.vocabulary}"


def _read(spec: TextSpec) -> tuple[Checkpoint, bytes]:
    try:
        found = read(spec.source)
    except LayerError as error:
        problems = (p.model_copy(update={"where": WHERE, "fix": None}) for p in error.problems)
        raise DataError(*problems) from None
    try:
        return found, (found.folder / "tokenizer.json").read_bytes()
    except OSError as error:
        fact = "it has none" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        code = (
            f"from transformers import AutoTokenizer as T; "
            f"T.from_pretrained('{found.folder}').save_pretrained('{found.folder}')"
        )
        raise DataError.of(
            WHERE, f"the model's folder holds its tokenizer.json ({found.folder.name})", fact,
            f'Make one of its other files: python -c "{code}"',
        ) from None  # fmt: skip

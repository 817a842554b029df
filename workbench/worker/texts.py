"""What a trained model of texts says to a text: a class, a continuation or a translation; with its attention.

The answers follow the contract of `predict --json`: input, prediction and probabilities, or text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.engine.texts import PAD, paired
from workbench.engine.writing import continuation, translations
from workbench.probes.attention import attention_of
from workbench.specs.base import Pair, Tokens
from workbench.specs.errors import DataError
from workbench.specs.tasks import LanguageModelTask, TranslationTask
from workbench.worker.trained import Trained

LONGEST = 20_000  # characters of a text that is asked about
DRAWN = 48  # tokens of a text whose attention is shown
STEERED = ("temperature", "top_k", "top_p", "sample_tokens", "beam")  # of the task, for one answer only


def say(trained: Trained, texts: Sequence[str], **asked: Any) -> list[dict[str, Any]]:
    """One answer per text. asked: fields of the task for these answers only (`STEERED`), and seed.

    Raises: DataError for an empty or endless text, SpecError for a field out of bounds.
    """
    task = _task(trained, asked)
    for text in texts:
        _check(text, task)
    model: Any = trained.model
    with torch.inference_mode():
        if isinstance(task, LanguageModelTask):
            seed = int(asked.get("seed", trained.row.spec.seed))
            return [
                {"input": text, "text": continuation(model, trained.data, task, text, seed)} for text in texts
            ]
        if isinstance(task, TranslationTask):
            sources = [trained.data.tokenizer.encode(text) for text in texts]
            written = translations(model, trained.data, sources, task.beam)
            return [{"input": text, "text": found} for text, found in zip(texts, written, strict=True)]
        return [_classified(trained, text) for text in texts]


def read_texts(payload: Mapping[str, Any]) -> list[str]:
    """The texts of a question: as they are, or as text files. Raises DataError for a file that is no text."""
    found = [str(text) for text in payload.get("texts", [])]
    for item in payload.get("images", []):
        blob = base64.b64decode(item["content"])
        try:
            found.append(blob.decode("utf-8-sig").strip())
        except UnicodeDecodeError:
            rule, fact = "a text file must be UTF-8", "its bytes are not"
            raise DataError.of(str(item["name"]), rule, fact, "Save it as UTF-8 text.") from None
    return found


def try_out(trained: Trained, text: str, **asked: Any) -> dict[str, Any]:
    """An answer as `say` gives it, with the tokens and what the model attends to:
    {"tokens", "target_tokens", "width", "attention": {layer: {"shape": [heads, Lq, Lk], "values": base64 of
    uint8, 255 for `most`, "most"}}}; the first 48 tokens, width with padding. The layers are named as on the
    live page.
    """
    (answer,) = say(trained, [text], **asked)
    longest, longest_too = _drawn(trained.data.shape)
    ids = trained.data.tokenizer.encode(text)[:longest]
    tokens, target_tokens = trained.data.tokenizer.tokens(ids), None
    x = torch.tensor([ids or [PAD]])
    if isinstance(trained.row.spec.task, TranslationTask):
        target = trained.data.target_tokenizer.encode(answer["text"])[:longest_too]
        x, _ = paired(x, torch.tensor([target or [PAD]]))
        tokens = [*tokens, "⏎"]
        target_tokens = ["⏵", *trained.data.target_tokenizer.tokens(target)]
    elif x.shape[1] < trained.least:
        x = torch.nn.functional.pad(x, (0, trained.least - x.shape[1]))
    seen = attention_of(trained.model, x)
    return {
        **answer,
        "tokens": tokens,
        "target_tokens": target_tokens,
        "width": x.shape[-1],
        "attention": {layer: _packed(weights[0]) for layer, weights in seen.items()},
        "run": trained.row.id,
        "checkpoint": trained.checkpoint.name,
        "step": trained.checkpoint.step,
    }


def _drawn(shape: Tokens | Pair) -> tuple[int, int]:
    """Tokens of a text and of its translation that are drawn: no more than the model can take."""
    if isinstance(shape, Pair):
        return min(DRAWN, shape.source.length - 1), min(DRAWN, shape.target.length - 1)
    return min(DRAWN, shape.length), 0


def _classified(trained: Trained, text: str) -> dict[str, Any]:
    data = trained.data
    ids = data.tokenizer.encode(text)[: data.shape[0]]
    width = max(trained.least, len(ids), 1)
    scores = trained.model(torch.tensor([ids + [PAD] * (width - len(ids))]))
    shares = trained.task.predict(scores)[0].numpy()
    order = np.argsort(-shares, kind="stable")
    classes = data.classes
    return {
        "input": text,
        "prediction": classes[order[0]],
        "probabilities": {classes[k]: float(shares[k]) for k in order},
    }


def _task(trained: Trained, asked: Mapping[str, Any]) -> Any:
    spec = trained.row.spec
    changes = [
        f"task.{name}={asked[name]}"
        for name in STEERED
        if asked.get(name) is not None and hasattr(spec.task, name)
    ]
    return spec.with_changes(*changes).task if changes else spec.task


def _check(text: str, task: Any) -> None:
    if len(text) > LONGEST:
        raise DataError.of(
            "text", f"a text may have {LONGEST:,} characters", f"it has {len(text):,}", "Shorten it."
        )
    if not text.strip() and not isinstance(task, LanguageModelTask):
        raise DataError.of("text", "a text must have words", "it is empty", "Write something.")


def _packed(weights: Tensor) -> dict[str, Any]:
    """(heads, Lq, Lk) -> shape, bytes and what 255 stands for."""
    most = float(weights.max()) or 1.0
    pixels = (weights / most * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return {
        "shape": list(pixels.shape),
        "values": base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode("ascii"),
        "most": most,
    }

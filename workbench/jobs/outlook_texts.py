"""Sentences on texts: how they are read, how much is learned from, what is written while a model learns."""

from __future__ import annotations

from workbench.jobs.texts import TextFacts
from workbench.specs.base import Pair
from workbench.specs.data import TextSpec
from workbench.specs.run import RunSpec
from workbench.specs.tasks import LanguageModelTask, TranslationTask

READ = {"character": "characters", "word": "words", "bpe": "parts of words (BPE)",
        "wordpiece": "parts of words (WordPiece)", "pretrained": "the model's own tokens"}  # fmt: skip


def data(spec: RunSpec, found: TextFacts) -> str:
    """How many there are, with their tokens: `spam: 4,013 texts to learn from (78,021 tokens), …`."""
    sizes, what = found.sizes, "windows of the text" if spec.task.kind == "language_model" else "texts"
    what = "pairs" if isinstance(found.shape, Pair) else what
    parts = [f"{sizes['train']:,} {what} to learn from ({sizes.tokens('train'):,} tokens)"]
    parts += [
        f"{sizes[name]:,} to {verb} on" for name, verb in (("validation", "validate"), ("test", "test"))
    ]
    return f"{spec.data.name}: {', '.join(parts)}"


def texts(spec: RunSpec, found: TextFacts) -> str:
    """How they are read, and what is lost by it."""
    text = spec.data.text
    if isinstance(found.shape, Pair):
        source, target = found.shape
        known = f"{source.vocabulary:,} and {target.vocabulary:,} different ones"
    else:
        known = f"{found.shape[1]:,} different ones"
    parts = [f"read as {READ[text.tokenizer]}{', all in small letters' if text.lowercase else ''}", known]
    parts.append(_length(spec, text, found))
    if found.unknown:
        parts.append(f"{_percent(found.unknown)} of the tokens to validate on are unknown")
    else:
        parts.append("none of the tokens to validate on is unknown")
    return "; ".join(parts)


def _length(spec: RunSpec, text: TextSpec, found: TextFacts) -> str:
    if spec.task.kind == "language_model":
        return f"{text.length:,} of them are seen at a time"
    cut = f" ({_percent(found.cut)} are that long, and what follows is cut off)" if found.cut else ""
    return f"at most {text.length:,} of them a text{cut}"


def written(spec: RunSpec, validates: bool) -> str:
    """What is written at each validation; empty where nothing is."""
    task = spec.task
    if not validates:
        return ""
    if isinstance(task, LanguageModelTask):
        if not task.sample_tokens:
            return ""
        drawn = "the likeliest token each time" if task.temperature == 0 else (
            f"drawn at a temperature of {task.temperature:g}"
        )  # fmt: skip
        if task.temperature and task.top_k:
            drawn += f", among the {task.top_k:,} likeliest"
        if task.temperature and task.top_p:
            drawn += f", among those that make up {task.top_p:.0%}"
        begin = f"after “{_short(task.prompt)}”" if task.prompt else "from the first token of the data on"
        tokens = f"{task.sample_tokens:,} token{'' if task.sample_tokens == 1 else 's'}"
        return f"{tokens} at each validation, {begin}, {drawn}"
    if isinstance(task, TranslationTask) and task.scored:
        return (
            f"translations of the first {task.scored:,} texts to validate on, the likeliest token each time, "
            f"for BLEU, chrF and exact match; when asked later, with {task.beam} beams"
        )
    return ""


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"

"""Small marks that look alike on every page: state pills, counts, durations, safe names, headings."""

from __future__ import annotations

import re
import time
from html import escape

import streamlit as st

from workbench.figures.theme import STATES
from workbench.records import RunState

STATE_HELP = {
    RunState.QUEUED: "Waiting for a free slot",
    RunState.STARTING: "Loading the data and building the model",
    RunState.RUNNING: "Training",
    RunState.PAUSED: "Loaded and waiting; resume continues at once",
    RunState.STOPPING: "Evaluating and writing its last checkpoint",
    RunState.FINISHED: "Reached its end",
    RunState.STOPPED: "Ended early because someone asked; the model is kept",
    RunState.FAILED: "Ended by an error that is recorded",
    RunState.LOST: "Its process is gone without a word; resume continues from the last checkpoint",
}
KIND_HELP = {
    "parked": "Saved, its memory given back; resume loads it and goes on",
    "held": "Waits in the queue until it is released",
}


def plain(text: str, limit: int = 80) -> str:
    """A user's text as a Markdown label that shows exactly these characters, cut to `limit`.

    Names are untrusted: `![x](http://...)` must not make the browser call out.
    """
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    short = re.sub(r"\s+", " ", short)
    short = re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$&^=])", r"\\\1", short)
    return short.replace(":", ":\u2060")  # a word joiner keeps `:red[`, `:smile:` and `:material/` dead


def message(text: str, limit: int = 300) -> str:
    """A sentence of ours as Markdown; what it sets in backticks stands in quotation marks."""
    return plain(re.sub(r"`([^`\n]*)`", "\u201c\\1\u201d", text), limit)


def pill(state: RunState, kind: str = "") -> str:
    """HTML of a state's pill, with a kind of it ("parked", "held"). Every part of it is ours."""
    label, title = escape(state.value), escape(KIND_HELP.get(kind, STATE_HELP[state]))
    looks = f'class="wb-pill" data-state="{label}" style="--c:{STATES[state]}"'
    return f'<span {looks} title="{title}">{label}{f" · {escape(kind)}" if kind else ""}</span>'


def state_pill(state: RunState, kind: str = "") -> None:
    st.html(pill(state, kind), width="content")


def heading(title: str, about: str) -> None:
    """The head of a page: its name and one sentence on what it is for."""
    st.title(title, anchor=False)
    st.caption(about)


def section(title: str, help: str | None = None) -> None:
    st.subheader(title, anchor=False, help=help)


def count(n: float) -> str:
    """225034 → `225,034`."""
    return f"{n:,.0f}"


def compact(n: float) -> str:
    """2660554 → `2.66 M`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f}"


def megabytes(n_bytes: float) -> str:
    """Bytes as `115 kB`, `12 MB` or `1.4 GB` (powers of ten)."""
    for size, unit in ((1e9, "GB"), (1e6, "MB")):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def share(part: float) -> str:
    """0.9312 → `93.1 %`."""
    return f"{100 * part:.1f} %"


def duration(seconds: float | None) -> str:
    """A length of time in the two largest units: `2 h 5 min`, `3 min 20 s`, `8 s`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def ago(then: float | None, now: float | None = None) -> str:
    """`3 min ago`, in the largest unit; `–` when it has not happened."""
    if then is None:
        return "–"
    gap = max(0.0, (time.time() if now is None else now) - then)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if gap >= size:
            return f"{gap / size:.0f} {unit} ago"
    return "just now"


SHARES = (
    "accuracy", "top5", "precision", "recall", "f1", "exact_match", "coverage", "raw_coverage", "iou",
    "dice", "explained", "told_apart",
)  # fmt: skip
METRIC_WORDS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "top5": "top-5 accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auroc": "AUROC",
    "pr_auc": "PR-AUC",
    "perplexity": "perplexity",
    "bits_per_character": "bits per character",
    "bleu": "BLEU",
    "chrf": "chrF",
    "exact_match": "exact match",
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "scaled_mae": "MAE, scaled",
    "scaled_mse": "MSE, scaled",
    "coverage": "share in the band",
    "raw_coverage": "share in the band, before stretching",
    "iou": "IoU",
    "dice": "Dice",
    "mse": "squared error",
    "psnr": "PSNR",
    "explained": "explained variance",
    "distance": "distance to true pictures",
    "discriminator_loss": "discriminator's loss",
    "told_apart": "told apart",
}
METRIC_HELP = {
    "loss": "How wrong the answers are, in nats; lower is better",
    "accuracy": "Share of right answers; of language models and translators, of right tokens",
    "top5": "Share of samples whose class is among the five likeliest",
    "precision": "Of what was called a class, the share that is of it; mean over classes",
    "recall": "Of what is of a class, the share that was called so; mean over classes",
    "f1": "Harmonic mean of precision and recall; mean over classes",
    "auroc": "Area under the ROC curve, 0 to 1; 0.5 is guessing",
    "pr_auc": "Area under the curve of precision over recall, 0 to 1",
    "perplexity": "How many equally likely tokens would be as hard to tell; lower is better",
    "bits_per_character": "Bits to tell each character, whatever the tokenizer; lower is better",
    "bleu": "Likeness of the translations to the references, 0 to 100",
    "chrf": "Likeness letter by letter, 0 to 100",
    "exact_match": "Share of translations equal to their references",
    "mae": "Mean absolute error, in the units of what is told; lower is better",
    "rmse": "Root of the mean squared error, in the units of what is told; lower is better",
    "mase": "Mean absolute error over that of telling the value of a season before; below 1 beats that",
    "scaled_mae": "Mean absolute error where every variate has variance 1; lower is better",
    "scaled_mse": "Mean squared error where every variate has variance 1; lower is better",
    "coverage": "Share of the true values that lie within the band; while a run trains, within the band that "
    "the model tells by itself",
    "raw_coverage": "Share of the true values within the band that the model tells by itself",
    "iou": "Pixels in both masks, of the pixels in either; mean over classes",
    "dice": "Twice the pixels in both masks, of those of each; mean over classes",
    "mse": "Mean squared difference of pixels from 0 to 1; lower is better",
    "psnr": "Peak signal to noise ratio of reconstructions, in decibels",
    "explained": "Share of the variance about the mean picture that reconstructions keep",
    "distance": "How far made pictures are from true ones in mean and spread; 0: alike, 1: as their mean",
    "told_apart": "Share of true and made pictures that the discriminator tells right; 50 %: it cannot",
    "discriminator_loss": "Cross-entropy of true and made pictures, in nats; 0.69: it cannot tell them apart",
}


def metric_text(key: str, value: float | None) -> str:
    """A metric as a person reads it: shares in percent, BLEU and chrF with one digit, others with four."""
    if value is None or value != value:
        return "–" if value is None else "NaN"
    name = key.rpartition("/")[2]
    if name in ("bleu", "chrf"):
        return f"{value:.1f}"
    return share(value) if name in SHARES else f"{value:.4g}"


def metric_words(key: str) -> str:
    """`val/f1` as `F1`; a key of which nothing is known as it is."""
    return METRIC_WORDS.get(key.rpartition("/")[2], key)


def metric_help(key: str) -> str:
    """What a metric measures, and on which samples; empty where nothing is known."""
    split, _, name = key.rpartition("/")
    where = {"val": "On held-out samples", "train": "On the samples that are learned from"}.get(split, "")
    return ". ".join(part for part in (METRIC_HELP.get(name, ""), where) if part)
